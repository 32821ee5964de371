"""Why a rule could not compute: the option or the entry of a state that is to blame."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from numbers import Number
from types import TracebackType
from typing import Any

from optimkit.backends.adapters import adapter_of
from optimkit.backends.memory import is_array
from optimkit.gradients import labels
from optimkit.groups import Group
from optimkit.naming import kind_of, naming
from optimkit.parameter import array_of
from optimkit.rule import Rule
from optimkit.state import State

BARE = (ArithmeticError, AttributeError, LookupError, struct.error)  # which name nothing
RAW = (*BARE, RuntimeError, TypeError, ValueError)


class explaining:  # it reads as a statement: with explaining(Adam, groups, ...):
    """Raises what an error inside a rule comes from, where that is an option or a state.

    Each step looks at what can be told at once; what takes longer is looked at here, once something
    has gone wrong: the ranges of options, and whether states have what their rule begins with.
    """

    __slots__ = ("_known",)

    def __init__(
        self, rule: type[Rule], groups: Sequence[Group], defaults: Mapping[str, Any], state: State
    ) -> None:
        self._known = rule, groups, defaults, state

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, RAW):
            try:
                _check(*self._known)
            except RAW as reason:
                raise reason from error
            rule, groups = self._known[:2]
            if isinstance(error, BARE) and rule.update.__module__.startswith("optimkit."):
                options = "; ".join(f"group {i}: {_numbers(g)}" for i, g in enumerate(groups))
                raise ValueError(
                    f"{rule.__name__} cannot compute with these options ({error}): {options}"
                ) from error


def _numbers(group: Group) -> str:
    names = (k for k, v in group.items() if type(v) in (int, float))
    return ", ".join(f"{name}={group[name]!r}" for name in names)


def _check(
    rule: type[Rule], groups: Sequence[Group], defaults: Mapping[str, Any], state: State
) -> None:
    """Raise if an option or a state is none that the rule can compute with."""
    names = iter(labels(groups))
    for group in groups:
        hyper = rule.check_group(group, defaults)
        for param in group["params"]:
            label, own = next(names), state.get(param)
            if own:
                array = array_of(param)
                with naming(rule.__name__, label):
                    _compare(own, rule.initial_state(adapter_of(array), array, hyper))


def _compare(own: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raise if a state lacks what its rule begins with, or has something else for a number."""
    if missing := [name for name in expected if name not in own]:
        raise KeyError(f"its state has no {', '.join(missing)}")
    for name, value in own.items():
        begun = expected.get(name, 0.0 if isinstance(value, str) else None)
        if isinstance(begun, Number) and not (isinstance(value, Number) or is_array(value)):
            raise TypeError(f"its state {name} is a {kind_of(value)}; a number is needed")


__all__ = ["explaining"]
