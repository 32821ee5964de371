"""Sums over the memory of many tensors on a device, in the order that `reductions` defines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from optimkit.backends.adapters import Adapter
from optimkit.backends.engines.cuda.driver import LARGE_ARGUMENTS
from optimkit.backends.engines.cuda.engine import grid_of
from optimkit.backends.engines.cuda.grid import Grid
from optimkit.backends.engines.cuda.images import driver
from optimkit.backends.engines.cuda.text import (
    LARGE,
    SHARED,
    SMALL,
    STRETCH,
    THREADS,
    TYPES,
    Kernel,
    arguments_type,
    table,
)
from optimkit.backends.program import Program
from optimkit.backends.reductions import CHUNK, WIDTH

TERMS = {1: "fabs(x)", 2: "x * x"}

# `each_thread` is what the threads of a block do between two barriers.
TEMPLATE = """\
{table}
#ifndef each_thread
#define each_thread(body) {{ const unsigned thread = threadIdx.x; body }} __syncthreads();
#endif

static __device__ __forceinline__ double term(const double x) {{ return {term}; }}

extern "C" __global__ void __launch_bounds__({threads})
optimkit(const __grid_constant__ Arguments a, double *result)
{{
{stretch}    const {type} *x = t.x + start;
    __shared__ double sums[{width}];
    each_thread(
        double sum[{width} / {threads}] = {{}};
        for (unsigned row = thread; row < count; row += {width})
            for (unsigned k = 0; k < {width} / {threads}; k++)
                if (row + k * {threads} < count)
                    sum[k] += term(double(x[row + k * {threads}]));
        for (unsigned k = 0; k < {width} / {threads}; k++)
            sums[thread + k * {threads}] = sum[k];
    )
    for (unsigned half = {width} / 2; half; half /= 2) {{
        each_thread(
            for (unsigned k = thread; k < half; k += {threads})
                sums[k] += sums[half + k];
        )
    }}
    each_thread(if (thread == 0) result[blockIdx.x] = sums[0];)
}}
"""


@cache
def kernel_of_sums(dtype: str, power: int, limit: int) -> Kernel:
    """Write the kernel that sums ``abs(x)**power`` over each chunk of each tensor, in float64."""
    arguments = arguments_type(1, "float64", 0, SHARED, limit)
    text = TEMPLATE.format(
        table=table(arguments, [f"const {TYPES[dtype]} *x;"]),
        stretch=STRETCH,
        type=TYPES[dtype],
        term=TERMS[power],
        threads=THREADS,
        width=WIDTH,
    )
    return Kernel(text, ("x",), arguments, arguments["first"].shape[0], 1)


def pieces(
    adapter: Adapter, arrays: Sequence[Any], sizes: Sequence[int], dtype: str, power: int
) -> tuple[Any, Any]:
    """The sum over each chunk of each array, brought to the host, and the place of its array."""
    device = adapter.layout(arrays[0]).device
    limit = LARGE if driver().version >= LARGE_ARGUMENTS else SMALL
    kernel = kernel_of_sums(dtype, power, limit)
    grid = Grid(kernel, int(device.partition(":")[2] or 0), sizes, CHUNK)
    grid.place("x", adapter.addresses(arrays))
    sums = adapter.numbers(sum(part.blocks for part in grid.parts), arrays[0])
    (address,) = adapter.addresses([sums])
    for part in grid.parts:
        part.result[0] = address
        address += 8 * part.blocks
    grid.run(adapter.stream(grid.device))
    counts = -(-np.array(sizes, np.int64) // CHUNK)
    return adapter.fetch(sums), np.repeat(np.arange(len(sizes)), counts)


PRODUCT = Program(("x",), (("multiply", 0, -1),), (("x", 1),))


def scale(
    adapter: Adapter, arrays: Sequence[Any], sizes: Sequence[int], dtype: str, factor: Any
) -> None:
    """Multiply arrays by a number of the dtype they are computed in."""
    grid = grid_of(PRODUCT, (dtype,), 1, SHARED, adapter.layout(arrays[0]).device, sizes)
    grid.place("x", adapter.addresses(arrays))
    grid.number(np.array([[factor]]), None)
    grid.run(adapter.stream(grid.device))


__all__ = ["pieces", "scale"]
