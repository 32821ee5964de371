"""Learning-rate schedules as pure functions of the step.

Each takes the step (0 is the first) and the initial rate ``base_lr``, and returns the learning
rate of that step. ``SCHEDULES`` finds them by the name of the scheduler that runs them.

>>> linear(2, base_lr=1.0, start_factor=0.5, total_iters=4)
0.75
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

Anneal = Callable[[float, float, float], float]


def _real(x: Any) -> float:
    """A number as a float; one that is not known yet, such as a traced step, stays as it is."""
    real: float = x if hasattr(x, "float32") else float(x)
    return real


def _cos(x: Any) -> float:
    cosine: float = x.cos() if hasattr(x, "cos") else math.cos(x)
    return cosine


def scaled(step: int, base_lr: float, lr_lambda: Callable[[int], float]) -> float:
    """``base_lr · f(t)`` with the user's factor ``f``."""
    return base_lr * lr_lambda(step)


def multiplicative(step: int, base_lr: float, lr_lambda: Callable[[int], float]) -> float:
    """``base_lr · f(1) · f(2) ··· f(t)`` with the user's factor ``f``."""
    lr = base_lr
    for t in range(1, step + 1):
        lr = lr * lr_lambda(t)
    return lr


def step_decay(step: int, base_lr: float, step_size: int, gamma: float = 0.1) -> float:
    """``base_lr · gamma^⌊t / step_size⌋``."""
    return _real(base_lr * gamma ** (step // step_size))


def multi_step(step: int, base_lr: float, milestones: Iterable[int], gamma: float = 0.1) -> float:
    """``base_lr · gamma^n``, where ``n`` counts the milestones up to ``t``, repeats included."""
    passed = sum(n * (milestone <= step) for milestone, n in Counter(milestones).items())
    return _real(base_lr * gamma**passed)


def constant(step: int, base_lr: float, factor: float = 1.0 / 3, total_iters: int = 5) -> float:
    """``base_lr · factor`` before ``total_iters``, then ``base_lr``."""
    return base_lr * (factor + (step >= total_iters) * (1 - factor))


def linear(
    step: int,
    base_lr: float,
    start_factor: float = 1.0 / 3,
    end_factor: float = 1.0,
    total_iters: int = 5,
) -> float:
    """``base_lr · (start + (end - start) · min(t, T) / T)`` with ``T = total_iters``."""
    return base_lr * (
        start_factor + (end_factor - start_factor) * min(total_iters, step) / total_iters
    )


def exponential(step: int, base_lr: float, gamma: float) -> float:
    """``base_lr · gamma^t``."""
    return _real(base_lr * gamma**step)


def polynomial(step: int, base_lr: float, total_iters: int = 5, power: float = 1.0) -> float:
    """``base_lr · (1 - min(t, T) / T)^power`` with ``T = total_iters``."""
    return _real(base_lr * (1.0 - min(total_iters, step) / total_iters) ** power)


def cosine(step: float, base_lr: float, T_max: float, eta_min: float = 0.0) -> float:
    """``eta_min + (base_lr - eta_min) · (1 + cos(π t / T_max)) / 2``."""
    return eta_min + (base_lr - eta_min) * (1 + _cos(math.pi * step / T_max)) / 2


def warm_restart_position(step: float, T_0: int, T_mult: int = 1) -> tuple[float, int]:
    """Steps since the last restart, and the length of the period that runs."""
    if T_mult == 1:
        return step % T_0, T_0
    start, period = 0, T_0
    while step >= start + period:
        start += period
        period *= T_mult
    return step - start, period


def cosine_warm_restarts(
    step: float, base_lr: float, T_0: int, T_mult: int = 1, eta_min: float = 0.0
) -> float:
    """`cosine` over periods of ``T_0``, ``T_0 · T_mult``, ``T_0 · T_mult²``, ... steps."""
    position, period = warm_restart_position(step, T_0, T_mult)
    return cosine(position, base_lr, period, eta_min)


def triangle(step: int, total_size: float, step_ratio: float) -> tuple[int, float]:
    """Number of the cycle (from 1), and the height in it: 0 at its ends, 1 at its peak."""
    cycle = math.floor(1 + step / total_size)
    x = 1.0 + step / total_size - cycle
    return cycle, x / step_ratio if x <= step_ratio else (x - 1) / (step_ratio - 1)


def cycle_scale(x: float, mode: str, gamma: float = 1.0) -> float:
    """Height of a cycle: 1, half as much with each cycle ``x``, or ``gamma^x`` at step ``x``."""
    if mode == "triangular":
        return 1.0
    return _real(1 / (2.0 ** (x - 1)) if mode == "triangular2" else gamma**x)


def cyclic(
    step: int,
    base_lr: float,
    max_lr: float,
    step_size_up: float = 2000,
    step_size_down: float | None = None,
    mode: str = "triangular",
    gamma: float = 1.0,
    scale_fn: Callable[[float], float] | None = None,
    scale_mode: str = "cycle",
) -> float:
    """``base_lr + (max_lr - base_lr) · height(t) · scale``: see `triangle` for the height."""
    total_size = step_size_up + (step_size_up if step_size_down is None else step_size_down)
    cycle, height = triangle(step, total_size, step_size_up / total_size)
    if scale_fn is not None:
        scale = scale_fn(cycle if scale_mode == "cycle" else step)
    else:
        scale = cycle_scale(step if mode == "exp_range" else cycle, mode, gamma)
    return base_lr + (max_lr - base_lr) * height * scale


def anneal_cos(start: float, end: float, fraction: float) -> float:
    """From ``start`` to ``end`` along half a cosine wave."""
    return end + (start - end) / 2.0 * (_cos(math.pi * fraction) + 1)


def anneal_linear(start: float, end: float, fraction: float) -> float:
    """From ``start`` to ``end`` along a straight line."""
    return (end - start) * fraction + start


ANNEAL: dict[str, Anneal] = {"cos": anneal_cos, "linear": anneal_linear}


def one_cycle_ends(total_steps: int, pct_start: float, three_phase: bool) -> list[float]:
    """Last step of each phase of a one-cycle schedule; not always a whole number."""
    ends = [float(pct_start * total_steps) - 1]
    if three_phase:
        ends.append(float(2 * pct_start * total_steps) - 2)
    return [*ends, total_steps - 1]


def one_cycle_position(step: int, ends: Sequence[float]) -> tuple[int, float]:
    """Phase that ``step`` is in, and the fraction of it that has passed.

    A phase of no length counts as passed.
    """
    start, last = 0.0, len(ends) - 1
    for phase, end in enumerate(ends):
        if step <= end or phase == last:
            length = end - start
            return phase, (step - start) / length if length else 1.0
        start = end
    raise ValueError("a one-cycle schedule has at least one phase")


def one_cycle(
    step: int,
    base_lr: float | None = None,
    *,
    max_lr: float,
    total_steps: int,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> float:
    """From ``max_lr / div_factor`` up to ``max_lr``, then far below where it began.

    ``base_lr`` is not used: the rate is given by its peak.
    """
    initial = max_lr / div_factor
    low = initial / final_div_factor
    levels = [initial, max_lr, initial, low] if three_phase else [initial, max_lr, low]
    phase, fraction = one_cycle_position(step, one_cycle_ends(total_steps, pct_start, three_phase))
    start, end = list(pairwise(levels))[phase]
    return ANNEAL[anneal_strategy](start, end, fraction)


SCHEDULES: dict[str, Callable[..., float]] = {
    "LambdaLR": scaled,
    "MultiplicativeLR": multiplicative,
    "StepLR": step_decay,
    "MultiStepLR": multi_step,
    "ConstantLR": constant,
    "LinearLR": linear,
    "ExponentialLR": exponential,
    "PolynomialLR": polynomial,
    "CosineAnnealingLR": cosine,
    "CosineAnnealingWarmRestarts": cosine_warm_restarts,
    "CyclicLR": cyclic,
    "OneCycleLR": one_cycle,
}
