"""
Averages instead of a smaller learning rate
===========================================

SGD with noise never arrives. Its average does: stochastic weight averaging and its moving cousin.
"""

import matplotlib.pyplot as plt
import numpy as np

import optimkit as ok
from optimkit.lr_scheduler import CosineAnnealingLR
from optimkit.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn

curvature = np.array([1.0, 20.0])
steps, begin = 1200, 400


def height(w):
    return 0.5 * np.sum(curvature * w**2)


# %%
# A valley, twenty times as steep across as along, whose gradient is known with noise only, as from
# minibatches. All runs see the same noise. ``AveragedModel`` holds a copy of the parameters:
#
# - **SWA**, the plain mean of all that came after step 400, when the learning rate was brought to a
#   constant by ``SWALR``;
# - **EMA**, a mean that forgets: ``decay=0.99`` remembers about 100 steps.


def run(schedule):
    w = np.array([4.0, 1.0])
    optimizer = ok.SGD([w], lr=0.05)
    scheduler = schedule(optimizer)
    swa = AveragedModel(optimizer)
    ema = AveragedModel(optimizer, multi_avg_fn=get_ema_multi_avg_fn(0.99))
    rng, path = np.random.default_rng(0), []
    for step in range(steps):
        optimizer.step(grads=[curvature * w + 6 * rng.standard_normal(2)])
        if scheduler is not None:
            scheduler.step()
        if step >= begin:
            swa.update_parameters(optimizer)
        ema.update_parameters(optimizer)
        mean = swa.module[0] if step >= begin else np.full(2, np.nan)
        path.append([w.copy(), mean.copy(), ema.module[0].copy()])
    return np.array(path)


constant = run(lambda optimizer: SWALR(optimizer, swa_lr=0.05, anneal_epochs=100))
decayed = run(lambda optimizer: CosineAnnealingLR(optimizer, T_max=steps))

fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.8), gridspec_kw={"width_ratios": [1, 1.2]})
grid = np.meshgrid(np.linspace(-2, 4.5, 80), np.linspace(-1.6, 1.6, 60))
level = sum(0.5 * c * x**2 for c, x in zip(curvature, grid, strict=True))
left.contour(*grid, level, levels=12, colors="#757d87", alpha=0.35, linewidths=0.8)
for k, (name, color) in enumerate((("SGD", "C0"), ("SWA", "C1"), ("EMA", "C2"))):
    left.plot(*constant[:, k].T, color=color, lw=0.4 if k == 0 else 1.8, label=name)
left.set(title="where they go", xlim=(-2, 4.5), ylim=(-1.6, 1.6))
left.legend(loc="upper right")


def smooth(values):
    return np.convolve(values, np.ones(25) / 25, "valid")


for k, (name, color) in enumerate((("SGD", "C0"), ("SWA", "C1"), ("EMA", "C2"))):
    right.semilogy(smooth([height(w) for w in constant[:, k]]), color=color, label=name)
right.semilogy(smooth([height(w) for w in decayed[:, 0]]), "C3--", label="SGD, cosine to zero")
right.set(title="height above the minimum", xlabel="step")
right.legend()
plt.show()

for name, w in (("SGD", constant[-1, 0]), ("SWA", constant[-1, 1]), ("cosine", decayed[-1, 0])):
    print(f"{name:7} ends at height {height(w):.4f}")

# %%
# What to take home
# -----------------
# Noise keeps SGD at a height in proportion to its learning rate. A decay to zero removes it, if it
# was known beforehand when the run would end. An average removes it at any time, for one more copy
# of the parameters; SWA begins when the way down is over, and EMA need not be told.
