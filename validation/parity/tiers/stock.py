"""Ordinary torch, step by step: each step of ours begins where torch is, parameters and state.

Torch computes as a user has it, with its own kernels and all vector instructions of the processor.
Its for-loop rounds the same operations, fewer of them where it multiplies and adds in one, and
takes roots that may be the neighbour of the rounded one; so the two are at most the sum of two
bounds apart (`bounds`). Its other paths, and half precision, where it rounds and stores after each
operation, are counted for comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from optimkit.backends.memory import HALF
from optimkit.validation.parity.tiers.twin import Twin
from optimkit.validation.parity.trajectories import gaps, real, ulps
from optimkit.validation.reference.case import Case
from optimkit.validation.reference.cases import cases_of
from optimkit.validation.reference.inputs import Array
from optimkit.validation.reference.recordings import NUMBERS
from optimkit.validation.reference.torch_runs import PATHS, TorchRun, numbers

# The largest distance of each kind; what is beyond the last is another kind.
EDGES = (0, 1, 2, 4, 16, 64, 1024)
KINDS = ("0", "1", "2", "3-4", "5-16", "17-64", "65-1024", "more")


@dataclass
class PerStep:
    """Distances after one step from the same place, over all cases of an optimizer.

    Attributes
    ----------
    optimizer, dtype, path : str
    cases, steps : int
    counts : dict of str to list of int
        For the parameter and each state, how many values are how many ULP apart: `KINDS`.
    worst : float
        The largest distance, in ULP.
    relative : float
        The largest ``|difference| / max(|value|, lr)``.
    share : float
        The largest part of its bound that a difference takes; 0 where nothing is held to bounds.
    unbounded : int
        How many values have no bound, because a root or divisor may be zero within the errors.
    roundings : int
        How many operations of the rule round, at most.
    allowed : str
        For a rule that is not elementwise, the tolerance in words.
    problem : str
        The first value beyond its bound.
    """

    optimizer: str
    dtype: str
    path: str
    cases: int = 0
    steps: int = 0
    counts: dict[str, list[int]] = field(default_factory=dict)
    worst: float = 0.0
    relative: float = 0.0
    share: float = 0.0
    unbounded: int = 0
    roundings: int = 0
    allowed: str = ""
    problem: str = ""

    @property
    def values(self) -> int:
        """How many values were compared."""
        return sum(map(sum, self.counts.values()))

    @property
    def equal(self) -> int:
        """How many have equal values, NaN included."""
        return sum(column[0] for column in self.counts.values())

    def count(self, quantity: str, distances: Array) -> None:
        """Enter distances in ULP."""
        kinds = np.searchsorted(EDGES, distances)
        found = np.bincount(kinds, minlength=len(KINDS))
        before = self.counts.get(quantity, [0] * len(KINDS))
        self.counts[quantity] = [a + int(b) for a, b in zip(before, found, strict=True)]
        self.worst = max(self.worst, float(distances.max(initial=0.0)))


def measure(name: str, quick: bool) -> list[PerStep]:
    """Hold every case of an optimizer against the installed torch, by all its paths."""
    found: dict[tuple[str, str], PerStep] = {}
    for case in cases_of(name):
        if not case.peer or case.circumstances.closure:
            continue
        halves = HALF if case.dtypes == ("float32", "float64") else ()
        for dtype in dict.fromkeys((*case.dtypes, *halves)):
            for path in PATHS:
                result = found.setdefault((dtype, path), PerStep(name, dtype, path))
                held = path == "for-loop" and dtype not in HALF
                follow(result, case, 50 if held and not quick else 10)
    return [result for result in found.values() if result.cases]


def follow(result: PerStep, case: Case, steps: int) -> None:
    """Enter every step of a case; nothing if torch does not take it by this path."""
    import torch

    dtype, loop = result.dtype, result.path == "for-loop"
    held = loop and dtype not in HALF
    try:
        run = TorchRun(torch, case, dtype, steps, PATHS[result.path])
    except RuntimeError:
        if loop:
            raise
        return  # this path does not take these options
    if not loop and not run.takes(result.path):
        return
    twin = Twin(run, case)
    for step in range(1, steps + 1):
        run.arrange(step)
        twin.synchronize()
        limits = twin.limits(dtype) if held and not case.tolerance else {}
        try:
            run.step()
        except (RuntimeError, TypeError):
            if loop:
                raise
            return  # nor these gradients
        twin.optimizer.step()
        _enter(result, case, twin, limits, f"{case.name}, {dtype}, step {step}")
    result.cases += 1
    result.steps = max(result.steps, steps)
    result.roundings = max(result.roundings, twin.roundings)
    if held and case.tolerance:
        result.allowed = case.allowed


def _enter(
    result: PerStep,
    case: Case,
    twin: Twin,
    limits: Mapping[tuple[int, str], Array],
    where: str,
) -> None:
    """Compare parameters and state after a step, and hold them to their limits."""
    lr = max(float(group["lr"]) for group in twin.optimizer.param_groups)
    for i, (param, own) in enumerate(twin.pairs()):
        if param.grad is None:
            continue
        theirs = {"param": param, **twin.run.optimizer.state[param]}
        mine = {"param": own, **twin.optimizer.state[own]}
        for name, value in theirs.items():
            if name == "step" or value is None:
                continue
            if name in NUMBERS:
                a, b = (np.array([float(v)], np.float32) for v in (mine[name], value))
            else:
                a, b = real(numbers(mine[name])), real(numbers(value))
            result.count(name, ulps(a, b))
            if name == "param":
                result.relative = max(result.relative, float(gaps(a, b, lr).max(initial=0.0)))
            if (i, name) in limits:
                _hold(result, a, b, limits[i, name], f"{where}, {name} of parameter {i}")
        if case.tolerance and result.path == "for-loop" and result.dtype not in HALF:
            bar = case.bound(result.dtype)
            if not result.relative <= bar:
                result.problem = result.problem or f"{where}: {result.relative:.1e}, over {bar:.1e}"


def _hold(result: PerStep, a: Array, b: Array, limit: Array, where: str) -> None:
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(a.astype(np.float64) - b.astype(np.float64))
    comparable = np.isfinite(a) & np.isfinite(b)
    bounded = comparable & np.isfinite(limit)
    result.unbounded += int((comparable & ~np.isfinite(limit)).sum())
    shares = np.divide(gap, limit, out=np.zeros_like(gap), where=bounded & (gap > 0))[bounded]
    if shares.size:
        result.share = max(result.share, float(shares.max()))
        if shares.max() > 1:
            place = int(np.flatnonzero(bounded)[np.argmax(shares)])
            result.problem = result.problem or (
                f"{where}[{place}]: {a[place]!r}, torch {b[place]!r}, {shares.max():.3g} times "
                "the bound"
            )
