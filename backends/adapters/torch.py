"""torch tensors: on the CPU through NumPy, else as they are."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager
from functools import cache, lru_cache
from math import prod
from operator import attrgetter
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from optimkit.backends.adapters.base import (
    Adapter,
    Addresses,
    Geometry,
    Layout,
    Watch,
    address_key,
    is_dense,
    overlaps_itself,
)
from optimkit.backends.adapters.dlpack import TensorHeaders
from optimkit.backends.adapters.headers import FEW
from optimkit.backends.sparse import Entries, RowSparse, entries_of_rows

NUMPY_DTYPES = (torch.float32, torch.float64, torch.float16)
REAL = {torch.complex64: torch.float32, torch.complex128: torch.float64}

PLAIN = {torch.float32: "float32", torch.float64: "float64"}

_dtype, _device, _is_cpu, _is_cuda, _shape, _layout = map(
    attrgetter, ("dtype", "device", "is_cpu", "is_cuda", "shape", "layout")
)


@cache
def _module(name: str) -> ModuleType | None:
    """Import an optional module once."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        return None


@lru_cache
def _layout_of(dtype: Any, device: Any, shape: Any, strides: Any, lazy: bool) -> Layout:
    name = str(REAL.get(dtype, dtype)).removeprefix("torch.")
    size = prod(shape) * (2 if dtype.is_complex else 1)
    return Layout(name, str(device), size, not lazy and is_dense(shape, strides, 1))


class _TensorWatch(Watch):
    def __init__(self, adapter: Adapter, arrays: list[Any], exact: bool) -> None:
        self._adapter, self._exact, self._headers = adapter, exact, TensorHeaders()
        self._seen = self._look(arrays)
        self._places = address_key(adapter.places(arrays))

    def addresses(self, arrays: list[Any]) -> Addresses | None:
        found = self._headers.addresses(arrays)
        if found is not None and (self._exact or not any(map(Tensor.is_neg, arrays))):
            return found
        if self._look(arrays) != self._seen:
            return None
        if len(arrays) > FEW and TensorHeaders.usable():
            self._headers.note(arrays)
        return self._adapter.places(arrays)

    def _look(self, arrays: list[Any]) -> Any:
        # `p.data = ...` moves memory, but never to the same address with another dtype or device.
        return _geometry(arrays) if self._exact else self._adapter.signatures(arrays)


class TorchAdapter(Adapter):
    def owns(self, x: Any) -> bool:
        return isinstance(x, Tensor)

    def check_parameter(self, x: Any) -> None:
        check_elements(x)
        if not (x.is_leaf or x.retains_grad):
            raise ValueError("can't optimize a non-leaf Tensor; pass the leaf it is made from")
        if not _has_memory(x):
            raise TypeError(
                "it has no memory of its own (a meta, fake or wrapper tensor, or one inside a "
                "transform of torch.func)"
            )

    def signature(self, x: Any) -> Hashable:
        return type(x), x.dtype, x.device, x.shape, x.stride(), x.is_neg(), x.is_conj()

    def signatures(self, arrays: Sequence[Any]) -> Any:
        # What is read of every tensor at every step sets the pace where tensors are small. So it is
        # read in columns, and only what is needed: no conjugation but of complex numbers.
        dtypes = list(map(_dtype, arrays))
        place = _is_cpu if all(map(_is_cpu, arrays)) else _device
        reads = (type, place, Tensor.is_neg)
        lazy = not REAL.keys().isdisjoint(dtypes) and list(map(Tensor.is_conj, arrays))
        return dtypes, [list(map(read, arrays)) for read in reads], lazy, _geometry(arrays)

    def watch(self, arrays: list[Any], exact: bool = False) -> Watch:
        return _TensorWatch(self, arrays, exact)

    def layout(self, x: Any) -> Layout:
        return _layout_of(x.dtype, x.device, x.shape, x.stride(), x.is_neg() or x.is_conj())

    def plain(self, arrays: Sequence[Any]) -> list[Layout] | None:
        dtypes = set(map(_dtype, arrays))
        if set(map(type, arrays)) != {Tensor} or len(dtypes) > 1 or not dtypes <= PLAIN.keys():
            return None
        if all(map(_is_cpu, arrays)):
            device = "cpu"
        elif all(map(_is_cuda, arrays)) and len(devices := set(map(_device, arrays))) == 1:
            device = str(devices.pop())
        else:
            return None
        if set(map(_layout, arrays)) != {torch.strided}:
            return None
        if any(map(Tensor.is_neg, arrays)) or not all(map(Tensor.is_contiguous, arrays)):
            return None
        sizes, name = list(map(Tensor.numel, arrays)), PLAIN[dtypes.pop()]
        layouts = {size: Layout(name, device, size, True) for size in set(sizes)}
        return [layouts[size] for size in sizes]

    def addresses(self, arrays: Sequence[Any]) -> list[int]:
        return list(map(Tensor.data_ptr, arrays))

    def geometry(self, x: Any) -> Geometry:
        itemsize = x.element_size()
        if not _has_memory(x):
            return Geometry(0, (0,), (itemsize,), itemsize)
        strides = tuple([itemsize * stride for stride in x.stride()])
        return Geometry(x.data_ptr(), x.shape, strides, itemsize)

    def share_memory(self, x: Any, y: Any) -> bool:
        if x.is_cpu and y.is_cpu:
            return np.shares_memory(self.view(x), self.view(y))
        return bool(x.device == y.device)

    def describe(self, x: Any) -> tuple[tuple[int, ...], str, str]:
        return tuple(x.shape), str(x.dtype).removeprefix("torch."), str(x.device)

    def native(self, x: Any) -> Any:
        x = x.detach()
        if x.is_complex():
            x = torch.view_as_real(x.resolve_conj())
        return x.resolve_neg()

    def view(self, x: Any) -> Any:
        x = self.native(x)
        if x.is_cpu:
            if x.dtype in NUMPY_DTYPES:
                return x.numpy()
            ml_dtypes = _module("ml_dtypes")
            if x.dtype == torch.bfloat16 and ml_dtypes is not None:
                return x.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
        return x

    def wrap(self, view: Any, like: Any = None) -> Any:
        if isinstance(view, Tensor):
            x = view
        elif view.dtype.kind == "V":  # bfloat16, whose name NumPy would take longer to work out
            x = torch.from_numpy(view.view(np.uint16)).view(torch.bfloat16)
        else:
            x = torch.from_numpy(view)
        if not _pairs(x, like):
            return x
        # NumPy gives an array without elements strides that torch cannot view as complex.
        if not x.numel():
            return x.new_empty(like.shape, dtype=like.dtype)
        apart = x.stride(-1) != 1 or any(stride % 2 for stride in x.stride()[:-1])
        return torch.view_as_complex(x.contiguous() if apart else x)

    def convert(self, value: Any, like: Any) -> Any:
        if not isinstance(value, Tensor):
            if hasattr(value, "get"):  # CuPy
                value = value.get()
            value = torch.from_numpy(np.array(value, order="K"))
        elif hasattr(value, "full_tensor"):  # a DTensor
            value = value.full_tensor()
        copy = torch.empty_like(like) if value.shape == like.shape else like.new_empty(value.shape)
        return copy.copy_(value.detach().to_dense())

    def entries(self, grad: Any) -> Entries | None:
        if isinstance(grad, RowSparse):
            return entries_of_rows(grad)
        if not isinstance(grad, Tensor) or grad.layout is torch.strided:
            return None
        grad = grad.detach()
        if grad.layout is not torch.sparse_coo:
            grad = grad.to_sparse()
        return Entries(
            tuple(grad._indices()), grad._values(), tuple(grad.shape), grad.is_coalesced()
        )

    def coalesce(self, entries: Entries) -> tuple[tuple[Any, ...], Any]:
        # By torch itself, whose sort decides the order in which values are summed.
        places, values = entries.places, entries.values
        if entries.unique:
            values = values.clone()
        else:
            columns = [torch.as_tensor(x).to(values.device, torch.int64) for x in places]
            # a tensor without axes has no places, only values
            indices = (
                torch.stack(columns)
                if columns
                else torch.empty(0, len(values), dtype=torch.int64, device=values.device)
            )
            grad = torch.sparse_coo_tensor(indices, values, entries.shape, check_invariants=False)
            grad = grad.coalesce()
            places, values = tuple(grad._indices()), grad._values()
        view = self.view(values)
        return tuple(x.numpy() for x in places) if isinstance(view, np.ndarray) else places, view

    def check_gradient(self, grad: Any) -> None:
        if grad.layout is not torch.strided:
            raise RuntimeError("its gradient is sparse, which this optimizer does not support")
        if not _has_memory(grad):
            raise TypeError("its gradient has no memory of its own (a meta or fake tensor)")

    def evaluating(self) -> AbstractContextManager[Any]:
        return torch.enable_grad()

    def zero_gradient(self, param: Any) -> None:
        if param.grad.grad_fn is not None:
            param.grad.detach_()
        else:
            param.grad.requires_grad_(False)
        strided = param.grad.layout is torch.strided
        if strided and overlaps_itself(param.grad.shape, param.grad.stride()):
            param.grad = torch.zeros_like(param.grad)
        else:
            param.grad.zero_()

    def divided(self, x: Any, number: int) -> Any:
        if not isinstance(x, Tensor) or x.is_cpu or x.is_complex():
            return x / number
        # There torch multiplies with the reciprocal of a number, but divides by a tensor.
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        return (wide / torch.full((), number, dtype=wide.dtype, device=x.device)).to(x.dtype)

    def divide_gradients(self, params: Sequence[Any], number: int) -> None:
        grads = list({id(param.grad): param.grad for param in params}.values())
        with torch.no_grad():
            plain = set(map(type, grads)) == {Tensor} and all(map(Tensor.is_contiguous, grads))
            if plain and all(grad.is_cpu for grad in grads):
                torch._foreach_div_(grads, number)
                return
            known = {}
            for param in params:
                grad = param.grad
                if id(grad) not in known:
                    strided = grad.layout is torch.strided
                    apart = not strided or not overlaps_itself(grad.shape, grad.stride())
                    new = self.divided(grad, number)
                    known[id(grad)] = grad.copy_(new) if apart else new
                param.grad = known[id(grad)]

    def scalar(self, number: float) -> Any:
        scalar = torch.tensor(number, dtype=torch.float32, device="cpu")
        return scalar if scalar.item() == number else scalar.new_tensor(number, dtype=torch.float64)

    def touched(self, arrays: Sequence[Any]) -> None:
        torch.autograd.graph.increment_version(arrays)

    def stream(self, device: int) -> int:
        return int(torch.cuda.current_stream(device).cuda_stream)

    def is_capturing(self, device: int) -> bool:
        return torch.cuda.is_current_stream_capturing()

    def fill(self, x: Any, place: int, number: float) -> None:
        x[place].fill_(number)

    def numbers(self, count: int, like: Any) -> Any:
        return torch.empty(count, dtype=torch.float64, device=like.device)

    def fetch(self, x: Any) -> np.ndarray[Any, Any]:
        return np.asarray(x.numpy(force=True) if isinstance(x, Tensor) else x)

    def empty_like(self, x: Any) -> Any:
        return torch.empty_like(x.detach())


def check_elements(x: Any) -> None:
    """Raise the error that says why no element of `x` can be optimized."""
    if x.layout is not torch.strided:
        raise TypeError(f"its layout is {x.layout}; only its gradient may be sparse")
    if not (x.is_floating_point() or x.is_complex()):
        raise TypeError(f"its dtype is {x.dtype}; a real or complex floating dtype is needed")
    if x.is_neg() or x.is_conj():
        raise ValueError("it is a lazily negated or conjugated view; resolve it first")
    if overlaps_itself(x.shape, x.stride()):
        raise ValueError("its elements overlap (an expanded tensor?); clone it")


def is_wrapper(x: Tensor) -> bool:
    """Whether a tensor's arithmetic is another's, or nobody's."""
    return x.is_meta or type(x).__torch_dispatch__ is not Tensor.__torch_dispatch__


def _has_memory(x: Tensor) -> bool:
    """Whether the elements of `x` are where it says; not so for meta, fake and wrapper tensors."""
    if is_wrapper(x):
        return False
    try:
        return x.numel() == 0 or x.data_ptr() != 0
    except RuntimeError:  # inside a transform of torch.func
        return False


def _geometry(arrays: Sequence[Any]) -> Any:
    """Shapes, and strides unless the tensors are contiguous, which is told sooner."""
    if all(map(Tensor.is_contiguous, arrays)):
        return list(map(_shape, arrays))
    return list(map(_shape, arrays)), list(map(Tensor.stride, arrays))


def _pairs(x: Any, like: Any) -> bool:
    return like is not None and like.is_complex() and x.shape == (*like.shape, 2)


ADAPTER = TorchAdapter()
