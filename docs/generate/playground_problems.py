"""The landscapes that trajectories are drawn on: two variables, value and gradient by arithmetic.

Each is written once, for numbers and for symbols: the page computes with what is recorded of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from generate.playground_rule import Nodes

Point = tuple[float, float]
NOISE_STEPS = 400  # after which the noise comes again


@dataclass(frozen=True)
class Landscape:
    """A function of two variables.

    Attributes
    ----------
    name : str
    title, about : str
    function : callable
        ``(x, y, u, v) -> (value, (∂x, ∂y))``; `u` and `v` are noise of this step.
    start : pair of float
    window : tuple of float
        What is drawn: left, right, bottom, top.
    minima : tuple of pairs of float
    """

    name: str
    title: str
    about: str
    function: Callable[..., tuple[Any, tuple[Any, Any]]]
    start: Point
    window: tuple[float, float, float, float]
    minima: tuple[Point, ...]

    def at(self, x: Any, y: Any) -> Any:
        """The value without noise."""
        return self.function(x, y, 0.0, 0.0)[0]

    @property
    def lowest(self) -> float:
        """The least value."""
        return min(float(self.at(*point)) for point in self.minima)

    def recorded(self) -> dict[str, Any]:
        """The function as data, as rules are recorded."""
        nodes = Nodes()
        value, gradient = self.function(*(nodes.input(name) for name in "xyuv"))
        return {
            "value": nodes.of(value),
            "gradient": [nodes.of(x) for x in gradient],
            "nodes": [list(node) for node in nodes.table],
        }


def _quadratic(x: Any, y: Any, u: Any, v: Any) -> Any:
    a, b = 0.8 * x + 0.6 * y, 0.8 * y - 0.6 * x
    return (a * a + 50 * b * b) / 2, (0.8 * a - 30 * b, 0.6 * a + 40 * b)


def _rosenbrock(x: Any, y: Any, u: Any, v: Any) -> Any:
    bend, rest = y - x * x, 1 - x
    return 100 * bend * bend + rest * rest, (-400 * bend * x - 2 * rest, 200 * bend)


def _beale(x: Any, y: Any, u: Any, v: Any) -> Any:
    p, q, r = 1.5 - x * (1 - y), 2.25 - x * (1 - y * y), 2.625 - x * (1 - y * y * y)
    dx = -2 * (p * (1 - y) + q * (1 - y * y) + r * (1 - y * y * y))
    return p * p + q * q + r * r, (dx, 2 * x * (p + 2 * q * y + 3 * r * y * y))


def _saddle(x: Any, y: Any, u: Any, v: Any) -> Any:
    square = y * y
    return (x * x - square) / 2 + square * square / 8, (x, y * square / 2 - y)


def _noisy(x: Any, y: Any, u: Any, v: Any) -> Any:
    return (x * x + 4 * y * y) / 2, (x + 2 * u, 4 * y + 2 * v)


LANDSCAPES = (
    Landscape(
        "quadratic",
        "Ill-conditioned quadratic",
        "A bowl 50 times as steep across as along, turned so that no axis is along the valley.",
        _quadratic,
        (-3.0, 1.5),
        (-4.0, 4.0, -3.0, 3.0),
        ((0.0, 0.0),),
    ),
    Landscape(
        "rosenbrock",
        "Rosenbrock",
        "A curved valley, flat along its floor.",
        _rosenbrock,
        (-1.2, 1.0),
        (-2.0, 2.0, -1.0, 2.0),
        ((1.0, 1.0),),
    ),
    Landscape(
        "beale",
        "Beale",
        "A plateau with steep corners.",
        _beale,
        (1.0, 1.0),
        (-0.5, 4.5, -2.0, 1.75),
        ((3.0, 0.5),),
    ),
    Landscape(
        "saddle",
        "Saddle",
        "The start is almost on the ridge that leads into the saddle; a minimum lies on each side.",
        _saddle,
        (-2.0, 0.001),
        (-2.6, 2.6, -1.95, 1.95),
        ((0.0, -(2**0.5)), (0.0, 2**0.5)),
    ),
    Landscape(
        "noisy",
        "Noisy quadratic",
        "To each gradient noise is added, of deviation 2: the same for all, step by step.",
        _noisy,
        (-3.0, 2.0),
        (-4.0, 4.0, -3.0, 3.0),
        ((0.0, 0.0),),
    ),
)


@cache
def noise() -> tuple[Point, ...]:
    """Normally distributed numbers to three places, always the same."""
    drawn = np.random.Generator(np.random.PCG64(0)).standard_normal((NOISE_STEPS, 2))
    return tuple((round(float(u), 3), round(float(v), 3)) for u, v in drawn)
