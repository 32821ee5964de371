"""Trajectories of optimizers over the landscapes, by the optimizers themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import optimkit as ok
from generate.playground_problems import Landscape, Point, noise
from optimkit.validation.explain.subjects import options_of

STEPS = 150
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)  # that are tried


@dataclass(frozen=True)
class Walk:
    """Where an optimizer went.

    Attributes
    ----------
    options : dict
    points : tuple of pairs of float
        The start and where each step led.
    losses : tuple of float
        The value at each point, without noise.
    """

    options: dict[str, Any]
    points: tuple[Point, ...]
    losses: tuple[float, ...]


def mean(losses: Sequence[float | None]) -> float:
    """The mean value on the way, which is infinite where one is no number."""
    if any(x is None or not math.isfinite(x) for x in losses):
        return math.inf
    return math.fsum(x or 0.0 for x in losses) / len(losses)


def walk(
    cls: type[ok.Optimizer],
    options: dict[str, Any],
    landscape: Landscape,
    start: Point | None = None,
    steps: int = STEPS,
) -> Walk:
    """Take steps on the eager engine; those that search take one iteration a step."""
    once = {"max_iter": 1} if "max_iter" in options_of(cls) else {}
    param = np.array(start or landscape.start).reshape(_shape(cls))
    sparse = bool(getattr(cls, "needs_sparse", False))
    points = [tuple(param.ravel().tolist())]
    with ok.use_engine("eager"), np.errstate(all="ignore"):
        optimizer = cls([param], **once | options)
        for step in range(steps):
            drawn = noise()[step % len(noise())]

            def closure(drawn: Point = drawn) -> tuple[float, list[Any]]:
                value, gradient = landscape.function(*param.ravel().tolist(), *drawn)
                array = np.array(gradient).reshape(param.shape)
                rows = np.arange(len(param))
                return value, [ok.RowSparse(rows, array, param.shape) if sparse else array]

            try:
                optimizer.step(closure)
            except OverflowError:  # of a Python float: it is far away
                break
            points.append(tuple(param.ravel().tolist()))
    with np.errstate(all="ignore"):
        losses = tuple(float(landscape.at(*map(np.float64, point))) for point in points)
    return Walk(options, tuple(points), losses)


def _shape(cls: type[ok.Optimizer]) -> tuple[int, ...]:
    """Of two variables, as the rule takes them: a vector, rows for sparse gradients, a matrix."""
    if getattr(cls, "needs_sparse", False):
        return (2, 1)
    try:
        cls.check_param(np.zeros(2), cls.bind())
    except ValueError:
        return (1, 2)
    return (2,)
