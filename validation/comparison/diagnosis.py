"""What is wrong with a candidate: the change of the rule that reproduces it best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.comparison.departures import (
    DEPARTURES,
    ROUNDING,
    ROUNDINGS,
    SCALARS,
    SLIP,
    WRONG,
    Departure,
)
from optimkit.validation.comparison.fitting import Options, ends, fit, flips, is_round
from optimkit.validation.comparison.probes import Probe
from optimkit.validation.comparison.runs import Run, Spread, run
from optimkit.validation.comparison.texts import Change, Text

Array = np.ndarray[Any, Any]
BITS, OPERATIONS, NUMBERS, PART = "equal in bits", "all but rounding", "float32 numbers", "a part"
SURE = (BITS, OPERATIONS, NUMBERS, PART)
RANK = {WRONG: 0, SLIP: 1, ROUNDING: 2}
CHECKED, BASES, FITTED = 8, 16, 4  # how many of the nearest are looked at more closely
NEAR = 0.1  # digits beyond rounding, in the mean, at which a rule is probably the right one
MOST_DIGITS = 20.0


@dataclass
class Explanation:
    """A rule that may be what a candidate computes.

    Attributes
    ----------
    text : Text
        The rule with its changes.
    departures : tuple of Departure
    options : dict
        Options with other values than were asked for.
    equals : dict
        Options with which the rule as it is written does the same.
    digits : float
        How far off it is: the mean of the digits by which values differ from the candidate's,
        beyond what rounding can do.
    share : float
        Which part of the values that differ from the rule's it reproduces to rounding.
    sure : str
        What it reproduces: one of `SURE`.
    """

    text: Text
    departures: tuple[Departure, ...] = ()
    options: Options = field(default_factory=dict)
    equals: Options = field(default_factory=dict)
    digits: float = MOST_DIGITS
    share: float = 0.0
    sure: str = PART
    run: Run | None = None

    @property
    def name(self) -> str:
        """What it is called: its departures, and other options."""
        parts = [departure.name for departure in self.departures]
        parts += [f"{name}={value!r}" for name, value in self.options.items()]
        return " and ".join(parts)

    @property
    def rounds(self) -> bool:
        """Whether it is a matter of rounding alone."""
        return not self.options and all(x.kind == ROUNDING for x in self.departures)

    @property
    def changes(self) -> list[Change]:
        """The lines of the rule that are changed."""
        return self.text.changes(Text.of(self.text.optimizer))

    def as_dict(self) -> dict[str, Any]:
        """The same for machines."""
        departures = [{"name": x.name, "meaning": x.meaning} for x in self.departures]
        return {
            "name": self.name,
            "departures": departures,
            "options": self.options,
            "equals": self.equals,
            "sure": self.sure,
            "share": self.share,
            "lines": [vars(change) for change in self.changes],
        }

    @property
    def rank(self) -> tuple[int, int, int]:
        """Names that people know come before slips, and one change before two."""
        kinds = [RANK[departure.kind] for departure in self.departures]
        return len(kinds) + len(self.options), sum(kinds), len(self.options)


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
        self.reference = self.run(self.text, {})
        self.equal = np.array_equal(self.reference.param, values, equal_nan=True)
        self.spread = self._spread(self.text, {}, self.reference)

    @cached_property
    def usual(self) -> Array:
        """Where the candidate differs from the rule by more than rounding."""
        return self.differs(self.reference, self.spread.operations)

    def hyper(self, changes: Options) -> SimpleNamespace:
        """The options by attribute, some of them changed."""
        try:
            bound = self.optimizer.bind(**self.options | changes)
        except TypeError:  # a flag that the constructor decides on
            bound = self.optimizer.bind(**self.options)
            vars(bound).update(changes)
        bound.sparse = False
        result: SimpleNamespace = bound
        return result

    def run(self, text: Text, changes: Options) -> Run:
        return run(text.function(), text.optimizer, self.hyper(changes), self.probe)

    def _spread(self, text: Text, changes: Options, made: Run) -> Spread:
        return Spread(text, self.hyper(changes), self.probe, made)

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
        except (ArithmeticError, TypeError, KeyError, NameError, ValueError):
            return None
        if (made.param.dtype, made.param.shape) != (self.values.dtype, self.values.shape):
            return None
        if np.array_equal(made.param, self.reference.param, equal_nan=True):
            return None
        away = ~self.spread.edge
        with np.errstate(all="ignore"):
            digits = np.log10(1 + (self._distance(made) / self.spread.operations)[:, away])
        digits = np.minimum(digits, MOST_DIGITS)
        within = (self._distance(made) <= self.spread.operations)[self.usual]
        share = float(within.mean()) if within.size else 1.0
        return Explanation(
            text,
            tuple(departures),
            options or {},
            digits=float(digits.mean()),
            share=share,
            run=made,
        )

    def accounts(self, explanation: Explanation) -> bool:
        """Whether an explanation that was found elsewhere reproduces these values too."""
        changed, options = explanation.text, explanation.options
        try:
            made = self.run(changed, options)
        except ArithmeticError:
            return False
        own = self._spread(changed, options, made)
        tolerance = own.scalars if explanation.sure == NUMBERS else own.operations
        within = self._distance(made) <= np.fmax(tolerance, self.spread.operations)
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
            for text in departure.applied(base.text):
                yield replace(base, text=text, departures=(*base.departures, departure))
        for flip in flips(self.optimizer, self.options):
            yield replace(base, options=base.options | flip)

    def _all(self, tried: Iterator[Explanation]) -> list[Explanation]:
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

        def distance(change: Options) -> float:
            made = self.scored(base.text, base.departures, base.options | change)
            return made.digits if made else MOST_DIGITS

        for _, change in fit(self.optimizer, self.options | base.options, distance):
            made = self.scored(base.text, base.departures, base.options | change)
            if made:
                yield made

    def best(self, found: list[Explanation], *levels: str) -> Explanation | None:
        """Of those that reproduce everything, the one that is simplest and best known.

        An option with many digits was fitted, and nobody chose it.
        """
        checked = [self.checked(x) for x in found[:CHECKED] if is_round(x.options)]
        exact = [x for x in checked if x.sure in levels]
        return min(exact, key=lambda x: (x.rank, SURE.index(x.sure), x.digits), default=None)

    def pairs(self, bases: list[Explanation]) -> list[Explanation]:
        """Changes of rules that are changed already, up to one that reproduces everything."""
        found: list[Explanation] = []
        for i, base in enumerate(bases):
            more = self._all(self.singles(base))
            if i < FITTED and not (more and more[0].digits < NEAR):
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
        ]
        for tried in (ones, twos):
            for x in self._all(iter(tried)):
                assert x.run is not None
                if np.array_equal(x.run.param, self.values, equal_nan=True):
                    return replace(x, sure=BITS, share=1.0)
        return None

    def explain(self) -> list[Explanation]:
        """What explains the candidate, best first; nothing if it is the rule in every bit.

        The first either reproduces everything, as its `sure` says, or is the nearest there is; the
        second is the nearest but for it.
        """
        if self.equal:
            return []
        if not self.usual.any():
            found = self.roundings()
            return [found] if found else []
        base = Explanation(self.text)
        singles = self._all(self.singles(base))
        if found := self.best(singles, BITS, OPERATIONS):
            return self._with_runner_up(found, singles)
        if not self.differs(self.reference, self.spread.scalars).any():
            scalars = next(iter(SCALARS.applied(self.text)))
            made = self.scored(scalars, (SCALARS,))
            return [self.checked(made) if made else Explanation(scalars, (SCALARS,))]
        fitted = sorted(self.fits(base), key=lambda x: (x.digits, x.rank))
        if found := self.best(fitted, BITS, OPERATIONS):
            return self._with_runner_up(found, [*fitted, *singles])
        singles = sorted([*singles, *fitted], key=lambda x: (x.digits, x.rank))
        near = self.best(singles, NUMBERS)  # which a second change may make all but rounding
        pairs = self.pairs([near] if near else singles[:BASES])
        found = self.best(pairs, BITS, OPERATIONS) or near or self.best(pairs, NUMBERS)
        if found:
            return self._with_runner_up(found, [*pairs, *singles])
        nearest = sorted([*pairs, *singles], key=lambda x: (x.digits + 0.1 * x.rank[0], x.rank))
        return nearest[:2]

    def _equals(self, found: Explanation) -> Options:
        """Options with which the rule does what an explanation does, where there are any."""
        if not found.departures or found.run is None:
            return found.options
        if len(found.departures) > 1 or found.options:
            return {}
        own = Diagnosis(self.optimizer, self.options, self.probe, found.run.param)
        fitted = own.fits(Explanation(self.text))
        nearest = min(fitted, key=lambda x: x.digits, default=Explanation(self.text))
        changes = [*flips(self.optimizer, self.options), *ends(self.optimizer, self.options)]
        changes += [nearest.options] if nearest.digits < NEAR and is_round(nearest.options) else []
        return next(
            (change for change in changes if own.accounts(Explanation(self.text, options=change))),
            {},
        )

    def _with_runner_up(self, found: Explanation, others: list[Explanation]) -> list[Explanation]:
        ordered = sorted(others, key=lambda x: x.digits)
        found = replace(found, equals=self._equals(found))
        return [found, *[x for x in ordered if x.name != found.name][:1]]
