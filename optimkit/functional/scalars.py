"""Numbers that are not known while a rule is called: a traced step, a traced option.

A rule computes with Python numbers beside its arrays. Inside ``jax.jit``, ``jax.vmap`` or
``torch.func.vmap`` a step or an option has no value yet; a `Scalar` stands in for it. Its
arithmetic is that of 0-d arrays in float64, as Python's is, and it is rounded to the dtype of an
array where it meets one, as a Python number is. Where it decides what is computed (``if nu > 5``),
`all_paths` calls the rule once for each way the decision may go, and takes what holds, element by
element.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import reduce
from numbers import Real
from typing import Any

import numpy as np

from optimkit.backends.memory import is_array
from optimkit.backends.trace import SlotValue, StandIn
from optimkit.functional.libraries import NUMPY, ArrayLibrary, library_of

MOST_PATHS = 64
LONGEST = 200  # decisions on one path


class _Path:
    """The decisions of one call, those given and those that come after."""

    def __init__(self, decisions: list[bool]) -> None:
        self.decisions, self.given = decisions, len(decisions)
        self.conditions: list[Any] = []
        self.library = NUMPY

    def decide(self, condition: Any, library: ArrayLibrary) -> bool:
        self.library = library
        place = len(self.conditions)
        if place == len(self.decisions):
            if place == LONGEST:
                raise ValueError(
                    f"more than {LONGEST} decisions on a step or an option that is not known while "
                    "it is traced: a loop that may have no end"
                )
            self.decisions.append(True)
        decision = self.decisions[place]
        self.conditions.append(condition if decision else ~condition)
        return decision

    @property
    def holds(self) -> Any:
        return reduce(operator.and_, self.conditions)


_path: ContextVar[_Path | None] = ContextVar("optimkit_path", default=None)


def all_paths(function: Callable[[], Any]) -> Any:
    """Call `function` for each way in which conditions on scalars may turn out.

    Returns
    -------
    result
        A number, an array, a dict or a tuple of them, or None: with a `where` for each condition.
        What one path has in a dict and another has not is that path's.
    """
    open_paths: list[list[bool]] = [[]]
    found: list[tuple[_Path, Any]] = []
    while open_paths:
        path = _Path(open_paths.pop())
        token = _path.set(path)
        try:
            result = function()
        finally:
            _path.reset(token)
        if not path.conditions:
            return result
        found.append((path, result))
        if len(found) > MOST_PATHS:
            raise ValueError(
                f"more than {MOST_PATHS} ways to compute this with a step or an option that is not "
                "known while it is traced"
            )
        later = range(path.given, len(path.decisions))
        open_paths += [[*path.decisions[:place], False] for place in later]
    *others, (_, result) = found
    for path, other in reversed(others):
        result = _chosen(path.holds, other, result, path.library)
    return result


def _chosen(condition: Any, x: Any, y: Any, library: ArrayLibrary) -> Any:
    """Return `x` where the condition holds, and else `y`."""
    if x is y or y is None:
        return x
    if isinstance(x, tuple):
        return tuple(_chosen(condition, a, b, library) for a, b in zip(x, y, strict=True))
    if isinstance(x, Mapping):
        return {k: _chosen(condition, x.get(k, y.get(k)), y.get(k), library) for k in {**y, **x}}
    if is_array(x) and is_array(y):
        return library.where(condition, x, y)
    if type(x) is type(y) and not isinstance(x, Scalar) and x == y:
        return x
    if is_array(x) or is_array(y):
        raise TypeError("what is an array on one path of the rule is a number on another")
    a, b = (library.double(v.value if isinstance(v, Scalar) else v) for v in (x, y))
    return Scalar(library.where(condition, a, b), library)


class Scalar(SlotValue):
    """A number in the place of a Python number, computed from what is not known yet.

    Attributes
    ----------
    value : array
        0-d; or, for schedules, of any shape, element by element.
    known : dict, optional
        Of a count: what has been computed of it, which all parameters of a call have in common.
    """

    __slots__ = ("_span", "known", "library", "value")
    __array_ufunc__ = None  # NumPy's arrays leave operators to this class
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self, value: Any, library: ArrayLibrary | None = None, count: bool = False
    ) -> None:
        self.library = library or library_of(value)
        self.value = value
        self._span = self.library.span(value) if count else None
        self.known: dict[Any, Any] | None = {} if count else None

    @property
    def double(self) -> Any:
        """The value in float64; where the path does not hold 1, which harms no derivative."""
        path = _path.get()
        x = self.library.double(self.value)
        if path is None or not path.conditions:
            return x
        return self.library.where(path.holds, x, self.library.double(1.0))

    def rounded(self, like: Any) -> Any:
        """The value in the dtype of an array."""
        key = "rounded", self.library.sort_of(like)
        return _once(self, key, lambda: self.library.rounded(self.double, like))

    def float32(self) -> Scalar:
        """The value rounded to float32, as `optimkit.rounding.float32` does."""
        return Scalar(self.library.float32(self.double), self.library)

    def sqrt(self) -> Scalar:
        return Scalar(self.library.function("sqrt", self.double), self.library)

    def cos(self) -> Scalar:
        return Scalar(self.library.function("cos", self.double), self.library)

    def __floor__(self) -> Scalar:
        return Scalar(self.library.function("floor", self.double), self.library)

    def __neg__(self) -> Any:
        return _once(self, "neg", lambda: Scalar(-self.double, self.library))

    def __pos__(self) -> Scalar:
        return self

    def __abs__(self) -> Scalar:
        return Scalar(abs(self.double), self.library)

    def __bool__(self) -> bool:
        return bool(operator.ne(self, 0))

    def _is_needed(self, *args: Any) -> Any:
        raise TypeError(
            "the value of a step or an option is needed where it is not known, inside a function "
            "that is traced or mapped; + - * / ** and comparisons do without, math.* and int() not"
        )

    __float__ = __int__ = __index__ = __complex__ = __round__ = __trunc__ = _is_needed


class Condition(Scalar):
    """A comparison of scalars: as a number 0 or 1."""

    __slots__ = ()

    def __bool__(self) -> bool:
        path = _path.get()
        if path is None:
            self._is_needed()
            raise AssertionError
        return path.decide(self.value, self.library)


def _once(x: Scalar, key: Any, make: Callable[[], Any], *held: Any) -> Any:
    """Return what is made of a scalar, once if it is of a count, and not on one path alone.

    `held` is what the key has by identity.
    """
    path = _path.get()
    if x.known is None or (path is not None and path.conditions):
        return make()
    if key not in x.known:
        made = make()
        if isinstance(made, Scalar):
            made.known = {}
        x.known[key] = made, held
    return x.known[key][0]


def _binary(name: str, kind: type[Scalar] = Scalar) -> tuple[Any, Any]:
    function = getattr(operator, name)

    def apply(x: Scalar, other: Any, reflected: bool) -> Any:
        if isinstance(other, Scalar | Real):
            key = (name, reflected, other if isinstance(other, Real) else id(other))
            return _once(x, key, lambda: of_numbers(x, other, reflected), other)
        if isinstance(other, StandIn) or not is_array(other):
            return NotImplemented
        number = x.rounded(other)
        return function(other, number) if reflected else function(number, other)

    def of_numbers(x: Scalar, other: Any, reflected: bool) -> Any:
        if kind is Condition and x._span is not None and isinstance(other, Real):
            (low, high), number = x._span, float(other)
            if not low <= number <= high:
                return bool(function(low, number))
        a = x.double
        b = other.double if isinstance(other, Scalar) else x.library.double(float(other))
        if reflected:
            a, b = b, a
        if name == "pow":
            return _power(x.library, a, b, other if not reflected else None)
        return kind(function(a, b), x.library)

    return (lambda x, y: apply(x, y, False)), (lambda x, y: apply(x, y, True))


def _power(library: ArrayLibrary, x: Any, y: Any, exponent: Any) -> Scalar:
    if exponent == 0.5 and not isinstance(exponent, Scalar):
        return Scalar(library.function("sqrt", x), library)
    return Scalar(library.power(x, y), library)


for _name in ("add", "sub", "mul", "truediv", "pow", "floordiv", "mod"):
    _forth, _back = _binary(_name)
    setattr(Scalar, f"__{_name}__", _forth)
    setattr(Scalar, f"__r{_name}__", _back)
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Scalar, f"__{_name}__", _binary(_name, Condition)[0])


def known(name: str, value: Any) -> Any:
    """A number as Python's, or as a `Scalar` where it is not known or a gradient is to reach it."""
    if isinstance(value, tuple | list):
        return tuple(known(name, x) for x in value)
    if isinstance(value, type) or not is_array(value):
        return value
    if int(np.prod(value.shape)) != 1:
        raise ValueError(f"{name} must be one number, not an array of shape {tuple(value.shape)}")
    return Scalar(value.reshape(())) if library_of(value).is_traced(value) else value.item()


__all__ = ["Condition", "Scalar", "all_paths", "known"]
