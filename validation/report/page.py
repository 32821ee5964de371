"""A document as one HTML page that needs no other file, no network and no script."""

from __future__ import annotations

import re
from html import escape

from optimkit.validation.report.document import Code, Document, Section, Tabular
from optimkit.validation.report.figures import figure
from optimkit.validation.report.markup import code, table
from optimkit.validation.report.style import STYLE
from optimkit.validation.report.terminal import MARKS

MOST_FAILURES = 200
LONG, WIDE = 40, '<div class="wide">'  # a condition of more characters has a line of its own
HEAD = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
    # A browser that is told so loads nothing, whatever is in the page.
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
)


def page(document: Document) -> str:
    """Return a document as the text of a page.

    Parameters
    ----------
    document : Document

    Returns
    -------
    str
        HTML, to be written as UTF-8.
    """
    names = _names(document.sections)
    body = [f"<header><h1>{escape(document.title)}</h1>", _verdict(document), "</header>"]
    body.append(_conditions(document))
    if len(document.sections) > 1:
        body.append(_contents(document.sections, names))
    body.append("<main>")
    body += [
        _section(section, name) for section, name in zip(document.sections, names, strict=True)
    ]
    body.append("</main>")
    title = f"<title>{escape(document.title)}</title>"
    return f"{HEAD}{title}<style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"


def _verdict(document: Document) -> str:
    mark = MARKS.get(document.mood, "")
    parts = [f'<p class="verdict {document.mood}">{mark}{escape(document.verdict)}</p>']
    if document.failures:
        shown = document.failures[:MOST_FAILURES]
        lines = "".join(f"<li>{escape(failure)}</li>" for failure in shown)
        parts.append(f'<ul class="failures bad">{lines}</ul>')
    if len(document.failures) > MOST_FAILURES:
        parts.append(f'<p class="bad">and {len(document.failures) - MOST_FAILURES:,} more</p>')
    if document.unfinished:
        parts.append(f'<p class="doubt">{escape(document.unfinished)}</p>')
    return "".join(parts)


def _conditions(document: Document) -> str:
    items = "".join(
        (WIDE if len(value) > LONG else "<div>")
        + f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in document.conditions.items()
    )
    return f'<dl class="conditions">{items}</dl>' if items else ""


def _names(sections: list[Section]) -> list[str]:
    """What the sections are called in links, each otherwise."""
    names: list[str] = []
    for section in sections:
        name = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-") or "section"
        while name in names:
            name += "-again"
        names.append(name)
    return names


def _contents(sections: list[Section], names: list[str]) -> str:
    items = "".join(
        f'<li><a href="#{name}">{escape(section.title)}</a></li>'
        for section, name in zip(sections, names, strict=True)
    )
    return f'<nav aria-label="Contents"><ul>{items}</ul></nav>'


def _section(section: Section, name: str) -> str:
    parts, charts = [], list[str]()
    for part in section.parts:
        if isinstance(part, str | Code | Tabular):
            parts += [_beside(charts), _text(part, section.title)]
            charts = []
        else:
            charts.append(figure(part))
    parts.append(_beside(charts))
    return (
        f'<section aria-labelledby="{name}"><h2 id="{name}">{escape(section.title)}</h2>'
        f"{''.join(parts)}</section>"
    )


def _beside(charts: list[str]) -> str:
    """Charts that follow each other, as many in a row as there is room for."""
    return f'<div class="charts">{"".join(charts)}</div>' if charts else ""


def _text(part: str | Code | Tabular, heading: str) -> str:
    if isinstance(part, Tabular):
        return table(part, "" if part.title == heading else part.title)
    return code(part) if isinstance(part, Code) else f"<p>{escape(part)}</p>"
