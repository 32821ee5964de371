"""The picture of the home page: a valley, and how optimizers go down in it."""

from __future__ import annotations

from typing import Any

import numpy as np

import optimkit as ok
from generate.drawing import COLORS, GRID, figure

START, END = (-1.6, 1.7), (1.0, 1.0)
STEPS = 200
SHOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD, momentum 0.95": ("SGD", {"lr": 4e-4, "momentum": 0.95}),
    "Adam": ("Adam", {"lr": 0.3}),
    "Rprop": ("Rprop", {"lr": 0.1}),
    "LBFGS": ("LBFGS", {"max_iter": 1, "max_eval": 20, "line_search_fn": "strong_wolfe"}),
}


def loss(x: Any, y: Any) -> Any:
    """Rosenbrock's function."""
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def path(name: str, options: dict[str, Any]) -> Any:
    """Where an optimizer has been after each step."""
    point = np.array(START)
    optimizer = getattr(ok, name)([point], **options)
    found = [point.copy()]

    def closure() -> tuple[float, list[Any]]:
        x, y = point
        slope = np.array([2 * (x - 1) - 400 * x * (y - x**2), 200 * (y - x**2)])
        return float(loss(x, y)), [slope]

    for _ in range(STEPS):
        optimizer.step(closure)
        found.append(point.copy())
    return np.array(found)


def picture() -> Any:
    """Draw it."""
    made, axes = figure(6.2, 3.6)
    x, y = np.meshgrid(np.linspace(-2, 2, 240), np.linspace(-1.1, 2.4, 160))
    levels = np.logspace(-0.8, 3.3, 12)
    axes.contour(x, y, loss(x, y), levels=levels, colors=GRID, linewidths=0.9)
    for color, (label, (name, options)) in zip(COLORS, SHOWN.items(), strict=False):
        way = path(name, options)
        axes.plot(*way.T, color=color, label=label, marker="o", markersize=2.5, linewidth=1.6)
    axes.plot(*START, marker="o", markersize=7, color=COLORS[4])
    axes.plot(*END, marker="*", markersize=14, color=COLORS[4])
    axes.set(xlim=(-2, 2), ylim=(-1.1, 2.4), xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.legend(
        loc="upper center", ncols=4, bbox_to_anchor=(0.5, 1.16), handlelength=1.2, columnspacing=1
    )
    return made
