"""What an optimizer remembers of each parameter."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from reprlib import repr as short
from typing import Any


class State(MutableMapping[Any, dict[str, Any]]):
    """A mapping from parameters to their state, by identity: arrays need not be hashable.

    A parameter without state has an empty dict, made when first asked for. What is no parameter
    may be a key as in any dict.
    """

    def __init__(self, entries: Mapping[Any, dict[str, Any]] | None = None) -> None:
        self.__setstate__([] if entries is None else entries.items())

    def __getitem__(self, param: Any) -> dict[str, Any]:
        entry = self._entries.get(_key(param))
        if entry is None:
            if not hasattr(param, "shape"):
                raise KeyError(param)
            entry = param, {}
            self[param] = entry[1]
        return entry[1]

    def get(self, param: Any, default: Any = None) -> Any:
        """Return the state of `param`, or `default` without making it one."""
        entry = self._entries.get(_key(param))
        return default if entry is None else entry[1]

    def __setitem__(self, param: Any, state: dict[str, Any]) -> None:
        self._entries[_key(param)] = (param, state)
        self.version = object()

    def __delitem__(self, param: Any) -> None:
        if self._entries.pop(_key(param), None) is None:
            raise KeyError("no state of this parameter")
        self.version = object()

    def replace(self, entries: list[tuple[Any, dict[str, Any]]]) -> None:
        """Hold these states alone, each in the dict that its parameter has had."""
        kept = self._entries
        self.__setstate__(())
        for param, state in entries:
            _, own = kept.get(_key(param), (param, {}))
            own.clear()
            own.update(state)
            self[param] = own

    def __contains__(self, param: object) -> bool:
        return _key(param) in self._entries

    def __iter__(self) -> Iterator[Any]:
        return iter([param for param, _ in self._entries.values()])

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"State({[state for _, state in self._entries.values()]!r})"

    def __reduce__(self) -> Any:
        return type(self), (), list(self._entries.values())

    def __setstate__(self, entries: Iterable[tuple[Any, dict[str, Any]]]) -> None:
        self._entries: dict[Any, tuple[Any, dict[str, Any]]] = {}
        self.version = object()  # another one whenever a parameter gets another dict
        for param, state in entries:
            self[param] = state


def _key(param: Any) -> Any:
    """What a parameter is found by; not the number that a user may have for a key."""
    return id(param) if hasattr(param, "shape") else (param,)


def step_count(value: Any) -> int:
    """Return a step count as an int; ValueError if it is none."""
    try:
        count = int(value)
        if count == value and 0 <= count <= sys.float_info.max:
            return count
    except (OverflowError, TypeError, ValueError):
        pass
    raise ValueError(f"{short(value)} is no count, which is a whole number from 0 on")
