"""What a rule computes, written down: values of several kinds, and the operations between them."""

from __future__ import annotations

from enum import Enum
from functools import cache
from typing import Any, NamedTuple


class Kind(Enum):
    """What a value is for each parameter."""

    ARRAY = "array"
    BOOLEAN = "boolean"
    NUMBER = "number"


class Operation(NamedTuple):
    """How many operands an operation has, of which kind; a number does where an array is meant."""

    arity: int
    takes: Kind
    gives: Kind


_KINDS = (
    ("add subtract multiply divide maximum minimum", 2, Kind.ARRAY, Kind.ARRAY),
    ("negative abs sqrt sign floor ceil trunc", 1, Kind.ARRAY, Kind.ARRAY),
    ("fill positive", 1, Kind.ARRAY, Kind.ARRAY),
    ("where", 3, Kind.ARRAY, Kind.ARRAY),  # the first is boolean
    ("held", 2, Kind.ARRAY, Kind.ARRAY),  # a master and its parameter: `masters.held`
    ("less less_equal greater greater_equal equal not_equal", 2, Kind.ARRAY, Kind.BOOLEAN),
    ("isnan isinf isfinite", 1, Kind.ARRAY, Kind.BOOLEAN),
    ("logical_and logical_or logical_xor", 2, Kind.BOOLEAN, Kind.BOOLEAN),
    ("logical_not", 1, Kind.BOOLEAN, Kind.BOOLEAN),
)
OPERATIONS = {
    name: Operation(arity, takes, gives)
    for names, arity, takes, gives in _KINDS
    for name in names.split()
}
RESERVED = {"param", "grad", "step"}  # what a rule gets beside its state


class Value(NamedTuple):
    """A value of a program.

    Attributes
    ----------
    operation : str
        One of `OPERATIONS`; or ``"column"``, an array of every parameter; or ``"slot"``, a number
        of this step.
    operands : tuple of int
        Places of other values.
    kind : Kind
    name : str
        That of a column.
    """

    operation: str
    operands: tuple[int, ...]
    kind: Kind
    name: str = ""


class Program(NamedTuple):
    """What a rule computes, without the numbers of this step.

    It is the key of compiled kernels, and as short as the trace that makes it: an operation is its
    name and its operands, each the index of a value (the inputs come first, then the results) or
    ``~k`` for slot ``k``. `values` says the same in full; nobody else needs to know the code.
    """

    inputs: tuple[str, ...]
    operations: tuple[tuple[Any, ...], ...]
    outputs: tuple[tuple[str, int], ...]

    @property
    def new_state(self) -> tuple[str, ...]:
        """State that the rule returns but was not given."""
        return tuple(name for name, _ in self.outputs if name not in self.inputs)

    @property
    def columns(self) -> tuple[str, ...]:
        """All that a kernel reads or writes: the inputs, and new state."""
        return self.inputs + self.new_state

    @property
    def values(self) -> tuple[Value, ...]:
        """The values: inputs, results in the order in which they are computed, and slots."""
        return _values(self)

    def live(self) -> list[bool]:
        """For every value, whether an output depends on it."""
        values = self.values
        live = [False] * len(values)
        for _, value in self.outputs:
            live[value] = True
        first = len(self.inputs)
        for place in range(first + len(self.operations) - 1, first - 1, -1):
            if live[place]:
                for operand in values[place].operands:
                    live[operand] = True
        return live


@cache
def _values(program: Program) -> tuple[Value, ...]:
    values = [Value("column", (), Kind.ARRAY, name) for name in program.inputs]
    first_slot, slots = len(values) + len(program.operations), 0
    for name, *codes in program.operations:
        operands = tuple(x if x >= 0 else first_slot + ~x for x in codes)
        values.append(Value(name, operands, OPERATIONS[name].gives))
        slots = max(slots, *(-x for x in codes))
    return (*values, *(Value("slot", (), Kind.NUMBER) for _ in range(slots)))


class Traced(NamedTuple):
    """A program with the numbers of one step."""

    program: Program
    slots: list[Any]
    scalars: dict[str, Any]
