"""NumPy arrays: the view is the array itself."""

from __future__ import annotations

import ctypes
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from optimkit.backends.adapters.base import Adapter, Layout, is_dense, overlaps_itself
from optimkit.backends.sparse import Entries, RowSparse, coalesce, entries_of_rows

# In CPython a NumPy array begins with its object header and the address of its data. Reading that
# word costs a sixth of `__array_interface__`; the probe makes sure that it is there. `_data[i]` is
# the word at the address of the object `i` words into memory, plus the header.
_WORD = ctypes.sizeof(ctypes.c_size_t)
_data = ctypes.POINTER(ctypes.c_size_t).from_buffer(ctypes.c_size_t(object.__basicsize__))


def _address_of(x: np.ndarray[Any, Any]) -> int:
    return int(x.__array_interface__["data"][0])


def _layout_is_known() -> bool:
    probes: list[np.ndarray[Any, Any]] = [np.empty(3), np.empty((2, 5), "f")[1:, 2:], np.empty(())]
    return all(_data[id(x) // _WORD] == _address_of(x) for x in probes)


_FAST = _layout_is_known()


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether `dtype` holds real or complex floating-point numbers, bfloat16 included."""
    return dtype.kind in "fc" or dtype.name == "bfloat16"


class NumPyAdapter(Adapter):
    def owns(self, x: Any) -> bool:
        return isinstance(x, np.ndarray) and not isinstance(x, np.ma.MaskedArray)

    def check_parameter(self, x: Any) -> None:
        if not is_floating(x.dtype):
            raise TypeError(f"its dtype is {x.dtype}; a real or complex floating dtype is needed")
        if not x.flags.writeable:
            raise ValueError("it is read-only; a writable array is needed, such as a copy")
        if overlaps_itself(x.shape, x.strides):
            raise ValueError("its elements overlap (a broadcast array?); a copy is needed")

    def signature(self, x: Any) -> Hashable:
        return x.__class__, x.dtype, x.shape, x.strides

    def signatures(self, arrays: Sequence[Any]) -> Any:
        return [(x.__class__, x.dtype, x.shape, x.strides) for x in arrays]

    def fingerprints(self, arrays: Sequence[Any]) -> Any:
        # NumPy does not move the memory of an array in use, but it may be closed to writing.
        return [(x.flags.writeable, x.dtype, x.shape, x.strides) for x in arrays]

    def places(self, arrays: Sequence[Any]) -> list[int]:
        return []

    def layout(self, x: Any) -> Layout:
        real = x.dtype.type(0).real.dtype if x.dtype.kind == "c" else x.dtype
        dense = is_dense(x.shape, x.strides, x.itemsize) and x.flags.aligned and x.dtype.isnative
        return Layout(real.name, "cpu", x.size * (x.itemsize // real.itemsize), dense)

    def addresses(self, arrays: Sequence[Any]) -> list[int]:
        if _FAST:
            return [_data[id(x) // _WORD] for x in arrays]
        return [_address_of(x) for x in arrays]

    def extent(self, x: Any) -> tuple[int, int]:
        return np.lib.array_utils.byte_bounds(x) if x.size else (0, 0)

    def share_memory(self, x: Any, y: Any) -> bool:
        return np.shares_memory(x, y)

    def describe(self, x: Any) -> tuple[tuple[int, ...], str, str]:
        return x.shape, str(x.dtype), "cpu"

    def view(self, x: Any) -> Any:
        if x.dtype.kind != "c":
            return x.view(np.ndarray)
        real = x.dtype.type(0).real.dtype.newbyteorder(x.dtype.byteorder)
        return x.view(np.ndarray)[..., None].view(real)

    def wrap(self, view: Any, like: Any = None) -> Any:
        if like is None or like.dtype.kind != "c" or view.shape != (*like.shape, 2):
            return view
        return view.view(f"{view.dtype.byteorder}c{2 * view.itemsize}")[..., 0]

    def convert(self, value: Any, like: Any) -> Any:
        if hasattr(value, "detach"):  # torch, on whatever device
            value = value.to_dense()
            value = (value.float() if value.element_size() == 2 else value).numpy(force=True)
        elif hasattr(value, "get"):  # CuPy
            value = value.get()
        value = np.asarray(value)
        copy = np.empty_like(like, shape=value.shape, subok=False)
        copy[...] = value
        return copy

    def entries(self, grad: Any) -> Entries | None:
        if isinstance(grad, RowSparse):
            return entries_of_rows(grad)
        if not type(grad).__module__.startswith("scipy.sparse"):
            return None
        grad = grad.tocoo()
        return Entries(grad.coords, grad.data, grad.shape)

    def coalesce(self, entries: Entries) -> tuple[tuple[Any, ...], Any]:
        places, values = coalesce(np, entries)
        return places, self.view(values)

    def as_gradient(self, grad: Any) -> Any:
        return np.asarray(grad) if isinstance(grad, np.generic) else grad


ADAPTER = NumPyAdapter()
