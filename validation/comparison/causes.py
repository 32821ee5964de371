"""Why the rule holds in one circumstance and not in another: what goes on beside a step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from optimkit.validation.comparison.circumstances import Circumstance
from optimkit.validation.comparison.diagnosis import Diagnosis
from optimkit.validation.comparison.explanations import PART, Explanation
from optimkit.validation.comparison.probes import Probe


@dataclass(frozen=True)
class Cause:
    """What goes on beside a step.

    Attributes
    ----------
    name, meaning : str
    """

    name: str
    meaning: str


COUNTER = Cause(
    "one counter for all parameters",
    "The count of steps grows with each parameter, not with each step: with two, the first has "
    "1, 3, 5 and the second 2, 4, 6. Count once a step, before the loop over the parameters.",
)
STATE = Cause(
    "one state for all parameters",
    "What is kept between steps is kept once, so that each parameter goes on with the moments of "
    "the one before it. Keep it for each parameter.",
)
BOTH = Cause(
    "one state and one counter for all parameters",
    "What is kept between steps, the count of them too, is kept once. Keep it for each parameter.",
)
DEAF = Cause(
    "a new learning rate is not heard",
    "It goes on with the learning rate that it began with, where a schedule changes that. It is "
    "halved after six steps here.",
)
ONE_RATE = Cause(
    "one learning rate for all groups", "The second group goes by the learning rate of the first."
)
ABSENCE = Cause(
    "absent gradients are counted",
    "A parameter counts the steps at which it has no gradient, as if it had moved.",
)


def cause_of(
    circumstance: Circumstance, judges: list[Diagnosis], named: Explanation | None
) -> tuple[Cause | None, list[Diagnosis]]:
    """What else than a step, as the rule has it or as it was named, makes these values.

    With that, the parameters are held against the rule anew.

    Parameters
    ----------
    circumstance : Circumstance
    judges : list of Diagnosis
        Of its parameters.
    named : Explanation, optional
        What each step is instead, where that is known.
    """
    probes = [judge.probe for judge in judges]
    for cause, others in _alternatives(circumstance, probes):
        new = [
            Diagnosis(judge.optimizer, judge.options, probe, judge.values)
            for judge, probe in zip(judges, others, strict=True)
        ]
        if all(_made(judge, named) for judge in new):
            return cause, new
    return None, judges


def _made(judge: Diagnosis, named: Explanation | None) -> bool:
    if judge.equal or not judge.usual.any():
        return True
    return named is not None and named.sure != PART and judge.accounts(named)


def _alternatives(
    circumstance: Circumstance, probes: list[Probe]
) -> Iterator[tuple[Cause, list[Probe]]]:
    if circumstance.losses or any(probe.touched is not None for probe in probes):
        return
    several, steps = len(probes) > 1, probes[0].steps
    absent = [
        tuple(t for t, row in enumerate(circumstance.gradients, 1) if row[i] is not None)
        for i in range(len(probes) if several else 0)
    ]
    if any(len(numbers) < len(circumstance.gradients) for numbers in absent):
        pairs = zip(probes, absent, strict=True)
        yield ABSENCE, [replace(probe, numbers=numbers) for probe, numbers in pairs]
        return
    if len(circumstance.groups) > 1:
        yield ONE_RATE, [replace(probe, rates=probes[0].rates) for probe in probes]
    if several:
        count = len(probes)
        yield (
            COUNTER,
            [
                replace(probe, numbers=tuple(count * t + i + 1 for t in range(steps)))
                for i, probe in enumerate(probes)
            ],
        )
        if len({probe.gradients.shape for probe in probes}) == 1:
            twice = tuple(t + 1 for t in range(steps) for _ in probes)
            yield STATE, [_shared(probes, i, twice) for i in range(count)]
            yield BOTH, [_shared(probes, i, ()) for i in range(count)]
    if len({*probes[0].rates}) > 1 and not several:
        yield DEAF, [replace(probes[0], rates=probes[0].rates[:1] * steps)]


def _shared(probes: list[Probe], i: int, numbers: tuple[int, ...]) -> Probe:
    """The steps of all parameters one after the other, of which one moves by its own alone."""
    gradients = np.stack([probe.gradients for probe in probes], 1)
    probe, steps = probes[i], range(probes[i].steps)
    return replace(
        probe,
        gradients=gradients.reshape(-1, *probe.gradients.shape[1:]),
        rates=tuple(p.rates[t] for t in steps for p in probes),
        numbers=numbers,
        own=tuple(k == i for _ in steps for k in range(len(probes))),
    )
