"""Another optimizer altogether: a candidate held against every other rule of the library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from types import SimpleNamespace
from typing import Any

import optimkit as ok
from optimkit.validation.comparison.diagnosis import NEAR, Diagnosis
from optimkit.validation.comparison.explanations import BITS, OPERATIONS, Explanation
from optimkit.validation.comparison.fitting import Options, is_round
from optimkit.validation.comparison.kinds import ELEMENTWISE, SEARCH, TOUCHED, WHOLE, kind_of
from optimkit.validation.comparison.reading import own_options
from optimkit.validation.comparison.schedules import few, first_factors
from optimkit.validation.explain.subjects import optimizers

CLOSER = 3  # of the rules, the nearest, which are looked at more closely
LEVELS = 4  # values of options that are looked for, one after the other
# Rules that can be run where one of another kind was: a sparse gradient is a dense one too.
ALIKE = {
    ELEMENTWISE: (ELEMENTWISE,),
    WHOLE: (WHOLE, ELEMENTWISE),
    TOUCHED: (TOUCHED, ELEMENTWISE),
    SEARCH: (SEARCH,),
}


def another(thing: Any, judge: Diagnosis, kind: str, nearer: float) -> Explanation | None:
    """The rule that a candidate is, with its options, where it is another of the library's.

    Parameters
    ----------
    thing : object
        The candidate.
    judge : Diagnosis
        Of the rule that it was to be.
    kind : str
        Of that rule.
    nearer : float
        The digits at which the nearest change of that rule is; options are looked for of rules
        that are nearer.
    """
    tried = sorted(_judged(thing, judge, kind), key=lambda x: x[1].digits)
    for i, (other, found) in enumerate(tried[:CLOSER]):
        worth_it = i == 0 and found.digits < nearer
        for one in chain([other.checked_as_it_is(found)], _changed(other, worth_it)):
            if one.sure in (BITS, OPERATIONS):
                usual = vars(other.optimizer.bind())
                options = {k: v for k, v in one.options.items() if usual[k] != v}
                return replace(one, options=options, other=True)
    return None


def _judged(thing: Any, judge: Diagnosis, kind: str) -> Iterator[tuple[Diagnosis, Explanation]]:
    """Every other rule on what the candidate was tried on, with the options that it may have."""
    for optimizer in optimizers().values():
        if optimizer is judge.optimizer or kind_of(optimizer, {}) not in ALIKE[kind]:
            continue
        asked = {k: v for k, v in judge.options.items() if _takes(optimizer, {k: v})}
        own = own_options(thing, optimizer)
        probe = judge.probe
        if not optimizer.needs_sparse:
            probe = replace(probe, touched=None)
        # as it would be by default, and as the named rule was asked to be
        for options in {str(x): x for x in (asked | own, own)}.values():
            if not _takes(optimizer, options):
                continue
            try:
                other = Diagnosis(optimizer, options, probe, judge.values)
            except Exception:  # one that cannot step such parameters is not what it is
                continue
            yield other, other.as_it_is(options)
            factors = first_factors(other)  # as the learning rates' quotient
            if factors and "lr" not in own:
                options = options | {"lr": few(vars(other.hyper({}))["lr"] * factors[0])}
                if _takes(optimizer, options):
                    other = Diagnosis(optimizer, options, probe, judge.values)
                    yield other, other.as_it_is(options)


def _takes(optimizer: type[ok.Optimizer], options: Options) -> bool:
    try:
        bound: SimpleNamespace = optimizer.bind(**options)
    except (ArithmeticError, RuntimeError, TypeError, ValueError):
        return False
    return vars(bound).keys() >= options.keys()


def _changed(other: Diagnosis, worth_it: bool) -> Iterator[Explanation]:
    """The rule with another value of one option, and of more."""
    base = Explanation(other.text)
    for _ in range(LEVELS if worth_it and not other.probe.losses else 0):
        changes = other.option_changes(base)
        good = [x for x in changes if is_round(x.options) and x.digits < NEAR]
        for x in good[:2]:
            yield replace(other.checked(x), options=other.options | x.options)
        if not changes or changes[0].digits >= base.digits:
            return
        base = changes[0]
