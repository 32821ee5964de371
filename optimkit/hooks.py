"""Functions a user has asked to be called, and the handles that take them away again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Hook = Callable[..., Any]


class RemovableHandle:
    """Takes a hook away again: by `remove`, or at the end of a ``with``."""

    def __init__(self, hooks: Hooks, hook: Hook) -> None:
        self._hooks, self._hook = hooks, [hook]

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        self._hooks.discard(self._hook)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Hooks:
    """Hooks in the order in which they are called; one registered twice is called twice."""

    def __init__(self) -> None:
        self._cells: list[list[Hook]] = []

    def add(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        if not callable(hook):
            raise TypeError(f"a hook must be callable, not {hook!r}")
        handle = RemovableHandle(self, hook)
        self._cells.insert(0 if prepend else len(self._cells), handle._hook)
        return handle

    def discard(self, cell: list[Hook]) -> None:
        self._cells = [other for other in self._cells if other is not cell]

    def __iter__(self) -> Iterator[Hook]:
        return iter([cell[0] for cell in self._cells])

    def __bool__(self) -> bool:
        return bool(self._cells)
