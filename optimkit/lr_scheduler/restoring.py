"""What schedulers and groups hold, given back where a step of several fails half way."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .groups import write_lr


def members(scheduler: Any) -> list[Any]:
    """Return all schedulers that are in one."""
    inner = getattr(scheduler, "_schedulers", ())
    return [member for each in inner for member in (each, *members(each))]


def snapshot(scheduler: Any, family: list[Any]) -> Any:
    """Return what a scheduler, all in it (its `family`) and the groups hold, for `put_back`."""
    attributes = [(vars(member), vars(member).copy()) for member in (scheduler, *family)]
    groups = [
        (group, group.copy(), _content(group["lr"])) for group in scheduler.optimizer.param_groups
    ]
    return attributes, groups


def put_back(taken: Any) -> None:
    """Give everything back what it held at a `snapshot`."""
    attributes, groups = taken
    for now, before in attributes:
        now.clear()
        now.update(before)
    for group, entries, rate in groups:
        group.clear()
        group.update(entries)
        if rate is not None:
            write_lr(group, rate)


@contextmanager
def restored_on_error(scheduler: Any) -> Iterator[None]:
    """Give a scheduler, all in it, and the groups back what they held if the block raises."""
    taken = snapshot(scheduler, members(scheduler))
    try:
        yield
    except BaseException:
        put_back(taken)
        raise


def _content(value: Any) -> float | None:
    """Return the number that a tensor holds, which a step fills in place."""
    if type(value) is float or not hasattr(value, "fill_"):
        return None
    return float(value.item()) if value.ndim == 0 else None
