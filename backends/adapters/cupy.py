"""CuPy arrays: the view is the array itself, on the device it lives on."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager
from operator import attrgetter
from typing import Any

import cupy as cp
import numpy as np

from optimkit.backends.adapters.base import (
    Adapter,
    Geometry,
    Layout,
    Watch,
    is_dense,
    overlaps_itself,
)
from optimkit.backends.sparse import Entries, RowSparse, coalesce, entries_of_rows

_dtype, _shape, _size, _contiguous, _memory = map(
    attrgetter, ("dtype", "shape", "size", "_c_contiguous", "data")
)
_device_id, _pointer = map(attrgetter, ("device_id", "ptr"))


class _CuPyWatch(Watch):
    """CuPy moves no array, nor does it change its dtype; but its shape can be set."""

    def __init__(self, adapter: Adapter, arrays: list[Any]) -> None:
        super().__init__(adapter, arrays)
        self._shapes = list(map(_shape, arrays))

    def still(self, arrays: list[Any]) -> bool:
        return list(map(_shape, arrays)) == self._shapes


class CuPyAdapter(Adapter):
    stays = True

    def owns(self, x: Any) -> bool:
        return isinstance(x, cp.ndarray)

    def check_parameter(self, x: Any) -> None:
        if x.dtype.kind not in "fc" and x.dtype.name != "bfloat16":
            raise TypeError(f"its dtype is {x.dtype}; a real or complex floating dtype is needed")
        if overlaps_itself(x.shape, x.strides):
            raise ValueError("its elements overlap (a broadcast array?); a copy is needed")

    def signature(self, x: Any) -> Hashable:
        return x.__class__, x.dtype, x.shape, x.strides, x.device.id

    def signatures(self, arrays: Sequence[Any]) -> Any:
        # In columns, and only what is needed: strides tell nothing of arrays without gaps.
        dense = all(map(_contiguous, arrays))
        strides = None if dense else [x.strides for x in arrays]
        devices = list(map(_device_id, map(_memory, arrays)))
        return (
            list(map(type, arrays)),
            list(map(_dtype, arrays)),
            list(map(_shape, arrays)),
            strides,
            devices,
        )

    def watch(self, arrays: list[Any], exact: bool = False) -> Watch:
        return _CuPyWatch(self, arrays)

    def layout(self, x: Any) -> Layout:
        real = x.dtype.type(0).real.dtype if x.dtype.kind == "c" else x.dtype
        dense = is_dense(x.shape, x.strides, x.itemsize)
        size = x.size * (x.itemsize // real.itemsize)
        return Layout(real.name, f"cuda:{x.device.id}", size, dense)

    def plain(self, arrays: Sequence[Any]) -> list[Layout] | None:
        kinds, dtypes = set(map(type, arrays)), set(map(_dtype, arrays))
        devices = set(map(_device_id, map(_memory, arrays)))
        if kinds != {cp.ndarray} or len(dtypes) > 1 or len(devices) > 1:
            return None
        name = dtypes.pop().name
        if name not in ("float32", "float64") or not all(map(_contiguous, arrays)):
            return None
        sizes, device = list(map(_size, arrays)), f"cuda:{devices.pop()}"
        layouts = {size: Layout(name, device, size, True) for size in set(sizes)}
        return [layouts[size] for size in sizes]

    def addresses(self, arrays: Sequence[Any]) -> list[int]:
        return list(map(_pointer, map(_memory, arrays)))

    def geometry(self, x: Any) -> Geometry:
        return Geometry(x.data.ptr, x.shape, x.strides, x.itemsize)

    def describe(self, x: Any) -> tuple[tuple[int, ...], str, str]:
        return x.shape, str(x.dtype), f"cuda:{x.device.id}"

    def view(self, x: Any) -> Any:
        return x if x.dtype.kind != "c" else x[..., None].view(x.dtype.type(0).real.dtype)

    def wrap(self, view: Any, like: Any = None) -> Any:
        if like is None or like.dtype.kind != "c" or view.shape != (*like.shape, 2):
            return view
        if view.strides[-1] != view.itemsize:
            view = cp.ascontiguousarray(view)
        return view.view(like.dtype)[..., 0]

    def convert(self, value: Any, like: Any) -> Any:
        if hasattr(value, "detach"):  # torch, on whatever device
            value = value.to_dense()
            value = (value.float() if value.element_size() == 2 else value).numpy(force=True)
        with self.running_on(like):
            value = cp.asarray(value)
            copy = cp.empty_like(like, shape=value.shape)
            copy[...] = value
            return copy

    def entries(self, grad: Any) -> Entries | None:
        if isinstance(grad, RowSparse):
            return entries_of_rows(grad)
        if not type(grad).__module__.startswith("cupyx.scipy.sparse"):
            return None
        grad = grad.tocoo()
        return Entries((grad.row, grad.col), grad.data, grad.shape)

    def coalesce(self, entries: Entries) -> tuple[tuple[Any, ...], Any]:
        places, values = coalesce(cp, entries)
        return places, self.view(values)

    def as_gradient(self, grad: Any) -> Any:
        return cp.asarray(grad) if isinstance(grad, np.generic) else grad

    def stream(self, device: int) -> int:
        pointer: int = cp.cuda.get_current_stream(device).ptr
        return pointer

    def is_capturing(self, device: int) -> bool:
        return bool(cp.cuda.get_current_stream(device).is_capturing())

    def fill(self, x: Any, place: int, number: float) -> None:
        with x.device:
            x[place : place + 1].fill(number)

    def numbers(self, count: int, like: Any) -> Any:
        with like.device:
            return cp.empty(count, np.float64)

    def fetch(self, x: Any) -> np.ndarray[Any, Any]:
        with x.device:
            found: np.ndarray[Any, Any] = cp.asnumpy(x)
        return found

    def empty_like(self, x: Any) -> Any:
        with x.device:
            return cp.empty_like(x)

    def running_on(self, x: Any) -> AbstractContextManager[Any]:
        device: AbstractContextManager[Any] = x.device
        return device


ADAPTER = CuPyAdapter()
