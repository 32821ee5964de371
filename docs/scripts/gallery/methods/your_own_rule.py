"""
A rule of your own, and its kernel
==================================

Momentum that does not push uphill: two functions of array code, and the loop that is made of them.
"""

import textwrap
import time

import matplotlib.pyplot as plt
import numpy as np

import optimkit as ok
from optimkit.validation.explain.explain import kernel_text
from optimkit.validation.explain.subjects import forms

# %%
# The idea (Liang et al., *Cautious Optimizers*, 2024) is one line: where momentum and gradient
# disagree in sign, do not move. A rule says what is kept (``init``) and what a step does
# (``update``), in terms of any array library, ``xp``. It changes nothing and returns what is new;
# ``ok.pure`` says that it depends on its arguments alone, so that it need not be looked at again
# in each step.


class Cautious(ok.Optimizer):
    """SGD with momentum, only where it goes downhill."""

    def __init__(self, params, lr=0.01, momentum=0.9, **options):
        super().__init__(params, {"lr": lr, "momentum": momentum, **options})

    @staticmethod
    def init(xp, param, hyper):
        return {"momentum_buffer": xp.zeros_like(param)}

    @staticmethod
    @ok.pure
    def update(xp, param, grad, state, hyper, step):
        # b = μ b + g
        b = hyper.momentum * state["momentum_buffer"] + grad
        # θ = θ - γ b, where b g > 0
        return param - hyper.lr * xp.where(b * grad > 0, b, 0), {"momentum_buffer": b}


# %%
# That is all. Groups, checkpoints, hooks, schedules, torch tensors and devices come with it, and so
# does a kernel: the rule is run once with stand-ins for arrays, which note each operation, and the
# notes become one loop over memory. This is the heart of what Numba compiles for it; there are
# dialects for blocks of NumPy and for CUDA.

_, traced = forms(Cautious, {}, "float32", 2)
text = kernel_text("numba", traced, "float32")
begin = text.index("        for i in range(count):")
print(textwrap.dedent(text[begin : text.index("\n\n", begin)]))

# %%
# (``s0`` to ``s3`` are the numbers of a step: momentum, the two zeros, and the learning rate.)
#
# Does it help? In a narrow valley momentum swings from side to side (left). And what does the
# kernel gain? All give the same bits (right: time of a step, by the number of elements).


def walk(kind):
    w, path = np.array([4.0, 1.2]), []
    optimizer = kind([w], lr=0.04, momentum=0.9)
    for _ in range(60):
        path.append(w.copy())
        optimizer.step(grads=[np.array([0.3, 15.0]) * w])
    return np.array(path)


def seconds(engine, size):
    rng = np.random.default_rng(0)
    w, grad = rng.standard_normal((2, size), np.float32)
    taken = []
    with ok.use_engine(engine):
        optimizer = Cautious([w])
        for _ in range(30):
            begin = time.perf_counter()
            optimizer.step(grads=[grad])
            taken.append(time.perf_counter() - begin)
    return min(taken), w


fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.6))
grid = np.meshgrid(np.linspace(-2, 4.5, 80), np.linspace(-1.3, 1.5, 80))
left.contour(*grid, 0.3 * grid[0] ** 2 + 15 * grid[1] ** 2, 12, colors="#757d87", alpha=0.3)
for kind in (ok.SGD, Cautious):
    left.plot(*walk(kind).T, ".-", lw=1, ms=4, label=kind.__name__)
left.set(title="60 steps in a valley")
left.legend(loc="lower right")
sizes = [1_000, 10_000, 100_000, 1_000_000]
ends = {}
for engine in reversed(ok.available_engines()):
    times, arrays = zip(*(seconds(engine, size) for size in sizes), strict=True)
    right.loglog(sizes, np.array(times) * 1e6, "o-", label=engine)
    ends[engine] = arrays[-1]
right.set(title="µs a step", xlabel="elements, float32")
right.legend()
plt.show()

same = all(np.array_equal(ends["eager"], array) for array in ends.values())
print("the same bits on", ", ".join(ends), ":", same)
assert same

# %%
# What to take home
# -----------------
# Write a rule as its paper has it, and read the kernel instead of writing one. The eager engine is
# the definition; whatever is faster has to give its bits.
