"""Options that are off in what was compared, each switched on for a short run."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.comparison.candidates import Unusable
from optimkit.validation.comparison.circumstances import of_probe
from optimkit.validation.comparison.diagnosis import Diagnosis
from optimkit.validation.comparison.explanations import BITS, OPERATIONS, Explanation
from optimkit.validation.comparison.fitting import SKIPPED, Options, allowed
from optimkit.validation.comparison.observing import observed
from optimkit.validation.comparison.probes import Probe
from optimkit.validation.comparison.reading import Reading, read_candidate

SAME, ANOTHER, IGNORED, NOT_TAKEN, FAILED = "same", "another", "ignored", "not taken", "failed"
USUAL = {"weight_decay": 0.1, "momentum": 0.9}  # values that people give
ANY = 0.1
STRIDE = 7  # of the values that the diagnosis goes by


@dataclass(frozen=True)
class Branch:
    """What a candidate does with an option that was off.

    Attributes
    ----------
    options : dict
        What was given beside the others.
    came_to : str
        ``"same"``, ``"another"``, ``"ignored"``, ``"not taken"`` or ``"failed"``.
    name : str
        What it computes then, where a change of the rule reproduces it.
    """

    options: Options
    came_to: str
    name: str = ""


@dataclass
class Branching:
    """Tries a candidate with each option that was off.

    Parameters
    ----------
    reading : Reading
    rule : type
    judge : Diagnosis
        Of the circumstance that the diagnosis goes by.
    named : Explanation, optional
        What the candidate computes with the options that were compared, if that is not the rule.
    """

    reading: Reading
    rule: type[ok.Optimizer]
    judge: Diagnosis
    named: Explanation | None

    def branches(self) -> Iterator[Branch]:
        """What comes of each."""
        if self.judge.probe.losses or self.judge.probe.touched is not None or self._elsewhere:
            return
        probe = self._probe()
        plain = self._values(self.reading, probe)
        for change in self._off(probe):
            yield self._tried(change, probe, plain)

    @property
    def _elsewhere(self) -> bool:
        return self.named is not None and self.named.other

    def _probe(self) -> Probe:
        """Some of what the diagnosis goes by; of whole arrays, what has a size that is usual."""
        probe = self.judge.probe
        if not probe.shapes:
            few = slice(None, None, STRIDE)
            return replace(probe, start=probe.start[few], gradients=probe.gradients[:, few])
        part, shape = [*probe.parts()][-1]
        start, gradients = probe.start[part], probe.gradients[:, part]
        return replace(probe, start=start, gradients=gradients, shapes=(shape,))

    def _off(self, probe: Probe) -> Iterator[Options]:
        """For each option that is off and was not asked for, what switches it on."""
        asked = self.reading.options.keys() - self.reading.adopted.keys()
        held = vars(self.rule.bind(**self.reading.options))
        plain = self._diagnosis(self.reading.options, probe, probe.gradients)
        for name in inspect.signature(self.rule.__init__).parameters:
            value = held.get(name)
            if name in (*SKIPPED, *asked) or isinstance(value, tuple | str | None) or value:
                continue
            on = True if value is False else USUAL.get(name, ANY)
            momentum = {"momentum": USUAL["momentum"]} if held.get("momentum") == 0 else {}
            for change in ({name: on}, {name: on} | momentum):
                options = self.reading.options | change
                if allowed(self.rule, options):
                    made = self._diagnosis(options, probe, plain.reference.param)
                    if not made.equal:
                        yield change
                        break

    def _diagnosis(self, options: Options, probe: Probe, values: Any) -> Diagnosis:
        return Diagnosis(self.rule, options, probe, values)

    def _values(self, reading: Reading, probe: Probe) -> Any:
        shape = probe.shapes[0] if probe.shapes else probe.start.shape
        start, rows = probe.start.reshape(shape), probe.gradients.reshape(-1, *shape)
        given = of_probe("", replace(probe, start=start, gradients=rows))
        return observed(reading.candidate, given)[0]["param"]

    def _tried(self, change: Options, probe: Probe, plain: Any) -> Branch:
        options = {k: v for k, v in self.reading.options.items() if k not in change} | change
        try:
            reading = read_candidate(self.reading.thing, self.rule, options)
            if {*change} & {*reading.unheard}:
                return Branch(change, NOT_TAKEN)
            values = self._values(reading, probe)
        except Unusable:
            return Branch(change, FAILED)
        found = self._diagnosis(reading.options, probe, values)
        base = self.named if self.named and not self.named.rounds else Explanation(found.text)
        if found.equal or not found.differs(found.reference, found.spread.scalars).any():
            return Branch(change, SAME)
        if base is self.named and found.accounts(base):
            return Branch(change, SAME)
        if np.array_equal(values, plain, equal_nan=True):
            return Branch(change, IGNORED)
        singles = found.ordered(found.singles(replace(base, options={})))
        best = found.best(singles, BITS, OPERATIONS)
        return Branch(change, ANOTHER, best.departures[-1].name if best and best.departures else "")
