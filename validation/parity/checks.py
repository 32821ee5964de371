"""Run the table of cases against a recording, and say what held."""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import optimkit as ok
from optimkit.validation.parity import trajectories as parity
from optimkit.validation.parity.trajectories import Difference, Way
from optimkit.validation.reference.case import Case
from optimkit.validation.reference.cases import cases_of
from optimkit.validation.reference.recordings import STEPS, Recording, load

STALE = "no recording of these options; make one with optimkit validate --record"


@dataclass(frozen=True)
class Check:
    """One case, dtype and way, and what was found."""

    case: Case
    dtype: str
    way: Way
    difference: Difference
    held: bool
    problem: str = ""


def steps_for(way: Way, place: int, quick: bool) -> tuple[int, ...]:
    """Return at which steps a way is compared: the first goes all the way, strictness is slow."""
    last = 10 if way.library == "array_api_strict" else 1000 if place == 0 else 100
    return tuple(step for step in STEPS if step <= min(last, 100 if quick else last))


def learning_rate(case: Case) -> float:
    """Return the learning rate of a case, the scale of its steps."""
    kind = getattr(ok, case.optimizer)
    return float(case.options.get("lr", inspect.signature(kind).parameters["lr"].default))


def can_run(case: Case, way: Way) -> bool:
    """Whether a way has what a case needs: the standard has no sparse gradients and no halves."""
    beyond = case.circumstances.sparse or case.halves
    return not (beyond and way.library == "array_api_strict")


def check(case: Case, dtype: str, way: Way, recording: Recording, steps: tuple[int, ...]) -> Check:
    """Run one case and compare."""
    reference = recording.find(case, dtype)
    if reference is None:
        return Check(case, dtype, way, Difference(), False, STALE)
    try:
        own = parity.trajectory(case, dtype, way, steps)
    except Exception as error:  # a rule that fails on one way must not hide the others
        return Check(case, dtype, way, Difference(), False, f"{type(error).__name__}: {error}")
    found = parity.compare(own, reference, learning_rate(case), signed_zeros=not case.zeros)
    held = found.values > 0 and (
        found.relative <= case.bound(dtype) if case.tolerance else found.unequal == 0
    )
    return Check(case, dtype, way, found, held, "" if held else found.first or "nothing compared")


def check_optimizer(
    name: str, path: Path, ways: Mapping[Way, tuple[int, ...]]
) -> tuple[list[Check], float]:
    """Check every case of an optimizer in every way against one file; also return the seconds."""
    begin = time.perf_counter()
    recording = load(path)
    checks = [
        check(case, dtype, way, recording, steps)
        for way, steps in ways.items()
        for case in cases_of(name)
        if case.peer and can_run(case, way)
        for dtype in case.dtypes
    ]
    return checks, time.perf_counter() - begin
