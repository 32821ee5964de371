"""What a command found, written to its files and shown; and the exit status that says it."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from optimkit.replacing import replacing
from optimkit.validation.arguments import Refusal
from optimkit.validation.interruption import STATUS
from optimkit.validation.report.document import Document
from optimkit.validation.report.page import page
from optimkit.validation.report.terminal import line


def deliver(
    arguments: argparse.Namespace,
    document: Document,
    facts: Mapping[str, Any],
    console: Any,
    show: Callable[[Document, Any], None],
) -> int:
    """Write ``--json`` and ``--report``, then show the document.

    The files come first: whoever reads the terminal through a pipe may stop reading.

    Parameters
    ----------
    arguments : argparse.Namespace
        With ``json`` and ``report``, as `arguments.add_files` declares them.
    document : Document
    facts : mapping
        The same for machines; that it was interrupted is added.
    console : rich.console.Console
    show : callable
        Shows a document on a console, such as `terminal.show`.

    Returns
    -------
    int
        130 if the work was interrupted, 1 if something did not hold, else 0.

    Raises
    ------
    Refusal
        If a file could not be written; what was found has been shown by then.
    """
    said, problems = [], []
    if arguments.json:
        whole = {**facts, "interrupted": bool(document.unfinished)}
        problems.append(_written(arguments.json, as_json(whole)))
    if arguments.report:
        problems.append(_written(arguments.report, page(document)))
        said = [] if problems[-1] else [f"The report is in {arguments.report}"]
    show(document, console)
    for text in said:
        line(console, text)
    for problem in filter(None, problems):
        raise Refusal(problem)
    if document.unfinished:
        return STATUS
    return 1 if document.mood == "bad" else 0


def as_json(facts: Any) -> str:
    """JSON, with words in place of infinities and NaN, which it does not have."""
    return json.dumps(_finite(facts), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(x: Any) -> Any:
    if isinstance(x, Mapping):
        return {str(key): _finite(value) for key, value in x.items()}
    if isinstance(x, list | tuple):
        return [_finite(value) for value in x]
    return str(x) if isinstance(x, float) and not math.isfinite(x) else x


def write(path: Path, text: str) -> None:
    """Write a text as UTF-8: the file is the old one or the new one, never a part of it.

    Raises
    ------
    Refusal
        If it cannot be written.
    """
    problem = _written(path, text)
    if problem:
        raise Refusal(problem)


def _written(path: Path, text: str) -> str:
    """Write a file; why that could not be done, or nothing."""
    encoded = text.encode("utf-8", "backslashreplace")
    try:
        if path.exists() and not path.is_file():  # a pipe or a device, which nothing replaces
            path.write_bytes(encoded)
        else:
            with replacing(path) as new:
                Path(new).write_bytes(encoded)
    except OSError as error:
        return f"{path} could not be written: {error.strerror or error}"
    return ""
