"""
Gradient accumulation
=====================

Batches that do not fit into memory, in parts: the same bits, if it is done right, and fewer steps.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import optimkit as ok

images, digits = load_digits(return_X_y=True)
x, y = np.hstack([images / 16, np.ones((len(images), 1))]), np.eye(10)[digits]


def loss_and_gradient(w, rows):
    logits = x[rows] @ w
    logits -= logits.max(1, keepdims=True)
    p = np.exp(logits)
    p /= p.sum(1, keepdims=True)
    loss = -np.mean(np.log(p[y[rows] > 0]))
    return loss, x[rows].T @ (p - y[rows]) / len(p)


# %%
# ``ok.accumulate(optimizer, n)`` goes around any optimizer and takes a step at each n-th call, with
# the mean of n gradients. It is the mean that you would have computed: the same bits.

parts = np.random.default_rng(0).permutation(1792).reshape(-1, 8, 32)  # 8 micro-batches of 32

by_hand, wrapped = np.zeros((65, 10)), np.zeros((65, 10))
plain = ok.AdamW([by_hand], lr=1e-2)
accumulating = ok.accumulate(ok.AdamW([wrapped], lr=1e-2), 8)
for batch in parts:
    total = np.zeros_like(by_hand)
    for rows in batch:
        total += loss_and_gradient(by_hand, rows)[1]
        accumulating.step(grads=[loss_and_gradient(wrapped, rows)[1]])
    plain.step(grads=[total / 8])
print("equal, to the bit:", np.array_equal(by_hand, wrapped))
print("calls", len(parts) * 8, "steps", accumulating.step_count)
assert np.array_equal(by_hand, wrapped)

# %%
# A schedule counts real steps: ``if optimizer.stepped: scheduler.step()``. And a mean of means is
# the mean of the batch only if the parts are of one size; of unequal ones, such as the rest of an
# epoch, give sums with ``reduction="sum"`` and divide by the number of examples.
#
# Fewer steps for the same data
# -----------------------------
# A batch 16 times as large has a gradient with a quarter of the noise. At the same learning rate
# that buys nothing at first, while the noise does not matter yet; and it costs 16 times the data.


def run(n, lr, calls=2000):
    w, rng = np.zeros((65, 10)), np.random.default_rng(1)
    optimizer = ok.accumulate(ok.SGD([w], lr=lr), n)
    losses = []
    for number in range(calls):
        rows = rng.integers(len(x), size=8)
        optimizer.step(grads=[loss_and_gradient(w, rows)[1]])
        if number % 25 == 24:
            losses.append(loss_and_gradient(w, slice(None))[0])
    return np.arange(1, len(losses) + 1) * 25 * 8, losses


for n, lr, style in ((1, 0.3, "C0-"), (16, 0.3, "C1-"), (16, 1.2, "C1--"), (1, 1.2, "C0--")):
    plt.semilogy(*run(n, lr), style, label=f"{8 * n} a step, lr = {lr}")
plt.gca().set(xlabel="examples seen", title="loss on all digits")
plt.legend()
plt.show()

# %%
# What to take home
# -----------------
# Accumulate when memory demands it, not for its own sake: for the same data there are n times fewer
# steps. A larger batch pays when it allows a larger learning rate: what makes small batches rattle
# (dashed, blue) is calm with large ones (dashed, orange).
