"""Half precision on every engine: equal bits, where there is no torch to be held against.

Torch's for-loop rounds to half precision after each operation; here a step is computed in float32
and rounded once. So the reference is the rule as it is written, on NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from optimkit.backends.memory import HALF
from optimkit.validation.parity.checks import learning_rate
from optimkit.validation.parity.trajectories import Difference, Way, compare, trajectory
from optimkit.validation.reference.case import Case
from optimkit.validation.reference.cases import cases_of
from optimkit.validation.reference.recordings import Trajectory

STEPS = (1, 10, 100)
REFERENCE = Way("eager", "numpy")


@dataclass
class Agreement:
    """All cases of an optimizer in one half precision, on one engine and library.

    Attributes
    ----------
    optimizer, dtype, way : str
    cases, values, unequal : int
    problem : str
        Where the first difference is.
    """

    optimizer: str
    dtype: str
    way: str
    cases: int = 0
    values: int = 0
    unequal: int = 0
    problem: str = ""


def measure(name: str, ways: Sequence[Way], quick: bool) -> list[Agreement]:
    """Run the elementwise cases of an optimizer in half precision, everywhere.

    Quickly, those with the fewest and the most options: each is a kernel to compile. Rules that sum
    (Adafactor, Muon) do so in float32 in an order that their library chooses.
    """
    others = [way for way in ways if way != REFERENCE and way.library != "array_api_strict"]
    steps = [step for step in STEPS if not quick or step <= 10]
    found = {(d, way): Agreement(name, d, way.name) for d in HALF for way in others}
    cases = [x for x in cases_of(name) if x.setting == "a vector" and not x.tolerance]
    cases.sort(key=lambda case: len(case.options))
    for case in cases[:: max(len(cases) - 1, 1)] if quick else cases:
        for dtype in HALF:
            halved = replace(case, dtypes=(dtype,))
            expected = trajectory(halved, dtype, REFERENCE, steps)
            for way in others:
                result = found[dtype, way]
                difference = _against(halved, dtype, way, expected)
                result.cases += 1
                result.values += difference.values
                result.unequal += difference.unequal
                if difference.unequal and not result.problem:
                    result.problem = f"{case.name}, {dtype}, {way.name}: {difference.first}"
    return [result for result in found.values() if result.cases]


def _against(case: Case, dtype: str, way: Way, expected: Trajectory) -> Difference:
    own = trajectory(case, dtype, way, list(expected))
    return compare(own, expected, learning_rate(case))
