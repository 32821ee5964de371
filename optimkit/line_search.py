"""Descent along computed directions: what the methods that evaluate a closure share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Evaluate = Callable[[Any], tuple[float, Any]]
Direction = Callable[[Any, float, Any, Mapping[str, Any], Any], dict[str, Any]]


class Point(NamedTuple):
    """A point of a line: the step to it, the loss there, its derivative and the gradient."""

    step: float
    loss: float
    slope: float
    grad: Any


def dot(xp: Any, a: Any, b: Any) -> float:
    """Return the inner product of two vectors as a Python number."""
    return float(xp.vecdot(a, b))


def largest(xp: Any, vector: Any) -> float:
    """Return the largest magnitude in a vector as a Python number."""
    return float(xp.max(xp.abs(vector)))


def ratio(numerator: float, denominator: float) -> float:
    """Divide as IEEE 754 does, where Python would raise for a zero denominator."""
    if denominator != 0:
        return numerator / denominator
    sign = math.copysign(1.0, numerator) * math.copysign(1.0, denominator)
    return math.nan if numerator == 0 or math.isnan(numerator) else sign * math.inf


def check_line_search(algorithm: str, line_search_fn: str | None) -> None:
    """Raise torch's kind of error for a line search that does not exist."""
    if line_search_fn not in (None, "strong_wolfe"):
        raise RuntimeError(
            f"{algorithm}: only 'strong_wolfe' is supported as line_search_fn, not "
            f"{line_search_fn!r}"
        )


def cubic_minimum(a: Point, b: Point, low: float, high: float) -> float:
    """Minimize the cubic with the losses and slopes of two points, within ``[low, high]``.

    This is formula (3.59) of Nocedal and Wright, taken from the farther point; where the cubic has
    no minimum or a value is infinite, the middle of the interval.
    """
    if a.step > b.step:
        a, b = b, a
    middle = (low + high) / 2
    # d1 = φ'a + φ'b - 3 (φa - φb) / (a - b),  d2 = sqrt(d1² - φ'a φ'b)
    d1 = a.slope + b.slope - 3 * ratio(a.loss - b.loss, a.step - b.step)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return middle
    d2 = math.sqrt(square)
    # t = b - (b - a) (φ'b + d2 - d1) / (φ'b - φ'a + 2 d2)
    step = b.step - (b.step - a.step) * ratio(b.slope + d2 - d1, b.slope - a.slope + 2 * d2)
    return middle if math.isnan(step) else min(max(step, low), high)


def strong_wolfe(
    line: Callable[[float], Point],
    start: Point,
    step: float,
    scale: float,
    *,
    c1: float,
    c2: float,
    tolerance_change: float,
    max_ls: int,
) -> tuple[Point, int]:
    """Find a point of a descent line that satisfies the strong Wolfe conditions.

    The bracket and zoom of Nocedal and Wright (algorithms 3.5 and 3.6), as torch's LBFGS has them:
    the trial points are the minimizers of cubics, kept away from the ends of the bracket.

    Parameters
    ----------
    line : callable
        Evaluates the point at a step.
    start : Point
        Where the line starts, at step 0, with a negative slope.
    step : float
        The first step to try.
    scale : float
        The largest magnitude in the direction.
    c1, c2 : float
        Sufficient decrease ``φ(t) <= φ(0) + c1 t φ'(0)`` and curvature ``|φ'(t)| <= c2 |φ'(0)|``.
    tolerance_change : float
        Stop when the bracket, times `scale`, is narrower than this.
    max_ls : int
        How many trials may follow the first.

    Returns
    -------
    (Point, int)
        The point found, else the lowest end of the bracket, which may be `start`; and how often
        `line` was called.
    """

    def too_high(point: Point) -> bool:
        return point.loss > start.loss + c1 * point.step * start.slope

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -c2 * start.slope

    # Bracket: go on until the line has turned upwards or a point will do.
    previous, new = start, line(step)
    trials = 0
    while trials < max_ls:
        if too_high(new) or (trials > 1 and new.loss >= previous.loss):
            break
        if flat(new):
            return new, trials + 1
        if new.slope >= 0:
            break
        least, most = new.step + 0.01 * (new.step - previous.step), 10 * new.step
        previous, new = new, line(cubic_minimum(previous, new, least, most))
        trials += 1
    else:
        previous = start
    bracket = [previous, new]
    low = 0 if previous.loss <= new.loss else 1

    # Zoom: shrink the bracket around the lower of its ends.
    stuck = False
    while trials < max_ls:
        left, right = sorted((bracket[0].step, bracket[1].step))
        if (right - left) * scale < tolerance_change:
            break
        step = cubic_minimum(bracket[0], bracket[1], left, right)
        # twice in a row near an end, or on it: a tenth of the bracket away from that end
        margin = 0.1 * (right - left)
        near = min(right - step, step - left) < margin
        if near and (stuck or step >= right or step <= left):
            step = right - margin if right - step < step - left else left + margin
            stuck = False
        else:
            stuck = near
        new = line(step)
        trials += 1
        if too_high(new) or new.loss >= bracket[low].loss:
            bracket[1 - low] = new
            low = 0 if bracket[0].loss <= bracket[1].loss else 1
            continue
        if flat(new):
            return new, trials + 1
        if new.slope * (bracket[1 - low].step - bracket[low].step) >= 0:
            bracket[1 - low] = bracket[low]
        bracket[low] = new
    return bracket[low], trials + 1


def descend(
    xp: Any,
    x: Any,
    evaluate: Evaluate,
    state: Mapping[str, Any],
    hyper: Any,
    direction: Direction,
    *,
    c1: float,
    c2: float,
    max_ls: int | None = None,
) -> tuple[Any, dict[str, Any], float]:
    """Iterate ``x = x + t d`` until one of the tolerances or limits in `hyper` is met.

    `direction` is called with ``(xp, loss, grad, state, hyper)`` and returns the new ``d``, the
    first step ``t`` to try and the memory of the method; ``prev_flat_grad`` and ``prev_loss`` in
    its `state` are those of the iteration before. All of it goes into the state that is returned,
    together with the final point and the loss of the first evaluation. `max_ls` limits the trials
    of one line search (None: only ``max_eval`` does).
    """
    kept = {"func_evals": 0, "n_iter": 0, **state}
    loss, grad = evaluate(x)
    first_loss, evaluations = loss, 1
    stationary = largest(xp, grad) <= hyper.tolerance_grad
    for iteration in range(1, 1 + (0 if stationary else hyper.max_iter)):
        kept["n_iter"] += 1
        kept |= direction(xp, loss, grad, kept, hyper)
        kept |= {"prev_flat_grad": grad, "prev_loss": loss}
        d, slope, last = kept["d"], dot(xp, grad, kept["d"]), iteration == hyper.max_iter
        if slope > -hyper.tolerance_change:
            break

        if hyper.line_search_fn is None:
            x = x + kept["t"] * d
            if last:  # where the loss is stochastic, this evaluation would be of no use
                break
            loss, grad = evaluate(x)
            evaluations += 1
        else:

            def line(t: float, x: Any = x, d: Any = d) -> Point:
                loss, grad = evaluate(x + t * d)
                return Point(t, math.inf if math.isnan(loss) else loss, dot(xp, grad, d), grad)

            left = hyper.max_eval - evaluations
            found, spent = strong_wolfe(
                line,
                Point(0.0, loss, slope, grad),
                kept["t"],
                largest(xp, d),
                c1=c1,
                c2=c2,
                tolerance_change=hyper.tolerance_change,
                max_ls=left if max_ls is None else min(left, max_ls),
            )
            kept["t"], loss, grad = found.step, found.loss, found.grad
            x = x + found.step * d
            evaluations += spent

        if last or evaluations >= hyper.max_eval:
            break
        if largest(xp, grad) <= hyper.tolerance_grad:
            break
        if largest(xp, kept["t"] * d) <= hyper.tolerance_change:
            break
        if abs(loss - kept["prev_loss"]) < hyper.tolerance_change:
            break
    return x, kept | {"func_evals": kept["func_evals"] + evaluations}, first_loss
