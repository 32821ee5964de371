"""
Sensitivity maps
================

How much does the learning rate matter, and how much momentum? Hundreds of runs in one optimizer.
"""

import matplotlib.pyplot as plt
import numpy as np

import optimkit as ok

# %%
# A quadratic with curvatures from 0.01 to 1, minimized from one point with each of 32 × 24 pairs of
# learning rate and momentum. Each run is a **group** of one parameter with options of its own; all
# groups take their steps together.

curvature = np.geomspace(0.01, 1, 10)
steps = 100


def loss_map(kind, rates, betas, options):
    params = [np.ones(10) for _ in range(len(rates) * len(betas))]
    pairs = [(lr, beta) for beta in betas.tolist() for lr in rates.tolist()]
    groups = [
        {"params": [param], "lr": lr, **options(beta)}
        for param, (lr, beta) in zip(params, pairs, strict=True)
    ]
    optimizer = kind(groups)
    with np.errstate(all="ignore"):
        for _ in range(steps):
            optimizer.step(grads=list(curvature * np.array(params)))
        losses = 0.5 * np.sum(curvature * np.array(params) ** 2, 1)
    return losses.reshape(len(betas), len(rates))


kept = 1 - np.geomspace(1, 0.003, 24)  # momentum, or beta1: how much of the past is kept
rates = np.geomspace(0.003, 30, 32)
maps = {
    "SGD with momentum": loss_map(ok.SGD, rates, kept, lambda b: {"momentum": b}),
    "Adam": loss_map(ok.Adam, rates, kept, lambda b: {"betas": (b, 0.999)}),
    "RMSprop with momentum": loss_map(ok.RMSprop, rates, kept, lambda b: {"momentum": b}),
}

# %%
# Theory knows the first map. SGD with momentum :math:`\mu` diverges where
# :math:`\gamma > 2 (1 + \mu) / L` with the largest curvature :math:`L` (line), and on quadratics is
# fastest at :math:`\sqrt\mu = (\sqrt{L} - \sqrt{l}) / (\sqrt{L} + \sqrt{l})`,
# :math:`\gamma = 4 / (\sqrt{L} + \sqrt{l})^2` (star).

fig, axes = plt.subplots(1, 3, figsize=(9.5, 3.6), sharey=True)
for ax, (name, losses) in zip(axes, maps.items(), strict=True):
    shown = np.log10(np.where(np.isfinite(losses), losses, 1e30))
    image = ax.pcolormesh(
        rates,
        1 - kept,
        shown,
        cmap="viridis_r",
        vmin=-7,
        vmax=1,
        shading="nearest",
        rasterized=True,
    )
    ax.set(title=name, xscale="log", yscale="log", xlabel="learning rate")
    ax.invert_yaxis()
    ax.grid(visible=False)
axes[0].set_yticks([1, 0.1, 0.01], ["0", "0.9", "0.99"])
axes[0].set_ylabel("momentum, beta1")
low, high = np.sqrt(curvature[[0, -1]])
axes[0].plot(2 * (1 + kept), 1 - kept, color="C3", label="theory: diverges beyond")
best = 4 / (low + high) ** 2, 1 - ((high - low) / (high + low)) ** 2
axes[0].plot(*best, "*", color="C1", ms=11, label="theory: fastest")
axes[0].legend(fontsize=7, loc="lower left", labelcolor="white")
bar = fig.colorbar(image, ax=axes, label=f"log10 of the loss after {steps} steps")
bar.outline.set_visible(False)
plt.show()

for name, losses in maps.items():
    good = np.mean(losses < 1e-3)
    print(f"{name}: a loss below 1e-3 in {good:.0%} of the map")

# %%
# What to take home
# -----------------
# Learning rate and momentum belong together: for SGD good settings lie on a slope that ends at a
# cliff, and theory knows both. The adaptive methods have a wide plain and no cliff: too large a
# rate costs them a loss that stays high, not infinity, and they forgive too much momentum least.
# A map is cheap: groups let one optimizer run all of it.
