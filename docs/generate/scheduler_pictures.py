"""Curves of schedulers as drawings that take the colours of the page."""

from __future__ import annotations

import html
from collections.abc import Mapping

Curves = Mapping[str, list[float]]  # from what the legend says to the values by step

LEFT, RIGHT, TOP, BOTTOM = 44, 10, 10, 34  # room around the panel


def nice(high: float) -> float:
    """The next round number above: 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0**-20
    while power * 10 < high:
        power *= 10
    return next(n * power for n in (1, 2, 2.5, 5, 10) if n * power >= high * (1 - 1e-9))


def points(values: list[float], last: float, low: float, high: float, box: tuple[int, int]) -> str:
    """The points of a line in a box."""
    width, height = box
    span = high - low or 1.0
    places = [
        (width * t / last, height * (1 - (value - low) / span)) for t, value in enumerate(values)
    ]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def drawing(curves: Curves, title: str, momenta: bool = False) -> str:
    """A panel with axes and a line for each curve, and the legend below it."""
    width, height = 460, 190
    last = nice(max(len(values) for values in curves.values()) - 1)
    every = [value for values in curves.values() for value in values]
    low, high = (min(every), max(every)) if momenta else (0.0, nice(max(every)))
    box = width - LEFT - RIGHT, height - TOP - BOTTOM
    parts = [f'<svg class="curve" viewBox="0 0 {width} {height}" role="img">']
    parts.append(f"<title>{html.escape(title)}</title>")
    parts.append(f'<g transform="translate({LEFT} {TOP})">')
    for k in range(5):
        y, value = box[1] * (1 - k / 4), low + (high - low) * k / 4
        parts.append(f'<path class="grid" d="M0 {y:.1f}H{box[0]}"/>')
        parts.append(f'<text x="-8" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for k in range(5):
        x, step = box[0] * k / 4, last * k / 4
        parts.append(f'<text x="{x:.1f}" y="{box[1] + 18}" text-anchor="middle">{step:g}</text>')
    parts.append(f'<path class="axis" d="M0 0V{box[1]}H{box[0]}"/>')
    for i, values in enumerate(curves.values()):
        line = points(values, last, low, high, box)
        parts.append(f'<polyline class="line c{i % 5}" points="{line}"/>')
    parts.append(f'<text x="{box[0]}" y="{box[1] + 32}" text-anchor="end">step</text></g></svg>')
    legend = "".join(
        f'<span><i class="c{i % 5}"></i><code>{html.escape(label)}</code></span>'
        for i, label in enumerate(curves)
    )
    return "".join(parts) + f'<div class="legend">{legend}</div>'


def small(lrs: list[float], momenta: list[float], top: float) -> str:
    """A panel without numbers, all of one scale; momentum, from 0 to 1, is dashed."""
    box = 200, 90
    lines = [f'<polyline class="line c0" points="{points(lrs, 100, 0.0, top, box)}"/>']
    if momenta:
        dashed = points(momenta, 100, 0.0, 1.0, box)
        lines.append(f'<polyline class="line c1 momentum" points="{dashed}"/>')
    return (
        f'<svg class="curve" viewBox="-2 -2 {box[0] + 4} {box[1] + 4}" aria-hidden="true">'
        f'<path class="axis" d="M0 0V{box[1]}H{box[0]}"/>{"".join(lines)}</svg>'
    )
