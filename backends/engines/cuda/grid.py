"""A kernel over the memory of many tensors: its argument, launch by launch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from optimkit.backends.engines.cuda.images import driver, loaded
from optimkit.backends.engines.cuda.text import THREADS, Kernel

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
        self.columns = self.tensors["columns"].T
        self.result = np.zeros(1, np.uint64)  # where a kernel that has one writes its result
        pointers = [self.argument.ctypes.data, self.result.ctypes.data]
        self._pointers = np.array(pointers, np.uint64)
        self.address = self._pointers.ctypes.data


class Grid:
    """A kernel, and everything that it is to run over.

    Parameters
    ----------
    kernel : Kernel
    device : int
    sizes : list of int
        Elements of each tensor; what has none is left out.
    chunk : int
        Elements of a block.
    """

    def __init__(self, kernel: Kernel, device: int, sizes: Sequence[int], chunk: int) -> None:
        self.kernel, self.device = kernel, device
        found = np.array(sizes, np.int64)
        present = np.flatnonzero(found)
        launches = -(-len(present) // kernel.capacity)
        shares = np.array_split(present, launches) if launches else []
        self._function = loaded(kernel.text, "optimkit", device) if launches else None
        self.parts = [_Part(kernel, chunk, share, found[share]) for share in shares]
        self._all_in_one = launches == 1 and len(present) == len(found)

    def place(self, name: str, addresses: Any) -> None:
        """Say where the tensors of a column are."""
        if name in self.kernel.columns:
            column = self.kernel.columns.index(name)
            if self._all_in_one:
                self.parts[0].columns[column] = addresses
                return
            words = np.array(addresses, np.uint64)
            for part in self.parts:
                part.columns[column] = words[part.places]

    def number(self, slots: Words, rows: Words | None) -> None:
        """Give the kernel its numbers: the same for all tensors, or a row for each."""
        for part in self.parts if slots.shape[1] else ():
            if rows is None:
                part.argument["slots"][0] = slots[0]
            else:
                part.tensors["slots"] = slots[rows[part.places]]

    def number_from(self, address: int) -> None:
        """Say where in the device's memory the numbers are."""
        for part in self.parts:
            part.argument["slots"] = address

    def run(self, stream: int) -> None:
        launch = driver().launch
        for part in self.parts:
            launch(self.device, self._function, part.blocks, THREADS, stream, part.address)


__all__ = ["Grid", "Words"]
