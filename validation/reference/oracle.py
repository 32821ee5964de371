"""Exact arithmetic: a rule, run on numbers of 60 digits.

A rule is array code, so it runs on NumPy's arrays of objects, here numbers of mpmath: no formula is
written a second time. Options and gradients are taken as the binary numbers that they are; state
that is kept in float32 (`mu_product`, `eta`) is not rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np

import optimkit as ok
from optimkit.validation.reference.case import Case
from optimkit.validation.reference.inputs import Array, gradients, parameters

DIGITS = 60

# A context of its own, whose precision and whose class of numbers nobody else sees.
CONTEXT: Any = mpmath.MPContext()
CONTEXT.dps = DIGITS
CONTEXT.mpf.float32 = lambda number: number  # what optimkit.rounding.float32 asks for


def exact(x: Any) -> Any:
    """The same number, of 60 digits; tuples element by element, anything but a float as it is."""
    if isinstance(x, tuple):
        return tuple(map(exact, x))
    return CONTEXT.mpf(x) if isinstance(x, float) else x


def exact_array(x: Array) -> Array:
    """An array of the same numbers."""
    return np.array([CONTEXT.mpf(float(v)) for v in x.reshape(-1)], object).reshape(x.shape)


def _zeros_like(x: Array) -> Array:
    return np.full(x.shape, CONTEXT.mpf(0), object)


def _full_like(x: Array, value: Any) -> Array:
    return np.full(x.shape, exact(value), object)


_sqrt = np.frompyfunc(CONTEXT.sqrt, 1, 1)
# The functions of arrays that elementwise rules call.
NAMESPACE = SimpleNamespace(
    zeros_like=_zeros_like,
    full_like=_full_like,
    sqrt=_sqrt,
    maximum=np.maximum,
    minimum=np.minimum,
    where=np.where,
    clip=lambda x, low, high: np.minimum(np.maximum(x, low), high),
)


def exact_trajectory(case: Case, dtype: str, steps: Sequence[int]) -> dict[int, Array]:
    """Return where exact arithmetic takes the parameter of a case, at these steps.

    Parameters
    ----------
    case : Case
        Of an elementwise rule, with one parameter and a gradient at every step.
    dtype : str
        In which the parameter and the gradients are given.
    steps : sequence of int
    """
    setting, kind = case.circumstances, getattr(ok, case.optimizer)
    bound = kind.bind(**case.options)
    hyper = SimpleNamespace(**{name: exact(value) for name, value in vars(bound).items()})
    param = exact_array(parameters(setting, dtype)[0])
    grads = gradients(setting, dtype, max(steps))[0]
    state = {k: exact(v) for k, v in kind.init(NAMESPACE, param, hyper).items()}
    found = {}
    for step in range(1, max(steps) + 1):
        grad = exact_array(grads[step - 1])
        param, state = kind.update(NAMESPACE, param, grad, state, hyper, step)
        if step in steps:
            found[step] = param
    return found


def errors(x: Array, truth: Array, lr: float) -> Array:
    """Return ``|x - truth| / max(|truth|, lr)`` for each element, in float64."""
    scale, result = CONTEXT.mpf(lr), []
    for value, right in zip(x.reshape(-1), truth.reshape(-1), strict=True):
        if not np.isfinite(float(value)):
            result.append(np.inf)
            continue
        gap = abs(CONTEXT.mpf(float(value)) - right) / max(abs(right), scale)
        result.append(float(gap))
    return np.array(result)
