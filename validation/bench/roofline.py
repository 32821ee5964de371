"""What memory allows: a plain loop that reads and writes what a step does, and nothing else."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.backends.engines.threads import thread_count
from optimkit.validation.bench.measure import Step
from optimkit.validation.bench.workloads import OPTIMIZERS

NAME = "same-traffic"
BLOCK = 4_096  # elements; the gradient's stay in the nearest cache while they are added
SMALL = 65_536  # elements, below which one thread is faster than several


@cache
def written(optimizer: str) -> int:
    """Arrays that a step reads and writes: the parameter, and the state of its size."""
    param = np.ones(2, np.float32)
    instance: Any = getattr(ok, optimizer)([param], **OPTIMIZERS[optimizer])
    with ok.use_engine("eager"):
        instance.step(grads=[np.ones(2, np.float32)])
    state = instance.state[param].values()
    return 1 + len([x for x in state if getattr(x, "shape", None) == (2,)])


def described() -> str:
    """How the traffic is made here."""
    if find_spec("numba") is None:
        return "NumPy adds one array to others, in blocks, on one thread"
    return "a Numba loop adds one array to others, in blocks, on the same threads"


def traffic(optimizer: str, sizes: list[int]) -> Step:
    """A step that reads one array and reads and writes the others, each as long as all parameters.

    Nothing is done for each tensor, and one addition for each element.
    """
    total = sum(sizes)
    held = np.zeros((written(optimizer), total), np.float32)
    grad = np.zeros(total, np.float32)
    if find_spec("numba") is None:
        return lambda: _numpy(held, grad)
    import numba

    numba.set_num_threads(min(thread_count(), numba.get_num_threads()))
    serial, parallel = _kernels()
    kernel = serial if total < SMALL else parallel
    return lambda: kernel(held, grad)


def _numpy(held: Any, grad: Any) -> None:
    block = 16 * BLOCK
    for start in range(0, len(grad), block):
        part = slice(start, start + block)
        held[:, part] += grad[part]


@cache
def _kernels() -> tuple[Any, Any]:
    import numba

    def add(held: Any, grad: Any) -> None:
        for block in numba.prange((len(grad) + BLOCK - 1) // BLOCK):
            start = block * BLOCK
            part = grad[start : start + BLOCK]
            for row in range(len(held)):
                # a slice of its own: an index into a row of several is not vectorized
                array = held[row, start : start + BLOCK]
                for i in range(len(part)):
                    array[i] += part[i]

    compiled: Any = numba.njit
    return compiled(add), compiled(parallel=True)(add)
