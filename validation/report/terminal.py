"""A document on a terminal, or in a file of plain text; charts are for pages alone."""

from __future__ import annotations

from collections.abc import Sequence
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
    """Print a table and its notes."""
    if tabular.rows:
        console.print(_rich(console, tabular))
    else:
        line(console, tabular.title, "bold")
        line(console, "nothing", STYLES["aside"])
    for note in tabular.notes:
        line(console, note, STYLES["aside"])


def _rich(console: Any, tabular: Tabular) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    def said(cell: str | Cell) -> str:
        return spelled(plain(cell), console.encoding)

    plainly = spelled("─", console.encoding) != "─"
    made = Table(
        title=Text(said(tabular.title)) if tabular.title else None,
        title_justify="left",
        title_style="bold",
        box=box.Box(PLAIN_BOX, ascii=True) if plainly else box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for i, column in enumerate(tabular.columns):
        texts = [plain(row[i]) for row in tabular.rows]
        whole = i == 0 or i in tabular.numbers or _marks(texts)  # these are not broken
        wide = max(map(len, texts), default=0)
        made.add_column(
            Text(said(column).replace(" ", "\n") if whole and len(column) > wide else said(column)),
            justify="right" if i in tabular.numbers else "left",
            overflow="fold",
            no_wrap=whole,
        )
    for row in tabular.rows:
        made.add_row(*(Text(said(x), STYLES[x.mood] if isinstance(x, Cell) else "") for x in row))
    return made


def _marks(texts: Sequence[str]) -> bool:
    return all(len(text) <= 2 for text in texts)
