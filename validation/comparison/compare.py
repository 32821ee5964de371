"""An implementation held against a rule: `compare`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.comparison.candidates import Unusable
from optimkit.validation.comparison.circumstances import (
    LOSSES,
    SIZES,
    Circumstance,
    circumstances,
    observed,
)
from optimkit.validation.comparison.diagnosis import Diagnosis
from optimkit.validation.comparison.explanations import PART, Explanation
from optimkit.validation.comparison.judging import (
    DIFFERENT,
    EQUAL,
    FLOAT32,
    ROUNDED,
    VERDICTS,
    FirstDifference,
    first_difference,
    relative,
    units,
)
from optimkit.validation.comparison.kinds import kind_of
from optimkit.validation.comparison.others import another
from optimkit.validation.comparison.reading import Reading, read_candidate, rule_named
from optimkit.validation.comparison.schedules import scheduled

DTYPES = ("float64", "float32")


@dataclass
class Finding:
    """What came of one circumstance in one dtype.

    Attributes
    ----------
    circumstance, dtype : str
    verdict : str
        ``"equal in bits"``, ``"rounding"``, ``"float32 numbers"``, ``"different"``, or why it was
        not tried.
    tried : bool
    most_units, most_relative : float
        The largest distance from the rule, in units in the last place and relative to how far the
        parameter has gone.
    differences : list of FirstDifference
        The first of each quantity.
    explained : bool
        Whether the departure that was named accounts for all of it.
    """

    circumstance: str
    dtype: str
    verdict: str
    tried: bool = True
    most_units: float = 0.0
    most_relative: float = 0.0
    differences: list[FirstDifference] = field(default_factory=list)
    explained: bool = False


@dataclass
class Outcome:
    """What came of holding an implementation against a rule, as `compare` returns it.

    Parameters
    ----------
    optimizer : str
    kind : str
        What the candidate was taken for.
    options : dict
        Options of the rule that it was held against.
    adopted : dict
        Those of them that are the candidate's defaults and not the rule's.
    unheard : list of str
        Options that were asked for and that the candidate does not take.
    findings : list of Finding
    judge : Diagnosis
        Of the circumstance that a diagnosis goes by.
    explanations : list of Explanation
        What it computes instead, best first; or the way in which it rounds.

    Examples
    --------
    >>> import optimkit as ok
    >>> from optimkit.validation import compare
    >>> found = compare(ok.AdamW, "AdamW", quick=True, lr=0.1)
    >>> found.same, found.verdict, found.departure
    (True, 'equal in bits', None)
    """

    optimizer: str
    kind: str
    options: dict[str, Any]
    adopted: dict[str, Any]
    unheard: list[str]
    findings: list[Finding] = field(default_factory=list)
    judge: Diagnosis | None = None
    explanations: list[Explanation] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """The worst of all that was tried."""
        tried = [finding.verdict for finding in self.findings if finding.tried]
        return max(tried, key=VERDICTS.index, default=DIFFERENT)

    @property
    def same(self) -> bool:
        """Whether it is the rule, but for rounding."""
        return self.verdict != DIFFERENT

    @property
    def rule_holds(self) -> bool:
        """Whether its steps are the rule's, whatever else differs."""
        judging = [f for f in self.findings if f.circumstance in (SIZES, LOSSES)]
        return all(f.verdict != DIFFERENT for f in judging)

    @property
    def departure(self) -> str | None:
        """What it computes instead, if a change of the rule reproduces it."""
        if self.same or not self.explanations or self.explanations[0].sure == PART:
            return None
        return self.explanations[0].name

    def finished(self) -> Outcome:
        """The same; `Unusable` if nothing could be tried."""
        if self.judge is None:
            raise Unusable(self.findings[0].verdict)
        return self

    def as_dict(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "optimkit": ok.__version__,
            "optimizer": self.optimizer,
            "candidate": self.kind,
            "options": self.options,
            "adopted": self.adopted,
            "unheard": self.unheard,
            "verdict": self.verdict,
            "same": self.same,
            "departure": self.departure,
            "explanations": [x.as_dict() for x in self.explanations],
            "findings": [asdict(finding) for finding in self.findings],
        }


def compare(
    candidate: Any, optimizer: str | type[ok.Optimizer], *, quick: bool = False, **options: Any
) -> Outcome:
    """Hold an implementation of an optimizer against its rule, and say what is wrong with it.

    Parameters
    ----------
    candidate : type or callable
        An optimizer's class, or a function that makes one: of torch, of optimkit, of optax, of
        Keras or of mlx; a class of one's own with ``step(grads)`` or ``update(params, grads)``; or
        a function ``(param, grad, state, step) -> (param, state)``, where `state` is an empty
        mapping that has zeros for what is asked of it first.
    optimizer : str or type
        The rule that it should be: an optimizer whose rule is elementwise, by name or its class.
    quick : bool, default False
        Whether the long run is of 100 steps and not of 1,000.
    **options
        Options of both. One that is not given is the candidate's own default.

    Returns
    -------
    Outcome
        With ``same``, ``departure`` and all that was found.

    Raises
    ------
    ValueError
        If there is no such optimizer, if its rule is not elementwise, if an option has a value that
        it refuses, or if the candidate is nothing that can be held against a rule, or fails.
    TypeError
        If there is no such option.

    Examples
    --------
    >>> import numpy as np
    >>> from optimkit.validation import compare
    >>> def adagrad(param, grad, state, step, lr=0.01):
    ...     total = state["sum"] + grad**2
    ...     return param - lr * grad / np.sqrt(total + 1e-10), {"sum": total}
    >>> compare(adagrad, "Adagrad", quick=True).departure
    'eps inside the root'
    """
    rule = rule_named(optimizer)
    reading = read_candidate(candidate, rule, options)
    result = begun(reading, rule)
    for _, stage in stages(reading, rule, quick):
        stage(result)
    return result.finished()


Stage = Callable[[Outcome], None]


def begun(reading: Reading, rule: type[ok.Optimizer]) -> Outcome:
    """A comparison of which nothing has been tried yet."""
    kind = reading.candidate.kind
    return Outcome(rule.__name__, kind, reading.options, reading.adopted, reading.unheard)


def stages(reading: Reading, rule: type[ok.Optimizer], quick: bool) -> list[tuple[str, Stage]]:
    """What there is to do, by name, in this order."""
    work: list[tuple[str, Stage]] = []
    for dtype in DTYPES:
        for circumstance in circumstances(dtype, reading.candidate, rule, reading.options, quick):
            work.append(
                (f"{circumstance.name}, {dtype}", _Trying(reading, rule, circumstance, dtype))
            )
            if circumstance.judging:
                work.append(("what it computes", _Diagnosing(reading, rule)))
    return work


@dataclass
class _Diagnosing:
    """Finds out what a candidate computes, and whether it is another of the library's."""

    reading: Reading
    rule: type[ok.Optimizer]

    def __call__(self, result: Outcome) -> None:
        judge, last = result.judge, result.findings[-1]
        if judge is None or result.explanations:
            return
        kind = kind_of(self.rule, self.reading.options)

        def other(nearer: float) -> Explanation | None:
            return scheduled(judge) or another(self.reading.thing, judge, kind, nearer)

        result.explanations = judge.explain(other)
        first = next(iter(result.explanations), None)
        if first and not first.rounds and first.sure != PART:  # smaller than numbers of float32
            last.verdict = DIFFERENT
        _explain(last, result, [judge])


def _explain(finding: Finding, result: Outcome, judges: list[Diagnosis]) -> None:
    """Say whether what was named accounts for a finding too."""
    if finding.verdict == DIFFERENT and result.explanations:
        finding.explained = all(judge.accounts(result.explanations[0]) for judge in judges)


@dataclass
class _Trying:
    """Tries a candidate in one circumstance."""

    reading: Reading
    rule: type[ok.Optimizer]
    circumstance: Circumstance
    dtype: str

    def __call__(self, result: Outcome) -> None:
        candidate, name = self.reading.candidate, self.circumstance.name
        first = next((f for f in result.findings if f.dtype == self.dtype), None)
        finding = Finding(name, self.dtype, "")
        result.findings.append(finding)
        if self.circumstance.needs and self.circumstance.needs not in candidate.can:
            finding.verdict = f"no part of {candidate.kind}"
            finding.tried = False
            return
        if first and not first.tried:
            finding.verdict, finding.tried = first.verdict, False
            return
        try:
            held = observed(candidate, self.circumstance)
        except Unusable as error:
            finding.verdict, finding.tried = str(error), False
            return
        judges = []
        for probe, values in zip(self.circumstance.probes(), held, strict=True):
            judges.append(Diagnosis(self.rule, self.reading.options, probe, values["param"]))
            _judge(finding, judges[-1], values)
        if first and finding.verdict == FLOAT32 and first.verdict != FLOAT32:
            finding.verdict = DIFFERENT
        if self.circumstance.judging and finding.verdict != EQUAL:
            self._check_repeatable(held)
        if self.circumstance.judging and not result.judge:
            result.judge = judges[0]
        _explain(finding, result, judges)

    def _check_repeatable(self, held: list[Any]) -> None:
        """Raise if another run from the same start is another."""
        again = observed(self.reading.candidate, self.circumstance)
        for one, other in zip(held, again, strict=True):
            if not np.array_equal(one["param"], other["param"], equal_nan=True):
                raise Unusable(
                    "two runs of it from the same start differ: it draws numbers at random, or "
                    "keeps something from one optimizer to the next"
                )


def _judge(finding: Finding, judge: Diagnosis, values: dict[str, Any]) -> None:
    """Add to a finding what one parameter shows."""
    made, probe = judge.reference, judge.probe
    if judge.equal:
        finding.verdict = finding.verdict or EQUAL
        return
    if not judge.usual.any():
        verdict = ROUNDED
    elif not judge.differs(made, judge.spread.scalars).any():
        verdict = FLOAT32
    else:
        verdict = DIFFERENT
    finding.verdict = max(finding.verdict or EQUAL, verdict, key=VERDICTS.index)
    away = ~judge.spread.edge
    apart = units(judge.values, made.param)[:, away].max(initial=0.0)
    far = relative(judge.values, made.param, probe.start)[:, away].max(initial=0.0)
    finding.most_units = max(finding.most_units, float(apart))
    finding.most_relative = max(finding.most_relative, float(far))
    if verdict != DIFFERENT:
        return
    for name, reference in made.values.items():
        if name not in values or values[name].shape != reference.shape:
            continue
        if name != "param" and probe.shapes and reference.shape != made.param.shape:
            start, gradients, where = np.zeros_like(reference[0]), reference * np.nan, True
        else:
            start = probe.start if name == "param" else np.zeros_like(probe.start)
            gradients, where = probe.gradients, away
        with np.errstate(all="ignore"):
            near = np.abs(values[name] - reference) <= judge.spread.of(name)
        differs = ~near & where & (units(values[name], reference) > 0)
        first = first_difference(name, values[name], reference, start, gradients, differs)
        if first and name not in [x.quantity for x in finding.differences]:
            finding.differences.append(first)
