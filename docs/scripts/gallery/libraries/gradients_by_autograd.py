"""
Gradients by autograd
=====================

NumPy code that is differentiated as it stands, and a sum of oscillations that is fitted to noise.
"""

import autograd.numpy as anp
import matplotlib.pyplot as plt
import numpy as np
from autograd import value_and_grad

import optimkit as ok

# %%
# HIPS `autograd <https://github.com/HIPS/autograd>`_ wraps NumPy: a loss written with its
# ``numpy`` has a gradient. The model is a sum of damped oscillations whose frequencies, dampings
# and phases are all unknown, in a dict; the gradient comes as a dict of the same names, and goes
# into ``step`` as it is.

rng = np.random.default_rng(3)
t = np.linspace(0, 10, 200)
true = {
    "height": np.array([1.0, 0.6]),
    "damping": np.array([0.1, 0.3]),
    "frequency": np.array([2.0, 5.0]),
    "phase": np.array([0.3, 1.0]),
}


def signal(model):
    wave = anp.cos(anp.outer(t, model["frequency"]) + model["phase"])
    return (anp.exp(-anp.outer(t, anp.abs(model["damping"]))) * wave) @ model["height"]


data = signal(true) + 0.1 * rng.standard_normal(len(t))
loss_and_gradient = value_and_grad(lambda model: anp.mean((signal(model) - data) ** 2))

# %%
# Frequencies are hard: from too far away, the loss sees no slope towards them. How far may the
# first guess be off? Adam and LBFGS from guesses at a growing distance, with losses near 0.01,
# the variance of the noise, for those that arrive.


def fitted(kind, off, steps, **options):
    model = {name: np.array(value) for name, value in true.items()}
    model["frequency"] += off
    model["phase"] += 0.5
    model["height"] *= 0.7
    optimizer = kind(model, **options)
    for _ in range(steps):
        optimizer.step(lambda: loss_and_gradient(model))
    return loss_and_gradient(model)[0], model


offs = np.linspace(-2.5, 2.5, 11)
by_adam = [fitted(ok.Adam, off, 300, lr=0.03)[0] for off in offs]
search = {"line_search_fn": "strong_wolfe"}
by_lbfgs = [fitted(ok.LBFGS, off, 5, **search)[0] for off in offs]

fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.4), gridspec_kw={"width_ratios": [1.4, 1]})
left.plot(t, data, ".", color="C6", ms=3, label="data")
for off, color in ((0.5, "C0"), (-2.5, "C1")):
    left.plot(t, signal(fitted(ok.Adam, off, 300, lr=0.03)[1]), color, label=f"from {off} off")
left.set(xlabel="t", title="fitted by Adam")
left.legend(loc="upper right")
right.semilogy(offs, by_adam, "o-", label="Adam, 300 steps", ms=4)
right.semilogy(offs, by_lbfgs, "s-", label="LBFGS, 5 × 20", ms=4)
right.set(xlabel="first guess of both frequencies, off by", title="loss where it ends")
right.legend()
plt.show()

# %%
# What to take home
# -----------------
# With autograd a NumPy model needs neither a framework nor a gradient by hand. The gradient is
# exact; that does not make the loss kind: which minimum a run ends in, its first guess decides.
