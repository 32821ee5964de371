"""
Logistic regression
===================

Which digits are odd? A convex problem whose shape says how long each method needs.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import optimkit as ok

images, digits = load_digits(return_X_y=True)
odd = digits % 2
penalty = 1e-3


def with_ones(x):
    return np.hstack([x, np.ones((len(x), 1))])


def loss_and_gradient(weights, x):
    """Mean cross-entropy with an L2 penalty, a convex function."""
    logit = x @ weights
    loss = np.mean(np.logaddexp(0, logit) - odd * logit) + penalty / 2 * weights @ weights
    error = 1 / (1 + np.exp(-logit)) - odd
    return loss, x.T @ error / len(x) + penalty * weights


# %%
# The function is convex: there is one minimum, and a quadratic model of it, the Hessian, says how
# hard it is to get there. Gradient descent with one learning rate for all directions needs a rate
# below 2 / (largest curvature), and then takes about (largest / smallest) steps. Centred and scaled
# pixels have a smaller ratio than raw ones.

raw = with_ones(images / 16)
spread = np.maximum(images.std(0), 1)  # some pixels are always white
scaled = with_ones((images - images.mean(0)) / spread)
for name, x in (("raw", raw), ("scaled", scaled)):
    curvatures = np.linalg.eigvalsh(x.T @ x / len(x) / 4 + penalty * np.eye(x.shape[1]))
    largest, ratio = curvatures[-1], curvatures[-1] / curvatures[0]
    print(f"{name:6} largest curvature {largest:6.2f}, ratio {ratio:6.0f}")


# %%
# The excess of the loss over its minimum, which a quasi-Newton method finds first, on both data
# sets. Every learning rate is the best of a few.


def losses(kind, x, steps=300, **options):
    weights = np.zeros(x.shape[1])
    optimizer = kind([weights], **options)
    return [optimizer.step(lambda: with_list(weights, x)) for _ in range(steps)]


def with_list(weights, x):
    loss, gradient = loss_and_gradient(weights, x)
    return loss, [gradient]


fig, axes = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True)
candidates = {
    "SGD": (ok.SGD, {}, (0.1, 0.3, 0.6, 1.0, 3.0)),
    "SGD, Nesterov": (ok.SGD, {"momentum": 0.95, "nesterov": True}, (0.01, 0.1, 0.3, 1.0)),
    "Adam": (ok.Adam, {}, (0.01, 0.03, 0.1)),
}
for ax, (name, x) in zip(axes, (("raw", raw), ("scaled", scaled)), strict=True):
    best = losses(ok.LBFGS, x, steps=30, line_search_fn="strong_wolfe", tolerance_change=0)[-1]
    for label, (kind, options, rates) in candidates.items():
        runs = {lr: np.array(losses(kind, x, lr=lr, **options)) for lr in rates}
        lr = min(runs, key=lambda lr: np.nan_to_num(runs[lr][-1], nan=np.inf))
        ax.semilogy(runs[lr] - best, label=f"{label}, lr = {lr}")
    ax.set(title=f"{name} pixels", xlabel="step", ylim=(1e-9, 3))
    ax.legend()
axes[0].set_ylabel("loss above its minimum")
plt.show()

# %%
# What to take home
# -----------------
# Plain gradient descent crawls along the flat directions, and there are two remedies, which add up.
# Scale the data: it costs nothing, and here SGD ends a few hundred times nearer. Use a method with
# memory: momentum needs about the square root of the ratio, and Adam scales each axis by itself.
