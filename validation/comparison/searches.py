"""Losses that are searched for their least value, by rules that evaluate them."""

from __future__ import annotations

from typing import Any

import numpy as np

from optimkit.validation.comparison.probes import Array, Loss


def _parabola(x: Any) -> tuple[float, Any]:
    """A long valley: curvatures from 1 to 1,000."""
    curvature = np.asarray(np.geomspace(1, 1_000, x.size), x.dtype)
    return float(np.sum(curvature * x * x)) / 2, curvature * x


def _rosenbrock(x: Any) -> tuple[float, Any]:
    """A bent valley, over pairs of neighbours."""
    a, b = x[:-1], x[1:]
    along, across = 1 - a, b - a * a
    grad = np.zeros_like(x)
    grad[:-1] = -400 * a * across - 2 * along
    grad[1:] += 200 * across
    return float(np.sum(100 * across * across + along * along)), grad


def _quartic(x: Any) -> tuple[float, Any]:
    """Flat at the bottom, and steep far out."""
    return float(np.sum(x * x * x * x)) / 4, x * x * x


LOSSES: dict[str, tuple[Loss, list[float]]] = {
    "a valley": (_parabola, [1.0, -2.0, 0.5, 3.0, -1.0, 0.3, 2.0, -0.7, 1.5, -1.2, 0.8, 0.1]),
    "Rosenbrock's": (_rosenbrock, [-1.2, 1.0]),
    "flat at the bottom": (_quartic, [3.0, -2.0]),
    "from the lowest point": (_parabola, [0.0, 0.0]),
}


def starts(dtype: str) -> tuple[Array, ...]:
    """Where the searches begin."""
    return tuple(np.array(start, dtype) for _, start in LOSSES.values())


def losses() -> tuple[Loss, ...]:
    """What is searched."""
    return tuple(loss for loss, _ in LOSSES.values())
