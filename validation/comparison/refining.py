"""A value of an option that was fitted on a short run, made to fit a long one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from optimkit.validation.comparison.diagnosis import Diagnosis
from optimkit.validation.comparison.explanations import PART, Explanation
from optimkit.validation.comparison.fitting import Options, allowed, changed, near, places
from optimkit.validation.comparison.outcome import Outcome

CLOSE = 0.1  # relative: how far a short run may leave a value open
MADE = 2  # of the values that options make of each other, those that are tried first


def refine(result: Outcome) -> None:
    """Where a fitted option does not account for all findings, look for a value that does."""
    first, judge = result.explanations[0], result.judge
    if judge is None or first.sure == PART or not first.options or first.other:
        return
    held = [(finding, judges) for finding, judges in result.judged if finding.cause is None]
    for one in _others(first, judge, held[-1][1][0]):
        made = judge.scored(one.text, one.departures, one.options)
        checked = judge.checked(made) if made else None
        if checked is None or checked.sure == PART:
            continue
        if all(x.accounts(checked) for _, judges in held for x in judges):
            equals = {} if one.departures else one.options
            result.explanations[0] = replace(checked, equals=equals)
            for finding, _ in held:
                finding.explained = True
            return


def _others(first: Explanation, judge: Diagnosis, longer: Diagnosis) -> Iterator[Explanation]:
    """The same with values nearby: what options make of each other, and the nearest in the end."""
    usual = vars(judge.hyper({}))
    made = {*_made([*_numbers(usual)])}
    for name, place in places(judge.optimizer, judge.options):
        if name not in first.options:
            continue
        now, before = _at(first.options, name, place), _at(usual, name, place)
        if now == before:
            continue
        distance = _distance(first, longer, name, place)
        close = [x for x in made if x != now and abs(x - now) < CLOSE * now]
        for x in [*sorted(close, key=distance)[:MADE], *near(distance, now, CLOSE)]:
            yield replace(first, options=first.options | changed(first.options, name, place, x))


def _distance(
    first: Explanation, judge: Diagnosis, name: str, place: int | None
) -> Callable[[float], float]:
    """How far off the candidate is by the value of an option."""

    def distance(x: float) -> float:
        options = first.options | changed(first.options, name, place, x)
        if not allowed(judge.optimizer, judge.options | options):
            return math.inf
        found = judge.scored(first.text, first.departures, options)
        return found.digits if found else math.inf

    return distance


def _at(options: Options, name: str, place: int | None) -> float:
    value = options[name]
    return float(value if place is None else value[place])


def _numbers(options: Options) -> Iterator[float]:
    """Every number between 0 and 1 among options."""
    for value in options.values():
        several = value if isinstance(value, tuple) else (value,)
        yield from (x for x in several if type(x) is float and 0 < x < 1)


def _made(numbers: list[float]) -> Iterator[float]:
    """What two of them make, such as one beta after the other."""
    for x in numbers:
        for y in numbers:
            yield from (float(f"{z:.12g}") for z in (x * y, x + y))
