"""How a comparison looks on a terminal: the answer first, then why, then the numbers."""

from __future__ import annotations

from typing import Any

from optimkit.validation.comparison import document as words
from optimkit.validation.comparison.outcome import Outcome
from optimkit.validation.report.document import Code
from optimkit.validation.report.terminal import STYLES, line, table

DIFF = {"-": "red", "+": "green"}


def show(console: Any, result: Outcome, name: str, unfinished: str = "") -> None:
    """Print a comparison."""
    line(console, f"{name}  held against {result.optimizer}", "bold")
    line(console, words.asked(result), "dim")
    for remark in words.remarks(result):
        line(console, remark, STYLES["doubt"])
    console.print()
    said, mood = words.headline(result)
    line(console, said, STYLES[mood])
    for part in words.explained(result):
        if isinstance(part, Code):
            for text in part.text.split("\n"):
                line(console, text, DIFF.get(text[0], "dim"), indent=2)
        else:
            line(console, str(part), indent=2)
    console.print()
    table(console, words.tried(result))
    if off := words.branched(result):
        console.print()
        line(console, "Options that are off", "bold")
        for text in off:
            line(console, text, STYLES["aside"])
    first = words.differing(result)
    if first is not None:
        console.print()
        table(console, words.differences(first))
    if unfinished:
        console.print()
        line(console, unfinished, STYLES["doubt"])
