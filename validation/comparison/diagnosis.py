"""What is wrong with a candidate: the change of the rule that reproduces it best."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.comparison.choices import choices
from optimkit.validation.comparison.departure import SLIP
from optimkit.validation.comparison.departures import DEPARTURES
from optimkit.validation.comparison.explanations import (
    BITS,
    BRIEF,
    MOST_DIGITS,
    NUMBERS,
    OPERATIONS,
    SURE,
    THOROUGH,
    Explanation,
)
from optimkit.validation.comparison.fitting import (
    Options,
    ends,
    fit,
    flips,
    is_round,
)
from optimkit.validation.comparison.probes import Probe
from optimkit.validation.comparison.roundings import ROUNDINGS, SCALARS
from optimkit.validation.comparison.runs import Run, run
from optimkit.validation.comparison.spread import Spread
from optimkit.validation.comparison.texts import Text

Array = np.ndarray[Any, Any]
Seek = Callable[[float], "Explanation | None"]
NEAR = 0.1  # digits beyond rounding, in the mean, at which a rule is probably the right one
LEAST_JUDGED = 0.2  # of the values: where order decides more, nothing is another rule


class Diagnosis:
    """The search for what a candidate computes.

    Parameters
    ----------
    optimizer : type
        The optimizer that it should be.
    options : dict
    probe : Probe
        What the candidate was tried on.
    values : array of steps × n
        Its parameter after each step.
    """

    def __init__(
        self, optimizer: type[ok.Optimizer], options: Options, probe: Probe, values: Array
    ) -> None:
        self.optimizer, self.options, self.probe, self.values = optimizer, options, probe, values
        self.text = Text.of(optimizer)
        self.effort = BRIEF if probe.shapes else THOROUGH  # whole arrays take longer
        self.reference = self.run(self.text, {})
        self.equal = np.array_equal(self.reference.param, values, equal_nan=True)
        self.spread = self._spread(self.text, {}, self.reference)

    @cached_property
    def usual(self) -> Array:
        """Where the candidate differs from the rule by more than rounding."""
        return self.differs(self.reference, self.spread.operations)

    def hyper(self, changes: Options, optimizer: Any = None) -> SimpleNamespace:
        """The options by attribute, some of them changed; of another rule, all that it has."""
        optimizer = optimizer or self.optimizer
        options = self.options if optimizer is self.optimizer else {}
        try:
            bound = optimizer.bind(**options | changes)
        except TypeError:  # a flag that the constructor decides on
            bound = optimizer.bind(**options)
            vars(bound).update(changes)
        bound.sparse = self.probe.touched is not None and optimizer.needs_sparse
        result: SimpleNamespace = bound
        return result

    def run(self, text: Text, changes: Options) -> Run:
        hyper = self.hyper(changes, text.optimizer)
        return run(text.function(), text.optimizer, hyper, self._probe(text))

    def _probe(self, text: Text) -> Probe:
        dense = self.probe.touched is not None and not text.optimizer.needs_sparse
        return replace(self.probe, touched=None) if dense else self.probe

    def _spread(self, text: Text, changes: Options, made: Run) -> Spread:
        hyper = self.hyper(changes, text.optimizer)
        return Spread(text, hyper, self._probe(text), made)

    def _distance(self, made: Run) -> Array:
        with np.errstate(all="ignore"):
            distance = np.abs(made.param - self.values)
        alike = (made.param == self.values) | (np.isnan(made.param) & np.isnan(self.values))
        return np.where(alike, 0.0, np.where(np.isnan(distance), np.inf, distance))

    def differs(self, made: Run, tolerance: Array) -> Array:
        """Where values differ by more than rounding does, away from the ends of the range."""
        return (self._distance(made) > np.fmax(tolerance, 0)) & ~self.spread.edge

    def scored(
        self, text: Text, departures: Any = (), options: Options | None = None
    ) -> Explanation | None:
        """How near a changed rule comes; None if it fails or changes nothing."""
        try:
            made = self.run(text, options or {})
        except Exception:  # a change may make it senseless
            return None
        if (made.param.dtype, made.param.shape) != (self.values.dtype, self.values.shape):
            return None
        if np.array_equal(made.param, self.reference.param, equal_nan=True):
            return None
        within = (self._distance(made) <= self.spread.operations)[self.usual]
        share = float(within.mean()) if within.size else 1.0
        return Explanation(
            text,
            tuple(departures),
            options or {},
            digits=self._digits(made),
            share=share,
            run=made,
        )

    def as_it_is(self, options: Options) -> Explanation:
        """The rule itself, as what a candidate held against another rule may be."""
        digits = self._digits(self.reference)
        return Explanation(self.text, options=options, digits=digits, run=self.reference)

    def checked_as_it_is(self, found: Explanation) -> Explanation:
        """The same with how sure it is."""
        if self.equal:
            return replace(found, sure=BITS, share=1.0)
        judged = ~self.spread.edge
        enough = judged.mean() > LEAST_JUDGED and np.isfinite(self.spread.operations).mean() > 0.5
        if enough and not self.usual.any():
            return replace(found, sure=OPERATIONS, share=1.0)
        return found

    def option_changes(self, base: Explanation) -> list[Explanation]:
        """Other values of one option, nearest first."""
        flipped = (
            replace(base, options=base.options | flip)
            for flip in flips(self.optimizer, self.options | base.options)
        )
        return sorted([*self.ordered(flipped), *self.fits(base)], key=lambda x: x.digits)

    def _digits(self, made: Run) -> float:
        """How far off, in the mean of the digits by which values differ beyond rounding."""
        away = ~self.spread.edge
        if not away.any():  # rounding decides everything
            return MOST_DIGITS
        with np.errstate(all="ignore"):
            digits = np.log10(1 + (self._distance(made) / self.spread.operations)[:, away])
        return float(np.fmin(digits, MOST_DIGITS).mean())

    def accounts(self, explanation: Explanation) -> bool:
        """Whether an explanation that was found elsewhere reproduces these values too."""
        changed, options = explanation.text, explanation.options
        try:
            made = self.run(changed, options)
        except Exception:  # here it may divide by zero
            return False
        distance = self._distance(made)
        if (distance <= self.spread.operations)[:, ~self.spread.edge].all():
            return True
        own = self._spread(changed, options, made)
        tolerance = own.scalars if explanation.sure == NUMBERS else own.operations
        within = distance <= np.fmax(tolerance, self.spread.operations)
        return bool(within[:, ~(own.edge | self.spread.edge)].all())

    def checked(self, found: Explanation) -> Explanation:
        """The same with how sure it is, by what rounding can do to that rule itself."""
        assert found.run is not None
        if np.array_equal(found.run.param, self.values, equal_nan=True):
            return replace(found, sure=BITS, share=1.0)
        own = self._spread(found.text, found.options, found.run)
        edge = own.edge | self.spread.edge
        distance, before = self._distance(found.run), self._distance(self.reference)
        for sure in (OPERATIONS, NUMBERS):
            kind = "operations" if sure == OPERATIONS else "scalars"
            tolerance = getattr(own, kind)
            wrong = self.differs(self.reference, getattr(self.spread, kind))
            telling = wrong & ~edge & (tolerance < before / 2)
            if (
                telling.sum() >= max(1, wrong.sum() // 20)
                and (distance <= tolerance)[:, ~edge].all()
            ):
                return replace(found, sure=sure, share=1.0)
        return found

    # ------------------------------------------------------------ what is tried

    def singles(self, base: Explanation) -> Iterator[Explanation]:
        """Everything that is one change more."""
        for departure in DEPARTURES:
            if departure.kind == SLIP and self.probe.losses:  # a search takes too long for all
                continue
            for text in departure.applied(base.text):
                yield replace(base, text=text, departures=(*base.departures, departure))
        flipped = flips(self.optimizer, self.options)
        chosen = choices(self.optimizer, self.options, numbers=bool(self.probe.losses))
        for change in (*flipped, *chosen):
            yield replace(base, options=base.options | change)

    def ordered(self, tried: Iterator[Explanation]) -> list[Explanation]:
        """Those that can be run, nearest first; of several that do the same, the best known."""
        distinct: dict[bytes, Explanation] = {}
        for x in tried:
            scored = self.scored(x.text, x.departures, x.options)
            if scored and scored.run:
                key = scored.run.param.tobytes()
                distinct[key] = min(distinct.get(key, scored), scored, key=lambda y: y.rank)
        return sorted(distinct.values(), key=lambda x: (x.digits, x.rank))

    def fits(self, base: Explanation) -> Iterator[Explanation]:
        """Options with the values that come nearest."""
        if self.probe.losses:
            return

        def distance(change: Options) -> float:
            made = self.scored(base.text, base.departures, base.options | change)
            return made.digits if made else MOST_DIGITS

        for _, change in fit(
            self.optimizer, self.options | base.options, distance, *self.effort.fineness
        ):
            made = self.scored(base.text, base.departures, base.options | change)
            if made:
                yield made

    def best(self, found: list[Explanation], *levels: str) -> Explanation | None:
        """Of those that reproduce everything, the one that is simplest and best known.

        An option with many digits was fitted, and nobody chose it.
        """
        checked = [self.checked(x) for x in found[: self.effort.checked] if is_round(x.options)]
        exact = [x for x in checked if x.sure in levels]
        return min(exact, key=lambda x: (x.rank, SURE.index(x.sure), x.digits), default=None)

    def pairs(self, bases: list[Explanation]) -> list[Explanation]:
        """Changes of rules that are changed already, up to one that reproduces everything."""
        found: list[Explanation] = []
        for i, base in enumerate(bases):
            more = self.ordered(self.singles(base))
            if i < self.effort.fitted and not (more and more[0].digits < NEAR):
                more = [*more, *self.fits(base)]
            found = sorted([*found, *more], key=lambda x: (x.digits, x.rank))
            if found and found[0].digits < NEAR and self.best(found, BITS, OPERATIONS):
                break
        return found

    def roundings(self) -> Explanation | None:
        """The way of rounding that gives the candidate's bits."""
        base = Explanation(self.text)
        ones = [
            replace(base, text=text, departures=(entry,))
            for entry in ROUNDINGS
            for text in entry.applied(self.text)
        ]
        twos = [
            replace(base, text=text, departures=(*one.departures, entry))
            for one in ones
            for entry in ROUNDINGS
            for text in entry.applied(one.text)
            if not self.probe.shapes  # which sums round in an order of their own
        ]
        for tried in (ones, twos):
            for x in self.ordered(iter(tried)):
                assert x.run is not None
                if np.array_equal(x.run.param, self.values, equal_nan=True):
                    return replace(x, sure=BITS, share=1.0)
        return None

    def explain(self, another: Seek = lambda nearer: None) -> list[Explanation]:
        """What explains the candidate, best first; nothing if it is the rule in every bit.

        Before two changes are tried, `another` looks for another rule, given how near one comes.

        The first either reproduces everything, as its `sure` says, or is the nearest there is; the
        second is the nearest but for it.
        """
        if self.equal:
            return []
        if not self.usual.any():
            found = self.roundings()
            return [found] if found else []
        if self._senseless():
            return []
        base = Explanation(self.text)
        singles = self.ordered(self.singles(base))
        if found := self.best(singles, BITS, OPERATIONS):
            return self._with_runner_up(found, singles)
        if not self.differs(self.reference, self.spread.scalars).any():
            scalars = next(iter(SCALARS.applied(self.text)))
            made = self.scored(scalars, (SCALARS,))
            found = self.checked(made) if made else Explanation(scalars, (SCALARS,))
            return [found if found.sure == BITS else replace(found, sure=NUMBERS, share=1.0)]
        fitted = sorted(self.fits(base), key=lambda x: (x.digits, x.rank))
        if found := self.best(fitted, BITS, OPERATIONS):
            return self._with_runner_up(found, [*fitted, *singles])
        singles = sorted([*singles, *fitted], key=lambda x: (x.digits, x.rank))
        if found := another(singles[0].digits if singles else MOST_DIGITS):
            return [found, *singles[:1]]
        near = self.best(singles, NUMBERS)  # which a second change may make all but rounding
        pairs = self.pairs([near] if near else singles[: self.effort.bases])
        found = self.best(pairs, BITS, OPERATIONS) or near or self.best(pairs, NUMBERS)
        if found:
            return self._with_runner_up(found, [*pairs, *singles])
        nearest = sorted([*pairs, *singles], key=lambda x: (x.digits + 0.1 * x.rank[0], x.rank))
        return nearest[:2]

    def _senseless(self) -> bool:
        """Whether the candidate is no number nearly everywhere, which much may be the cause of."""
        told = np.isfinite(self.reference.param) & ~self.spread.edge
        return bool(np.isfinite(self.values[told]).mean() < LEAST_JUDGED) if told.any() else True

    def _equals(self, found: Explanation) -> Options:
        """Options with which the rule does what an explanation does, where there are any."""
        if not found.departures or found.run is None:
            return found.options
        if len(found.departures) > 1 or found.options:
            return {}
        own = Diagnosis(self.optimizer, self.options, self.probe, found.run.param)
        fitted = own.fits(Explanation(self.text)) if self.effort is THOROUGH else ()
        nearest = min(fitted, key=lambda x: x.digits, default=Explanation(self.text))
        changes = [*flips(self.optimizer, self.options), *ends(self.optimizer, self.options)]
        changes += [nearest.options] if nearest.digits < NEAR and is_round(nearest.options) else []
        return next((change for change in changes if own.reproduced(change)), {})

    def reproduced(self, options: Options) -> bool:
        """Whether the rule with other options does the same as the candidate."""
        made = self.scored(self.text, (), options)
        near = made is not None and made.digits < NEAR
        return near and self.checked(made).sure in (BITS, OPERATIONS)  # type: ignore[arg-type]

    def _with_runner_up(self, found: Explanation, others: list[Explanation]) -> list[Explanation]:
        ordered = sorted(others, key=lambda x: x.digits)
        found = replace(found, equals=self._equals(found))
        return [found, *[x for x in ordered if x.name != found.name][:1]]
