"""Fused CUDA kernels: one launch over the memory of hundreds of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_
from typing import Any

import numpy as np

from optimkit.backends.bucket import Bucket
from optimkit.backends.engines.base import Engine, Job, Write, new_entries, rounded
from optimkit.backends.engines.cuda.driver import LARGE_ARGUMENTS
from optimkit.backends.engines.cuda.images import driver, lack, loaded
from optimkit.backends.engines.cuda.text import LARGE, THREADS, Kernel, kernel_of
from optimkit.backends.engines.source import arithmetic
from optimkit.backends.memory import ITEMSIZE
from optimkit.backends.program import Program, Traced

BLOCKS = 16  # for each multiprocessor, where there is enough to do
ROUNDS = 8  # of a block's threads over its chunk, at most

Words = np.ndarray[Any, Any]


class _Part:
    """What one launch runs over: its argument, and the places of its tensors among all."""

    def __init__(self, kernel: Kernel, chunk: int, places: Words, sizes: Words) -> None:
        self.places = places
        self.argument = np.zeros(1, kernel.arguments)
        blocks = -(-sizes // chunk)
        ends = np.cumsum(blocks)
        self.blocks = int(ends[-1])
        whole = self.argument[0]
        whole["chunk"], whole["count"] = chunk, len(places)
        whole["first"][: len(places)] = ends - blocks
        self.tensors = whole["tensors"][: len(places)]
        self.tensors["size"] = sizes
        self.pointer = np.array([self.argument.ctypes.data])
        self.address = self.pointer.ctypes.data


class _Launches:
    """The kernel of one program, and everything that it is to run over."""

    def __init__(self, bucket: Bucket, program: Program, slots: int, each: bool) -> None:
        self.program, self.each = program, each
        self.device = int(bucket.device.partition(":")[2] or 0)
        dtypes = bucket.dtypes + bucket.dtypes[:1] * len(program.new_state)
        self.real = arithmetic(dtypes)
        sizes = np.array(bucket.sizes, np.int64)
        present = np.flatnonzero(sizes)
        kernel = kernel_of(program, dtypes, slots, each)
        if len(present) > kernel.capacity and driver().version >= LARGE_ARGUMENTS:
            kernel = kernel_of(program, dtypes, slots, each, LARGE)
        self._columns, self._slots = kernel.columns, slots
        self.function = loaded(kernel.text, "optimkit", self.device) if len(present) else None
        chunk = _chunk(int(sizes.sum()), THREADS * kernel.lanes, driver().processors(self.device))
        launches = -(-len(present) // kernel.capacity)
        shares = np.array_split(present, launches) if launches else []
        self.parts = [_Part(kernel, chunk, share, sizes[share]) for share in shares]
        for name in kernel.columns:
            if name in program.inputs:
                self.place(name, bucket.adapter.addresses(bucket.home(name)))
        self._gradients: Any = None
        self._traces: Sequence[Traced] = ()
        self._rows: Words | None = None

    def place(self, name: str, addresses: Any) -> None:
        """Say where the tensors of a column are."""
        if name in self._columns:
            column = self._columns.index(name)
            addresses = np.array(addresses, np.uint64)
            for part in self.parts:
                part.tensors["columns"][:, column] = addresses[part.places]

    def take(self, bucket: Bucket, traces: Sequence[Traced]) -> None:
        """Make these gradients and numbers those of the next run."""
        if bucket.grad_addresses is not self._gradients:
            self._gradients = bucket.grad_addresses
            self.place("grad", self._gradients)
        same = len(traces) == len(self._traces) and all(map(is_, traces, self._traces))
        if same and bucket.rows is self._rows:
            return
        self._traces, self._rows = list(traces), bucket.rows
        if self._slots:
            slots = rounded(traces, self.real)
            for part in self.parts:
                if bucket.rows is None:
                    part.argument["slots"][0] = slots[0]
                else:
                    part.tensors["slots"] = slots[bucket.rows[part.places]]

    def run(self, stream: int) -> None:
        launch = driver().launch
        for part in self.parts:
            launch(self.device, self.function, part.blocks, THREADS, stream, part.address)


def _chunk(size: int, least: int, processors: int) -> int:
    """Elements of a block: enough blocks to keep the device busy, and no more than needed."""
    rounds = -(-size // (BLOCKS * processors * least))
    return least * min(max(rounds, 1), ROUNDS)


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
        launch: _Launches | None = bucket.cache.get(self.name)
        if launch is None or launch.program != program or launch.each != each:
            key = self.name, program, each
            launch = bucket.cache.get(key) or _Launches(bucket, program, len(traces[0].slots), each)
            bucket.cache[self.name] = bucket.cache[key] = launch
        launch.take(bucket, traces)
        stream = adapter.stream(launch.device)

        def run() -> None:
            launch.run(stream)

        if not program.new_state and not traces[0].scalars:
            return lambda: run

        def begin() -> Write:
            homes = bucket.home("param")
            columns = {name: list(map(adapter.empty_like, homes)) for name in program.new_state}
            for name, column in columns.items():
                launch.place(name, adapter.addresses(column))

            def write() -> list[dict[str, Any]] | None:
                run()
                return new_entries(bucket, columns, traces)

            return write

        return begin
