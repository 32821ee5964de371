"""Parameters and gradients for the checks: the same bits on every platform.

Random integers become floats by placing bits, without any function whose rounding is a library's
choice. Every tenth element or so is a corner of the format: zeros of both signs, denormals, values
whose squares underflow, large values, gradients that are mostly zero.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

COMPLEX = {"complex64": "float32", "complex128": "float64"}
MANTISSA = {"float32": 23, "float64": 52, "float16": 10, "bfloat16": 7}  # bits
BIAS = {"float32": 127, "float64": 1023, "float16": 15, "bfloat16": 127}  # of the exponent
# Exponents of a value whose square underflows, and of large parameters; gradients have 3 more.
TINY = {"float32": -80, "float64": -540, "float16": -14, "bfloat16": -80}
HUGE = {"float32": 33, "float64": 33, "float16": 4, "bfloat16": 33}

# What an element is, by its place modulo ten; 0 to 4 are ordinary.
ZERO, DENORMAL, SMALL, LARGE, SPARSE = range(5, 10)


@dataclass(frozen=True)
class Setting:
    """The circumstances of a run.

    Attributes
    ----------
    shapes : tuple of (shape, order)
        The parameters; order is "C", "F" or "gaps" (every second column of an array).
    groups : tuple of tuple of int
        Which parameters are in which group; group k has k + 1 times the learning rate.
    scheduled : bool
        Whether the learning rate is changed at some steps.
    missing : bool
        Whether parameters lack their gradient at some steps.
    non_finite : bool
        Whether infinities and NaN turn up in gradients and parameters.
    tame : bool
        Whether there are ordinary values only.
    closure : bool
        Whether gradients are those of a function of the parameters, given by a closure.
    sparse : bool
        Whether a gradient is of a few rows.
    repeated : bool
        Whether one of these rows comes twice.
    longest : int
        The most steps to run. A closure feeds back: where a step without line search overshoots,
        the next ones amplify a difference in the last bit, so such runs are short.
    """

    shapes: tuple[tuple[tuple[int, ...], str], ...] = (((60,), "C"),)
    groups: tuple[tuple[int, ...], ...] = ((0,),)
    scheduled: bool = False
    missing: bool = False
    non_finite: bool = False
    tame: bool = False
    closure: bool = False
    sparse: bool = False
    repeated: bool = False
    longest: int = 1000


SETTINGS = {
    "a vector": Setting(),
    "everything at once": Setting(
        shapes=(
            ((40,), "C"),
            ((), "C"),
            ((5, 6), "F"),
            ((0,), "C"),
            ((4, 3), "gaps"),
            ((2, 3, 2), "C"),
        ),
        groups=((0, 1), (2, 3, 4, 5)),
        scheduled=True,
        missing=True,
    ),
    "not finite": Setting(non_finite=True),
    "matrices": Setting(shapes=(((8, 12), "C"), ((10, 6), "F")), groups=((0, 1),), tame=True),
    "tensors": Setting(
        shapes=(((8, 6), "C"), ((20,), "C"), ((), "C"), ((2, 3, 4), "C")),
        groups=((0, 1, 2, 3),),
        tame=True,
    ),
    "rows of a table": Setting(shapes=(((12, 5), "C"),), sparse=True, repeated=True),
    "distinct rows of a table": Setting(shapes=(((12, 5), "C"),), sparse=True),
    "a closure": Setting(
        shapes=(((6,), "C"), ((2, 2), "C")), groups=((0, 1),), closure=True, longest=10
    ),
    "ordinary values": Setting(shapes=(((60,), "C"),), tame=True),
}
# The circumstances of long runs beside ordinary torch, in place of those of a case. Muon's and
# SparseAdam's steps take milliseconds, and 10,000 of them minutes.
LONG = {
    "a vector": Setting(shapes=(((240,), "C"),), tame=True, longest=10_000),
    "matrices": SETTINGS["matrices"],
    "tensors": replace(SETTINGS["tensors"], longest=10_000),
    "rows of a table": SETTINGS["rows of a table"],
}
SETTINGS |= {f"{name}, many steps": setting for name, setting in LONG.items()}


def number_type(dtype: str) -> Any:
    """Return NumPy's dtype of this name; `ml_dtypes` has the one that NumPy lacks."""
    if dtype == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(dtype)


def rate_factor(step: int) -> float:
    """What the learning rate is multiplied by from this step on, where it is scheduled."""
    if step < 3:
        return 1.0
    return 0.7 if step < 50 else 1.3 if step < 500 else 0.1


def has_gradient(setting: Setting, param: int, step: int) -> bool:
    """Whether a parameter has a gradient at this step."""
    return not setting.missing or (step + param) % 4 != 0


def lay_out(array: Array, order: str) -> Array:
    """Copy an array to memory of this order."""
    if order == "gaps":
        room = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        room[..., ::2] = array
        return room[..., ::2]
    return np.array(array, order="F" if order == "F" else "C")


def parameters(setting: Setting, dtype: str) -> list[Array]:
    """Return where the parameters begin, contiguous."""
    real, parts = COMPLEX.get(dtype, dtype), 2 if dtype in COMPLEX else 1
    result = []
    for i, (shape, _) in enumerate(setting.shapes):
        size = parts * int(np.prod(shape))
        raw = np.random.PCG64(1000 + i).random_raw(size)
        kind = _kinds(setting, size)
        special: list[Any] = [TINY[real] + 0 * kind, HUGE[real]]
        exponents = np.select([kind == SMALL, kind == LARGE], special, -4)
        exponents = exponents + (raw >> np.uint64(52)).astype(np.int64) % 6
        x = _floats(raw, raw >> np.uint64(63), exponents, real)
        x = np.where(kind == ZERO, x * 0, np.where(kind == DENORMAL, _denormals(raw, real), x))
        if setting.non_finite:
            x[-3:] = [np.inf, -np.inf, np.nan]
        result.append(x.view(number_type(dtype)).reshape(shape))
    return result


@lru_cache(maxsize=32)
def gradients(setting: Setting, dtype: str, steps: int) -> list[Array]:
    """Return, for each parameter, its gradients at all steps: read-only, shape (steps, *shape)."""
    real, parts = COMPLEX.get(dtype, dtype), 2 if dtype in COMPLEX else 1
    result = []
    for i, (shape, _) in enumerate(setting.shapes):
        size = parts * int(np.prod(shape))
        raw = np.random.PCG64(i).random_raw(size * steps).reshape(steps, size)
        kind = _kinds(setting, size)
        # from always positive to as often negative as positive
        often = (np.arange(size, dtype=np.uint64) * np.uint64(7)) % np.uint64(9)
        negative = (raw >> np.uint64(60)) < often
        special: list[Any] = [TINY[real] + 0 * kind, HUGE[real] + 3]
        exponents = np.select([kind == SMALL, kind == LARGE], special, -8)
        exponents = exponents + (raw >> np.uint64(52)).astype(np.int64) % 8
        x = _floats(raw, negative, exponents, real)
        absent = (kind == ZERO) | ((kind == SPARSE) & (raw % np.uint64(4) != 0))
        x = np.where(absent, x * 0, np.where(kind == DENORMAL, _denormals(raw, real), x))
        if setting.non_finite:
            for place, value in enumerate((np.inf, -np.inf, np.nan)):
                x[5 + place :: 97, place::20] = value
        x = x.view(number_type(dtype)).reshape(steps, *shape)
        x.setflags(write=False)
        result.append(x)
    return result


def touched_rows(setting: Setting, param: int, step: int) -> Array:
    """Return the rows that a sparse gradient is of."""
    rows = setting.shapes[param][0][0]
    drawn = (np.random.PCG64(500 + step).random_raw(3) % np.uint64(rows)).astype(np.int64)
    distinct = np.unique(drawn)
    return np.append(distinct, distinct[0]) if setting.repeated else distinct


def _kinds(setting: Setting, size: int) -> Array:
    return np.arange(size) % (5 if setting.tame else 10)


def _floats(raw: Array, negative: Array, exponents: Array, dtype: str) -> Array:
    """Place random mantissas, signs and exponents into floats."""
    bits = MANTISSA[dtype]
    mantissa = (raw & np.uint64(2**52 - 1)) >> np.uint64(52 - bits)
    exponent = (exponents + BIAS[dtype]).astype(np.uint64) << np.uint64(bits)
    width = 8 * number_type(dtype).itemsize
    sign = negative.astype(np.uint64) << np.uint64(width - 1)
    whole: Array = (sign | exponent | mantissa).astype(f"uint{width}")
    return whole.view(number_type(dtype))


def _denormals(raw: Array, dtype: str) -> Array:
    field_of_zero = np.full(raw.shape, -BIAS[dtype])
    return _floats(raw, raw >> np.uint64(63), field_of_zero, dtype)


def objective(params: list[Array]) -> tuple[float, list[Array]]:
    """Return a smooth function of the parameters, Rosenbrock's in a chain, and its gradients."""
    x = np.concatenate([np.reshape(p, -1).astype(np.float64) for p in params])
    bend, rest = x[1:] - x[:-1] * x[:-1], 1 - x[:-1]
    loss = float(np.sum(10 * bend * bend + rest * rest))
    grad = np.zeros_like(x)
    grad[1:] += 20 * bend
    grad[:-1] -= 40 * bend * x[:-1] + 2 * rest
    cuts = np.cumsum([p.size for p in params])[:-1]
    parts = np.split(grad, cuts)
    return loss, [g.astype(p.dtype).reshape(p.shape) for g, p in zip(parts, params, strict=True)]
