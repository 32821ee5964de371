"""A document: what a command found, before anything is said of how it looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Mood = Literal["", "good", "bad", "doubt", "aside"]


@dataclass(frozen=True)
class Cell:
    """Text of a table, and in what mood it is said."""

    text: str
    mood: Mood = ""


def plain(cell: str | Cell) -> str:
    """The text of a table's cell."""
    return cell.text if isinstance(cell, Cell) else cell


@dataclass
class Tabular:
    """Columns and rows, and lines that stand below.

    Attributes
    ----------
    title : str
    columns : sequence of str
    rows : list of sequence of (str or Cell)
    notes : sequence of str
    numbers : sequence of int
        Which columns are of numbers, and are set to the right.
    """

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str | Cell]]
    notes: Sequence[str] = ()
    numbers: Sequence[int] = ()


@dataclass
class Curves:
    """Lines over a number, such as how far two runs drift apart over the steps.

    Attributes
    ----------
    title, across, up : str
        What it shows, and what is on the two axes, with units.
    lines : mapping of str to a sequence of (x, y)
        Points that are not finite, or not positive on a logarithmic axis, are left out.
    log_x, log_y : bool
    notes : sequence of str
    """

    title: str
    across: str
    up: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    log_x: bool = False
    log_y: bool = False
    notes: Sequence[str] = ()


@dataclass
class Histogram:
    """How many values there are of each kind, such as of each distance in ULP.

    Attributes
    ----------
    title, across : str
        What is counted, and what the kinds are.
    counts : mapping of str to mapping of str to int
        For each of the things that are held beside each other, the number of each kind; all have
        the same kinds, in the same order.
    notes : sequence of str
    """

    title: str
    across: str
    counts: Mapping[str, Mapping[str, int]]
    notes: Sequence[str] = ()


@dataclass
class Bars:
    """A number for each of several things, such as the time of a step relative to another's.

    Attributes
    ----------
    title, across : str
        What it shows, and what the numbers are, with units.
    bars : mapping of str to (low, middle, high)
        The number, between the ends of its spread.
    line : float, optional
        A number to hold them against, such as 1 for as fast.
    notes : sequence of str
    """

    title: str
    across: str
    bars: Mapping[str, tuple[float, float, float]]
    line: float | None = None
    notes: Sequence[str] = ()


@dataclass
class Code:
    """Lines of text that keep their spaces: a rule, a change of it, a command."""

    text: str


Part = str | Tabular | Curves | Histogram | Bars | Code


@dataclass
class Section:
    """A heading and what stands under it; a `str` is a paragraph.

    Attributes
    ----------
    title : str
    parts : list of Part
    page_only : bool
        Whether it is a detail that a terminal leaves out.
    """

    title: str
    parts: list[Part] = field(default_factory=list)
    page_only: bool = False


@dataclass
class Document:
    """What a command found.

    Attributes
    ----------
    title : str
    verdict : str
        One sentence.
    mood : str
        ``"good"``, ``"bad"`` or ``"doubt"``.
    failures : list of str
        What did not hold, a line each.
    unfinished : str
        What was not done because someone interrupted it; empty if all was done.
    conditions : mapping of str to str
        Date, command, versions, processor, device, threads: `conditions.here` has those of every
        document.
    sections : list of Section
    """

    title: str
    verdict: str
    mood: Mood
    failures: list[str] = field(default_factory=list)
    unfinished: str = ""
    conditions: Mapping[str, str] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)
