"""Stand-in arrays that record what a rule computes.

A rule called with stand-ins in place of arrays leaves behind a `Program`, its operations on arrays
in order, and the values of its slots, the Python numbers that met an array. The program is the key
of a compiled kernel; the slots are its arguments. Only what IEEE 754 defines to the last bit is
recorded, so whoever runs the program gets the bits of the rule itself; anything else (a reduction,
a shape, an exponential) raises `NotTraceable`, and the rule runs as it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from optimkit.backends.masters import MASTER, steps_masters
from optimkit.backends.program import OPERATIONS, RESERVED, Kind, Program, Traced

NUMBERS = {float, int, bool}
_BOOLEAN = frozenset(name for name, x in OPERATIONS.items() if x.gives is Kind.BOOLEAN)
_LOGICAL = frozenset(name for name, x in OPERATIONS.items() if x.takes is Kind.BOOLEAN)


class NotTraceable(Exception):
    """The rule does something that is not elementwise IEEE 754 arithmetic."""


class SlotValue:
    """What a number that is not known yet derives from, to be recorded in a slot."""

    __slots__ = ()


class _Tape:
    """The recording of one call. Tapes are used again, and so are their stand-ins."""

    __slots__ = ("booleans", "operations", "slots", "spare", "values")

    def __init__(self) -> None:
        self.values: list[StandIn] = []
        self.begin()

    def begin(self) -> None:
        self.operations: list[tuple[Any, ...]] = []
        self.slots: list[Any] = []
        self.booleans: set[int] = set()
        self.spare = iter(self.values)

    def value(self) -> StandIn:
        """Return the stand-in for the next value."""
        for x in self.spare:
            return x
        x = StandIn(self, len(self.values))
        self.values.append(x)
        return x

    def operand(self, x: Any) -> int:
        if type(x) is StandIn:
            return x._index
        if type(x) not in NUMBERS and not isinstance(x, SlotValue):
            raise NotTraceable(f"an operand of type {type(x).__name__}")
        self.slots.append(x)
        return -len(self.slots)

    def record(self, name: str, *operands: int) -> StandIn:
        logical = name in _LOGICAL
        if self.booleans or logical:
            for x in operands[1:] if name == "where" else operands:
                if (x in self.booleans) is not logical:
                    raise NotTraceable("logic on numbers" if logical else "arithmetic on booleans")
        self.operations.append((name, *operands))
        result = self.value()
        if name in _BOOLEAN:
            self.booleans.add(result._index)
        return result


_tapes: list[_Tape] = []  # those not in use


def _operator(name: str, reflected: bool = False) -> Callable[[Any, Any], StandIn]:
    arithmetic = name not in _BOOLEAN

    def operator(self: StandIn, other: Any) -> StandIn:
        tape, x = self._tape, self._index
        kind = type(other)
        if kind is StandIn:
            y = other._index
        elif kind in NUMBERS:
            slots = tape.slots
            slots.append(other)
            y = -len(slots)
        else:
            y = tape.operand(other)
        operands = (name, y, x) if reflected else (name, x, y)
        if arithmetic and not tape.booleans:  # what `record` does, where tracing spends its time
            tape.operations.append(operands)
            for result in tape.spare:
                return result
            return tape.value()
        return tape.record(*operands)

    return operator


def _apply(name: str, *operands: Any) -> StandIn:
    for x in operands:
        if type(x) is StandIn:
            tape = x._tape
            return tape.record(name, *map(tape.operand, operands))
    raise NotTraceable(f"{name} without an array")


class StandIn:
    """An array that is only a name for a value of the program being recorded."""

    __slots__ = ("_index", "_tape")

    def __init__(self, tape: _Tape, index: int) -> None:
        self._tape, self._index = tape, index

    def __getattr__(self, name: str) -> Any:
        raise NotTraceable(f"the attribute {name!r} of an array")

    def __bool__(self) -> bool:
        raise NotTraceable("a Python condition on an array")

    def __pow__(self, exponent: Any) -> StandIn:
        if exponent == 2:  # every array library squares; other powers round as they please
            return _apply("multiply", self, self)
        raise NotTraceable(f"the power {exponent!r} of an array")

    __add__, __radd__ = _operator("add"), _operator("add", True)
    __sub__, __rsub__ = _operator("subtract"), _operator("subtract", True)
    __mul__, __rmul__ = _operator("multiply"), _operator("multiply", True)
    __truediv__, __rtruediv__ = _operator("divide"), _operator("divide", True)
    __lt__, __le__ = _operator("less"), _operator("less_equal")
    __gt__, __ge__ = _operator("greater"), _operator("greater_equal")
    __eq__, __ne__ = _operator("equal"), _operator("not_equal")  # type: ignore[assignment]
    __and__, __rand__ = _operator("logical_and"), _operator("logical_and", True)
    __or__, __ror__ = _operator("logical_or"), _operator("logical_or", True)
    __xor__, __rxor__ = _operator("logical_xor"), _operator("logical_xor", True)
    __hash__ = None  # type: ignore[assignment]

    def __neg__(self) -> StandIn:
        return _apply("negative", self)

    def __pos__(self) -> StandIn:
        return self

    def __abs__(self) -> StandIn:
        return _apply("abs", self)

    def __invert__(self) -> StandIn:
        return _apply("logical_not", self)


def _unsupported(*args: Any, **kwargs: Any) -> Any:
    raise NotTraceable("an operation on a stand-in array")


CONTAINER = ("getitem", "setitem", "len", "iter", "contains")
CONVERSION = ("float", "int", "complex", "index")
INEXACT = ("matmul", "floordiv", "mod", "lshift", "rshift")
REFLECTED = ("rmatmul", "rpow", "rfloordiv", "rmod", "rlshift", "rrshift")
for _name in CONTAINER + CONVERSION + INEXACT + REFLECTED:
    setattr(StandIn, f"__{_name}__", _unsupported)


class _Namespace:
    """The part of the Array API that can be recorded."""

    def __getattr__(self, name: str) -> Any:
        raise NotTraceable(f"xp.{name}")

    @staticmethod
    def where(condition: Any, x1: Any, x2: Any, /) -> StandIn:
        if type(condition) is not StandIn:
            raise NotTraceable("where without an array condition")
        tape = condition._tape
        if condition._index not in tape.booleans:
            raise NotTraceable("logic on numbers: where with a condition that is not boolean")
        return tape.record("where", *map(tape.operand, (condition, x1, x2)))

    @staticmethod
    def clip(x: Any, /, min: Any = None, max: Any = None) -> StandIn:
        if min is not None:
            x = _apply("maximum", x, min)
        return x if max is None else _apply("minimum", x, max)

    @staticmethod
    def full_like(x: Any, /, fill_value: float) -> StandIn:
        if type(x) is not StandIn:
            raise NotTraceable("full_like of no array")
        return x._tape.record("fill", x._tape.operand(fill_value))

    def zeros_like(self, x: Any, /) -> StandIn:
        return self.full_like(x, 0.0)

    def ones_like(self, x: Any, /) -> StandIn:
        return self.full_like(x, 1.0)

    def square(self, x: Any, /) -> StandIn:
        return _apply("multiply", x, x)

    def positive(self, x: Any, /) -> Any:
        return x


def _function(name: str, arity: int) -> Callable[..., StandIn]:
    def function(*arrays: Any) -> StandIn:
        if len(arrays) != arity:
            raise NotTraceable(f"xp.{name} of {len(arrays)} arguments")
        return _apply(name, *arrays)

    return function


for _name, _operation in OPERATIONS.items():
    if _name not in ("where", "fill", "positive", "held"):
        setattr(_Namespace, _name, staticmethod(_function(_name, _operation.arity)))

NAMESPACE = _Namespace()


def checked(result: Any) -> tuple[Any, Mapping[str, Any]]:
    """Return what a rule returned, or raise the error that says what is wrong with it."""
    if type(result) is tuple and len(result) == 2 and type(result[1]) is dict:
        pass  # as it should be: what else would do takes longer to tell
    elif not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping)):
        raise TypeError(
            f"update must return (param, dict of new state), not a {type(result).__name__}"
            + (f" of {len(result)}" if isinstance(result, tuple) else "")
        )
    if not RESERVED.isdisjoint(result[1]):
        taken = RESERVED & result[1].keys()
        raise ValueError(
            f"state may not be called {sorted(taken)}: the rule gets what is called that beside "
            "its state"
        )
    return result


def trace(
    update: Callable[..., Any],
    arrays: tuple[str, ...],
    scalars: Mapping[str, Any],
    hyper: Any,
    step: Any,
) -> Traced:
    """Record one call of the rule `update`.

    Parameters
    ----------
    update : callable
        The rule, ``update(xp, param, grad, state, hyper, step) -> (param, state)``.
    arrays : tuple of str
        Names of the state arrays.
    scalars : mapping
        State that is a Python number.
    hyper, step
        Passed on to the rule.

    Raises
    ------
    NotTraceable
        If the rule is not elementwise.
    """
    inputs = ("param", "grad", *arrays)
    tape = _tapes.pop() if _tapes else _Tape()
    tape.begin()
    try:
        return _record(tape, inputs, update, scalars, hyper, step)
    finally:
        _tapes.append(tape)


def _record(
    tape: _Tape,
    inputs: tuple[str, ...],
    update: Callable[..., Any],
    scalars: Mapping[str, Any],
    hyper: Any,
    step: Any,
) -> Traced:
    arrays = {name: tape.value() for name in inputs}
    param, grad, state = arrays.pop("param"), arrays.pop("grad"), {**arrays, **scalars}
    if MASTER in arrays and steps_masters(update):
        state[MASTER] = tape.record("held", arrays[MASTER]._index, param._index)
    new_param, new_state = checked(update(NAMESPACE, param, grad, state, hyper, step))
    outputs, numbers = [], {}
    for name, value in (("param", new_param), *new_state.items()):
        if type(value) is StandIn:
            if value._index >= len(inputs) or inputs[value._index] != name:
                if value._index in tape.booleans:
                    raise NotTraceable(f"{name} becomes an array of booleans")
                outputs.append((name, value._index))
        elif name in inputs:
            raise NotTraceable(f"{name} becomes a {type(value).__name__}")
        else:
            numbers[name] = value
    return Traced(Program(inputs, tuple(tape.operations), tuple(outputs)), tape.slots, numbers)
