"""A chart with all that stands around it: a caption, a legend, notes, and its numbers as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from optimkit.validation.report import charts
from optimkit.validation.report.axes import number, thinned
from optimkit.validation.report.document import Bars, Cell, Curves, Histogram, Tabular
from optimkit.validation.report.markup import notes, table

MOST_ROWS = 24  # of the numbers of curves that are shown as text


def figure(chart: Curves | Histogram | Bars) -> str:
    """Return a chart as HTML."""
    if isinstance(chart, Curves):
        drawn, legend, numbers = _curves(chart)
    elif isinstance(chart, Histogram):
        drawn, legend, numbers = _histogram(chart)
    else:
        drawn, legend, numbers = charts.bars(chart, _words_of_bars(chart)), "", _bars(chart)
    if not drawn:
        drawn = '<p class="aside">There is nothing to draw: no number has a place on the axes.</p>'
    return (
        f"<figure><figcaption>{escape(chart.title)}</figcaption>{drawn}{legend}"
        f"{notes(chart.notes)}<details><summary>The numbers</summary>{table(numbers)}</details>"
        "</figure>"
    )


def _legend(names: Iterable[tuple[str, str]], line: bool) -> str:
    items = "".join(
        f"<li>{charts.swatch(k, line)}<span>{escape(name)}{escape(remark)}</span></li>"
        for k, (name, remark) in enumerate(names)
    )
    return f'<ul class="legend">{items}</ul>'


def _curves(chart: Curves) -> tuple[str, str, Tabular]:
    lines = charts.shown(chart)
    remarks, words = [], [f"Lines of {chart.up} over {chart.across}."]
    for name, line in lines.items():
        points = [point for point in line if point]
        remarks.append((name, "" if points else f": {_why(chart.lines[name])}"))
        if points:
            (x, y), (last, end) = points[0], points[-1]
            words.append(f"{name}: {number(y)} at {number(x)}, {number(end)} at {number(last)}.")
    xs = sorted({x for points in chart.lines.values() for x, _ in points})
    values = {name: dict(points) for name, points in chart.lines.items()}
    rows: list[Sequence[str | Cell]] = [
        [number(xs[i]), *(number(at[xs[i]]) if xs[i] in at else "" for at in values.values())]
        for i in thinned(len(xs), MOST_ROWS)
    ]
    left_out = [f"{len(rows)} of {len(xs):,} points."] if len(rows) < len(xs) else []
    columns = [chart.across, *chart.lines]
    numbers = Tabular(chart.up, columns, rows, left_out, range(len(columns)))
    return charts.curves(chart, " ".join(words)), _legend(remarks, True), numbers


def _why(points: Sequence[tuple[float, float]]) -> str:
    """Why a line is not seen."""
    if not points:
        return "no points"
    return "0 throughout" if all(y == 0 for _, y in points) else "no points that can be drawn"


def _histogram(chart: Histogram) -> tuple[str, str, Tabular]:
    kinds = list(next(iter(chart.counts.values()), {}))
    rows: list[Sequence[str | Cell]] = [
        [kind, *(f"{group.get(kind, 0):,}" for group in chart.counts.values())] for kind in kinds
    ]
    columns = [chart.across, *chart.counts]
    numbers = Tabular(chart.across, columns, rows, (), range(1, len(columns)))
    words = [f"Columns over {chart.across}."]
    for name, group in chart.counts.items():
        if any(group.values()):
            most = max(group, key=lambda kind: group[kind])
            words.append(f"{name}: most, {group[most]:,}, at {most}.")
    beside = 1 < len(chart.counts) <= charts.MOST_BESIDE
    alone = len(chart.counts) == 1
    legend = _legend([(name, "") for name in chart.counts], False) if beside or alone else ""
    return charts.histogram(chart, " ".join(words)), legend, numbers


def _bars(chart: Bars) -> Tabular:
    rows: list[Sequence[str | Cell]] = [
        [name, *(number(x) for x in (middle, low, high))]
        for name, (low, middle, high) in chart.bars.items()
    ]
    return Tabular(chart.across, ["", chart.across, "low", "high"], rows, (), (1, 2, 3))


def _words_of_bars(chart: Bars) -> str:
    said = [f"Bars of {chart.across}."]
    said += [f"{name}: {charts.spread_text(*spread)}." for name, spread in chart.bars.items()]
    return " ".join(said)
