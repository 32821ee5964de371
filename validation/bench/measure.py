"""Steps side by side in one process: their turns, and the ratios within each turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any, NamedTuple

import numpy as np

import optimkit as ok
from optimkit.backends.engines import host_engines
from optimkit.validation.bench.workloads import Workloads, arrays

THREADS = 2
REST = 0.03  # seconds before a turn, in which the threads of the one before stop spinning
TURN = 2e-3  # seconds of steps that a candidate runs before the next has its turn
LONG = 0.1  # seconds of a step beside which it does not matter what is in the caches
LOTS = 3  # sets of arrays: where one happens to lie in memory makes a step up to a third slower

Step = Callable[[], Any]
Turn = dict[str, float]  # seconds of a step of each candidate


def on_engine(engine: str, step: Step) -> Step:
    """The step on that engine; nothing has to be said for the one that runs by itself."""
    if engine == host_engines()[0]:
        return step

    def run() -> None:
        with ok.use_engine(engine):
            step()

    return run


def tensors(sizes: list[int]) -> list[Any]:
    import torch

    params = [torch.tensor(x) for x in arrays(sizes, 1)]
    for param, grad in zip(params, arrays(sizes, 1e-2), strict=True):
        param.grad = torch.tensor(grad)
    return params


def endless_turns(steps: dict[str, Step], rest: float = REST) -> Iterator[Turn]:
    """Yield turn after turn; in each every candidate has one, another one first each time."""
    alone: dict[str, float] = {}
    for name, step in steps.items():
        begin = time.perf_counter()
        for _ in range(3):
            step()
            if time.perf_counter() - begin > 2 * LONG:
                break
        start = time.perf_counter()
        step()
        alone[name] = time.perf_counter() - start
    names = [*steps]
    for turn in count():
        first = turn % len(names)
        seconds: Turn = {}
        for name in names[first:] + names[:first]:
            step, repeats = steps[name], max(1, int(TURN / alone[name]))
            time.sleep(rest)
            if alone[name] < LONG:
                step()  # the candidate before has left its own arrays in the caches
            start = time.perf_counter()
            for _ in range(repeats):
                step()
            seconds[name] = (time.perf_counter() - start) / repeats
        yield {name: seconds[name] for name in names}


def turns(steps: dict[str, Step], rounds: int, rest: float = REST) -> list[Turn]:
    """So many turns."""
    return [*islice(endless_turns(steps, rest), rounds)]


def turns_of_lots(
    make: Callable[[], dict[str, Step]], rounds: int, rest: float = REST
) -> list[Turn]:
    """The turns of several sets of the same candidates, at least `rounds` in all."""
    lots = [make() for _ in range(LOTS)]
    return [turn for steps in lots for turn in turns(steps, -(-rounds // LOTS), rest)]


def measure(steps: dict[str, Step], rounds: int, rest: float = REST) -> dict[str, float]:
    """Median seconds of each step."""
    taken = turns(steps, rounds, rest)
    return {name: statistics.median(turn[name] for turn in taken) for name in steps}


class Quartiles(NamedTuple):
    """A median between its quartiles."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Quartiles:
        return cls(*(float(x) for x in np.quantile(values, (0.25, 0.5, 0.75))))

    def inverse(self) -> Quartiles:
        """Of the ratios the other way round."""
        return Quartiles(1 / self.high, 1 / self.middle, 1 / self.low)


@dataclass
class Bound:
    """A figure and the most that it may be."""

    what: str
    value: float
    bound: float | None = None
    unit: str = ""
    spread: Quartiles | None = None

    @property
    def held(self) -> bool:
        return self.bound is None or self.value <= self.bound


@dataclass
class Timings:
    """Seconds of a step of one optimizer, turn by turn, for each workload.

    A ratio is taken within each turn, where both found the machine alike. Not everyone is in every
    turn, where memory does not hold all of them. `sizes` has the elements of each workload's
    tensors.
    """

    optimizer: str
    reference: str
    where: str = f"{THREADS} threads"
    turns: dict[str, list[Turn]] = field(default_factory=dict)
    sizes: Workloads = field(default_factory=dict)

    def candidates(self, workload: str) -> list[str]:
        return [*dict.fromkeys(name for turn in self.turns[workload] for name in turn)]

    def spread(self, workload: str, candidate: str, other: str | None = None) -> Quartiles | None:
        """The time of a candidate over another's, if they ever had a turn together."""
        other = other or self.reference
        both = [turn for turn in self.turns[workload] if candidate in turn and other in turn]
        return Quartiles.of([turn[candidate] / turn[other] for turn in both]) if both else None

    def ratio(self, workload: str, candidate: str, other: str | None = None) -> float:
        found = self.spread(workload, candidate, other)
        return float("nan") if found is None else found.middle

    def seconds(self, workload: str, candidate: str) -> float:
        taken = [turn[candidate] for turn in self.turns[workload] if candidate in turn]
        return statistics.median(taken)

    def bound(
        self, what: str, at_most: float | None, workload: str, own: str, other: str | None = None
    ) -> Bound:
        """What a ratio must reach, with its spread."""
        spread = self.spread(workload, own, other)
        return Bound(what, self.ratio(workload, own, other), at_most, spread=spread)
