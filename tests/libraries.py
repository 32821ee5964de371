"""The array libraries that a test can be run on, and in what form a user has their arrays."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import array_api_compat
import numpy as np
import pytest
from host_device import host_device

import optimkit as ok
from optimkit.backends.adapters import adapter_of

Array = np.ndarray[Any, Any]
State = dict[str, Any]


def twin(x: Array) -> Array:
    """A copy of an array that lies in memory as it does, gaps included."""
    if x.size == 0:
        return x.copy()
    start, stop = np.lib.array_utils.byte_bounds(x)
    memory = np.zeros(stop - start, np.uint8)
    offset = x.__array_interface__["data"][0] - start
    copy: Array = np.ndarray(x.shape, x.dtype, memory, offset, x.strides)
    copy[...] = x
    return copy


class Library:
    """NumPy; and, by what they do otherwise, the others.

    Attributes
    ----------
    name : str
    steps : bool
        Whether an optimizer takes such arrays and can step here.
    runs : bool
        Whether `run` works, as it also does where a rule is called without an optimizer.
    refused : (type, str)
        Where an optimizer takes no such arrays: the error, and what it says.
    """

    name = "numpy"
    steps = True
    runs = True
    refused: tuple[type[Exception], str] | None = None

    def require(self, *modules: str) -> None:
        """Skip the test where the library is missing."""
        for module in modules:
            pytest.importorskip(module, reason=f"{self.name} is not installed")

    def can_hold(self, dtype: Any) -> bool:
        """Whether there are arrays of a dtype."""
        return True

    def array(self, x: Array) -> Any:
        """An array with the content of `x`, in memory of its own and laid out as `x` is."""
        return twin(x)

    def param(self, x: Array) -> Any:
        """What an optimizer is given for a parameter that begins as `x`."""
        return self.array(x)

    def grad(self, x: Any) -> Any:
        """What a step is given for a gradient: for None and sparse ones, what they are."""
        return self.array(x) if isinstance(x, np.ndarray) else x

    def to_numpy(self, x: Any) -> Array:
        """The content of an array or a parameter, with the same bits."""
        return np.asarray(x)

    def step(self, optimizer: ok.Optimizer, grads: Sequence[Any]) -> None:
        """Step with gradients given as this library's users do."""
        optimizer.step(grads=list(map(self.grad, grads)))

    def run(
        self,
        rule: type[ok.Optimizer],
        options: Mapping[str, Any],
        starts: Sequence[Array],
        grads: Sequence[Sequence[Any]],
    ) -> list[tuple[Array, State]]:
        """Step from `starts` with each row of `grads`; return parameters and their state."""
        params = list(map(self.param, starts))
        optimizer = rule(params, **options)  # type: ignore[arg-type]
        for row in grads:
            self.step(optimizer, row)
        return [
            (
                self.to_numpy(param),
                {
                    name: self.to_numpy(value) if hasattr(value, "shape") else value
                    for name, value in optimizer.state[param].items()
                },
            )
            for param in params
        ]


class ReadOnly(Library):
    """NumPy arrays that nobody may write to: rules are called with them, and optimizers refuse."""

    name = "read-only numpy"
    steps = False
    refused = ValueError, "read-only"

    def array(self, x: Array) -> Any:
        copy = twin(x)
        copy.flags.writeable = False
        return copy

    def run(
        self,
        rule: type[ok.Optimizer],
        options: Mapping[str, Any],
        starts: Sequence[Array],
        grads: Sequence[Sequence[Any]],
    ) -> list[tuple[Array, State]]:
        group = rule(list(map(twin, starts)), **options).param_groups[0]  # type: ignore[arg-type]
        given = {key: value for key, value in group.items() if key != "params"}
        hyper = SimpleNamespace(**given, sparse=rule.needs_sparse)
        results = []
        for i, start in enumerate(starts):
            adapter = adapter_of(start)
            view = adapter.view(self.array(start))
            xp = array_api_compat.array_namespace(view)
            with np.errstate(all="ignore"):
                state = rule.init(xp, view, hyper)
                for step, row in enumerate(grads, 1):
                    grad = row[i].values if isinstance(row[i], ok.RowSparse) else row[i]
                    given = {name: self._closed(value) for name, value in state.items()}
                    view, new = rule.update(
                        xp, self._closed(view), adapter.view(self.array(grad)), given, hyper, step
                    )
                    state = {**state, **new}
            count: State = {"step": len(grads)} if rule.counts_steps else {}
            state = {
                name: adapter.wrap(value, start) if isinstance(value, np.ndarray) else value
                for name, value in state.items()
            }
            results.append((np.asarray(adapter.wrap(np.asarray(view), start)), count | state))
        return results

    def _closed(self, value: Any) -> Any:
        return self.array(np.asarray(value)) if hasattr(value, "shape") else value


class Parameter(Library):
    """`ok.Parameter`, with the gradient beside the array."""

    name = "Parameter"

    def param(self, x: Array) -> Any:
        return ok.Parameter(twin(x))

    def to_numpy(self, x: Any) -> Array:
        return np.asarray(x.data if isinstance(x, ok.Parameter) else x)

    def step(self, optimizer: ok.Optimizer, grads: Sequence[Any]) -> None:
        params = [param for group in optimizer.param_groups for param in group["params"]]
        for param, grad in zip(params, grads, strict=True):
            param.grad = self.grad(grad)
        optimizer.step()


class Torch(Library):
    """torch's tensors, with gradients in a list."""

    name = "torch"

    def require(self, *modules: str) -> None:
        super().require("torch", *modules)

    def array(self, x: Array) -> Any:
        import torch

        return torch.from_numpy(twin(x))

    def grad(self, x: Any) -> Any:
        import torch

        if not isinstance(x, ok.RowSparse):
            return super().grad(x)
        values = self.array(x.values)
        rows = torch.from_numpy(x.indices[None].copy()).to(values.device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some versions say that they check, some that not
            return torch.sparse_coo_tensor(rows, values, x.shape, check_invariants=True)

    def to_numpy(self, x: Any) -> Array:
        array: Array = x.detach().resolve_conj().resolve_neg().numpy()
        return array


class TorchParameter(Torch):
    """torch's parameters, with ``.grad``."""

    name = "nn.Parameter"

    def param(self, x: Array) -> Any:
        import torch

        return torch.nn.Parameter(self.array(x))

    step = Parameter.step


class Strict(Library):
    """The standard and nothing more."""

    name = "array-api-strict"

    def require(self, *modules: str) -> None:
        super().require("array_api_strict", *modules)

    def can_hold(self, dtype: Any) -> bool:
        return str(np.dtype(dtype)) in ("float32", "float64", "complex64", "complex128")

    def array(self, x: Array) -> Any:
        import array_api_strict

        return array_api_strict.asarray(x, copy=True)

    def to_numpy(self, x: Any) -> Array:
        return np.asarray(x._array)


class CuPyOnHost(Library):
    """CuPy's arrays on the host's memory: all of them that needs no launch works without a GPU."""

    name = "cupy on host memory"
    steps = False
    runs = False

    def require(self, *modules: str) -> None:
        super().require("cupy", *modules)

    def array(self, x: Array) -> Any:
        import cupy

        copy = twin(x)
        start, stop = np.lib.array_utils.byte_bounds(copy)
        memory = cupy.cuda.UnownedMemory(start, max(stop - start, 1), copy, 0)
        offset = copy.__array_interface__["data"][0] - start
        pointer = cupy.cuda.MemoryPointer(memory, offset)
        return cupy.ndarray(x.shape, x.dtype, pointer, copy.strides)

    def to_numpy(self, x: Any) -> Array:
        start, stop = adapter_of(x).extent(x)
        if start == stop:
            return np.empty(x.shape, x.dtype)
        memory = (ctypes.c_char * (stop - start)).from_address(start)
        return np.ndarray(x.shape, x.dtype, memory, x.data.ptr - start, x.strides)


class OnHostsDevice(Library):
    """Arrays of a library on the host, which plays a CUDA device: see `host_device`."""

    def run(
        self,
        rule: type[ok.Optimizer],
        options: Mapping[str, Any],
        starts: Sequence[Array],
        grads: Sequence[Sequence[Any]],
    ) -> list[tuple[Array, State]]:
        with host_device():
            return super().run(rule, options, starts, grads)


class CuPyOnHostsDevice(OnHostsDevice, CuPyOnHost):
    name = "cupy, the host as device"
    runs = True

    def to_numpy(self, x: Any) -> Array:
        return super().to_numpy(x).copy()  # nothing else keeps the memory

    def run(
        self,
        rule: type[ok.Optimizer],
        options: Mapping[str, Any],
        starts: Sequence[Array],
        grads: Sequence[Sequence[Any]],
    ) -> list[tuple[Array, State]]:
        if rule in (ok.Adafactor, ok.Muon, ok.SparseAdam):
            pytest.skip("what CuPy itself computes needs a GPU")
        return super().run(rule, options, starts, grads)


class TorchOnHostsDevice(OnHostsDevice, TorchParameter):
    name = "torch, the host as device"
    steps = False


class CuPyOnDevice(CuPyOnHost):
    """CuPy's arrays on a GPU."""

    name = "cupy"
    steps = True
    runs = True

    def require(self, *modules: str) -> None:
        super().require(*modules)
        import cupy

        try:
            present = cupy.is_available()
        except Exception:  # CuPy 13.6 raises where there is no driver
            present = False
        if not present:
            pytest.skip("CuPy finds no CUDA device here")

    def array(self, x: Array) -> Any:
        import cupy

        copy = twin(x)
        start, stop = np.lib.array_utils.byte_bounds(copy)
        memory = cupy.asarray(np.frombuffer(_bytes(start, stop) or b"0", np.uint8))
        offset = copy.__array_interface__["data"][0] - start
        return cupy.ndarray(x.shape, x.dtype, memory.data + offset, copy.strides)

    def grad(self, x: Any) -> Any:
        if not isinstance(x, ok.RowSparse):
            return super().grad(x)
        return ok.RowSparse(self.array(x.indices), self.array(x.values), x.shape)

    def to_numpy(self, x: Any) -> Array:
        array: Array = x.get()
        return array


def _bytes(start: int, stop: int) -> bytes:
    return bytes((ctypes.c_char * (stop - start)).from_address(start))


class TorchOnDevice(TorchParameter):
    """torch's parameters on a GPU."""

    name = "CUDA tensors"

    def require(self, *modules: str) -> None:
        super().require(*modules)
        import torch

        if not torch.cuda.is_available():
            pytest.skip("torch finds no CUDA device here")

    def array(self, x: Array) -> Any:
        import torch

        copy = twin(x)
        start, stop = np.lib.array_utils.byte_bounds(copy)
        memory = torch.from_numpy(np.frombuffer(_bytes(start, stop), x.dtype).copy()).cuda()
        offset = (copy.__array_interface__["data"][0] - start) // x.itemsize
        strides = [stride // x.itemsize for stride in copy.strides]
        return memory.as_strided(x.shape, strides, offset)

    def to_numpy(self, x: Any) -> Array:
        return super().to_numpy(x.cpu())


class JAX(Library):
    """Arrays that cannot be changed, which an optimizer refuses."""

    name = "JAX"
    steps = False
    runs = False
    refused = TypeError, "immutable"

    def require(self, *modules: str) -> None:
        super().require("jax", *modules)

    def can_hold(self, dtype: Any) -> bool:
        return np.dtype(dtype) in (np.float32, np.complex64)  # without its x64 setting

    def array(self, x: Array) -> Any:
        import jax

        return jax.numpy.asarray(x)


LIBRARIES: dict[str, Library] = {
    library.name: library
    for library in (
        Library(),
        ReadOnly(),
        Parameter(),
        Torch(),
        TorchParameter(),
        Strict(),
        CuPyOnHost(),
        CuPyOnHostsDevice(),
        TorchOnHostsDevice(),
        CuPyOnDevice(),
        TorchOnDevice(),
        JAX(),
    )
}
ON_DEVICE = ("cupy", "CUDA tensors")
HERE = [
    name
    for name, library in LIBRARIES.items()
    if name not in ON_DEVICE and not isinstance(library, OnHostsDevice)
]


def _with_devices(names: Sequence[str]) -> list[Any]:
    return [
        pytest.param(name, marks=pytest.mark.gpu) if name in ON_DEVICE else name for name in names
    ]


STEPPING = _with_devices([name for name, library in LIBRARIES.items() if library.steps])
RUNNING = _with_devices([name for name, library in LIBRARIES.items() if library.runs])
