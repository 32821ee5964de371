"""A document on a terminal, or in a file of plain text; charts are for pages alone."""

from __future__ import annotations

from typing import Any

from optimkit.validation.report.characters import spelled
from optimkit.validation.report.document import Cell, Code, Document, Mood, Tabular, plain

STYLES: dict[Mood, str] = {
    "": "",
    "good": "bold green",
    "bad": "bold red",
    "doubt": "yellow",
    "aside": "dim",
}
MARKS: dict[Mood, str] = {"good": "✓ ", "bad": "✗ ", "doubt": "? "}
MOST_FAILURES = 20
SHORT, LEAST_WIDTH = 8, 16  # characters of a text that is not broken, and of one that is
PLAIN_BOX = "    \n" * 2 + " -- \n" + "    \n" * 5  # a line below the head, in any characters


def console() -> Any:
    """Return a console on standard output, on which a reader who has read enough is an error."""
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Piped(highlight=False)


def show(document: Document, console: Any) -> None:
    """Print a document: what was found first, and what it comes to last, where it is read.

    Parameters
    ----------
    document : Document
    console : rich.console.Console
    """
    for section in document.sections:
        if section.page_only:
            continue
        if not any(isinstance(part, Tabular) and part.title for part in section.parts):
            line(console, section.title, "bold")
        for part in section.parts:
            if isinstance(part, Tabular):
                table(console, part)
            elif isinstance(part, Code):
                console.out(spelled(part.text, console.encoding), highlight=False)
            elif isinstance(part, str):
                line(console, part)
            else:
                continue
            console.print()
    conclude(document, console)


def conclude(document: Document, console: Any) -> None:
    """Print what failed, what is unfinished, and the verdict."""
    for failure in document.failures[:MOST_FAILURES]:
        marked(console, failure, "bad")
    if len(document.failures) > MOST_FAILURES:
        line(console, f"and {len(document.failures) - MOST_FAILURES:,} more", STYLES["bad"])
    if document.unfinished:
        line(console, document.unfinished, STYLES["doubt"])
    marked(console, document.verdict, document.mood)


def line(console: Any, text: str, style: str = "", indent: int = 0) -> None:
    """Print a text in one style, in the characters that the terminal has."""
    from rich.padding import Padding
    from rich.text import Text

    said = Text(spelled(text, console.encoding), style)
    console.print(Padding(said, (0, 0, 0, indent), expand=False) if indent else said)


def marked(console: Any, text: str, mood: Mood) -> None:
    """Print a text after the mark of its mood."""
    line(console, MARKS.get(mood, "") + text, STYLES[mood])


def table(console: Any, tabular: Tabular) -> None:
    """Print a table and its notes; one that is too wide in parts, so that no number is cut."""
    columns = [_Column(i, tabular, console.encoding) for i in range(len(tabular.columns))]
    if tabular.title:
        line(console, tabular.title, "bold")
    if not tabular.rows:
        line(console, "nothing", STYLES["aside"])
    else:
        for k, group in enumerate(_that_fit(columns, console.width)):
            if k:
                console.print()
            console.print(_rich(console, group))
    for note in tabular.notes:
        line(console, note, STYLES["aside"])


class _Column:
    """A column of a table, in the characters that a terminal has."""

    def __init__(self, place: int, tabular: Tabular, encoding: str) -> None:
        cells = [row[place] for row in tabular.rows]
        self.head = spelled(tabular.columns[place], encoding)
        self.texts = [spelled(plain(cell), encoding) for cell in cells]
        self.styles = [STYLES[x.mood] if isinstance(x, Cell) else "" for x in cells]
        self.number = place in tabular.numbers
        longest = max(map(len, self.texts), default=0)
        # Names, numbers and marks are not broken.
        self.whole = place == 0 or self.number or longest <= SHORT
        if self.whole and len(self.head) > longest:
            self.head = self.head.replace(" ", "\n")
        head = max(map(len, self.head.split("\n")))
        self.least = max(longest, head) if self.whole else min(longest, LEAST_WIDTH)


def _that_fit(columns: list[_Column], width: int) -> list[list[_Column]]:
    """The columns, and in other rows below those for which there is no room, after the first."""
    first, *others = columns
    groups = [[first]]
    for column in others:
        group = groups[-1]
        if len(group) > 1 and sum(x.least + 2 for x in [*group, column]) - 2 > width:
            groups.append([first])
        groups[-1].append(column)
    return groups


def _rich(console: Any, columns: list[_Column]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    plainly = spelled("─", console.encoding) != "─"
    made = Table(
        box=box.Box(PLAIN_BOX, ascii=True) if plainly else box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        made.add_column(
            Text(column.head),
            justify="right" if column.number else "left",
            overflow="fold",
            no_wrap=column.whole and column.least <= console.width // 2,
        )
    for texts, styles in zip(
        zip(*(column.texts for column in columns), strict=True),
        zip(*(column.styles for column in columns), strict=True),
        strict=True,
    ):
        made.add_row(*map(Text, texts, styles))
    return made
