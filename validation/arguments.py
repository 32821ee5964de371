"""Arguments that more than one command takes, checked before any work is done."""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Callable, Iterable
from pathlib import Path


class Refusal(Exception):
    """Why a command does nothing, and its exit status."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


def suggestion(name: str, known: Iterable[str], otherwise: str) -> str:
    """What was meant by a name that is not known, in any case; or else what `otherwise` says."""
    by_lower = {key.lower(): key for key in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(by_lower[key] for key in close)}?" if close else otherwise


def one_of(kind: str, known: Iterable[str]) -> Callable[[str], str]:
    """A type of argument: one of these names, in any case."""
    names = list(known)
    by_lower = {name.lower(): name for name in names}

    def read(text: str) -> str:
        if text.lower() not in by_lower:
            hint = suggestion(text, names, f"there are {', '.join(names)}")
            raise argparse.ArgumentTypeError(f"no {kind} is called {text!r}; {hint}")
        return text if text in names else by_lower[text.lower()]

    return read


def positive(text: str) -> int:
    """A type of argument: a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def new_file(text: str) -> Path:
    """A type of argument: a file that can be written."""
    path = Path(text)
    try:
        why = _why_not(path) if text else "the name of a file is missing"
    except (OSError, ValueError) as error:  # a name that is too long, or has a zero in it
        why = f"{getattr(error, 'strerror', None) or error}: {shorter(text)!r}"
    if why:
        raise argparse.ArgumentTypeError(why)
    return path


def _why_not(path: Path) -> str:
    """Why a file cannot be written; empty if it can be."""
    if "\0" in str(path):
        raise ValueError("null character in the name of a file")
    if path.is_dir():
        return f"{path} is a folder"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent} to write {path} into"
    exists = path.exists()
    if exists and not os.access(path, os.W_OK):
        return f"{path} may not be written"
    if (path.is_file() or not exists) and not os.access(path.parent, os.W_OK):
        return f"nothing may be written into the folder {path.parent}"
    return ""


def shorter(text: str, most: int = 60) -> str:
    """A text that fits into a line."""
    return text if len(text) <= most else f"{text[:most]}..."


def _page_file(text: str) -> Path:
    if not text.lower().endswith((".html", ".htm")):
        name = f"{text.rpartition('.')[0] or text}.html"
        raise argparse.ArgumentTypeError(f"the name of a page ends in .html, such as {name}")
    return new_file(text)


def _json_file(text: str) -> Path:
    if text.lower().endswith((".html", ".htm")):
        raise argparse.ArgumentTypeError(f"{text} is the name of a page; --report writes one")
    return new_file(text)


def add_json(parser: argparse.ArgumentParser, what: str = "what was found") -> None:
    """Declare ``--json``."""
    parser.add_argument(
        "--json", type=_json_file, metavar="FILE", help=f"write {what} for machines"
    )


def add_files(parser: argparse.ArgumentParser) -> None:
    """Declare ``--json`` and ``--report``, which `delivery.deliver` writes."""
    add_json(parser)
    parser.add_argument(
        "--report", type=_page_file, metavar="FILE.html", help="write a page with tables and charts"
    )
