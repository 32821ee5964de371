"""What an optimizer remembers of each parameter."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any


class State(MutableMapping[Any, dict[str, Any]]):
    """A mapping from parameters to their state, by identity: arrays need not be hashable.

    A parameter without state has an empty dict, made when first asked for.
    """

    def __init__(self) -> None:
        self._entries: dict[int, tuple[Any, dict[str, Any]]] = {}
        self.version = 0  # moves whenever a parameter gets another dict

    def __getitem__(self, param: Any) -> dict[str, Any]:
        entry = self._entries.get(id(param))
        if entry is None:
            self[param] = {}
            entry = self._entries[id(param)]
        return entry[1]

    def get(self, param: Any, default: Any = None) -> Any:
        """Return the state of `param`, or `default` without making it one."""
        entry = self._entries.get(id(param))
        return default if entry is None else entry[1]

    def __setitem__(self, param: Any, state: dict[str, Any]) -> None:
        self._entries[id(param)] = (param, state)
        self.version += 1

    def __delitem__(self, param: Any) -> None:
        if self._entries.pop(id(param), None) is None:
            raise KeyError("no state of this parameter")
        self.version += 1

    def replace(self, entries: list[tuple[Any, dict[str, Any]]]) -> None:
        """Hold these states alone, each in the dict that its parameter has had."""
        kept = self._entries
        self._entries = {}
        for param, state in entries:
            _, own = kept.get(id(param), (param, {}))
            own.clear()
            own.update(state)
            self[param] = own
        self.version += 1

    def __contains__(self, param: object) -> bool:
        return id(param) in self._entries

    def __iter__(self) -> Iterator[Any]:
        return iter([param for param, _ in self._entries.values()])

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"State({[state for _, state in self._entries.values()]!r})"

    def __getstate__(self) -> list[tuple[Any, dict[str, Any]]]:
        return list(self._entries.values())

    def __setstate__(self, entries: list[tuple[Any, dict[str, Any]]]) -> None:
        self._entries, self.version = {}, 0
        for param, state in entries:
            self[param] = state
