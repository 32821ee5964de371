"""An implementation held against a rule: `compare`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.comparison.branches import Branching
from optimkit.validation.comparison.candidates import Unusable
from optimkit.validation.comparison.causes import cause_of
from optimkit.validation.comparison.circumstances import (
    Circumstance,
    circumstances,
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
from optimkit.validation.comparison.kinds import WHOLE, kind_of
from optimkit.validation.comparison.observing import observed
from optimkit.validation.comparison.others import another
from optimkit.validation.comparison.outcome import Finding, Outcome
from optimkit.validation.comparison.reading import Reading, read_candidate, rule_named
from optimkit.validation.comparison.refining import refine
from optimkit.validation.comparison.schedules import scheduled

DTYPES = ("float64", "float32")  # what is tried unless asked for others
KNOWN = (*DTYPES, "float16", "complex128", "complex64")


def compare(
    candidate: Any,
    optimizer: str | type[ok.Optimizer],
    *,
    quick: bool = False,
    dtypes: Sequence[str] = DTYPES,
    **options: Any,
) -> Outcome:
    """Hold an implementation of an optimizer against its rule, and say what is wrong with it.

    Parameters
    ----------
    candidate : type or callable
        An optimizer's class, or a function that makes one: of torch, of optimkit, of optax, of
        Keras or of mlx; a class of one's own with ``step(grads)`` or ``update(params, grads)``; or
        a function ``(param, grad, state, step) -> (param, state)``, where `state` is an empty
        mapping that has zeros for what is asked of it first. The guide has all forms.
    optimizer : str or type
        The rule that it should be: an optimizer whose rule is elementwise, by name or its class.
    quick : bool, default False
        Whether the long run is of 100 steps and not of 1,000.
    dtypes : sequence of str, default ("float64", "float32")
        What it is tried in, the first first; also "float16", "complex128" and "complex64".
    **options
        Options of both. One that is not given is the candidate's own default.

    Returns
    -------
    Outcome
        With ``same``, ``departure``, ``cause``, ``branches`` and all that was found.

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
    for _, stage in stages(reading, rule, quick, dtypes, branches=True):
        stage(result)
    return result.finished()


MOST_AT_THE_ENDS = 0.95  # of the values: what is left shows nothing
Stage = Callable[[Outcome], None]


def begun(reading: Reading, rule: type[ok.Optimizer]) -> Outcome:
    """A comparison of which nothing has been tried yet."""
    return Outcome(
        rule.__name__,
        reading.candidate.kind,
        reading.options,
        reading.adopted,
        reading.unheard,
        remarks=reading.candidate.remarks,
    )


def stages(
    reading: Reading,
    rule: type[ok.Optimizer],
    quick: bool,
    dtypes: Sequence[str] = DTYPES,
    branches: bool = False,
) -> list[tuple[str, Stage]]:
    """What there is to do, by name, in this order; with `branches`, for options that are off too.

    Raises
    ------
    Unusable
        If there is no such dtype, or the rule does not take it.
    """
    work: list[tuple[str, Stage]] = []
    for dtype in dtypes:
        _check_dtype(dtype, rule, reading.options)
        for circumstance in circumstances(dtype, reading.candidate, rule, reading.options, quick):
            work.append(
                (f"{circumstance.name}, {dtype}", _Trying(reading, rule, circumstance, dtype))
            )
            if circumstance.judging:
                work.append(("what it computes", _Diagnosing(reading, rule)))
    return [*work, *([("options that are off", _Branching(reading, rule))] if branches else [])]


@dataclass
class _Branching:
    """Switches on what is off in what was compared."""

    reading: Reading
    rule: type[ok.Optimizer]

    def __call__(self, result: Outcome) -> None:
        named = next(iter(result.explanations), None)
        known = result.rule_holds or result.departure or result.cause
        if result.judge is not None and known:
            looking = Branching(self.reading, self.rule, result.judge, named)
            result.branches = [*looking.branches()]


def _check_dtype(dtype: str, rule: type[ok.Optimizer], options: dict[str, Any]) -> None:
    if dtype not in KNOWN:
        raise Unusable(f"there is no dtype {dtype} to compare in; there are {', '.join(KNOWN)}")
    if dtype.startswith("complex"):
        try:
            rule.check_param(np.ones((2, 2), dtype), rule.bind(**options))
        except (RuntimeError, ValueError) as error:
            raise Unusable(str(error)) from error
        if kind_of(rule, options) == WHOLE or hasattr(rule, "minimize"):
            raise Unusable(f"{rule.__name__} is compared in real dtypes alone, not in {dtype}")


@dataclass
class _Diagnosing:
    """Finds out what a candidate computes, and whether it is another of the library's."""

    reading: Reading
    rule: type[ok.Optimizer]

    def __call__(self, result: Outcome) -> None:
        judge = result.judge
        if judge is None or result.explanations:
            return
        last = result.findings[-1]
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
            finding.verdict = f"{name}: {candidate.lacks(self.circumstance.needs)}"
            finding.tried = False
            return
        if first and not first.tried:
            finding.verdict, finding.tried = first.verdict, False
            return
        try:
            held = observed(candidate, self.circumstance)
        except Unusable as error:
            finding.verdict, finding.tried = str(error), False
            finding.wider = getattr(error, "wider", "")
            return
        judges: list[Diagnosis] = []
        for i, (probe, values) in enumerate(zip(self.circumstance.probes(), held, strict=True), 1):
            judges.append(Diagnosis(self.rule, self.reading.options, probe, values["param"]))
            _judge(finding, judges[-1], values, i if len(held) > 1 else 0)
        edge = np.concatenate([_at_the_ends(judge) for judge in judges])
        if finding.verdict != EQUAL and edge.mean() > MOST_AT_THE_ENDS:
            finding.verdict = f"nearly all of it is at the ends of the range of {self.dtype}"
            finding.tried = False
            return
        if first and finding.verdict == FLOAT32 and first.verdict != FLOAT32:
            finding.verdict = DIFFERENT
        if self.circumstance.judging:
            self._check_repeatable(held)
        if finding.verdict == DIFFERENT:
            result.judged.append((finding, judges))
        named = next(iter(result.explanations), None)
        _explain(finding, result, judges)
        if finding.verdict == DIFFERENT and not finding.explained and self._may_have_cause(finding):
            finding.cause, judges = cause_of(self.circumstance, judges, named)
        if self.circumstance.judging and not result.judge:
            result.judge = judges[0]
        elif named and result.unexplained == [name]:
            refine(result)

    def _may_have_cause(self, finding: Finding) -> bool:
        """Whether something beside the step may be why; of the first, if it is so from where the
        learning rate changes."""
        rates = self.circumstance.rates
        changes = next((t for t, rate in enumerate(rates, 1) if rate != rates[0]), 0)
        first = next((x.step for x in finding.differences), 0)
        return not self.circumstance.judging or 0 < changes == first

    def _check_repeatable(self, held: list[Any]) -> None:
        """Raise if another run from the same start is another."""
        again = observed(self.reading.candidate, self.circumstance)
        for one, other in zip(held, again, strict=True):
            if not np.array_equal(one["param"], other["param"], equal_nan=True):
                raise Unusable(
                    "two runs of it from the same start differ: it draws numbers at random, or "
                    "keeps something from one optimizer to the next"
                )


def _at_the_ends(judge: Diagnosis) -> Any:
    """Which elements show nothing, since rounding decides what they are."""
    if judge.equal:
        return np.zeros(judge.probe.start.shape, bool)
    return judge.spread.edge | ~np.isfinite(judge.spread.operations).any(0)


def _judge(finding: Finding, judge: Diagnosis, values: dict[str, Any], parameter: int) -> None:
    """Add to a finding what one parameter shows, of several if it has a number."""
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
            start, gradients = np.zeros_like(reference[0]), reference * np.nan
            where = np.ones(reference[0].shape, bool)
        else:
            start = probe.start if name == "param" else np.zeros_like(probe.start)
            gradients, where = probe.gradients, away
        with np.errstate(all="ignore"):
            near = np.abs(values[name] - reference) <= judge.spread.of(name)
        differs = ~near & where & (units(values[name], reference) > 0)
        first = first_difference(name, values[name], reference, start, gradients, differs)
        if first:
            _keep_first(finding.differences, replace(first, parameter=parameter))


def _keep_first(differences: list[FirstDifference], found: FirstDifference) -> None:
    """Add a difference, if it is the first of its quantity."""
    for i, known in enumerate(differences):
        if known.quantity == found.quantity:
            differences[i] = min(known, found, key=lambda x: (x.step, x.parameter))
            return
    differences.append(found)
