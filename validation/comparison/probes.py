"""What rules are tried on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Loss = Callable[[Any], tuple[float, Any]]  # from where one is to the loss there and its gradient

DECADES = range(-30, 31, 3)
HALF_DECADES = range(-6, 5)  # of float16
PATTERNS = ("steady", "varied", "alternating", "now and then", "once")
STARTS = (0.0, 1.0, -0.03)
STEPS = 16
RATE_CHANGES = 6  # after this step the learning rate is another, where it can be changed


@dataclass(frozen=True)
class Probe:
    """Parameters, where they begin and their gradients at every step, one after the other, flat.

    Attributes
    ----------
    start : array of n
    gradients : array of steps × n
        Not a number where there is a loss, on which they depend.
    rates : array of steps
        What the learning rate is multiplied by at each step.
    shapes : tuple of tuple of int
        Of the parameters; empty if each element is one, as a rule without sums takes it.
    touched : array of steps × n, optional
        What a sparse gradient has.
    losses : tuple of callables
        Of the parameters, if the rule evaluates it.
    numbers : tuple of int
        What the steps count as, if not as 1, 2 and so on.
    own : tuple of bool
        At which steps the parameter moves, if the others are those of another, whose gradients
        they have.
    """

    start: Array
    gradients: Array
    rates: tuple[float, ...]
    shapes: tuple[tuple[int, ...], ...] = ()
    touched: Array | None = None
    losses: tuple[Loss, ...] = ()
    numbers: tuple[int, ...] = ()
    own: tuple[bool, ...] = ()

    @property
    def steps(self) -> int:
        return len(self.gradients)

    def parts(self) -> Iterator[tuple[slice, tuple[int, ...]]]:
        """Where each parameter lies, and its shape."""
        first = 0
        for shape in self.shapes or (self.start.shape,):
            last = first + math.prod(shape)
            yield slice(first, last), shape
            first = last


def joined(probes: Sequence[Probe]) -> Probe:
    """Several parameters as one probe."""
    return Probe(
        np.concatenate([x.start for x in probes]),
        np.concatenate([x.gradients for x in probes], 1),
        probes[0].rates,
        tuple(shape for x in probes for shape in x.shapes),
        None,
        tuple(loss for x in probes for loss in x.losses),
    )


@lru_cache(maxsize=8)
def scales(dtype: str, scheduled: bool = True, seed: int = 0, steps: int = STEPS) -> Probe:
    """Gradients of every size from 1e-30 to 1e30, in several patterns, and denormal ones."""
    random = np.random.default_rng(seed)
    decades = HALF_DECADES if np.finfo(dtype).bits == 16 else DECADES
    columns = [
        (10.0**decade, kind, start) for decade in decades for kind in PATTERNS for start in STARTS
    ]
    denormal = float(np.finfo(dtype).smallest_subnormal)
    columns += [(denormal * 1000, kind, 0.0) for kind in PATTERNS]
    shape = (steps, len(columns))
    size = np.array([size for size, _, _ in columns])
    kinds = np.array([PATTERNS.index(kind) for _, kind, _ in columns])
    varied = np.exp(random.normal(0, 1, shape)) * np.where(random.random(shape) < 0.3, -1, 1)
    turns = np.where(np.arange(steps) % 2, -1.0, 1.0)[:, None] * random.uniform(0.5, 2, shape)
    seldom = np.where(random.random(shape) < 0.4, random.normal(0, 1, shape), 0.0)
    once = np.where(np.arange(steps) == 0, 1.0, 0.0)[:, None] * random.uniform(0.5, 2, shape)
    steady = random.uniform(0.9, 1.1, shape)
    factor = np.select([kinds == i for i in range(5)], [steady, varied, turns, seldom, once])
    with np.errstate(over="ignore", under="ignore"):
        gradients = (size * factor).astype(dtype)
    start = np.array([start for _, _, start in columns], dtype)
    rates = tuple(0.5 if scheduled and t >= RATE_CHANGES else 1.0 for t in range(steps))
    return Probe(start, gradients, rates)
