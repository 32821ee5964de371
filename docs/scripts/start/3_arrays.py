"""
Arrays, in place
================

What an optimizer holds, how it is lost, precision, and models that are nested.
"""

# %%
# In place, and rebinding
# -----------------------
# An optimizer holds the arrays it was given: not copies, and not their names.

import matplotlib.pyplot as plt
import numpy as np

import optimkit as ok

w = np.array([1.0, 2.0])
optimizer = ok.SGD([w], lr=0.5)
optimizer.step(grads=[np.array([1.0, 1.0])])
print(w, optimizer.param_groups[0]["params"][0] is w)

# %%
# ``w -= x`` changes the array that the optimizer holds. ``w = w - x`` does something else: it makes
# a new array and calls *that* ``w``. From then on the optimizer steps an array that nobody reads,
# and **nothing says so**. A model that is to be halved after every tenth step, both ways:


def train(halve):
    model = {"w": np.array([1.0, 2.0])}
    optimizer = ok.SGD(model, lr=0.05)
    sizes = []
    for step in range(1, 41):
        optimizer.step(grads={"w": 2 * model["w"] - 4})  # towards 2
        if step % 10 == 0:
            halve(model)
        sizes.append(model["w"][0])
    return sizes


def in_place(model):
    model["w"] *= 0.5


def rebound(model):
    model["w"] = model["w"] * 0.5


plt.plot(train(in_place), label='model["w"] *= 0.5')
plt.plot(train(rebound), label='model["w"] = model["w"] * 0.5')
plt.gca().set(xlabel="step", ylabel="model['w'][0]", title="the second is no longer trained")
plt.legend()
plt.show()

# %%
# So: ``w -= x``, ``w *= x``, ``w[...] = x``, ``np.copyto(w, x)``, never ``w = ...`` for an array
# that an optimizer holds. That is also how a saved model is put back.
#
# If a curve is flat from some step on, ask whether the optimizer still has your array:

model = {"w": np.zeros(2)}
optimizer = ok.SGD(model)
rebound(model)
print("held:", any(param is model["w"] for param in optimizer.param_groups[0]["params"]))

# %%
# ``ok.Parameter(w)`` is an array with a place for its gradient, as torch has it: then ``step()``
# takes no argument. ``.data`` is the array itself.

p = ok.Parameter(np.array([1.0, 2.0]))
optimizer = ok.SGD([p], lr=0.5)
p.grad = np.array([1.0, 1.0])
optimizer.step()
optimizer.zero_grad()
print(p.data, p.grad)

# %%
# Precision
# ---------
# The dtype is that of the parameter. State (Adam's moments) has it too, arithmetic is done in it,
# and the gradient must have it. NumPy makes float64 of almost everything, so a gradient of a
# float32 model often becomes float64 on the way; it is refused, by name, and nothing has changed:

model = {"w": np.zeros(3, np.float32), "b": np.zeros(1, np.float32)}
optimizer = ok.Adam(model, lr=0.1)
grads = {"w": np.ones(3, np.float32), "b": np.ones(1)}
try:
    optimizer.step(grads=grads)
except TypeError as error:
    print(error)
print(model["w"], "step", optimizer.step_count)

# %%
# Say ``.astype(np.float32)`` where it happened. Lists of numbers and integer arrays are refused as
# parameters, too, as early as they can be:

for params in ([[1.0, 2.0]], [np.array([1, 2])]):
    try:
        ok.Adam(params)
    except TypeError as error:
        print(error)

# %%
# Nested models
# -------------
# Dicts, lists and tuples of arrays may be nested as you like. The names are the paths, and
# gradients of the same shape, as your backward pass makes them, fit as they are.


def layer(n_in, n_out):
    return {"w": np.full((n_in, n_out), 0.1), "b": np.zeros(n_out)}


net = {"embed": np.ones((5, 2)), "layers": [layer(2, 3), layer(3, 1)]}
optimizer = ok.AdamW(net, lr=0.01)
print(optimizer.param_groups[0]["param_names"])

grads = {"embed": np.ones((5, 2)), "layers": [layer(2, 3), layer(3, 1)]}
optimizer.step(grads=grads)
print(net["layers"][1]["w"].T)

# %%
# What takes gradients or models takes them nested: clipping, norms and averages, too. ``None`` in
# the place of an array, or of a whole layer, leaves what is there alone, its state included. An
# average has the structure of the model, so what predicts with the one predicts with the other.

norm = ok.clip_grad_norm_(grads, max_norm=1.0)
optimizer.step(grads={"embed": None, "layers": [None, grads["layers"][1]]})
average = ok.swa_utils.AveragedModel(net)
average.update_parameters(net)
print(f"norm {norm:.3f}", average.module["layers"][1]["w"].T)

# %%
# What is left out, on the other hand, is taken for a mistake, as a name that is not known is.
#
# **Names are the paths at the time the optimizer is made.** After ``net["layers"].insert(0, new)``
# the gradients of the new layer have the path ``layers.0.w``, which is the name of an old one. Once
# there is a group for the last path, too, every layer gets another's gradients, and where the
# shapes agree **nothing says so**. So append to a list, never insert; what is to be put in between
# belongs in a dict, under a name that stays. How a layer joins a run:
# :doc:`/gallery/training/add_a_layer`.
#
# Names are what errors speak of, what a file of a checkpoint is matched by, and what groups are
# chosen by. Here matrices decay, and biases do not:

group = optimizer.param_groups[0]
named = dict(zip(group["param_names"], group["params"], strict=True))
matrices = {name: array for name, array in named.items() if name.endswith("w")}
others = {name: array for name, array in named.items() if name not in matrices}
optimizer = ok.AdamW([{"params": matrices}, {"params": others, "weight_decay": 0.0}], lr=0.1)
for group in optimizer.param_groups:
    print(group["weight_decay"], group["param_names"])

# %%
# What to take home
# -----------------
# - Change arrays in place; a name that is bound anew is lost to the optimizer, silently.
# - One precision for parameter, gradient and state: the parameter's.
# - A model may be any nest of dicts and lists; gradients come in the same one, or by path.
# - Append, never insert: a path is a name.
