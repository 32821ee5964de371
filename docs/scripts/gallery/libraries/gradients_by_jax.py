"""
Gradients by JAX, for parameters in NumPy
=========================================

What ``jax.grad`` returns can be stepped by any optimizer, and the whole step can go into ``jit``.
"""

import time
from itertools import pairwise

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax.flatten_util import ravel_pytree

import optimkit as ok
from optimkit import functional

rng = np.random.default_rng(0)
x = rng.uniform(-3, 3, (256, 1)).astype(np.float32)
y = np.sin(2 * x) + 0.1 * rng.standard_normal(x.shape).astype(np.float32)


def new_model():
    rng = np.random.default_rng(1)
    sizes = [1, 32, 32, 1]
    return [
        {
            "w": (rng.standard_normal((a, b)) * np.sqrt(2 / a)).astype(np.float32),
            "b": np.zeros(b, np.float32),
        }
        for a, b in pairwise(sizes)
    ]


def loss(model, x, y):
    for layer in model[:-1]:
        x = jnp.tanh(x @ layer["w"] + layer["b"])
    return jnp.mean((x @ model[-1]["w"] + model[-1]["b"] - y) ** 2)


# %%
# NumPy's parameters, JAX's gradients
# -----------------------------------
# JAX arrays cannot be changed, so they cannot be parameters of an optimizer that works in place.
# NumPy arrays can, and JAX takes them as arguments. Its gradients come back as JAX arrays in the
# same nest; ``np.asarray`` on each makes NumPy's of them, without a copy on the CPU. They are
# float32, unless JAX was told otherwise, and so the parameters should be.

model = new_model()
optimizer = ok.AdamW(model, lr=3e-3)
value_and_grad = jax.jit(jax.value_and_grad(loss))
in_place = []
for _ in range(500):
    value, grads = value_and_grad(model, x, y)
    optimizer.step(grads=jax.tree.map(np.asarray, grads))
    in_place.append(float(value))

# %%
# The step as a function
# ----------------------
# ``functional`` has the same rules without an "in place": parameters and state go in and come out,
# and ``jit`` compiles gradient and step together.

tx = functional.adamw(lr=3e-3)


@jax.jit
def step(params, state):
    value, grads = jax.value_and_grad(loss)(params, x, y)
    return *tx.step(params, grads, state), value


params = jax.tree.map(jnp.asarray, new_model())
state, inside = tx.init(params), []
for _ in range(500):
    params, state, value = step(params, state)
    inside.append(float(value))


def median(function, calls=100):
    times = []
    for _ in range(calls):
        begin = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - begin)
    return np.median(times) * 1e6


def outside():
    optimizer.step(grads=jax.tree.map(np.asarray, value_and_grad(model, x, y)[1]))


print(
    f"in place {median(outside):.0f} µs, as a function {median(lambda: step(params, state)):.0f} µs"
)
away = np.abs(ravel_pytree(params)[0] - ravel_pytree(model)[0]).max()
print(f"largest difference of a parameter {away:.1e}")

fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.4))
left.semilogy(in_place, label="NumPy, in place")
left.semilogy(inside, "--", label="a function, under jit")
left.set(title="loss", xlabel="step")
left.legend()
right.semilogy(np.abs(np.array(in_place) - inside) / inside, "C2.", ms=3)
right.set(title="relative difference of the two losses", xlabel="step")
plt.show()

# %%
# What to take home
# -----------------
# Any source of gradients will do. In place is simple, and has checkpoints, groups and schedulers;
# as a function it can be compiled, mapped and differentiated. They are one rule, but ``jit`` may
# contract a product and a sum into one operation, so that bits differ and a long run drifts.
