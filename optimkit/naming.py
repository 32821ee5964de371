"""Errors that say which parameter they are about."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType

KINDS = (TypeError, ValueError, RuntimeError, KeyError)


def kind_of(x: object) -> str:
    """What errors call the type of an object."""
    return f"{type(x).__module__}.{type(x).__qualname__}"


def other_names(found: Iterable[str], wanted: Iterable[str]) -> str:
    """What errors say of names that are not those wanted."""
    found, wanted = set(map(str, found)), set(map(str, wanted))
    unknown, missing = sorted(found - wanted), sorted(wanted - found)
    sorts = ("unknown", unknown), ("missing", missing)
    return ", ".join(f"{sort}: {names}" for sort, names in sorts if names)


class naming:  # it reads as a statement: with naming("Adam", label):
    """Puts names before the message of a TypeError, ValueError, RuntimeError or KeyError.

    Parameters
    ----------
    *names : str or callable
        What comes before the message; a callable is only asked where there is an error.
    """

    __slots__ = ("_names",)

    def __init__(self, *names: str | Callable[[], str]) -> None:
        self._names = names

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None and issubclass(kind, KINDS):
            names = [name() if callable(name) else name for name in self._names]
            message = error.args[0] if isinstance(error, KeyError) and error.args else error
            raise kind(": ".join([*names, str(message)])) from None
