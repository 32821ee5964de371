"""What a wrong rule does to a loss: the pictures of the catalogue of porting bugs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import optimkit as ok
from generate.drawing import COLORS, figure

Function = Callable[..., tuple[Any, dict[str, Any]]]
Schedule = Callable[[int], float]


class Problem:
    """Least squares with features of several sizes, by minibatches: the same ones for everybody.

    Parameters
    ----------
    scale : float
        Of the loss, and so of all gradients.
    idle : int
        Features that are always zero, as those of rare words are for a while.
    """

    def __init__(self, scale: float = 1.0, idle: int = 0) -> None:
        random = np.random.default_rng(0)
        self.x = random.standard_normal((256, 12)) * np.logspace(-1, 0.3, 12)
        self.x[:, :idle] = 0.0
        truth = random.standard_normal(12)
        self.y = self.x @ truth + 0.1 * random.standard_normal(256)
        self.scale = scale
        self.rows = random.integers(0, 256, (5000, 32))
        self.start = np.zeros(12)

    def gradient(self, weights: Any, step: int) -> Any:
        """Of the loss of a step's minibatch."""
        rows = self.rows[step]
        error = self.x[rows] @ weights - self.y[rows]
        return self.scale * 2 * self.x[rows].T @ error / len(rows)

    def loss(self, weights: Any) -> float:
        """The mean of squares over all examples, unscaled."""
        return float(np.mean((self.x @ weights - self.y) ** 2))


def of_rule(
    problem: Problem, rule: str, options: dict[str, Any], steps: int, schedule: Schedule
) -> list[float]:
    """The losses that optimkit's rule leaves."""
    weights = problem.start.copy()
    optimizer = getattr(ok, rule)([weights], **options)
    lr, losses = optimizer.param_groups[0]["lr"], []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * schedule(step)
        losses.append(problem.loss(weights))
        optimizer.step(grads=[problem.gradient(weights, step)])
    return losses


def of_function(
    problem: Problem, wrong: Function, options: dict[str, Any], steps: int, schedule: Schedule
) -> list[float]:
    """The losses that a function of one step leaves."""
    weights, state, losses = problem.start.copy(), {}, []
    for step in range(steps):
        losses.append(problem.loss(weights))
        given = {**options, "lr": options["lr"] * schedule(step)}
        with np.errstate(all="ignore"):
            gradient = problem.gradient(weights, step)
            weights, state = wrong(weights, gradient, state, step + 1, **given)
    return losses


def curves(
    wrong: Function,
    rule: str,
    *,
    steps: int = 400,
    scale: float = 1.0,
    idle: int = 0,
    schedule: Schedule = lambda step: 1.0,
    of_rule_alone: dict[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Draw the loss that a function leaves beside the one of the rule that it should be.

    Parameters
    ----------
    wrong : callable
        ``(param, grad, state, step, **options) -> (param, state)``.
    rule : str
    steps : int
    scale, idle
        See `Problem`.
    schedule : callable
        The factor of the learning rate by step.
    of_rule_alone : dict, optional
        Options that the function calls something else.
    **options
        Of both, `lr` among them.
    """
    problem = Problem(scale, idle)
    right = of_rule(problem, rule, {**options, **(of_rule_alone or {})}, steps, schedule)
    left = of_function(problem, wrong, options, steps, schedule)
    made, axes = figure(5.6, 2.7)
    axes.semilogy(right, color=COLORS[0], label=f"optimkit.{rule}")
    axes.semilogy(left, color=COLORS[1], label="this code", linestyle=(0, (5, 1.5)))
    if not np.isfinite(left[-1]):
        last = next(k for k, loss in enumerate(left) if not np.isfinite(loss)) - 1
        axes.plot([last], [left[last]], marker="x", markersize=9, color=COLORS[1])
        axes.annotate(
            "NaN from here on", (last, left[last]), xytext=(14, -14), textcoords="offset points"
        )
    axes.set(xlabel="step", ylabel="loss")
    axes.grid(True, axis="y", linewidth=0.6)
    axes.legend()
    return made
