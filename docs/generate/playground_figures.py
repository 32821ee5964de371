"""Pictures of landscapes and of the ways over them, as SVG that follows light and dark."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from html import escape

import numpy as np

from generate.playground_problems import Landscape

WIDTH, HEIGHT, LOSS_HEIGHT = 400, 300, 80
LEVELS = 10


def place(landscape: Landscape, x: float, y: float) -> tuple[float, float]:
    """From the landscape to the picture."""
    left, right, bottom, top = landscape.window
    return (x - left) / (right - left) * WIDTH, (top - y) / (top - bottom) * HEIGHT


@functools.cache
def contours(landscape: Landscape) -> str:
    """The lines of equal value, dense where the value is low: the path of an SVG."""
    from contourpy import contour_generator

    left, right, bottom, top = landscape.window
    x, y = np.linspace(left, right, 121), np.linspace(bottom, top, 91)
    z = landscape.at(*np.meshgrid(x, y)) - landscape.lowest
    low, high = np.quantile(z, (0.015, 0.97))
    generator = contour_generator(x, y, z)
    parts = []
    for level in np.geomspace(low, high, LEVELS):
        for line in generator.lines(level):
            points = [place(landscape, *point) for point in line]
            parts.append("M" + " ".join(f"{px:.0f} {py:.0f}" for px, py in _thinned(points)))
    return "".join(parts)


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Without points that lie within a pixel and a half of the one before."""
    kept = [points[0]]
    for point in points[1:]:
        if math.dist(point, kept[-1]) > 1.5:
            kept.append(point)
    return [*kept, points[-1]]


def trail(landscape: Landscape, points: Sequence[Sequence[float]]) -> str:
    """The path through points; it ends where they leave the picture for good or are no numbers."""
    parts = []
    for x, y in points:
        px, py = place(landscape, x, y)
        if not (abs(px) < 10 * WIDTH and abs(py) < 10 * WIDTH):
            break
        parts.append(f"{px:.1f} {py:.1f}")
    return "M" + "L".join(parts) if parts else ""


def loss_trail(losses: Sequence[float], lowest: float, span: tuple[float, float]) -> str:
    """The path of values over the steps, on the scale of powers of ten between `span`."""
    low, high = span
    parts = []
    for i, loss in enumerate(losses):
        above = loss - lowest
        if not math.isfinite(above):
            break
        level = math.log10(max(above, 1e-300))
        y = (high - level) / (high - low) * LOSS_HEIGHT
        x = i / max(len(losses) - 1, 1) * WIDTH
        parts.append(f"{x:.1f} {min(max(y, 0), LOSS_HEIGHT):.1f}")
    return "M" + "L".join(parts) if parts else ""


def span(landscape: Landscape) -> tuple[float, float]:
    """The powers of ten that values are shown between."""
    above = float(landscape.at(*landscape.start)) - landscape.lowest
    high = math.ceil(math.log10(above) + 0.5)
    return high - 8.0, float(high)


def figure(
    landscape: Landscape,
    walk: tuple[Sequence[Sequence[float]], Sequence[float]],
    beside: tuple[Sequence[Sequence[float]], Sequence[float]],
    name: str,
) -> str:
    """The picture of one landscape, the way of an optimizer over it and, faint, another's."""
    cross = "".join(
        "M{:.1f} {:.1f}m-5 -5l10 10m0 -10l-10 10".format(*place(landscape, *minimum))
        for minimum in landscape.minima
    )
    x, y = place(landscape, *landscape.start)
    label = f"The way of {name} over the landscape: {landscape.title}"
    loss_label = f"Its distance from the least value, by step, for {name}"
    limits = span(landscape)
    trails = [trail(landscape, way) for way, _ in (beside, walk)]
    losses = [loss_trail(values, landscape.lowest, limits) for _, values in (beside, walk)]
    return (
        f'<svg class="land" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{escape(label)}">'
        f'<path class="contours" d="{contours(landscape)}"/>'
        f'<path class="minimum" d="{cross}"/>'
        f'<path class="beside" d="{trails[0]}"/><path class="walk" d="{trails[1]}"/>'
        f'<circle class="start" cx="{x:.1f}" cy="{y:.1f}" r="6"/></svg>'
        f'<svg class="loss" viewBox="0 0 {WIDTH} {LOSS_HEIGHT}" role="img"'
        f' aria-label="{escape(loss_label)}">'
        f'<path class="frame" d="M0 0V{LOSS_HEIGHT}H{WIDTH}"/>'
        f'<path class="beside" d="{losses[0]}"/><path class="walk" d="{losses[1]}"/>'
        f'<text x="6" y="13">1e{limits[1]:.0f}</text>'
        f'<text x="6" y="{LOSS_HEIGHT - 5}">1e{limits[0]:.0f}</text></svg>'
    )


def thumbnail(landscape: Landscape, points: Sequence[Sequence[float]], name: str) -> str:
    """A small picture of a way, with no more than the way."""
    return (
        f'<svg class="thumbnail" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{escape(name)} on {escape(landscape.title)}">'
        f'<path class="contours" d="{contours(landscape)}"/>'
        f'<path class="walk" d="{trail(landscape, points)}"/></svg>'
    )
