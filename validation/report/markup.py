"""Tables, paragraphs and code as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from optimkit.validation.report.document import Cell, Code, Tabular, plain


def table(tabular: Tabular, caption: str = "") -> str:
    """A table in a box of its own that scrolls where it is too wide; its notes below."""
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    head = "".join(
        f'<th scope="col"{_kind(i, tabular)}>{escape(column) or HIDDEN}</th>'
        for i, column in enumerate(tabular.columns)
    )
    rows = "".join(
        "<tr>" + "".join(_cell(i, cell, tabular) for i, cell in enumerate(row)) + "</tr>"
        for row in tabular.rows
    )
    if not rows:
        rows = f'<tr><td colspan="{max(len(tabular.columns), 1)}" class="aside">nothing</td></tr>'
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(tabular.title)}">'
        f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        + notes(tabular.notes)
    )


HIDDEN = '<span class="hidden">result</span>'


def _kind(i: int, tabular: Tabular, mood: str = "") -> str:
    names = " ".join(filter(None, ["number" if i in tabular.numbers else "", mood]))
    return f' class="{names}"' if names else ""


def _cell(i: int, cell: str | Cell, tabular: Tabular) -> str:
    mood = cell.mood if isinstance(cell, Cell) else ""
    tag, scope = ("th", ' scope="row"') if i == 0 else ("td", "")
    return f"<{tag}{scope}{_kind(i, tabular, mood)}>{escape(plain(cell))}</{tag}>"


def notes(lines: Sequence[str]) -> str:
    """Lines that stand below a table or a chart."""
    return "".join(f'<p class="note">{escape(line)}</p>' for line in lines)


def code(part: Code) -> str:
    """Lines that keep their spaces."""
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="code">'
        f"<pre><code>{escape(part.text)}</code></pre></div>"
    )
