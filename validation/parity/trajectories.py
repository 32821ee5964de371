"""The same run on one of our engines, and how far it is from the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.backends.engines import host_engines
from optimkit.validation.reference.case import Case
from optimkit.validation.reference.inputs import (
    Array,
    Setting,
    gradients,
    has_gradient,
    lay_out,
    objective,
    parameters,
    rate_factor,
    touched_rows,
)
from optimkit.validation.reference.recordings import NUMBERS, Trajectory, snapshot
from optimkit.validation.reference.torch_runs import numbers, tensor


@dataclass(frozen=True)
class Way:
    """An engine and an array library."""

    engine: str
    library: str

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{self.engine} on {LIBRARIES[self.library]}"


LIBRARIES = {
    "numpy": "NumPy arrays",
    "torch": "torch tensors",
    "array_api_strict": "array-api-strict",
    "cupy": "CuPy arrays",
}


def ways() -> tuple[list[Way], dict[str, str]]:
    """Return the ways that can be checked here, the fastest first, and why others cannot be."""
    engines = host_engines()
    fastest = engines[0]
    possible = [Way(engine, "numpy") for engine in engines]
    absent = {}
    if "numba" not in engines:
        absent["numba on NumPy arrays"] = "numba is not installed"
    if find_spec("torch") is None:
        absent[f"{fastest} on torch tensors"] = "torch is not installed"
    else:
        possible.append(Way(fastest, "torch"))
    if find_spec("array_api_strict") is None:
        absent["eager on array-api-strict"] = "array-api-strict is not installed"
    else:
        possible.append(Way("eager", "array_api_strict"))
    if _has_gpu():
        possible.append(Way("cuda" if "cuda" in ok.available_engines() else "eager", "cupy"))
    else:
        absent["cuda on CuPy arrays"] = "there is no CUDA device, or no CuPy"
    return possible, absent


def _has_gpu() -> bool:
    if find_spec("cupy") is None:
        return False
    try:
        import cupy

        return bool(cupy.cuda.is_available())
    except Exception:  # whatever a broken driver raises: there is no usable device
        return False


def _to(library: str, array: Array) -> Any:
    """Make an array of a library from a NumPy array, on its memory where that is possible."""
    if library == "numpy":
        return array
    if library == "torch":
        import torch

        return tensor(torch, array if array.flags.writeable else array.copy())
    if library == "cupy":
        import cupy

        return cupy.asarray(array)
    import array_api_strict

    return array_api_strict.asarray(array.copy())


def _back(value: Any) -> Any:
    """Make a NumPy array of an array of any library; leave numbers alone."""
    if hasattr(value, "detach"):
        return numbers(value)
    if hasattr(value, "get"):
        return value.get()
    return np.asarray(value) if hasattr(value, "shape") else value


def _gradient(
    setting: Setting, library: str, param: int, step: int, grad: Array, order: str
) -> Any:
    """Return a gradient as the library's array, or as rows, or None."""
    if not has_gradient(setting, param, step):
        return None
    if not setting.sparse:
        return _to(library, grad if order == "C" else lay_out(grad, order))
    rows = touched_rows(setting, param, step)
    indices, values = _to(library, rows), _to(library, grad[: len(rows)])
    if library == "torch":
        import torch

        return torch.sparse_coo_tensor(indices[None], values, grad.shape, check_invariants=True)
    return ok.RowSparse(indices, values, grad.shape)


def trajectory(case: Case, dtype: str, way: Way, steps: Sequence[int]) -> Trajectory:
    """Run a case with optimkit."""
    setting, orders = case.circumstances, [order for _, order in case.circumstances.shapes]
    begin = parameters(setting, dtype)
    params = [_to(way.library, lay_out(x, o)) for x, o in zip(begin, orders, strict=True)]
    groups = [{"params": [params[i] for i in group]} for group in setting.groups]
    optimizer = getattr(ok, case.optimizer)(groups, **case.options)
    rates = [group["lr"] * (k + 1) for k, group in enumerate(optimizer.param_groups)]
    steps = [step for step in steps if step <= setting.longest]
    grads = gradients(setting, dtype, max(steps))

    def closure() -> tuple[float, list[Any]]:
        loss, columns = objective([np.asarray(_back(p)) for p in params])
        return loss, [_to(way.library, g) for g in columns]

    result: Trajectory = {}
    with ok.use_engine(way.engine):
        for step in range(1, max(steps) + 1):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * (rate_factor(step) if setting.scheduled else 1.0)
            if setting.closure:
                optimizer.step(closure)
            else:
                given = [
                    _gradient(setting, way.library, i, step, grad[step - 1, ...], o)
                    for i, (grad, o) in enumerate(zip(grads, orders, strict=True))
                ]
                if way.library == "torch":
                    for p, g in zip(params, given, strict=True):
                        p.grad = g
                    optimizer.step()
                else:
                    optimizer.step(grads=given)
            if step in steps:
                states = [
                    {
                        k: _back(v)
                        for k, v in optimizer.state[p].items()
                        if k in NUMBERS or not setting.closure
                    }
                    for p in params
                ]
                result[step] = snapshot([_back(p) for p in params], states)
    return result


@dataclass
class Difference:
    """How far two trajectories are apart.

    Attributes
    ----------
    steps : int
        The last step compared.
    values : int
        How many numbers were compared: parameters and state, at every recorded step.
    unequal : int
        How many have other bits. NaN equals NaN: its sign and payload are not IEEE 754's concern.
    ulp : float
        The most floating-point numbers between two values.
    relative : float
        The largest ``|difference| / max(|value|, lr)``.
    first : str
        Where the first difference is.
    """

    steps: int = 0
    values: int = 0
    unequal: int = 0
    ulp: float = 0.0
    relative: float = 0.0
    first: str = ""


def compare(
    own: Trajectory, reference: Trajectory, lr: float, signed_zeros: bool = True
) -> Difference:
    """Compare two trajectories at the steps that both have.

    Parameters
    ----------
    own, reference : trajectory
    lr : float
        The learning rate, the scale of a step.
    signed_zeros : bool
        Whether 0 and -0 are unequal.
    """
    result = Difference()
    for step in sorted(own.keys() & reference.keys()):
        result.steps = step
        mine, theirs = own[step], reference[step]
        for label in sorted(mine.keys() | theirs.keys()):
            x, y = mine.get(label), theirs.get(label)
            if x is None or y is None or (x.shape, x.dtype) != (y.shape, y.dtype):
                unlike = max(0 if z is None else z.size for z in (x, y)) or 1
                result.values += unlike
                result.unequal += unlike
                result.ulp = result.relative = np.inf
                found = [None if z is None else f"{z.dtype.name}{z.shape}" for z in (x, y)]
                result.first = result.first or f"step {step}, {label}: {found[0]}, not {found[1]}"
                continue
            _compare(result, real(x), real(y), lr, signed_zeros, f"step {step}, {label}")
    return result


def _compare(
    result: Difference, x: Array, y: Array, lr: float, signed_zeros: bool, where: str
) -> None:
    unequal = (_bits(x) != _bits(y)) & ~(np.isnan(x) & np.isnan(y))
    if not signed_zeros:
        unequal &= (x != 0) | (y != 0)
    result.values += x.size
    if not unequal.any():
        return
    result.unequal += int(unequal.sum())
    place = int(np.argmax(unequal))
    result.first = result.first or f"{where}[{place}]: {x[place]!r}, not {y[place]!r}"
    x, y = x[unequal], y[unequal]
    result.ulp = max(result.ulp, float(ulps(x, y).max()))
    result.relative = max(result.relative, float(gaps(x, y, lr).max()))


def real(x: Array) -> Array:
    """The numbers of an array in a row, complex ones as pairs."""
    flat = x.reshape(-1)
    return flat.view(flat.real.dtype)


def ulps(x: Array, y: Array) -> Array:
    """How many floating-point numbers are between two, for each pair; NaN is 0 from NaN."""
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(x) & np.isfinite(y)
        same = (x == y) | (np.isnan(x) & np.isnan(y))
    mine, theirs = _ordinal(x), _ordinal(y)
    apart = np.maximum(mine, theirs).view("u8") - np.minimum(mine, theirs).view("u8")
    return np.where(same, 0.0, np.where(finite, apart.astype(np.float64), np.inf))


def gaps(x: Array, y: Array, lr: float) -> Array:
    """``|x - y| / max(|y|, lr)`` for each pair; 0 for the same infinity, and NaN from NaN."""
    a, b = x.astype(np.float64), y.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(a - b) / np.maximum(np.abs(b), lr)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(np.isfinite(a) & np.isfinite(b), gap, np.inf))


def _bits(x: Array) -> Array:
    return x.view(f"uint{8 * x.itemsize}")


def _ordinal(x: Array) -> Array:
    """Number the floats in their order, so that neighbours differ by 1 and both zeros are 0."""
    whole = x.view(f"int{8 * x.itemsize}")
    return np.where(whole < 0, np.iinfo(whole.dtype).min - whole, whole).astype(np.int64)
