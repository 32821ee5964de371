"""Schedules that a candidate has built in: a learning rate that changes by itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from optimkit.validation.comparison.departure import WRONG, Departure
from optimkit.validation.comparison.diagnosis import Diagnosis
from optimkit.validation.comparison.explanations import BITS, OPERATIONS, Explanation


def scheduled(judge: Diagnosis) -> Explanation | None:
    """The rule with a learning rate that changes from step to step, if that reproduces it."""
    factors = first_factors(judge)
    if factors is None or judge.probe.losses:
        return None
    for departure in _departures(*factors):
        for text in departure.applied(judge.text):
            made = judge.scored(text, (departure,))
            checked = judge.checked(made) if made else None
            if checked and checked.sure in (BITS, OPERATIONS):
                return checked
    return None


def first_factors(judge: Diagnosis) -> tuple[float, float] | None:
    """By what the first two steps are larger than the rule's, where that is the same for most."""
    start = judge.probe.start[None]
    with np.errstate(all="ignore"):
        own = np.diff(judge.values, axis=0, prepend=start)[:2]
        theirs = np.diff(judge.reference.param, axis=0, prepend=start)[:2]
        told = np.abs(theirs) > 1e3 * judge.spread.operations[:2]
        ratios = np.where(told & ~judge.spread.edge & np.isfinite(own), own / theirs, np.nan)
    known = ~np.isnan(ratios)
    if not known.any(1).all():
        return None
    first, second = (float(np.median(row[ok])) for row, ok in zip(ratios, known, strict=True))
    return (first, second) if first > 0 and second > 0 else None


def _departures(first: float, second: float) -> Iterator[Departure]:
    """Forms of a schedule that have these two factors."""
    growth = second / first
    if abs(first - 1) < 1e-6 and abs(growth - 1) > 1e-6:
        share, rate = few(growth), few(1 / growth - 1)
        yield _entry(f"by a factor of {share} a step", f"hyper.lr * {share} ** (step - 1)")
        if rate > 0:
            yield _entry("as 1 / (1 + d t)", f"hyper.lr / (1 + {rate} * (step - 1))")
        yield _entry("as the root of the step", "hyper.lr / step**0.5")
    if first < 1 and abs(growth - 2) < 1e-3:
        steps = round(1 / first)
        yield _entry(f"up in {steps} steps", f"hyper.lr * min(1.0, step / {steps})")
    if abs(first - growth) < 1e-6 * first:  # counted from the first step on
        share = few(growth)
        yield _entry(f"by a factor of {share} a step", f"hyper.lr * {share} ** step")


def few(x: float) -> float:
    return float(f"{x:.6g}")


def _entry(how: str, rate: str) -> Departure:
    edits = (("hyper.lr", rate),)
    name = f"a schedule built in: the learning rate goes {how}"
    return Departure(name, "beside the learning rate that it is given", edits, WRONG, all=True)
