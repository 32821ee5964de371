"""From a program to the statements of a kernel, in any language.

A dialect is a table of expressions and a few forms; this module knows the program, and no language.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from optimkit.backends.engines.base import FULL
from optimkit.backends.program import Program, Value


class Dialect(NamedTuple):
    """How a language says what a program says.

    Attributes
    ----------
    expressions : mapping
        From an operation to its expression, with ``{0}``, ``{1}`` for the operands.
    load, store : mapping
        From the dtype of a column to the expression that brings an element ``{0}`` to the dtype of
        the arithmetic, and back.
    rounds : mapping
        From a dtype of half precision to whether ``{0}`` is stored as the element ``{1}`` is.
    declare, assign : str
        The statements that give a new value ``{0}``, and a result, the value ``{1}``.
    taken : pattern
        Names that kernels have for themselves.
    """

    expressions: Mapping[str, str]
    load: Mapping[str, str]
    store: Mapping[str, str]
    rounds: Mapping[str, str]
    declare: str
    assign: str
    taken: re.Pattern[str]


class Statements(NamedTuple):
    """The parts of a kernel.

    Attributes
    ----------
    rows : dict
        For each column that is read or written its place among the columns, and its name.
    written : frozenset of str
        Names of the columns that are written.
    read : frozenset of str
        Names of those that are read.
    body : list of str
        What is done for each element.
    slots : list of int
        The slots that are read.
    """

    rows: dict[int, str]
    read: frozenset[str]
    written: frozenset[str]
    body: list[str]
    slots: list[int]


def arithmetic(dtypes: tuple[str, ...]) -> str:
    """The dtype in which a kernel computes: the widest of its columns, no less than float32."""
    return max(FULL, key=lambda dtype: (dtype in dtypes, dtype == FULL[0]))


def statements(
    program: Program,
    dtypes: tuple[str, ...],
    dialect: Dialect,
    special: Callable[[Value], str | None] = lambda value: None,
) -> Statements:
    """Write what a kernel does for each element.

    Parameters
    ----------
    program : Program
    dtypes : tuple of str
        Of the program's columns.
    dialect : Dialect
    special : callable
        An expression for a value that is to be used in place of the dialect's, or None.
    """
    values, live, columns = program.values, program.live(), program.columns
    names = {name: _identifier(row, name, dialect.taken) for row, name in enumerate(columns)}
    kinds = dict(zip(columns, dtypes, strict=True))
    first_slot = len(program.inputs) + len(program.operations)

    def said(place: int) -> str:
        operation, _, _, name = values[place]
        if operation == "slot":
            return f"s{place - first_slot}"
        return names[name] if operation == "column" else f"v{place}"

    def held(master: str, param: str) -> str:
        if kinds["param"] not in dialect.rounds:
            return param  # which is no less than a master
        same = dialect.rounds[kinds["param"]].format(master, f"{names['param']}_[i]")
        return dialect.expressions["where"].format(same, master, param)

    read = [name for i, name in enumerate(program.inputs) if live[i]]
    body = [
        dialect.declare.format(names[name], dialect.load[kinds[name]].format(f"{names[name]}_[i]"))
        for name in read
    ]
    slots: set[int] = set()
    for place in range(len(program.inputs), first_slot):
        if live[place]:
            value = values[place]
            operands = list(map(said, value.operands))
            if value.operation == "held":
                said_so = held(*operands)
            else:
                expression = special(value) or dialect.expressions[value.operation]
                said_so = expression.format(*operands)
            body.append(dialect.declare.format(f"v{place}", said_so))
            slots.update(x - first_slot for x in value.operands if x >= first_slot)
    for name, place in program.outputs:
        stored = dialect.store[kinds[name]].format(said(place))
        body.append(dialect.assign.format(f"{names[name]}_[i]", stored))
    used = {*read, *(name for name, _ in program.outputs)}
    rows = {row: names[name] for row, name in enumerate(columns) if name in used}
    reads = frozenset(names[name] for name in read)
    writes = frozenset(names[name] for name, _ in program.outputs)
    return Statements(rows, reads, writes, body, sorted(slots))


def _identifier(row: int, name: str, taken: re.Pattern[str]) -> str:
    """A column's own name, or one made up where a kernel cannot call it that."""
    usable = name.isidentifier() and name.isascii() and not keyword.iskeyword(name)
    return name if usable and not taken.fullmatch(name) else f"x{row}"
