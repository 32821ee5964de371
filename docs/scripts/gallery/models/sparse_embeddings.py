"""
Embeddings whose gradients are a few rows
=========================================

A table of a million rows of which a batch uses a hundred: what a step costs, and what is learned.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

import optimkit as ok

rng = np.random.default_rng(0)

# %%
# Words on a ring
# ---------------
# A made-up language has 300 words, and a word is followed by one of its neighbours on a ring. The
# model does not know the ring. It sees pairs, true ones and random ones, and tells them apart by
# the inner product of two rows, :math:`u_i \cdot v_j`.

words, size = 300, 2
u, v = (0.1 * rng.standard_normal((words, size)) for _ in range(2))
optimizer = ok.SparseAdam([u, v], lr=0.02)


def batch(pairs=256):
    first = rng.integers(words, size=pairs)
    near = (first + rng.integers(-30, 31, size=pairs)) % words
    true = rng.random(pairs) < 0.5
    return first, np.where(true, near, rng.integers(words, size=pairs)), true


for _ in range(3000):
    i, j, true = batch()
    error = (1 / (1 + np.exp(-np.sum(u[i] * v[j], 1))) - true)[:, None] / len(i)
    rows_of_u = ok.RowSparse(i, error * v[j], u.shape)
    rows_of_v = ok.RowSparse(j, error * u[i], v.shape)
    optimizer.step(grads=[rows_of_u, rows_of_v])

# %%
# ``RowSparse`` is the row numbers and their gradients, as a batch has them; a row that comes twice
# counts twice. The ring comes out of the pairs (left).
#
# What a step costs
# -----------------
# The same batch on tables of growing height, with a gradient of rows and with a whole one, most of
# which is zero.


def seconds(table, kind, gradient):
    optimizer = kind([table])
    taken = []
    for _ in range(5):
        begin = time.perf_counter()
        optimizer.step(grads=[gradient(table)])
        taken.append(time.perf_counter() - begin)
    return min(taken[1:])


rows, values = rng.integers(1000, size=256), np.ones((256, 16), np.float32)


def sparse(table):
    return ok.RowSparse(rows, values, table.shape)


def whole(table):
    gradient = np.zeros_like(table)
    np.add.at(gradient, rows, values)
    return gradient


heights = [1_000, 10_000, 100_000, 1_000_000]
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.8))
left.scatter(*u.T, c=np.arange(words), cmap="hsv", s=14)
left.set(title="rows of u, coloured by place on the ring", aspect="equal")
for label, kind, gradient in (
    ("SparseAdam, rows", ok.SparseAdam, sparse),
    ("Adam, whole gradient", ok.Adam, whole),
):
    tables = (np.zeros((height, 16), np.float32) for height in heights)
    times = [seconds(table, kind, gradient) for table in tables]
    right.loglog(heights, times, "o-", label=label)
right.set(title="seconds a step", xlabel="rows of the table")
right.legend()
plt.show()

# %%
# What to take home
# -----------------
# Hand over rows, and a step costs what the batch costs, whatever the table. It is another method,
# though: Adam's moments of rows that are not in the batch decay, and go on moving them; SparseAdam
# leaves these rows and their moments alone.
