"""Optimizers that are one whole loop, such as ``adam(grad, x0, num_iters=100)`` of autograd."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np

from optimkit.validation.comparison.candidates import Candidate, Going, Steps
from optimkit.validation.comparison.libraries import Array
from optimkit.validation.comparison.protocols.signatures import parameters_of

COUNTS = ("num_iters", "n_iters", "iterations", "max_iter", "maxiter", "num_steps", "n_steps")
ENDLESS = 10**9


class _Over(BaseException):
    """Ends a loop of which no more steps are asked."""


def count_of(make: Callable[..., Any]) -> str | None:
    """What a loop calls its number of steps; None if it is no loop over a gradient."""
    return next((name for name in COUNTS if name in parameters_of(make)), None)


def _looped(
    make: Callable[..., Any],
    start: Array,
    options: Mapping[str, Any],
    given: SimpleQueue[Array | None],
    asked: SimpleQueue[Array | BaseException],
) -> None:
    """Run a loop whose gradients come out of one queue and whose parameters go into another."""

    def gradient(x: Any, *_: Any) -> Array:
        asked.put(np.array(x))
        grad = given.get()
        if grad is None:
            raise _Over
        return grad

    try:
        with np.errstate(all="ignore"):
            make(gradient, start, **options)
        raise RuntimeError(f"the loop ended before {options}")
    except _Over:
        pass
    except BaseException as error:
        asked.put(error)


class _GoingLoop(Going):
    """The loop runs in a thread of its own, which waits for each gradient."""

    def __init__(self, make: Callable[..., Any], options: Mapping[str, Any], start: Array) -> None:
        self.given: SimpleQueue[Array | None] = SimpleQueue()
        self.asked: SimpleQueue[Array | BaseException] = SimpleQueue()
        every = {**options, count_of(make) or COUNTS[0]: ENDLESS}
        queues = (self.given, self.asked)  # not self: then it ends when nothing asks any more
        Thread(target=_looped, args=(make, start, every, *queues), daemon=True).start()
        self.param = self._next()

    def _next(self) -> Array:
        asked = self.asked.get()
        if isinstance(asked, BaseException):
            raise asked
        return asked

    def step(self, grads: list[Array | None], rate: float) -> None:
        self.given.put(np.array(grads[0]))
        self.param = self._next()

    def values(self) -> list[Steps]:
        return [{"param": self.param}]

    def __del__(self) -> None:
        self.given.put(None)


class Loop(Candidate):
    """A function ``(grad, x0, ..., num_iters)`` that takes all steps, where ``grad(x, i)``."""

    kind = "a loop over a gradient"

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        return _GoingLoop(self.make, self.options, params[0])
