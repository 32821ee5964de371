"""
A network as a dict of arrays
=============================

Handwritten digits with NumPy alone, and the test of a backward pass that finds every mistake.
"""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import optimkit as ok

rng = np.random.default_rng(0)
images, digits = load_digits(return_X_y=True)
x, order = images / 16, rng.permutation(len(images))
train, test = order[:1400], order[1400:]

sizes = [64, 48, 32, 10]
model = [
    {"w": rng.standard_normal((n_in, n_out)) * np.sqrt(2 / n_in), "b": np.zeros(n_out)}
    for n_in, n_out in pairwise(sizes)
]

# %%
# Forward keeps what backward needs: the input of each layer. Backward goes through the same list
# the other way round. The softmax and the logarithm of the loss together have the gradient
# ``p - target``.


def forward(model, x):
    inputs = [x]
    for layer in model[:-1]:
        inputs.append(np.maximum(inputs[-1] @ layer["w"] + layer["b"], 0))
    return inputs, inputs[-1] @ model[-1]["w"] + model[-1]["b"]


def loss_and_gradients(model, x, digits):
    inputs, logits = forward(model, x)
    logits = logits - logits.max(1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    rows = np.arange(len(x))
    upstream = np.exp(log_p)
    upstream[rows, digits] -= 1
    upstream /= len(x)
    grads = []
    for layer, inside in zip(reversed(model), reversed(inputs), strict=True):
        grads.append({"w": inside.T @ upstream, "b": upstream.sum(0)})
        upstream = (upstream @ layer["w"].T) * (inside > 0)
    return -log_p[rows, digits].mean(), grads[::-1]


# %%
# One difference quotient along a random direction tests all parameters at once: the slope of the
# loss along ``d`` must be the inner product of gradient and ``d``.

step, batch = 1e-6, (x[train[:32]], digits[train[:32]])
direction = [{k: rng.standard_normal(v.shape) for k, v in layer.items()} for layer in model]


def moved(size):
    pairs = zip(model, direction, strict=True)
    return [{k: layer[k] + size * d[k] for k in layer} for layer, d in pairs]


_, grads = loss_and_gradients(model, *batch)
inner = sum((g[k] * d[k]).sum() for g, d in zip(grads, direction, strict=True) for k in g)
ends = [loss_and_gradients(moved(size), *batch)[0] for size in (step, -step)]
print(f"gradient {inner:.8f}, differences {(ends[0] - ends[1]) / (2 * step):.8f}")

# %%
# The optimizer takes the model as it is, a list of dicts, and the gradients in the same form.

optimizer = ok.AdamW(model, lr=3e-3, weight_decay=1e-2)
curves = []
for _ in range(30):
    for rows in np.array_split(rng.permutation(train), 22):
        loss, grads = loss_and_gradients(model, x[rows], digits[rows])
        optimizer.step(grads=grads)
    guesses = [forward(model, x[rows])[1].argmax(1) for rows in (train, test)]
    curves.append([np.mean(g != digits[r]) for g, r in zip(guesses, (train, test), strict=True)])
print(f"wrong: {curves[-1][0]:.1%} of those trained on, {curves[-1][1]:.1%} of the others")

_, logits = forward(model, x[test])
ranked = np.sort(logits, 1)
doubtful = np.argsort(ranked[:, -1] - ranked[:, -2])[:8]  # the best guess is hardly the best

fig, axes = plt.subplot_mosaic("ccc0123;ccc4567", figsize=(8.5, 3.2))
axes["c"].plot(100 * np.array(curves), label=["training", "test"])
axes["c"].set(title="wrong, %", xlabel="epoch", ylim=(0, 15))
axes["c"].legend()
for i, row in enumerate(doubtful):
    ax = axes[str(i)]
    ax.imshow(images[test[row]].reshape(8, 8), cmap="gray")
    ax.set(title=f"{logits[row].argmax()}, is {digits[test[row]]}", xticks=[], yticks=[])
plt.show()

# %%
# What to take home
# -----------------
# A model need be no class: any nest of dicts and lists of arrays will do, and gradients in the same
# nest. Test a backward pass along one random direction; agreement to six digits is no coincidence.
