"""What a problem with known minima is, and the table of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any


@dataclass(frozen=True)
class Problem:
    """A smooth function with its start point and the values at its known local minima."""

    name: str
    function: Callable[[Array], tuple[float, Array]]
    start: tuple[float, ...]
    minima: tuple[float, ...]

    def evaluate(self, x: Array) -> tuple[float, Array]:
        """Return the value and the gradient at `x`; far away both may overflow to infinity."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return self.function(np.asarray(x, np.float64))

    def loss(self, x: Array) -> float:
        return self.evaluate(x)[0]

    def grad(self, x: Array) -> Array:
        return self.evaluate(x)[1]


PROBLEMS: dict[str, Problem] = {}
RESIDUALS: dict[str, Callable[[Array], tuple[Array, Array]]] = {}


def problem(start: Any, *minima: float) -> Callable[[Any], Any]:
    """Enter a function ``x -> (value, gradient)`` in the table."""

    def enter(function: Any) -> Any:
        name = function.__name__
        PROBLEMS[name] = Problem(name, function, tuple(float(s) for s in start), minima)
        return function

    return enter


def least_squares(start: Any, *minima: float) -> Callable[[Any], Any]:
    """Enter a function ``x -> (residuals r, Jacobian J)``: the value is r·r, its gradient 2 Jᵀr."""

    def enter(function: Any) -> Any:
        def square(x: Array) -> tuple[float, Array]:
            r, jacobian = function(x)
            return float(r @ r), 2 * jacobian.T @ r

        square.__name__ = function.__name__
        problem(start, *minima)(square)
        RESIDUALS[function.__name__] = function
        return function

    return enter
