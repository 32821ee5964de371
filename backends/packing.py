"""Parameters with gaps in memory, in copies without, for kernels to work on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optimkit.backends.adapters import Adapter, Layout
from optimkit.backends.memory import ITEMSIZE


class Packing:
    """Arrays with gaps, and copies without."""

    def __init__(self, adapter: Adapter, arrays: list[Any], views: list[Any]) -> None:
        self._adapter, self._arrays = adapter, arrays
        self.copies = list(map(adapter.empty_like, arrays))
        copied = map(adapter.view, self.copies)
        self._pairs = list(zip(self.copies, copied, arrays, views, strict=True))

    def around(self, job: Callable[[], Callable[[], Any]]) -> Callable[[], Callable[[], Any]]:
        """Return a job on the copies with the arrays brought there before, and back after."""
        adapter = self._adapter

        def prepared() -> Callable[[], Any]:
            write = job()

            def write_and_bring_back() -> Any:
                with adapter.running_on(self._arrays[0]):
                    for copy, copied, _, view in self._pairs:
                        adapter.write(copy, copied, view)
                    result = write()
                    for _, copied, array, view in self._pairs:
                        adapter.write(array, view, copied)
                return result

            return write_and_bring_back

        return prepared


def packing_of(adapter: Adapter, layout: Layout, arrays: list[Any]) -> Packing | None:
    """Copies of arrays of one layout, or None where no kernel would run over them."""
    with adapter.running_on(arrays[0]):
        views = list(map(adapter.view, arrays))
        able = layout.device.startswith("cuda") or all(
            isinstance(x, np.ndarray) and x.dtype.isnative for x in views
        )
        return Packing(adapter, arrays, views) if able and layout.dtype in ITEMSIZE else None


__all__ = ["Packing", "packing_of"]
