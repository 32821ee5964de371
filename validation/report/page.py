"""The findings as one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from optimkit.validation.parity import overview

if TYPE_CHECKING:
    from optimkit.validation.parity.validate import Findings

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .25em .8em; text-align: left }
th, tr { border-bottom: 1px solid #ddd } .note { color: #666; font-size: 13px; margin: .2em 0 }
.good { color: #080 } .bad { color: #b00 } figure { display: inline-block; margin: 0 1em 1em 0 }
"""
COLORS = ("#d95f02", "#1b6ca8")
WIDTH, HEIGHT, MARGIN = 380, 230, 42


def page(found: Findings) -> str:
    """Return the page."""
    verdict = "Everything held" if found.held else f"{len(found.failures)} checks failed"
    kind = "good" if found.held else "bad"
    parts = [f"<h1>optimkit against PyTorch</h1><p class={kind}><b>{verdict}</b></p>"]
    parts += [f"<p class=bad>{escape(failure)}</p>" for failure in found.failures[:50]]
    parts += [_table(table) for table in overview.build(found)]
    if found.curves:
        parts.append("<h2>Handwritten digits: mean loss of each epoch</h2>")
    for name, (own, reference) in found.curves.items():
        theirs = "torch, torch.optim" + ("" if found.live else " (recorded)")
        lines = {theirs: reference["loss"], "NumPy, optimkit": own.loss}
        parts.append(f"<figure>{chart(name, lines)}</figure>")
    here = ", ".join(f"{key} {value}" for key, value in found.own.items())
    parts.append(f"<p class=note>{escape(here)}</p>")
    head = f"<meta charset=utf-8><title>optimkit validate</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _table(table: overview.Overview) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    notes = "".join(f"<p class=note>{escape(note)}</p>" for note in table.notes)
    return f"<h2>{escape(table.title)}</h2><table><tr>{head}</tr>{rows}</table>{notes}"


def chart(title: str, lines: Mapping[str, Sequence[float]]) -> str:
    """Draw lines over the number of the epoch as SVG; the last is dashed, to show both."""
    top = max(max(values) for values in lines.values())
    count = max(len(values) for values in lines.values())

    def x(i: float) -> float:
        return MARGIN + i * (WIDTH - 2 * MARGIN) / max(count - 1, 1)

    def y(value: float) -> float:
        return HEIGHT - MARGIN - value / top * (HEIGHT - 2 * MARGIN)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="11"><title>{escape(title)}</title>',
        f'<text x="{WIDTH / 2}" y="16" text-anchor="middle" font-size="13">{escape(title)}</text>',
    ]
    parts += [
        f'<path d="M{MARGIN} {y(value):.1f}H{WIDTH - MARGIN}" stroke="#ddd"/>'
        f'<text x="{MARGIN - 5}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.2g}</text>'
        for value in (0, top / 2, top)
    ]
    parts += [
        f'<text x="{x(i):.1f}" y="{HEIGHT - MARGIN + 16}" text-anchor="middle">{i + 1}</text>'
        for i in (0, count - 1)
    ]
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">epoch</text>')
    for k, (name, values) in enumerate(lines.items()):
        points = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in enumerate(values))
        dash = ' stroke-dasharray="6 5"' if k else ""
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{COLORS[k % 2]}" '
            f'stroke-width="2.5"{dash}/>'
            f'<text x="{WIDTH - MARGIN}" y="{40 + 15 * k}" text-anchor="end" '
            f'fill="{COLORS[k % 2]}">{escape(name)}</text>'
        )
    return "".join(parts) + "</svg>"
