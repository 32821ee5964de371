"""What the times say, in words, and when they say nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from optimkit.validation.bench import roofline
from optimkit.validation.bench.measure import Quartiles, Timings
from optimkit.validation.bench.measurement import AGAIN
from optimkit.validation.bench.workloads import classes

ALIKE = 0.05  # a ratio within 5 % of 1 is as fast: nobody's program would notice
FEWEST = 5  # turns; quartiles of fewer say nothing

Outcome = Literal["faster", "slower", "as fast", "unclear", "too few"]


def judged(ratio: Quartiles, itself: Quartiles | None = None, turns: int = FEWEST) -> Outcome:
    """What a ratio of times says.

    Parameters
    ----------
    ratio : Quartiles
        The time of one over that of another, with quartiles.
    itself : Quartiles, optional
        The time of the reference over its own, run as two candidates: what the machine does alone.
    turns : int
        How many turns these are of.

    Returns
    -------
    str
        ``"too few"`` of fewer than five turns. ``"as fast"`` if both quartiles are within 5 % of 1.
        ``"unclear"`` if they straddle 1, or if what the reference differs from itself by is more
        than the difference by the quartile nearer to 1. Else ``"faster"`` or ``"slower"``.
    """
    if turns < FEWEST:
        return "too few"
    if ratio.low >= 1 - ALIKE and ratio.high <= 1 + ALIKE:
        return "as fast"
    if ratio.low <= 1 <= ratio.high:
        return "unclear"
    least = min(abs(math.log(ratio.low)), abs(math.log(ratio.high)))
    if itself is not None and least < noise(itself):
        return "unclear"
    return "faster" if ratio.middle < 1 else "slower"


def noise(itself: Quartiles) -> float:
    """How far the time of a step is from its own: the logarithm of a ratio."""
    ends = [0.0, math.log(itself.low), math.log(itself.high)]
    return max(ends) - min(ends)


@dataclass(frozen=True)
class Verdict:
    """The fastest of the engines beside the fastest of the others, on one workload."""

    workload: str
    own: str
    peer: str
    ratio: Quartiles
    itself: Quartiles | None
    outcome: Outcome

    def __str__(self) -> str:
        low, middle, high = self.ratio if self.outcome == "slower" else self.ratio.inverse()
        spread = f"{low:.2f} to {high:.2f}"
        if self.outcome == "as fast":
            return f"on {self.workload} {self.own} and {self.peer} are as fast ({spread})"
        if self.outcome == "too few":
            return (
                f"on {self.workload} there are too few turns to tell {self.own} from {self.peer}, "
                f"{FEWEST} at least"
            )
        if self.outcome == "unclear":
            beside = ""
            if self.itself is not None:
                beside = f"; the reference beside itself {self.itself.low:.2f} to "
                beside += f"{self.itself.high:.2f}"
            return (
                f"on {self.workload} the machine is too noisy to tell {self.own} from {self.peer} "
                f"({spread}{beside})"
            )
        return (
            f"on {self.workload} {self.own} is {middle:.2f} times as "
            f"{self.outcome.removesuffix('er')} as {self.peer} ({spread})"
        )


def verdicts(timings: Timings, ours: set[str]) -> list[Verdict]:
    """The verdict on each workload that has times of ours and, if there are any, of a peer's.

    Without a peer the fastest engine is held against the reference.
    """
    found = []
    for workload, turns in timings.turns.items():
        if not turns:
            continue
        names = [
            name
            for name in timings.candidates(workload)
            if name != roofline.NAME and not name.endswith(AGAIN)
        ]
        at = {name: timings.ratio(workload, name) for name in names}
        own = min((name for name in names if name in ours), key=at.__getitem__, default=None)
        others = [name for name in names if name not in ours] or [timings.reference]
        peer = min(others, key=at.__getitem__)
        if own is None or own == peer:
            continue
        ratio = timings.spread(workload, own, peer)
        if ratio is None:  # never held at once: by way of the reference
            first, second = timings.spread(workload, own), timings.spread(workload, peer)
            assert first is not None
            assert second is not None
            ratio = Quartiles(*(x / second.middle for x in first))
        itself = timings.spread(workload, timings.reference + AGAIN)
        together = min(sum(name in turn for turn in turns) for name in (own, peer))
        found.append(Verdict(workload, own, peer, ratio, itself, judged(ratio, itself, together)))
    return found


def sentences(optimizer: str, found: list[Verdict]) -> list[str]:
    """A sentence for each class of workloads."""
    said = []
    for name, workloads in classes(verdict.workload for verdict in found).items():
        clauses = [str(verdict) for verdict in found if verdict.workload in workloads]
        said.append(f"{optimizer}, {name}: {'; '.join(clauses)}.")
    return said


def summary(every: list[Verdict]) -> str:
    """How often the engines are faster, in a sentence."""
    if not every:
        return "Nothing was timed beside anything else."
    counts = {
        "faster": "faster",
        "as fast": "as fast",
        "slower": "slower",
        "unclear": "too noisy to tell",
        "too few": "of too few turns",
    }
    parts = [
        f"{count} {words}"
        for outcome, words in counts.items()
        if (count := sum(verdict.outcome == outcome for verdict in every))
    ]
    return (
        f"Of {len(every)} comparisons, the fastest engine against the fastest of the others: "
        + (", ".join(parts) + ".")
    )
