"""Curves, histograms and bars as SVG: inline, in the page's colours, without a script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from optimkit.validation.report.axes import Axis, Tick, drawable, number, shortened
from optimkit.validation.report.document import Bars, Curves, Histogram

WIDTH, HEIGHT = 420, 270
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 30, 46  # what is around the area of a chart
ROW = 40  # the height of a bar with its name, or of one histogram among many
COLORS = 6  # the page has so many; then they begin anew, dashed in another way
DASHES = ("", "7 4", "2 3", "10 3 2 3")
MOST_BESIDE = 3  # columns beside each other for one kind; more go below each other
MANY_POINTS = 30  # points of a line that are not marked one by one
CHARACTER = 7.2  # its width on average
LINE = 51  # characters of the largest size beside one another

Point = tuple[float, float]


def color(k: int) -> str:
    """The class of the k-th thing of a chart."""
    return f"c{k % COLORS}"


def dash(k: int) -> str:
    """How the k-th line is dashed, so that lines on top of each other are all seen."""
    pattern = DASHES[(k + k // COLORS) % len(DASHES)]
    return f' stroke-dasharray="{pattern}"' if pattern else ""


def swatch(k: int, line: bool) -> str:
    """A piece of the k-th line or column, to stand in a legend."""
    drawn = f'<path class="line {color(k)}" d="M1 6H25"{dash(k)}/>'
    if not line:
        drawn = f'<rect class="fill {color(k)}" x="7" y="0" width="12" height="12"/>'
    return f'<svg class="swatch" viewBox="0 0 26 12" aria-hidden="true">{drawn}</svg>'


def shown(chart: Curves) -> dict[str, list[Point | None]]:
    """The points of each line that can be drawn; None where one is left out."""
    return {
        name: [
            (x, y) if drawable(x, chart.log_x) and drawable(y, chart.log_y) else None
            for x, y in points
        ]
        for name, points in chart.lines.items()
    }


def curves(chart: Curves, words: str) -> str:
    """Draw lines; nothing if no point can be drawn. `words` says what is seen."""
    lines = shown(chart)
    points = [point for line in lines.values() for point in line if point]
    if not points:
        return ""
    across = Axis.over((x for x, _ in points), chart.log_x, LEFT, WIDTH - RIGHT)
    up = Axis.over((y for _, y in points), chart.log_y, HEIGHT - BOTTOM, TOP, snap=True)
    parts = [_upwards(chart.up, chart.log_y), _levels(up.ticks())]
    parts += [
        f'<path class="grid" d="M{tick.at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
        + _text(tick.at, HEIGHT - BOTTOM + 17, tick, "middle")
        for tick in across.ticks()
    ]
    parts.append(_across(chart.across, chart.log_x, HEIGHT - 6))
    for k, (name, line) in enumerate(lines.items()):
        places = [p and (across.at(p[0]), up.at(p[1])) for p in line]
        parts.append(f'<path class="line {color(k)}" d="{_path(places)}"{dash(k)}/>')
        alone = _alone(places)
        for i, (place, point) in enumerate(zip(places, line, strict=True)):
            if place and point and (len(points) <= MANY_POINTS * len(lines) or i in alone):
                said = f"{name}: {number(point[1])} at {number(point[0])}"
                parts.append(_dot(k, place, max(3.6 - 0.9 * k, 1.6), said))
    return _svg(HEIGHT, words, parts)


def _path(places: Sequence[Point | None]) -> str:
    """The line through places, broken where there is none; of those in one column the extremes."""
    parts: list[str] = []
    pen, column = "M", dict[int, list[Point]]()

    def put() -> None:
        nonlocal pen
        for inside in column.values():
            ends = {inside[0], min(inside, key=lambda p: p[1]), max(inside, key=lambda p: p[1])}
            for x, y in [p for p in dict.fromkeys(inside) if p in {*ends, inside[-1]}]:
                parts.append(f"{pen}{x:.1f} {y:.1f}")
                pen = "L"
        column.clear()
        pen = "M"

    for place in places:
        if place is None:
            put()
        else:
            column.setdefault(round(2 * place[0]), []).append(place)
    put()
    return "".join(parts)


def _alone(places: Sequence[Point | None]) -> set[int]:
    """Which places have no neighbour, so that no line would show them."""
    around = [None, *places, None]
    return {
        i - 1
        for i in range(1, len(around) - 1)
        if around[i] and not around[i - 1] and not around[i + 1]
    }


def histogram(chart: Histogram, words: str) -> str:
    """Draw columns for each kind: beside each other, or a row for each of many things."""
    counts = [n for group in chart.counts.values() for n in group.values()]
    if not any(counts):
        return ""
    if len(chart.counts) > MOST_BESIDE:
        return _histograms(chart, words)
    kinds = list(next(iter(chart.counts.values())))
    floor, log = HEIGHT - BOTTOM, logarithmic(chart)
    up = Axis.over([0.8 if log else 0, max(counts)], log, floor, TOP + 14, snap=not log)
    parts = [_upwards("how many", log), _levels(up.ticks())]
    room = (WIDTH - RIGHT - LEFT) / len(kinds)
    wide = 0.78 * room / len(chart.counts)
    labelled = max(len(brief(n)) for n in counts) * CHARACTER <= wide + 4
    for i, kind in enumerate(kinds):
        left = LEFT + room * (i + 0.11)
        parts.append(_kind(LEFT + room * (i + 0.5), floor + 17, kind, room))
        for k, (name, group) in enumerate(chart.counts.items()):
            if n := group.get(kind, 0):
                box = (left + k * wide, up.at(n), max(wide - 1, 1), floor - up.at(n))
                parts.append(_column(k, box, f"{name}, {kind}: {_share(n, group)}"))
                if labelled:
                    parts.append(_text(left + (k + 0.5) * wide, up.at(n) - 4, brief(n), "middle"))
    parts.append(f'<path class="axis" d="M{LEFT} {floor}H{WIDTH - RIGHT}"/>')
    parts.append(_across(chart.across, False, HEIGHT - 6))
    return _svg(HEIGHT, words, parts)


def logarithmic(chart: Histogram) -> bool:
    """Whether the smaller of the counts would not be seen on a plain axis."""
    some = [n for group in chart.counts.values() for n in group.values() if n]
    return bool(some) and max(some) > 30 * min(some)


def _histograms(chart: Histogram, words: str) -> str:
    """A row of columns for each thing, under its name, all on one scale."""
    kinds = list(next(iter(chart.counts.values())))
    room = (WIDTH - RIGHT - 4) / len(kinds)
    most = max(n for group in chart.counts.values() for n in group.values())
    low = 0.8 if logarithmic(chart) else 0
    parts = []
    for k, (name, group) in enumerate(chart.counts.items()):
        floor = (k + 1) * (ROW + 12)
        up = Axis.over([low, most], logarithmic(chart), floor, floor - ROW + 8)
        label = shortened(name, int(WIDTH / CHARACTER))
        parts.append(_text(4, floor - ROW + 1, label, "start", name))
        for i, kind in enumerate(kinds):
            if n := group.get(kind, 0):
                box = (4 + room * (i + 0.1), up.at(n), 0.8 * room, floor - up.at(n))
                parts.append(_column(0, box, f"{name}, {kind}: {_share(n, group)}"))
        parts.append(f'<path class="axis" d="M4 {floor}H{WIDTH - RIGHT}"/>')
    bottom = len(chart.counts) * (ROW + 12)
    for i, kind in enumerate(kinds):
        parts.append(_kind(4 + room * (i + 0.5), bottom + 17, kind, room))
    words_below = f"{chart.across}; heights are logarithmic" if low else chart.across
    parts.append(_across(words_below, False, bottom + 38))
    return _svg(bottom + 46, words, parts)


def _kind(x: float, y: float, kind: str, room: float) -> str:
    label = shortened(kind, max(3, int((room + 2) / CHARACTER * 1.2)))
    return f'<g class="small">{_text(x, y, label, "middle", kind)}</g>'


def _dot(k: int, place: Point, radius: float, said: str) -> str:
    return (
        f'<circle class="fill {color(k)}" cx="{place[0]:.1f}" cy="{place[1]:.1f}" '
        f'r="{radius:.1f}"><title>{escape(said)}</title></circle>'
    )


def _column(k: int, box: tuple[float, float, float, float], said: str) -> str:
    x, y, width, height = box
    return (
        f'<rect class="fill {color(k)}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}"><title>{escape(said)}</title></rect>'
    )


def _share(n: int, group: Mapping[str, int]) -> str:
    return f"{n:,} of {sum(group.values()):,}"


def brief(n: int) -> str:
    """A count in at most four characters."""
    for unit, letter in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if n >= unit:
            return f"{n / unit:.1f}{letter}" if n < 9.95 * unit else f"{n / unit:.0f}{letter}"
    return str(n)


def bars(chart: Bars, words: str) -> str:
    """Draw a bar for each thing under its name, its spread, and the line to hold it against.

    Where the numbers are of very different sizes the axis is logarithmic, and dots take the place
    of bars, whose lengths would say nothing.
    """
    held = [[*spread] for spread in chart.bars.values()]
    numbers = [x for spread in held for x in spread if drawable(x, False)]
    if not numbers:
        return ""
    numbers += [chart.line] if chart.line is not None else []
    log = min(numbers) > 0 and max(numbers) > 50 * min(numbers)
    left, right = 10, WIDTH - RIGHT
    axis = Axis.over(numbers if log else [0, *numbers], log, left, right, snap=True)
    zero = left if log else axis.at(0)
    bottom = len(chart.bars) * ROW + 6
    parts = [f'<path class="grid" d="M{t.at:.1f} 4V{bottom}"/>' for t in axis.ticks()]
    for k, (name, (low, middle, high)) in enumerate(chart.bars.items()):
        top = 4 + k * ROW
        said = f"{name}: {spread_text(low, middle, high)}"
        room = int(WIDTH / CHARACTER) - len(spread_text(low, middle, high)) - 2
        parts.append(_text(left, top + 12, shortened(name, max(room, 8)), "start", name))
        parts.append(_text(right, top + 12, spread_text(low, middle, high), "end"))
        if drawable(middle, log) and not log:
            x, wide = min(zero, axis.at(middle)), max(abs(axis.at(middle) - zero), 1)
            parts.append(_column(0, (x, top + 18, wide, 14), said))
        if drawable(low, log) and drawable(high, log) and low < high:
            x, y = axis.at(low), axis.at(high)
            ends = f"M{x:.1f} {top + 21}v8M{y:.1f} {top + 21}v8"
            drawn = f'd="M{x:.1f} {top + 25}H{y:.1f}{ends}"/>'
            parts.append(f'<path class="around" {drawn}<path class="whisker" {drawn}')
        if drawable(middle, log) and log:
            parts.append(_dot(0, (axis.at(middle), top + 25), 5, said))
        if chart.line is not None:
            parts.append(f'<path class="mark" d="M{axis.at(chart.line):.1f} {top + 16}v18"/>')
    parts += [_text(t.at, bottom + 16, t, "middle") for t in axis.ticks()]
    parts.append(_across(chart.across, log, bottom + 36))
    return _svg(bottom + 44, words, parts)


def spread_text(low: float, middle: float, high: float) -> str:
    """A number and its spread: 0.32 (0.3 to 0.35)."""
    same = low == middle == high or all(math.isnan(x) for x in (low, middle, high))
    return number(middle) if same else f"{number(middle)} ({number(low)} to {number(high)})"


def _upwards(words: str, log: bool) -> str:
    return _text(4, 14, f"{words} (logarithmic)" if log else words, "start")


def _across(words: str, log: bool, y: float) -> str:
    """What an axis shows; that it is logarithmic its powers of ten say where there is no room."""
    said = f"{words} (logarithmic)" if log else words
    said = said if len(said) <= LINE else shortened(words, LINE)
    return _text(WIDTH / 2, y, said, "middle", words)


def _levels(ticks: Sequence[Tick]) -> str:
    return "".join(
        f'<path class="grid" d="M{LEFT} {tick.at:.1f}H{WIDTH - RIGHT}"/>'
        + _text(LEFT - 6, tick.at + 4, tick, "end")
        for tick in ticks
    )


def _text(x: float, y: float, words: str | Tick, anchor: str, whole: str = "") -> str:
    """Words at a place; of a number its power of ten too, of what was shortened the whole."""
    label = words.label if isinstance(words, Tick) else words
    said = escape(label)
    if isinstance(words, Tick) and words.exponent:
        said += f'<tspan class="power" dy="-4">{escape(words.exponent)}</tspan>'
    if whole and whole != label:
        said = f"<title>{escape(whole)}</title>{said}"
    if anchor == "middle" and isinstance(words, Tick):
        x = min(max(x, 12), WIDTH - 12)
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{said}</text>'


def _svg(height: float, words: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(words)}">{"".join(parts)}</svg>'
    )
