"""
LBFGS, conjugate gradients, and SciPy
=====================================

The same problem, the same gradient: four methods that search along lines, counted in evaluations.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize, rosen, rosen_der

import optimkit as ok

n, limit = 10, 500
start = np.tile([-1.2, 1.0], n // 2)

# %%
# Rosenbrock's function in 10 dimensions. What costs is a value with its gradient; what a method
# does between two of them costs nothing beside. So each call is counted and noted.


class Counted:
    def __init__(self):
        self.losses = []

    def __call__(self, x):
        loss = rosen(x)
        if len(self.losses) < limit:
            self.losses.append(loss)
        return loss, rosen_der(x)


def by_optimkit(kind, **options):
    x, function = start.copy(), Counted()
    optimizer = kind([x], **options)

    def closure():
        loss, gradient = function(x)
        return loss, [gradient]

    while len(function.losses) < limit:
        before = x.copy()
        optimizer.step(closure)
        if np.array_equal(x, before):
            break
    return function.losses


def by_scipy(method):
    function = Counted()
    minimize(function, start, jac=True, method=method, options={"maxiter": limit}, tol=1e-14)
    return function.losses


# %%
# In optimkit a ``step`` is up to ``max_iter`` iterations of the method, each with its line search,
# and what was learned about the curvature is kept from step to step: a loop over minibatches can
# use it, and a schedule can set ``lr``. In SciPy a call is the whole minimization.

search = {"line_search_fn": "strong_wolfe", "tolerance_change": 0, "tolerance_grad": 1e-12}
runs = {
    "ok.LBFGS": (by_optimkit(ok.LBFGS, history_size=10, **search), "C0-"),
    "SciPy L-BFGS-B": (by_scipy("L-BFGS-B"), "C0--"),
    "ok.NonlinearCG": (by_optimkit(ok.NonlinearCG, **search), "C1-"),
    "SciPy CG": (by_scipy("CG"), "C1--"),
    "ok.Adam, lr = 0.02": (by_optimkit(ok.Adam, lr=0.02), "C2-"),
}
for name, (losses, style) in runs.items():
    lowest = np.minimum.accumulate(losses)
    plt.semilogy(np.maximum(lowest, 1e-20), style, label=name)
    enough = np.flatnonzero(lowest < 1e-8)
    print(f"{name:20}", f"{enough[0]} evaluations to 1e-8" if len(enough) else "not below 1e-8")
plt.gca().set(xlabel="evaluations of loss and gradient", ylabel="lowest loss so far")
plt.legend(loc=(0.7, 0.2))
plt.show()

# %%
# What to take home
# -----------------
# With exact gradients the methods that learn the curvature go down faster than any straight line,
# and LBFGS takes as many evaluations here as SciPy's. (The two conjugate gradients differ in when
# they restart: optimkit's does where successive gradients are far from orthogonal.) All of them
# trust every gradient, so noise from minibatches, which Adam averages away, misleads them.
