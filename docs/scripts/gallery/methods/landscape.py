"""
All optimizers on one landscape
===============================

Every optimizer of the library from one point of a curved valley, each at its best learning rate.
"""

import inspect

import matplotlib.pyplot as plt
import numpy as np

import optimkit as ok

# %%
# The valley is Rosenbrock's, in a gentler form, :math:`(1 - x)^2 + 10\,(y - x^2)^2`: the way in is
# steep, the way along is flat and bends, and the minimum is at (1, 1).
#
# The list is not written here. It is what the package has, so that a new optimizer turns up by
# itself; nothing below knows one by name.

start, steps = np.array([[-1.4, 1.6]]), 100
names = [name for name in ok.__all__ if inspect.isclass(getattr(ok, name))]
kinds = [kind for name in names if issubclass(kind := getattr(ok, name), ok.Optimizer)]
kinds = [kind for kind in kinds if kind is not ok.Optimizer]


def loss_and_gradient(point):
    x, y = point[0]
    loss = (1 - x) ** 2 + 10 * (y - x**2) ** 2
    return loss, np.array([[-2 * (1 - x) - 40 * x * (y - x**2), 20 * (y - x**2)]])


def walk(kind, lr):
    """The points on the way; the parameter is a matrix of one row, as some rules need."""
    point = start.copy()
    optimizer = kind([point], lr=lr)
    sparse = getattr(kind, "needs_sparse", False)

    def closure():
        loss, gradient = loss_and_gradient(point)
        return loss, [ok.RowSparse([0], gradient, point.shape) if sparse else gradient]

    path = [start[0]]
    for _ in range(steps):
        optimizer.step(closure)
        path.append(point[0].copy())
    return np.array(path)


# %%
# Each is tried at eight learning rates, and the one that ends lowest is shown. The engine is the
# eager one: kernels are for large arrays, and are not worth compiling for two numbers.


def best(kind):
    runs = {}
    with ok.use_engine("eager"), np.errstate(all="ignore"):
        for lr in (10 ** np.arange(-2.5, 1.1, 0.5)).tolist():
            path = walk(kind, lr)
            loss = loss_and_gradient(path[-1:])[0]
            runs[loss if np.isfinite(loss) else np.inf] = lr, path
    lowest = min(runs)
    return kind.__name__, *runs[lowest], lowest


results = sorted((best(kind) for kind in kinds), key=lambda result: result[-1])

# %%
columns = round(len(results) ** 0.5)
rows = -(-len(results) // columns)
fig, axes = plt.subplots(rows, columns, figsize=(9, 2 * rows), sharex=True, sharey=True)
grid = np.meshgrid(np.linspace(-2, 2, 60), np.linspace(-0.7, 2.6, 60))
level = np.log((1 - grid[0]) ** 2 + 10 * (grid[1] - grid[0] ** 2) ** 2 + 0.02)
for ax in axes.flat[len(results) :]:
    ax.axis("off")
for ax, (name, lr, path, loss) in zip(axes.flat, results, strict=False):
    ax.contour(*grid, level, levels=9, colors="#757d87", alpha=0.3, linewidths=0.7)
    ax.plot(*path.T, ".-", color="C0", lw=1, ms=3)
    ax.plot(1, 1, "*", color="C1", ms=8)
    ax.set(xlim=(-2, 2), ylim=(-0.7, 2.6), xticks=[], yticks=[])
    ax.set_title(f"{name}\nlr {lr:.2g}, loss {loss:.0e}", fontsize=8)
    ax.grid(visible=False)
plt.show()

# %%
# What to take home
# -----------------
# In order of the loss after 100 steps. Those that search along a line with several gradients a step
# arrive in a few; steps of one gradient differ most in how they go around the bend. Two numbers and
# no noise are not a neural network: what is best here need not be best there, and the learning
# rates, a thousandfold apart, say that no default can fit a problem it has not seen.
