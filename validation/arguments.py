"""Arguments that more than one command takes, checked before any work is done."""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Callable, Iterable
from pathlib import Path


def suggestion(name: str, known: Iterable[str], otherwise: str) -> str:
    """What was meant by a name that is not known, in any case; or else what `otherwise` says."""
    by_lower = {key.lower(): key for key in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(by_lower[key] for key in close)}?" if close else otherwise


def one_of(kind: str, known: Iterable[str]) -> Callable[[str], str]:
    """A type of argument: one of these names."""
    names = list(known)

    def read(text: str) -> str:
        if text not in names:
            hint = suggestion(text, names, f"there are {', '.join(names)}")
            raise argparse.ArgumentTypeError(f"no {kind} is called {text!r}; {hint}")
        return text

    return read


def positive(text: str) -> int:
    """A type of argument: a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def new_file(text: str) -> Path:
    """A type of argument: a file that can be written."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent} to write {text} into")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text} may not be written")
    return path
