"""Fused CUDA kernels: one launch over the memory of hundreds of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import is_
from typing import Any

from optimkit.backends.bucket import Bucket
from optimkit.backends.engines.base import Divided, Engine, Job, Write, new_entries, rounded
from optimkit.backends.engines.cuda.capture import Numbers
from optimkit.backends.engines.cuda.driver import LARGE_ARGUMENTS
from optimkit.backends.engines.cuda.grid import Grid, Words
from optimkit.backends.engines.cuda.images import driver, lack
from optimkit.backends.engines.cuda.text import (
    LARGE,
    OF_EACH,
    ON_DEVICE,
    SHARED,
    SMALL,
    THREADS,
    kernel_of,
)
from optimkit.backends.engines.source import arithmetic
from optimkit.backends.memory import ITEMSIZE
from optimkit.backends.program import Program, Traced
from optimkit.backends.trace import NotTraceable

UNABLE = "why the numbers of a bucket cannot be on the device"
BLOCKS = 16  # for each multiprocessor, where there is enough to do
ROUNDS = 8  # of a block's threads over its chunk, at most


def _number(device: str) -> int:
    return int(device.partition(":")[2] or 0)


def grid_of(
    program: Program,
    dtypes: tuple[str, ...],
    slots: int,
    where: str,
    device: str,
    sizes: Sequence[int],
) -> Grid:
    """The kernel of a program over tensors of these sizes, on a device such as ``"cuda:0"``."""
    number = _number(device)
    kernel = kernel_of(program, dtypes, slots, where, SMALL)
    if len(sizes) > kernel.capacity and driver().version >= LARGE_ARGUMENTS:
        kernel = kernel_of(program, dtypes, slots, where, LARGE)
    least = THREADS * kernel.lanes
    rounds = -(-sum(sizes) // (BLOCKS * driver().processors(number) * least))
    return Grid(kernel, number, sizes, least * min(max(rounds, 1), ROUNDS))


class _Launches:
    """The grid of one program over a bucket."""

    def __init__(self, bucket: Bucket, traced: Traced, where: str) -> None:
        self.program, self.where = traced.program, where
        program = self.program
        dtypes = bucket.dtypes_of(program)
        self._real = arithmetic(dtypes)
        slots = len(traced.slots)
        self.grid = grid_of(program, dtypes, slots, where, bucket.device, bucket.sizes)
        self.numbers: Numbers | None = None
        if where == ON_DEVICE:
            self.numbers = Numbers(bucket, traced, self._real)
            self.grid.number_from(self.numbers.slots)
        for name in program.inputs:
            self.grid.place(name, bucket.adapter.addresses(bucket.home(name)))
        self._gradients: Any = None
        self._traces: Sequence[Traced] = ()
        self._rows: Words | None = None

    def fits(self, bucket: Bucket, program: Program, where: str) -> bool:
        """Whether this is what a step of the bucket needs."""
        if self.program != program or self.where != where:
            return False
        return self.numbers is None or not self.numbers.baked_in(bucket.units[0].hyper)

    def take(self, bucket: Bucket, traces: Sequence[Traced]) -> None:
        """Make these gradients and numbers those of the next run."""
        if bucket.grad_addresses is not self._gradients:
            self._gradients = bucket.grad_addresses
            self.grid.place("grad", self._gradients)
        if self.numbers is not None:
            unit = bucket.units[0]
            self.numbers.bring(unit.hyper, unit.step - 1)
            return
        same = len(traces) == len(self._traces) and all(map(is_, traces, self._traces))
        if not same or bucket.rows is not self._rows:
            self._traces, self._rows = list(traces), bucket.rows
            self.grid.number(rounded(traces, self._real), bucket.rows)

    def run(self, stream: int) -> None:
        if self.numbers is not None:
            self.numbers.launch(stream)
        self.grid.run(stream)


def _where(bucket: Bucket) -> str:
    """Where the numbers of a step are to be."""
    asked = any(getattr(unit.hyper, "capturable", False) for unit in bucket.units)
    if not asked or UNABLE in bucket.cache:
        return SHARED if bucket.rows is None else OF_EACH
    if bucket.rows is not None:
        raise Divided([[unit] for unit in range(len(bucket.units))])
    return ON_DEVICE


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
        program, adapter, where = traces[0].program, bucket.adapter, _where(bucket)
        capturing = adapter.is_capturing(_number(bucket.device))
        if capturing and where != ON_DEVICE:
            raise RuntimeError(
                "a step in a CUDA graph would repeat the numbers of this one at each replay; "
                + (bucket.cache.get(UNABLE) or "capturable=True keeps them on the device")
            )
        launches: _Launches | None = bucket.cache.get(self.name)
        if launches is None or not launches.fits(bucket, program, where):
            key = self.name, program, where
            launches = bucket.cache.get(key)
            if launches is None or not launches.fits(bucket, program, where):
                if capturing:
                    raise RuntimeError(
                        "the first step with these options cannot be captured in a CUDA graph: "
                        "what it makes ready would be lost; take one before"
                    )
                try:
                    launches = _Launches(bucket, traces[0], where)
                except (ArithmeticError, NotTraceable, TypeError) as reason:
                    bucket.cache[UNABLE] = f"its rule cannot do without: {reason}"
                    return self.job(bucket, traces)
            bucket.cache[self.name] = bucket.cache[key] = launches
            bucket.numbers = launches.numbers
        launches.take(bucket, traces)
        grid = launches.grid
        run = partial(launches.run, adapter.stream(grid.device))

        if not program.new_state and not traces[0].scalars:
            return lambda: run
        if capturing:
            raise RuntimeError("the step in which state is made cannot be captured in a CUDA graph")

        def begin() -> Write:
            like = bucket.like_new()
            columns = {name: list(map(adapter.empty_like, like)) for name in program.new_state}
            for name, column in columns.items():
                grid.place(name, adapter.addresses(column))

            def write() -> list[dict[str, Any]] | None:
                run()
                return new_entries(bucket, columns, traces)

            return write

        return begin


__all__ = ["CudaEngine", "grid_of"]
