"""Candidates side by side in one process: what they run over, their turns, and the ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.backends.engines import host_engines

WORKLOADS: dict[str, list[int]] = {
    "300 x 64": [64] * 300,
    "300 x 1,000": [1_000] * 300,
    "1 x 1M": [1_000_000],
    "mix, 10M": [64] * 100 + [4_096] * 50 + [250_000] * 40,
    "1 x 10M": [10_000_000],
}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "Adam": {},
    "AdamW": {},
    "SGD": {"lr": 1e-3, "momentum": 0.9},
    "Adagrad": {},
    "Adadelta": {},
    "Adamax": {},
    "ASGD": {},
    "NAdam": {},
    "RAdam": {},
    "RMSprop": {},
    "Rprop": {},
}
FUSED_IN_TORCH = ("SGD", "Adam", "AdamW", "Adagrad")
# Costs first: tensors that are made where others were let go lie apart in memory, and reading them
# takes up to two thirds longer.
USUAL = ("costs", "Adam", "AdamW", "SGD")
TORCH = {"for-loop": {"foreach": False}, "foreach": {"foreach": True}}
THREADS = 2
REST = 0.03  # seconds before a turn, in which the threads of the one before stop spinning
TURN = 2e-3  # seconds of steps that a candidate runs before the next has its turn
LOTS = 3  # sets of arrays: where one happens to lie in memory makes a step up to a third slower

Step = Callable[[], Any]


def arrays(sizes: list[int], scale: float) -> list[np.ndarray[Any, Any]]:
    random = np.random.default_rng(0)
    return [(scale * random.standard_normal(n)).astype(np.float32) for n in sizes]


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


def turns(steps: dict[str, Step], rounds: int, rest: float = REST) -> dict[str, list[float]]:
    """Seconds of each step, turn by turn, the candidates following one another after a rest."""
    repeats = {}
    for name, step in steps.items():
        for _ in range(3):
            step()
        start = time.perf_counter()
        step()
        repeats[name] = max(1, int(TURN / (time.perf_counter() - start)))
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            time.sleep(rest)
            step()  # the candidate before has left its own arrays in the caches
            start = time.perf_counter()
            for _ in range(repeats[name]):
                step()
            times[name].append((time.perf_counter() - start) / repeats[name])
    return times


def turns_of_lots(
    make: Callable[[], dict[str, Step]], rounds: int, rest: float = REST
) -> dict[str, list[float]]:
    """The turns of several sets of the same candidates, at least `rounds` in all."""
    lots = [turns(steps, -(-rounds // LOTS), rest) for steps in [make() for _ in range(LOTS)]]
    return {name: [time for lot in lots for time in lot[name]] for name in lots[0]}


def measure(steps: dict[str, Step], rounds: int, rest: float = REST) -> dict[str, float]:
    """Median seconds of each step."""
    times = turns(steps, rounds, rest)
    return {name: statistics.median(values) for name, values in times.items()}


@dataclass
class Bound:
    """A figure and the most that it may be."""

    what: str
    value: float
    bound: float | None = None
    unit: str = ""

    @property
    def held(self) -> bool:
        return self.bound is None or self.value <= self.bound


@dataclass
class Timings:
    """Times of one optimizer, turn by turn: a row for each workload, a column for each candidate.

    A ratio is taken within each turn, where both found the machine alike; shown is the median.
    """

    optimizer: str
    reference: str
    where: str = f"{THREADS} threads"
    times: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def ratio(self, workload: str, candidate: str, reference: str | None = None) -> float:
        times = self.times[workload]
        pairs = zip(times[candidate], times[reference or self.reference], strict=True)
        return statistics.median(own / other for own, other in pairs)

    def seconds(self, workload: str, candidate: str) -> float:
        return statistics.median(self.times[workload][candidate])

    def ratios(self) -> dict[str, dict[str, float]]:
        """Return the time of each candidate over the reference's, by workload."""
        return {
            workload: {candidate: self.ratio(workload, candidate) for candidate in times}
            for workload, times in self.times.items()
        }
