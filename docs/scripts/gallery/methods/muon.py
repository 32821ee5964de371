"""
Muon: all directions of a matrix alike
======================================

What Muon does to a gradient can be seen in its singular values.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import optimkit as ok

rng = np.random.default_rng(0)

# %%
# A linear map is to be learned from data whose features differ in size by a factor of 100, as
# features inside a network do. The gradient of a matrix then has a few large singular values: a
# step against it moves the matrix in a few directions, and hardly in the others.

n = 32
true = rng.standard_normal((n, n)) / np.sqrt(n)
mixed = np.linalg.qr(rng.standard_normal((n, n)))[0]
x = rng.standard_normal((2000, n)) @ (np.geomspace(1, 0.01, n)[:, None] * mixed)
second = x.T @ x / len(x)


def loss_and_gradient(w):
    error = w - true
    return 0.5 * np.sum(error * (second @ error)), second @ error


# %%
# Muon's step is the nearest orthogonal matrix to its momentum, nearly: five Newton-Schulz
# iterations bring singular values to about 1, with matrix products alone; tiny ones get there only
# in part. Here is the first step of three optimizers, divided by its largest singular value.

candidates = {
    "SGD": (ok.SGD, {"momentum": 0.9}, (0.3, 0.1, 0.03)),
    "Adam": (ok.Adam, {}, (0.03, 0.01, 0.003)),
    "Muon": (ok.Muon, {"weight_decay": 0.0}, (0.1, 0.05, 0.02)),
}
first = {}
for name, (kind, options, _) in candidates.items():
    w = np.zeros((n, n))
    kind([w], lr=1.0, **options).step(grads=[loss_and_gradient(w)[1]])
    values = np.linalg.svd(w, compute_uv=False)
    first[name] = values / values[0]
    print(f"{name:5} smallest / largest: {first[name][-1]:.0e}")

# %%
# The runs: a linear decay of the learning rate, the best of three rates for each.


def run(kind, lr, steps=400, **options):
    w = np.zeros((n, n))
    optimizer = kind([w], lr=lr, **options)
    decay = ok.lr_scheduler.PolynomialLR(optimizer, total_iters=steps)
    losses = []
    for _ in range(steps):
        loss, gradient = loss_and_gradient(w)
        losses.append(loss)
        optimizer.step(grads=[gradient])
        decay.step()
    return losses


fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.6))
for name, (kind, options, rates) in candidates.items():
    left.semilogy(first[name], ".-", label=name)
    runs = {lr: run(kind, lr, **options) for lr in rates}
    lr = min(rates, key=lambda lr: runs[lr][-1])
    right.semilogy(runs[lr], label=f"{name}, lr = {lr}")
left.set(title="singular values of the first step", xlabel="number", ylim=(1e-6, 2))
left.legend()
right.set(title="loss", xlabel="step")
right.legend()
plt.show()

# %%
# Two optimizers over one model
# -----------------------------
# A network has matrices and other things. What is a hidden matrix goes to Muon, the rest to AdamW,
# told apart by the number of axes and by name; gradients are parted in the same way. There is
# **one** clipping, before both steps, since a norm is of all gradients; each optimizer has a
# schedule of its own; and one file has it all.

net = {
    "in": {"w": rng.standard_normal((2, 16)), "b": np.zeros(16)},
    "hidden": {"w": rng.standard_normal((16, 16)) / 4, "b": np.zeros(16)},
    "out": {"w": np.zeros((16, 1)), "b": np.zeros(1)},
}
points = rng.uniform(-1, 1, (400, 2))
target = np.sin(4 * points[:, :1]) * points[:, 1:]


def network_gradients():
    h = np.tanh(points @ net["in"]["w"] + net["in"]["b"])
    k = np.tanh(h @ net["hidden"]["w"] + net["hidden"]["b"])
    error = k @ net["out"]["w"] + net["out"]["b"] - target
    out = 2 * error / len(points)
    inner = (out @ net["out"]["w"].T) * (1 - k**2)
    first = (inner @ net["hidden"]["w"].T) * (1 - h**2)
    columns = {"in": (points, first), "hidden": (h, inner), "out": (k, out)}
    return np.mean(error**2), {n: {"w": a.T @ d, "b": d.sum(0)} for n, (a, d) in columns.items()}


arrays = {f"{part}.{name}": x for part, layer in net.items() for name, x in layer.items()}
hidden = {n: x for n, x in arrays.items() if x.ndim == 2 and n.startswith("hidden")}
rest = {n: x for n, x in arrays.items() if n not in hidden}
optimizers = [ok.Muon(hidden, lr=0.02, weight_decay=0.0), ok.AdamW(rest, lr=0.01)]
schedulers = [ok.lr_scheduler.CosineAnnealingLR(each, T_max=300) for each in optimizers]

for _ in range(300):
    loss, nested = network_gradients()
    norm = ok.clip_grad_norm_(nested, max_norm=1.0)
    grads = {f"{part}.{name}": g for part, layer in nested.items() for name, g in layer.items()}
    for optimizer, mine in zip(optimizers, (hidden, rest), strict=True):
        optimizer.step(grads={name: grads[name] for name in mine})
    for scheduler in schedulers:
        scheduler.step()
print(f"Muon: {', '.join(hidden)}; AdamW: {', '.join(rest)}; loss {loss:.4f}")

file = Path(tempfile.mkdtemp(), "run.safetensors")
ok.save({"net": net, "optimizers": optimizers, "schedulers": schedulers}, file)
for each, saved in zip(optimizers, ok.load(file)["optimizers"], strict=True):
    each.load_state_dict(saved)

# %%
# What to take home
# -----------------
# Adam gives each *element* its own scale, and a mixture of features is no element; Muon gives each
# *direction* of the matrix the same length. It is for matrices alone, the hidden layers: put
# vectors, embeddings and output layers into an AdamW of their own.
