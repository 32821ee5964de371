"""The oracle: how far a run of ours is from exact arithmetic, and torch's beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.backends.trace import NotTraceable, trace
from optimkit.validation.parity.checks import learning_rate
from optimkit.validation.parity.tiers.bounds import fusable, roundings
from optimkit.validation.parity.trajectories import Way, trajectory
from optimkit.validation.reference.case import Case
from optimkit.validation.reference.cases import cases_of
from optimkit.validation.reference.oracle import errors, exact_trajectory
from optimkit.validation.reference.torch_runs import PATHS
from optimkit.validation.reference.torch_runs import trajectory as run_torch

STEPS = (1, 10, 100)
DTYPES = ("float32", "float64")
SETTING = "ordinary values"


@dataclass
class Exactness:
    """Distances from exact arithmetic in one case, in machine epsilons.

    ``|value - exact| / max(|exact|, lr)`` of the parameters, over the steps of `STEPS`.

    Attributes
    ----------
    optimizer, case, dtype : str
    steps : int
        The last step.
    mean, worst : float
        Of optimkit; of torch in the IEEE setting too, which has the same bits.
    torch_mean, torch_worst : float or None
        Of ordinary torch's for-loop; None where there is no torch.
    roundings, fused : int
        How many operations of the rule round, and how many of those rounding errors torch's fused
        multiply-adds save.
    """

    optimizer: str
    case: str
    dtype: str
    steps: int
    mean: float
    worst: float
    torch_mean: float | None = None
    torch_worst: float | None = None
    roundings: int = 0
    fused: int = 0


@dataclass
class Accuracy:
    """All cases of an optimizer and a dtype together.

    Attributes
    ----------
    mean, worst, torch_mean, torch_worst : float
        The mean over the cases, and the worst of them, of those that both have.
    allowed : float
        Torch's multiply-adds are rounded once, where a product and a sum are rounded twice: of `n`
        rounding errors it has `n - m`, and ours may be `n / (n - m)` times as large, as a mean over
        the cases. This is an estimate and no bound: errors also cancel, and single cases exceed it.
    held : bool
        Whether the mean error is at most torch's, times `allowed`.
    """

    optimizer: str
    dtype: str
    cases: int
    mean: float
    worst: float
    torch_mean: float
    torch_worst: float
    allowed: float

    @property
    def ratio(self) -> float:
        """Our mean error relative to torch's."""
        return self.mean / self.torch_mean if self.torch_mean else 1.0

    @property
    def held(self) -> bool:
        return self.ratio <= self.allowed


def exact_cases(name: str) -> list[Case]:
    """The cases that can be run exactly: elementwise rules, on ordinary values."""
    return [
        replace(case, setting=SETTING)
        for case in cases_of(name)
        if case.peer and case.setting == "a vector" and not case.tolerance and _elementwise(case)
    ]


def _elementwise(case: Case) -> bool:
    try:
        _traced(case)
    except NotTraceable:
        return False
    return case.dtypes == DTYPES


def _traced(case: Case) -> Any:
    kind = getattr(ok, case.optimizer)
    hyper = kind.bind(**case.options)
    state = kind.init(np, np.zeros(1), hyper)
    arrays = tuple(name for name, value in state.items() if isinstance(value, np.ndarray))
    scalars = {name: value for name, value in state.items() if name not in arrays}
    return trace(kind.update, arrays, scalars, hyper, 10)


def measure(name: str, quick: bool, live: bool) -> list[Exactness]:
    """Run the cases of an optimizer exactly and in floating point, with the installed torch or not.

    Without torch only the defaults are run: what torch's error is was recorded.
    """
    cases = exact_cases(name)
    chosen = cases if live else cases[:1]
    return [_measure(case, dtype, quick, live) for case in chosen for dtype in DTYPES]


def _measure(case: Case, dtype: str, quick: bool, live: bool) -> Exactness:
    steps = [step for step in STEPS if not quick or step <= 10]
    exact = exact_trajectory(case, dtype, steps)
    lr, unit = learning_rate(case), float(np.finfo(dtype).eps)

    def distances(run: Any) -> tuple[float, float]:
        found = np.concatenate([errors(run[step]["0"], exact[step], lr) for step in steps]) / unit
        return float(found.mean()), float(found.max())

    own = distances(trajectory(case, dtype, Way("eager", "numpy"), steps))
    theirs: tuple[float | None, float | None] = (None, None)
    if live:
        import torch

        theirs = distances(run_torch(torch, case, dtype, steps, PATHS["for-loop"]))
    program = _traced(case).program
    return Exactness(
        case.optimizer,
        case.exercises,
        dtype,
        max(steps),
        *own,
        *theirs,
        roundings(program),
        fusable(program),
    )


def verdicts(found: Iterable[Exactness]) -> Iterator[Accuracy]:
    """Take the cases of each optimizer and dtype together, those that torch was measured in."""
    groups: dict[tuple[str, str], list[Exactness]] = {}
    for one in found:
        if one.torch_mean is not None:
            groups.setdefault((one.optimizer, one.dtype), []).append(one)
    for (optimizer, dtype), ones in groups.items():
        yield Accuracy(
            optimizer,
            dtype,
            len(ones),
            float(np.mean([one.mean for one in ones])),
            max(one.worst for one in ones),
            float(np.mean([one.torch_mean for one in ones if one.torch_mean is not None])),
            max(one.torch_worst or 0.0 for one in ones),
            float(np.mean([one.roundings / max(one.roundings - one.fused, 1) for one in ones])),
        )
