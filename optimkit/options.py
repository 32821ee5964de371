"""What an option may be, declared once; an algorithm names these in its ``limits``."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from numbers import Number, Real
from operator import index
from typing import Any

LARGEST = int(sys.float_info.max)
Limit = Callable[[Any], bool]


def _limit(description: str) -> Callable[[Limit], Limit]:
    def describe(limit: Limit) -> Limit:
        limit.__doc__ = description
        return limit

    return describe


@_limit("a number of at least 0")
def non_negative(value: Any) -> bool:
    return bool(value >= 0)


@_limit("a number of at most 0")
def non_positive(value: Any) -> bool:
    return bool(value <= 0)


@_limit("a number of at least 1")
def at_least_one(value: Any) -> bool:
    return bool(value >= 1)


@_limit("None or a number of at least 0")
def non_negative_or_none(value: Any) -> bool:
    return value is None or bool(value >= 0)


@_limit("None or a number of at least 1")
def at_least_one_or_none(value: Any) -> bool:
    return value is None or bool(value >= 1)


@_limit("a number above 0")
def positive(value: Any) -> bool:
    return bool(value > 0)


@_limit("a number in [0, 1)")
def fraction(value: Any) -> bool:
    return bool(0 <= value < 1)


@_limit("a number in (0, 1]")
def positive_fraction(value: Any) -> bool:
    return bool(0 < value <= 1)


@_limit("a number in [0, 1]")
def closed_fraction(value: Any) -> bool:
    return bool(0 <= value <= 1)


@_limit("a whole number below 100")
def below_100(value: Any) -> bool:
    return index(value) < 100


@_limit("a whole number of at least 0")
def count(value: Any) -> bool:
    return index(value) >= 0


@_limit("a pair of numbers in [0, 1)")
def pair_of_fractions(value: Any) -> bool:
    return len(value) == 2 and all(0 <= beta < 1 for beta in value)


@_limit("a pair of numbers, the first in (0, 1), the second above 1")
def around_one(value: Any) -> bool:
    return len(value) == 2 and bool(0 < value[0] < 1 < value[1])


@_limit("a pair: None or a number of at least 0, and a number of at least 0")
def pair_of_least(value: Any) -> bool:
    return len(value) == 2 and bool((value[0] is None or value[0] >= 0) and value[1] >= 0)


@_limit("a pair of numbers")
def pair_of_numbers(value: Any) -> bool:
    return len(value) == 2 and all(map(number, value))


@_limit("three numbers")
def three_numbers(value: Any) -> bool:
    return len(value) == 3 and all(map(number, value))


@_limit('None, "original" or "match_rms_adamw"')
def adjustment(value: Any) -> bool:
    if not isinstance(value, str | None):
        raise TypeError
    return value in (None, "original", "match_rms_adamw")


@_limit("a number")
def number(value: Any) -> bool:
    return bool(value <= math.inf)  # which NaN is not


@_limit("a whole number of at least -1")
def last_step(value: Any) -> bool:
    return bool(value == int(value) >= -1)


@_limit("whole numbers of at least 0")
def whole_numbers(value: Any) -> bool:
    return all(x == int(x) >= 0 for x in value)


@_limit("whole numbers of at least 0 that do not fall")
def rising_numbers(value: Any) -> bool:
    return whole_numbers(value) and list(value) == sorted(value)


@_limit("a finite number")
def finite(value: Any) -> bool:
    return bool(-math.inf < value < math.inf)


def is_tensor(value: Any) -> bool:
    """Whether an option is a tensor or an array; a NumPy scalar is a number."""
    return hasattr(value, "shape") and not isinstance(value, Number)


def renewed(old: Any, new: Any) -> Any:
    """What an option becomes that is set to a number: a tensor remains, and holds it from then on.

    So does each tensor of a pair.
    """
    if isinstance(old, tuple | list) and any(hasattr(x, "fill_") for x in old):
        alike = isinstance(new, tuple | list) and len(old) == len(new)
        return tuple(map(renewed, old, new)) if alike else new
    if hasattr(old, "fill_") and (isinstance(new, Real) or is_tensor(new)):
        number = new.detach() if hasattr(new, "detach") else new
        old.detach().fill_(float(number))  # detached, since gradients may flow to it
        return old
    return new


def given(scope: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a constructor was given: its local variables but for the parameters."""
    options = {k: v for k, v in scope.items() if k not in ("self", "params", "__class__")}
    if options.get("master_dtype", "") is None:  # which torch does not have
        del options["master_dtype"]
    return options


def check_limits(
    algorithm: str,
    limits: Mapping[str, Limit],
    options: Mapping[str, Any],
    *,
    kinds_only: bool = False,
) -> None:
    """Raise the error that names the first option of `options` outside its limit.

    With `kinds_only`, a single number may be outside. No number may be too large for a float.
    """
    for name, limit in limits.items():
        if name not in options:
            continue
        value = options[name]
        wanted = f"{algorithm}: invalid {name}: {value!r}; it must be {limit.__doc__}"
        try:
            allowed = limit(value)
        except TypeError:
            raise TypeError(wanted) from None
        except (OverflowError, ValueError):  # infinity is no whole number
            allowed = False
        if not (allowed or (kinds_only and isinstance(value, Real))) or not _fits(value):
            raise ValueError(wanted)


def _fits(value: Any) -> bool:
    """Whether no number is too large for arithmetic with floats."""
    numbers = value if isinstance(value, tuple | list) else (value,)
    return all(abs(x) <= LARGEST for x in numbers if type(x) is int)
