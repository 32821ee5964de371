"""Ordinary torch, running free: how far apart two runs come that nobody brings together again.

Torch's for-loop is the one that others are held against: optimkit, and torch's own foreach and
fused paths for scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from optimkit.validation.parity.checks import learning_rate
from optimkit.validation.parity.tiers.bounds import UNIT
from optimkit.validation.parity.trajectories import Way, gaps, real, trajectory
from optimkit.validation.reference.case import Case
from optimkit.validation.reference.cases import cases_of
from optimkit.validation.reference.inputs import LONG
from optimkit.validation.reference.recordings import Trajectory
from optimkit.validation.reference.torch_runs import PATHS, TorchRun
from optimkit.validation.reference.torch_runs import trajectory as run_torch

STEPS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
DTYPES = ("float32", "float64")
OWN = "optimkit"
# Each step adds some rounding errors, and hands on those before it about as they are: this many, in
# units of half the spacing of numbers; the longest rule rounds 18 times. That is a limit against
# going astray and no proof: the largest run so far takes a ninth of it.
OPERATIONS = 32


@dataclass
class Drift:
    """How far a run is from torch's for-loop, over the steps.

    Attributes
    ----------
    optimizer, dtype : str
    case : str
    rival : str
        ``"optimkit"``, or one of torch's own paths.
    points : list of (step, largest, mean)
        ``|difference| / max(|parameter|, lr)``.
    problem : str
    """

    optimizer: str
    dtype: str
    case: str
    rival: str
    points: list[tuple[int, float, float]] = field(default_factory=list)
    problem: str = ""


def allowed(case: Case, dtype: str, step: int) -> float:
    """Return how far optimkit may be away: what a sum of rounding errors comes to, or more.

    A rule that is not elementwise has the tolerance of its case, with its reason, at the least.
    """
    return max(case.tolerance and case.bound(dtype), step * OPERATIONS * UNIT[dtype])


def everyday(name: str) -> Case | None:
    """The case of an optimizer that runs long: its defaults, or SGD with momentum."""
    wanted = "momentum" if name == "SGD" else "defaults"
    case = next((c for c in cases_of(name) if c.exercises == wanted and c.peer), None)
    if case is None or case.setting not in LONG:
        return None
    return replace(case, setting=f"{case.setting}, many steps")


def measure(name: str, quick: bool) -> list[Drift]:
    """Run an optimizer beside the installed torch, by all its paths."""
    import torch

    case = everyday(name)
    if case is None:
        return []
    steps = [step for step in STEPS if not quick or step <= 100]
    found = []
    for dtype in DTYPES:
        loop = run_torch(torch, case, dtype, steps, PATHS["for-loop"])
        own = trajectory(case, dtype, Way("eager", "numpy"), steps)
        result = Drift(name, dtype, case.exercises, OWN, _points(own, loop, case))
        for step, largest, _ in result.points:
            limit = allowed(case, dtype, step)
            if not largest <= limit and not result.problem:
                result.problem = f"{dtype}, step {step:,}: {largest:.1e}, over {limit:.1e}"
        found.append(result)
        for path in ("foreach", "fused"):
            if not TorchRun(torch, case, dtype, 1).takes(path):
                continue
            try:
                other = run_torch(torch, case, dtype, steps, PATHS[path])
            except (RuntimeError, TypeError):
                continue  # this path does not take this kind of gradient
            points = _points(other, loop, case)
            found.append(Drift(name, dtype, case.exercises, path, points))
    return found


def _points(one: Trajectory, other: Trajectory, case: Case) -> list[tuple[int, float, float]]:
    lr, labels = learning_rate(case), [str(i) for i in range(len(case.circumstances.shapes))]
    points = []
    for step in sorted(one.keys() & other.keys()):
        apart: Sequence[np.ndarray] = [
            gaps(real(one[step][label]), real(other[step][label]), lr) for label in labels
        ]
        everything = np.concatenate(apart)
        points.append((step, float(everything.max()), float(everything.mean())))
    return points
