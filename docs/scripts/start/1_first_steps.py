"""
First steps
===========

A model, its gradient by hand, and Adam.
"""

# %%
# The problem
# -----------
# A line is to go through noisy points. The model has two parameters, ``w`` and ``b``, and predicts
# :math:`\hat y = w x + b`.

import matplotlib.pyplot as plt
import numpy as np

import optimkit as ok

rng = np.random.default_rng(0)
x = rng.uniform(-1, 1, 100)
y = 3 * x + 1 + 0.3 * rng.standard_normal(100)

w, b = np.array(0.0), np.array(0.0)

# %%
# The parameters are arrays, here without axes. An optimizer changes arrays **in place**, so a plain
# Python float will not do: it cannot be changed.
#
# The loss, and its gradient
# --------------------------
# The loss is the mean squared error :math:`L = \frac1n \sum_i (w x_i + b - y_i)^2`. By the chain
# rule,
#
# .. math::
#     \frac{\partial L}{\partial w} = \frac2n \sum_i (w x_i + b - y_i)\, x_i, \qquad
#     \frac{\partial L}{\partial b} = \frac2n \sum_i (w x_i + b - y_i).


def loss_and_gradients(w, b):
    error = w * x + b - y
    return np.mean(error**2), [2 * np.mean(error * x), 2 * np.mean(error)]


# %%
# A gradient by hand is where most mistakes are made. Before anything else, hold it against a
# difference quotient: they should agree to about ten digits.

h = 1e-6
loss, (grad_w, grad_b) = loss_and_gradients(w, b)
quotient = (loss_and_gradients(w + h, b)[0] - loss_and_gradients(w - h, b)[0]) / (2 * h)
print(f"by hand {grad_w:.10f}, by differences {quotient:.10f}")

# %%
# Gradient descent
# ----------------
# Each step goes a little way against the gradient: :math:`\theta \leftarrow \theta - \gamma\, g`,
# where :math:`\gamma` is the learning rate ``lr``. The optimizer is given the parameters once, and
# the gradients, in the same order, at each step.

optimizer = ok.SGD([w, b], lr=0.1)
for _ in range(100):
    loss, grads = loss_and_gradients(w, b)
    optimizer.step(grads=grads)
print(f"w = {w:.3f}, b = {b:.3f}, loss = {loss:.4f}")

# %%
# The loss does not go to zero: what is left is the noise, whose variance is 0.09.
#
# Adam
# ----
# Another optimizer is another name. :doc:`Adam </optimizers/Adam>` divides each gradient by its
# recent size, so that every parameter moves by about ``lr`` a step, whatever the units of the loss
# are. See what happens if the loss is measured in other units, a thousand times as large:


def path(kind, lr, scale):
    """The losses on the way from zero."""
    w, b = np.array(0.0), np.array(0.0)
    optimizer = kind([w, b], lr=lr)
    losses = []
    for _ in range(100):
        loss, grads = loss_and_gradients(w, b)
        optimizer.step(grads=[scale * grad for grad in grads])
        losses.append(min(loss, 1e9))  # beyond which there is nothing to see
    return losses


fig, axes = plt.subplots(1, 2, sharey=True)
for ax, kind, lr in zip(axes, (ok.SGD, ok.Adam), (0.1, 0.1), strict=True):
    for scale in (1, 10, 1000):
        with np.errstate(all="ignore"):
            ax.semilogy(path(kind, lr, scale), label=f"loss × {scale}", alpha=0.8)
    ax.set(title=f"{kind.__name__}, lr = {lr}", xlabel="step", ylim=(0.05, 20))
axes[0].set_ylabel("loss, in the old units")
axes[0].legend()
plt.show()

# %%
# SGD's steps are proportional to the gradient: times 10 they are too long and the loss rises, times
# 1000 it leaves the picture at once, and the learning rate has to be found again. Adam's three
# curves are one.

# %%
# What to take home
# -----------------
# - Parameters are arrays; ``optimizer.step(grads=[...])`` changes them in place.
# - Check a gradient that you wrote yourself against differences, once.
# - A learning rate of SGD has the units of the problem; one of Adam has those of the parameters.
