"""
CuPy arrays
===========

The same loop on a device. These pages may be made on a machine without one; the output says so.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

import optimkit as ok

# %%
# Whether there is a device is a question to CuPy, which can be installed without one.

try:
    import cupy

    cupy.cuda.runtime.getDeviceCount()
    device = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
except Exception as error:
    cupy, device = None, None
    print(f"No device: CuPy says {type(error).__name__}. What follows was run with NumPy alone;")
    print("the calls for CuPy are the same, with xp = cupy.")
else:
    print("On", device)

# %%
# A loop that is given its array library as ``xp``. Parameters and gradients are that library's
# arrays; the optimizer sees which, and keeps its state beside them.


def fit(xp, steps=50):
    """Ridge regression on data that is made on the host, so that all libraries see the same."""
    rng = np.random.default_rng(0)
    x = xp.asarray(rng.standard_normal((512, 64)), dtype=xp.float32)
    y = x @ xp.asarray(rng.standard_normal(64), dtype=xp.float32)
    w = xp.zeros(64, dtype=xp.float32)
    optimizer, losses = ok.AdamW([w], lr=0.1), []
    for _ in range(steps):
        error = x @ w - y
        losses.append(xp.mean(error**2))  # stays on the device: float() would wait for it
        optimizer.step(grads=[2 * (x.T @ error) / len(y)])
    return [float(loss) for loss in losses], w


# %%
# The *step* has NumPy's bits on a device, for every elementwise rule: same gradients, same results.
# Sums such as ``x @ w`` are the array library's own and may differ in the last bit. So the test of
# a step is one in which the gradients are given.


def stepped(xp):
    rng = np.random.default_rng(0)
    w = xp.asarray(rng.standard_normal(1000), dtype=xp.float32)
    optimizer = ok.AdamW([w], lr=0.1)
    for _ in range(20):
        optimizer.step(grads=[xp.asarray(rng.standard_normal(1000), dtype=xp.float32)])
    return w if xp is np else w.get()


if cupy is not None:
    print("the bits of NumPy:", np.array_equal(stepped(np), stepped(cupy)))

# %%
# The time of a step by the size of the parameters: small steps cost a launch, large ones the way
# through memory. A device has to be waited for before a clock is read.


def seconds(xp, size):
    w, grad = xp.zeros(size, dtype=xp.float32), xp.ones(size, dtype=xp.float32)
    optimizer, taken = ok.AdamW([w]), []
    for _ in range(20):
        begin = time.perf_counter()
        optimizer.step(grads=[grad])
        if xp is not np:
            xp.cuda.Device().synchronize()
        taken.append(time.perf_counter() - begin)
    return min(taken)


sizes = [1_000, 10_000, 100_000, 1_000_000]
fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.4))
for name, xp in (("NumPy", np), (f"CuPy, {device}", cupy)):
    if xp is not None:
        left.semilogy(fit(xp)[0], label=name)
        right.loglog(sizes, [1e6 * seconds(xp, size) for size in sizes], "o-", label=name)
left.set(title="loss", xlabel="step")
right.set(title="µs a step of AdamW", xlabel="elements, float32")
right.legend()
plt.show()

# %%
# What to take home
# -----------------
# Write a loop for ``xp`` and it runs on both; only ``float(loss)``, which waits for the device,
# should be rare. :doc:`CUDA </guides/cuda>` has what was measured on a large device, and what
# a step there needs beside CuPy.
