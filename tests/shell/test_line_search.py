"""The line search."""

from __future__ import annotations

import math

import pytest

from optimkit.line_search import Point, cubic_minimum, ratio, strong_wolfe

LINES = {
    "quadratic": lambda t: ((t - 3) ** 2, 2 * (t - 3)),
    "quartic": lambda t: ((t - 40) ** 4, 4 * (t - 40) ** 3),
    "valleys": lambda t: (math.cos(t + 1) + 0.1 * t, 0.1 - math.sin(t + 1)),
    "wall": lambda t: (-math.log(2 - t) - 3 * t, 1 / (2 - t) - 3) if t < 2 else (math.inf,) * 2,
}


@pytest.mark.parametrize("first", [1e-3, 0.5, 1.0, 4.0, 100.0])
@pytest.mark.parametrize("c2", [0.9, 0.1])
@pytest.mark.parametrize("name", LINES)
def test_strong_wolfe_conditions(name, c2, first):
    calls = []

    def line(t):
        calls.append(t)
        return Point(t, *LINES[name](t), None)

    start = Point(0.0, *LINES[name](0.0), None)
    found, evaluations = strong_wolfe(
        line, start, first, 1.0, c1=1e-4, c2=c2, tolerance_change=1e-9, max_ls=50
    )
    assert evaluations == len(calls)
    assert found.loss <= start.loss + 1e-4 * found.step * start.slope
    assert abs(found.slope) <= -c2 * start.slope


def test_line_search_out_of_trials_returns_the_lower_end():
    def line(t):
        return Point(t, t * t - t, 2 * t - 1, None)

    start, limits = line(0.0), dict(c1=1e-4, c2=0.1, tolerance_change=0.0, max_ls=0)
    assert strong_wolfe(line, start, 10.0, 1.0, **limits) == (start, 1)
    assert strong_wolfe(line, start, 0.1, 1.0, **limits) == (line(0.1), 1)


def test_cubic_minimum():
    # t³ - 3t has its minimum at 1, seen from either side
    a, b = Point(0.0, 0.0, -3.0, None), Point(2.0, 2.0, 9.0, None)
    assert cubic_minimum(a, b, 0.0, 2.0) == cubic_minimum(b, a, 0.0, 2.0) == 1.0
    assert cubic_minimum(a, b, 0.0, 0.5) == 0.5
    straight, infinite = Point(1.0, -3.0, -3.0, None), Point(1.0, math.inf, 1.0, None)
    assert cubic_minimum(a, straight, 2.0, 4.0) == 4.0
    assert cubic_minimum(a, infinite, 0.0, 1.0) == 0.5


@pytest.mark.parametrize(
    ("top", "bottom", "value"),
    [(1.0, 2.0, 0.5), (1.0, 0.0, math.inf), (-1.0, 0.0, -math.inf), (1.0, -0.0, -math.inf)],
)
def test_ratio(top, bottom, value):
    assert ratio(top, bottom) == value


def test_ratio_of_zeros_is_nan():
    assert math.isnan(ratio(0.0, 0.0))
