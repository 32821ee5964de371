"""NumPy arrays: the view is the array itself."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cache, lru_cache
from math import prod
from operator import attrgetter
from typing import Any

import numpy as np

from optimkit.backends.adapters.base import (
    Adapter,
    Addresses,
    Geometry,
    Layout,
    Watch,
    is_dense,
    overlaps_itself,
)
from optimkit.backends.adapters.headers import (
    FEW,
    KNOWN,
    ArrayHeaders,
    address_of,
    addresses_of,
    have_flags,
)
from optimkit.backends.sparse import Entries, RowSparse, coalesce, entries_of_rows

PLAIN = {np.dtype(name): name for name in ("float32", "float64")}
_ORDERLY = 0x0101  # flags of NumPy: aligned, and contiguous in C's order

_dtype, _size = map(attrgetter, ("dtype", "size"))


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Whether `dtype` holds real or complex floating-point numbers, bfloat16 included."""
    return dtype.kind in "fc" or dtype.name == "bfloat16"


_name = cache(str)  # NumPy works a dtype's name out whenever it is asked


@cache
def _element(dtype: np.dtype[Any]) -> tuple[str, int, bool]:
    """The real dtype of an element, how many of it there are, and whether they are in order."""
    if dtype.kind != "c":
        return dtype.name, 1, dtype.isnative
    real = dtype.type(0).real.dtype
    return real.name, dtype.itemsize // real.itemsize, dtype.isnative


@lru_cache
def _layout(dtype: Any, shape: Any, strides: Any, aligned: bool) -> Layout:
    name, parts, native = _element(dtype)
    dense = native and aligned and is_dense(shape, strides, dtype.itemsize)
    return Layout(name, "cpu", prod(shape) * parts, dense)


class _ArrayWatch(Watch):
    def __init__(self, adapter: Adapter, arrays: list[Any], exact: bool) -> None:
        self._adapter, self._look = adapter, _open if exact else adapter.signatures
        self._seen = self._look(arrays)
        self._headers = ArrayHeaders(arrays, exact) if KNOWN and len(arrays) > FEW else None

    def addresses(self, arrays: list[Any]) -> Addresses | None:
        found = self._headers.addresses(arrays) if self._headers is not None else None
        # They may be alike all the same: a dtype that was unpickled is another object.
        if found is None and self._look(arrays) == self._seen:
            return self._adapter.places(arrays)
        return found

    def still(self, arrays: list[Any]) -> bool:
        # NumPy does not move the memory of an array in use, but it may be closed to writing.
        if self._headers is not None and self._headers.addresses(arrays) is not None:
            return True
        return bool(self._look(arrays) == self._seen)


def _open(arrays: Sequence[Any]) -> Any:
    return [(x.flags.writeable, x.dtype, x.shape, x.strides) for x in arrays]


class NumPyAdapter(Adapter):
    stays = True

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

    def watch(self, arrays: list[Any], exact: bool = False) -> Watch:
        return _ArrayWatch(self, arrays, exact)

    def layout(self, x: Any) -> Layout:
        return _layout(x.dtype, x.shape, x.strides, x.flags.aligned)

    def plain(self, arrays: Sequence[Any]) -> list[Layout] | None:
        dtypes = set(map(_dtype, arrays)) if set(map(type, arrays)) == {np.ndarray} else set()
        if len(dtypes) != 1 or not dtypes <= PLAIN.keys():
            return None
        if not have_flags(arrays, _ORDERLY):
            return None
        sizes, name = list(map(_size, arrays)), PLAIN[dtypes.pop()]
        layouts = {size: Layout(name, "cpu", size, True) for size in set(sizes)}
        return [layouts[size] for size in sizes]

    def addresses(self, arrays: Sequence[Any]) -> list[int]:
        return addresses_of(arrays)

    def geometry(self, x: Any) -> Geometry:
        return Geometry(address_of(x), x.shape, x.strides, x.itemsize)

    def share_memory(self, x: Any, y: Any) -> bool:
        return np.shares_memory(x, y)

    def describe(self, x: Any) -> tuple[tuple[int, ...], str, str]:
        return x.shape, _name(x.dtype), "cpu"

    def view(self, x: Any) -> Any:
        if x.dtype.kind != "c":
            return x.view(np.ndarray)
        real = x.dtype.type(0).real.dtype.newbyteorder(x.dtype.byteorder)
        return x.view(np.ndarray)[..., None].view(real)

    def wrap(self, view: Any, like: Any = None) -> Any:
        if like is None or like.dtype.kind != "c" or view.shape != (*like.shape, 2):
            return view
        if view.strides[-1] != view.itemsize:
            view = np.ascontiguousarray(view)
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

    def empty_like(self, x: Any) -> Any:
        return np.empty_like(x, subok=False)

    def as_gradient(self, grad: Any) -> Any:
        return np.asarray(grad) if isinstance(grad, np.generic) else grad


ADAPTER = NumPyAdapter()
