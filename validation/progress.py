"""A progress bar, where a person is watching."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")


def progress(console: Any, items: Sequence[tuple[str, Item]]) -> Iterator[tuple[str, Item]]:
    """Yield the named items one by one, showing on a terminal which one is being worked on."""
    if not console.is_terminal:
        yield from items
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=len(items))
        for name, item in items:
            bar.update(task, description=name)
            yield name, item
            bar.advance(task)
