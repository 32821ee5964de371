"""
Resume, and what is lost if a part is forgotten
===============================================

The same run stopped in the middle and taken up again with all of its state, or with less.
"""

import copy

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes

import optimkit as ok
from optimkit.lr_scheduler import OneCycleLR

x, y = load_diabetes(return_X_y=True)
x, y = x / x.std(0), (y - y.mean()) / y.std()
steps, stop = 300, 150


class Run:
    """A linear model, Adam and a schedule."""

    def __init__(self):
        self.weights = np.zeros(x.shape[1])
        self.optimizer = ok.Adam([self.weights], lr=0.1)
        self.scheduler = OneCycleLR(self.optimizer, max_lr=0.1, total_steps=steps + 1)

    def step(self, number):
        rows = np.random.default_rng(number).integers(len(x), size=32)
        error = x[rows] @ self.weights - y[rows]
        self.optimizer.step(grads=[2 * x[rows].T @ error / len(rows)])
        self.scheduler.step()
        return self.weights.copy()


# %%
# One run that is never stopped, and its state in the middle. ``deepcopy`` stands for a file here,
# which ``ok.save`` would write.

whole = Run()
path = []
for number in range(steps):
    if number == stop:
        parts = whole.weights, whole.optimizer.state_dict(), whole.scheduler.state_dict()
        weights, optimizer, scheduler = copy.deepcopy(parts)
    path.append(whole.step(number))

# %%
# Four ways to go on. The learning rate lives in the optimizer's groups, so the scheduler is made
# first, which sets it, and the states are loaded after.


def resumed(*what):
    run = Run()
    run.weights[...] = weights
    if "optimizer" in what:
        run.optimizer.load_state_dict(optimizer)
    if "scheduler" in what:
        run.scheduler.load_state_dict(scheduler)
    return [run.step(number) for number in range(stop, steps)]


ways = {
    "everything": resumed("optimizer", "scheduler"),
    "no scheduler": resumed("optimizer"),
    "no optimizer": resumed("scheduler"),
    "weights alone": resumed(),
}
same = np.array_equal(ways["everything"], path[stop:])
print("with everything, every step has the bits of the run that was not stopped:", same)
assert same

for name, way in ways.items():
    away = np.linalg.norm(np.array(way) - path[stop:], axis=1)
    plt.semilogy(np.arange(stop, steps), np.maximum(away, 1e-9), label=name)
plt.gca().set(xlabel="step", title="distance from the run that was not stopped")
plt.annotate("everything: exactly 0", (stop + 5, 1.4e-9), color="C0")
plt.ylim(8e-10, 10)
plt.legend(loc="center right")
plt.show()

# %%
# What to take home
# -----------------
# A model alone does not go on, it begins again: without its moments Adam takes its first steps at
# full length whatever the gradient, and without its schedule the run warms up a second time. It
# looks like noise in the loss, and is a different run. Save all parts; then equality can be tested
# with ``==``.
