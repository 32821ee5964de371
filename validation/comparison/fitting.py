"""Which value of an option makes a rule do what a candidate does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import optimkit as ok

# From an option's value to a scale on which a search is even, and back: shares of the past are
# told apart by how near they are to 1.
_PLAIN = (math.log, math.exp)
_SHARE = (lambda x: -math.log1p(-x), lambda y: -math.expm1(-y))
SHARES = ("betas", "alpha", "rho", "momentum", "dampening")
GRID, NARROWED = 24, 32  # values looked at from end to end, and between the best
SMALLEST, LARGEST = 1e-12, 10.0
SKIPPED = ("master_dtype", "foreach", "capturable", "differentiable", "fused")
Options = dict[str, Any]


def flips(optimizer: type[ok.Optimizer], options: Options) -> Iterator[Options]:
    """Every option that is true or false as the other, where the rule allows it."""
    for name, value in vars(optimizer.bind(**options)).items():
        if (
            isinstance(value, bool)
            and name not in SKIPPED
            and allowed(optimizer, options | {name: not value})
        ):
            yield {name: not value}


def allowed(optimizer: type[ok.Optimizer], options: Options) -> bool:
    """Whether a rule takes options of these values."""
    try:
        optimizer.bind(**options)
    except (ArithmeticError, RuntimeError, TypeError, ValueError):
        return False
    return True


def places(optimizer: type[ok.Optimizer], options: Options) -> Iterator[tuple[str, int | None]]:
    """The options that are numbers, and those that are pairs by place."""
    for name, value in vars(optimizer.bind(**options)).items():
        if name in SKIPPED or isinstance(value, bool | str | None):
            continue
        if isinstance(value, tuple):
            yield from ((name, i) for i in range(len(value)))
        elif isinstance(value, int | float):
            yield name, None


def ends(optimizer: type[ok.Optimizer], options: Options) -> Iterator[Options]:
    """Every number among the options as 0 and as 1, and every pair turned round."""
    held = vars(optimizer.bind(**options))
    changes = [
        changed(held, name, place, value)
        for name, place in places(optimizer, options)
        for value in (0.0, 1.0)
    ]
    changes += [{name: x[::-1]} for name, x in held.items() if isinstance(x, tuple)]
    yield from (change for change in changes if allowed(optimizer, options | change))


def changed(options: Mapping[str, Any], name: str, place: int | None, value: float) -> Options:
    """One option with another value."""
    if place is None:
        return {name: value}
    pair = list(options[name])
    pair[place] = value
    return {name: tuple(pair)}


def fit(
    optimizer: type[ok.Optimizer],
    options: Options,
    distance: Callable[[Options], float],
    points: int = GRID,
    narrowed: int = NARROWED,
) -> Iterator[tuple[float, Options]]:
    """For each number among the options, the value that comes nearest, and how near."""
    held = vars(optimizer.bind(**options))
    for name, place in places(optimizer, options):
        forth, back = _SHARE if name in SHARES else _PLAIN

        def at(y: float, name: str = name, place: int | None = place, back: Any = back) -> float:
            return measure(changed(held, name, place, back(y)))

        def measure(change: Options) -> float:
            return distance(change) if allowed(optimizer, options | change) else math.inf

        low, high = forth(SMALLEST), forth(0.99999 if name in SHARES else LARGEST)
        grid = [low + (high - low) * i / (points - 1) for i in range(points)]
        found = [at(y) for y in grid]
        best = min(range(points), key=found.__getitem__)
        if found[best] == max(found):  # it decides nothing, or cannot have other values
            continue
        y = _golden(at, grid[max(best - 1, 0)], grid[min(best + 1, points - 1)], narrowed)
        tried = [back(y), *_round(back(y)), 0.0]
        scored = [(measure(changed(held, name, place, x)), i) for i, x in enumerate(tried)]
        least = min(scored)[0]
        # the roundest value that does as well
        good = [i for s, i in scored if s <= least * 1.03 + 1e-3]
        chosen = changed(held, name, place, tried[max(good)])
        yield measure(chosen), chosen


def near(distance: Callable[[float], float], x: float, share: float) -> list[float]:
    """Of the values not far from one, that which comes nearest, with few digits first."""
    most = x * (1 + share)
    found = _golden(distance, x * (1 - share), min(most, 1.0) if x < 1 else most, 24)
    return [*reversed(_round(found)), found]


def _golden(at: Callable[[float], float], a: float, b: float, times: int) -> float:
    """Narrow an interval around a minimum by the golden section."""
    ratio = (math.sqrt(5) - 1) / 2
    c, d = b - ratio * (b - a), a + ratio * (b - a)
    fc, fd = at(c), at(d)
    for _ in range(times):
        if fc <= fd:
            b, d, fd = d, c, fc
            c = b - ratio * (b - a)
            fc = at(c)
        else:
            a, c, fc = c, d, fd
            d = a + ratio * (b - a)
            fd = at(d)
    return (a + b) / 2


def _round(x: float) -> list[float]:
    """A number with fewer and fewer digits; of a share, the digits of what it lacks to 1."""
    near = [float(f"{x:.{digits}g}") for digits in (6, 4, 3, 2, 1)]
    lacking = [1 - float(f"{1 - x:.{digits}g}") for digits in (4, 3, 2, 1)] if 0 < x < 1 else []
    return [*(float(f"{y:.12g}") for y in lacking), *near]


def is_round(options: Options) -> bool:
    """Whether every number among these has few digits, or lacks few to 1, and not next to none."""
    numbers = [
        x
        for value in options.values()
        for x in (value if isinstance(value, tuple) else (value,))
        if isinstance(x, float)
    ]
    return all(
        min(abs(float(f"{y:.4g}") - y) for y in (x, 1 - x)) <= 1e-12 * abs(x)
        and not 0 < abs(1 - x) < 1e-6
        for x in numbers
    )
