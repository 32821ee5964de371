"""How far rounding can take a step from what its formula says: running error analysis.

A traced rule is a list of operations. Beside each value stands a bound of its error, which each
operation passes on and adds its own rounding to (Wilkinson; Higham, "Accuracy and Stability of
Numerical Algorithms", section 3.3). Nothing is fitted: the bound follows from the operations and
from the values of this step. It is infinite where a root or a divisor may be zero or negative
within the errors, as in centered RMSprop, where v - ḡ² may cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from optimkit.backends.program import OPERATIONS, Kind, Program, Traced
from optimkit.validation.reference.inputs import Array, number_type

# Half the spacing of numbers, relative to them, and the smallest positive number.
UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
LEAST = {"float64": 2.0**-1074, "float32": 2.0**-149, "float16": 2.0**-24, "bfloat16": 2.0**-133}
# In units of the last place, halves of it: a correctly rounded root, and one that may also be the
# neighbour of that, as MKL's.
CORRECT, NEIGHBOUR = 1.0, 3.0
ROUNDED = ("add", "subtract", "multiply", "divide", "sqrt")

Estimate = tuple[Any, Any]  # a value, and a bound of its error


def roundings(program: Program) -> int:
    """How many operations of a rule round."""
    live = program.live()
    first = len(program.inputs)
    names = [name for name, *_ in program.operations]
    return sum(name in ROUNDED and live[first + i] for i, name in enumerate(names))


def fusable(program: Program) -> int:
    """How many products of a rule are added to something at once: one rounding with, two without
    a fused multiply-add."""
    live = program.live()
    first = len(program.inputs)
    products = {first + i for i, (name, *_) in enumerate(program.operations) if name == "multiply"}
    return sum(
        name in ("add", "subtract") and live[first + i] and not products.isdisjoint(codes)
        for i, (name, *codes) in enumerate(program.operations)
    )


def bounds(
    traced: Traced, columns: Mapping[str, Array], dtype: str, root: float = CORRECT
) -> dict[str, Array]:
    """Return, for each output of a step, a bound of its distance from exact arithmetic.

    Exact arithmetic starts from the same columns and the same numbers, rounded to the dtype.

    Parameters
    ----------
    traced : Traced
        The rule's operations, and the numbers of this step.
    columns : mapping of str to array
        Parameter, gradient and state before the step, real.
    dtype : str
        In which the step is computed.
    root : float
        `CORRECT` or `NEIGHBOUR`: how well roots are computed.
    """
    unit, least, kind = UNIT[dtype], LEAST[dtype], number_type(dtype)
    program = traced.program
    numbers = [np.float64(np.asarray(x, np.float64).astype(kind)) for x in traced.slots]
    known: list[Estimate] = [
        (np.asarray(columns[name], np.float64), np.float64(0)) for name in program.inputs
    ]
    with np.errstate(all="ignore"):
        for name, *codes in program.operations:
            operands = [known[x] if x >= 0 else (numbers[~x], np.float64(0)) for x in codes]
            value, error = ERRORS[name](*operands)
            if name in ROUNDED:
                size = abs(value) + error
                rounding = unit * (root if name == "sqrt" else 1.0) * size + least
                error = np.where(_is_zero(name, operands), 0.0, error + rounding)
            known.append((value, error))
    shape = np.shape(columns["param"])
    return {
        name: np.where(np.isnan(error), np.inf, error) + np.zeros(shape)
        for name, place in program.outputs
        for _, error in [known[place]]
    }


def _is_zero(name: str, operands: list[Estimate]) -> Any:
    """Where a result is zero for certain, and nothing is rounded."""
    zeros = [(value == 0) & (error == 0) for value, error in operands]
    if name in ("add", "subtract"):
        return zeros[0] & zeros[1]
    return zeros[0] | zeros[1] if name == "multiply" else zeros[0]


def _multiply(x: Estimate, y: Estimate) -> Estimate:
    (a, e), (b, f) = x, y
    return a * b, abs(a) * f + abs(b) * e + e * f


def _divide(x: Estimate, y: Estimate) -> Estimate:
    (a, e), (b, f) = x, y
    rest = abs(b) - f
    ratio = a / b
    return ratio, np.where(rest > 0, (e + abs(ratio) * f) / rest, np.inf)


def _root(x: Estimate) -> Estimate:
    a, e = x
    rest = a - e
    value = np.sqrt(a)
    below = np.sqrt(np.where(rest > 0, rest, 0))
    return value, np.where(rest >= 0, np.where(e > 0, e / (value + below), 0), np.inf)


def _chosen(condition: Estimate, x: Estimate, y: Estimate) -> Estimate:
    (truth, _), (a, e), (b, f) = condition, x, y
    return np.where(truth, a, b), np.where(truth, e, f)


def _exact(function: Any) -> Callable[..., Estimate]:
    """What is not rounded, and passes on the largest error of its operands."""

    def estimate(*operands: Estimate) -> Estimate:
        value = function(*(value for value, _ in operands))
        return value, np.maximum.reduce(np.broadcast_arrays(*(error for _, error in operands)))

    return estimate


def _judged(function: Any) -> Callable[..., Estimate]:
    """What is true or false, or a whole number: as it is for the values themselves."""
    return lambda *operands: (function(*(value for value, _ in operands)), np.float64(0))


ERRORS: dict[str, Callable[..., Estimate]] = {
    "add": lambda x, y: (x[0] + y[0], x[1] + y[1]),
    "subtract": lambda x, y: (x[0] - y[0], x[1] + y[1]),
    "multiply": _multiply,
    "divide": _divide,
    "sqrt": _root,
    "maximum": _exact(np.maximum),
    "minimum": _exact(np.minimum),
    "negative": lambda x: (-x[0], x[1]),
    "abs": lambda x: (abs(x[0]), x[1]),
    "fill": lambda x: x,
    "positive": lambda x: x,
    "where": _chosen,
    "held": lambda x, y: y,  # a parameter in full is its own master
    "sign": _judged(np.sign),
    "floor": _judged(np.floor),
    "ceil": _judged(np.ceil),
    "trunc": _judged(np.trunc),
}
ERRORS |= {
    name: _judged(getattr(np, name))
    for name, operation in OPERATIONS.items()
    if operation.gives is Kind.BOOLEAN
}
