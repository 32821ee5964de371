"""The namespace that a rule is called with where numbers, or derivatives, need more than it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from optimkit.backends.memory import is_array
from optimkit.functional.scalars import Condition, Scalar

# Functions of arrays that take a number in the place of one.
WITH_NUMBERS = {
    *("add", "subtract", "multiply", "divide", "floor_divide", "remainder", "pow", "lerp"),
    *("less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "where"),
    *("maximum", "minimum", "clip", "copysign", "nextafter", "hypot", "atan2"),
    *("asarray", "full", "full_like"),
}


class Namespace:
    """An Array API namespace whose functions take a `Scalar` for a number.

    Parameters
    ----------
    xp : module
    sqrt : callable
        The square root that has a derivative at zero.
    placed : bool
        Whether arrays know their device.
    """

    def __init__(self, xp: Any, sqrt: Callable[[Any], Any], placed: bool = True) -> None:
        self._xp, self.sqrt, self.placed = xp, sqrt, placed

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._xp, name)
        if name in WITH_NUMBERS:
            value = _rounding(value) if name not in ("full", "full_like") else _filling(value)
        setattr(self, name, value)
        return value


def _filling(function: Callable[..., Any]) -> Callable[..., Any]:
    """`full` or `full_like`, by a product with ones: libraries can do that with any number."""

    def filled(x: Any, fill_value: Any, **options: Any) -> Any:
        if not isinstance(fill_value, Scalar):
            return function(x, fill_value, **options)
        return function(x, 1.0, **options) * fill_value

    return filled


def _rounding(function: Callable[..., Any]) -> Callable[..., Any]:
    def rounded(*args: Any, **options: Any) -> Any:
        values = [*args, *options.values()]
        if not any(isinstance(x, Scalar) for x in values):
            return function(*args, **options)
        like = next((x for x in values if is_array(x) and "bool" not in str(x.dtype)), None)

        def fitting(x: Any) -> Any:
            if not isinstance(x, Scalar):
                return x
            if isinstance(x, Condition):
                return x.value
            return x.double if like is None else x.rounded(like)

        return function(*map(fitting, args), **{k: fitting(x) for k, x in options.items()})

    return rounded


__all__ = ["Namespace"]
