"""Fused CUDA kernels: one launch over the memory of hundreds of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_
from typing import Any

from optimkit.backends.bucket import Bucket
from optimkit.backends.engines.base import Engine, Job, Write, new_entries, rounded
from optimkit.backends.engines.cuda.driver import LARGE_ARGUMENTS
from optimkit.backends.engines.cuda.grid import Grid, Words
from optimkit.backends.engines.cuda.images import driver, lack
from optimkit.backends.engines.cuda.text import LARGE, SMALL, THREADS, kernel_of
from optimkit.backends.engines.source import arithmetic
from optimkit.backends.memory import ITEMSIZE
from optimkit.backends.program import Program, Traced

BLOCKS = 16  # for each multiprocessor, where there is enough to do
ROUNDS = 8  # of a block's threads over its chunk, at most


def grid_of(
    program: Program,
    dtypes: tuple[str, ...],
    slots: int,
    each: bool,
    device: str,
    sizes: Sequence[int],
) -> Grid:
    """The kernel of a program over tensors of these sizes, on a device such as ``"cuda:0"``."""
    number = int(device.partition(":")[2] or 0)
    kernel = kernel_of(program, dtypes, slots, each, SMALL)
    if len(sizes) > kernel.capacity and driver().version >= LARGE_ARGUMENTS:
        kernel = kernel_of(program, dtypes, slots, each, LARGE)
    least = THREADS * kernel.lanes
    rounds = -(-sum(sizes) // (BLOCKS * driver().processors(number) * least))
    return Grid(kernel, number, sizes, least * min(max(rounds, 1), ROUNDS))


class _Launches:
    """The grid of one program over a bucket."""

    def __init__(self, bucket: Bucket, traced: Traced, each: bool) -> None:
        self.program, self.each = traced.program, each
        program = self.program
        dtypes = bucket.dtypes + bucket.dtypes[:1] * len(program.new_state)
        self._real = arithmetic(dtypes)
        self.grid = grid_of(program, dtypes, len(traced.slots), each, bucket.device, bucket.sizes)
        for name in program.inputs:
            self.grid.place(name, bucket.adapter.addresses(bucket.home(name)))
        self._gradients: Any = None
        self._traces: Sequence[Traced] = ()
        self._rows: Words | None = None

    def take(self, bucket: Bucket, traces: Sequence[Traced]) -> None:
        """Make these gradients and numbers those of the next run."""
        if bucket.grad_addresses is not self._gradients:
            self._gradients = bucket.grad_addresses
            self.grid.place("grad", self._gradients)
        same = len(traces) == len(self._traces) and all(map(is_, traces, self._traces))
        if not same or bucket.rows is not self._rows:
            self._traces, self._rows = list(traces), bucket.rows
            self.grid.number(rounded(traces, self._real), bucket.rows)


class CudaEngine(Engine):
    name = "cuda"

    def lack(self) -> str | None:
        return lack()

    def objection(self, bucket: Bucket) -> str | None:
        if not bucket.device.startswith("cuda"):
            return f"the cuda engine runs on a CUDA device, not on {bucket.device}"
        if unknown := [dtype for dtype in bucket.dtypes if dtype not in ITEMSIZE]:
            return f"the cuda engine has {', '.join(ITEMSIZE)}, not {unknown[0]}"
        if not bucket.fusable:
            return "parameter and state do not lie alike in memory without gaps"
        return None

    def job(self, bucket: Bucket, traces: Sequence[Traced]) -> Job:
        program, adapter, each = traces[0].program, bucket.adapter, bucket.rows is not None
        launches: _Launches | None = bucket.cache.get(self.name)
        if launches is None or launches.program != program or launches.each != each:
            key = self.name, program, each
            launches = bucket.cache.get(key) or _Launches(bucket, traces[0], each)
            bucket.cache[self.name] = bucket.cache[key] = launches
        launches.take(bucket, traces)
        grid = launches.grid
        stream = adapter.stream(grid.device)

        def run() -> None:
            grid.run(stream)

        if not program.new_state and not traces[0].scalars:
            return lambda: run

        def begin() -> Write:
            homes = bucket.home("param")
            columns = {name: list(map(adapter.empty_like, homes)) for name in program.new_state}
            for name, column in columns.items():
                grid.place(name, adapter.addresses(column))

            def write() -> list[dict[str, Any]] | None:
                run()
                return new_entries(bucket, columns, traces)

            return write

        return begin


__all__ = ["CudaEngine", "grid_of"]
