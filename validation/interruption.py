"""Ctrl-C, as a person means it: stop, and show what there is."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

STATUS = 130  # of a command that was interrupted, as shells have it
MOST_NAMES = 12


class Interruptible:
    """A block that Ctrl-C ends without an error, so that what follows can show what was found.

    Attributes
    ----------
    interrupted : bool

    Examples
    --------
    >>> from optimkit.validation.interruption import Interruptible
    >>> with Interruptible() as work:
    ...     raise KeyboardInterrupt
    >>> work.interrupted
    True
    """

    def __init__(self) -> None:
        self.interrupted = False

    def __enter__(self) -> Interruptible:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> bool:
        self.interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        return self.interrupted


def unfinished(left: Sequence[str]) -> str:
    """What a document says of work that was interrupted.

    Parameters
    ----------
    left : sequence of str
        What is missing, by name; a name that comes again is said once.
    """
    names = [*dict.fromkeys(left)]
    named = ", ".join(names[:MOST_NAMES])
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return f"Interrupted: this is a part. Not done: {named}{more}."


@contextmanager
def shielded() -> Iterator[None]:
    """Start processes in this block, and Ctrl-C will not reach them: this one will end them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def quiet_end() -> None:
    """Let the process end without a word about what it can no longer print."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(nowhere, stream.fileno())
        except (AttributeError, OSError, ValueError):  # no file, or closed
            continue
