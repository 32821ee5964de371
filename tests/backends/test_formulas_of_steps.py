"""One trace for all steps: how its numbers follow from the step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import optimkit as ok
from optimkit.backends.kept_trace import trace_all_steps
from optimkit.backends.trace import NotTraceable
from optimkit.validation.explain.subjects import Trial, why_eager
from optimkit.validation.reference.case import Case
from optimkit.validation.reference.cases import CASES

ONE_BY_ONE = {"ASGD", "NAdam", "RAdam", "SparseAdam"}  # rounded, kept, compared, a C function's


TRACED = [case for case in CASES if why_eager(getattr(ok, case.optimizer), case.options) is None]


@pytest.mark.parametrize("case", TRACED, ids=lambda case: case.name)
def test_formulas_of_the_step_are_the_numbers_of_each_step(case: Case) -> None:
    trial = Trial(getattr(ok, case.optimizer), case.options)
    trial.step()
    trial.step()
    state = {name: value for name, value in trial.state().items() if name != "step"}
    arrays = tuple(name for name, value in state.items() if isinstance(value, np.ndarray))
    if case.optimizer in ONE_BY_ONE:
        with pytest.raises((NotTraceable, KeyError, TypeError)):
            trace_all_steps(trial.cls.update, arrays, trial.hyper)
        return
    at = trace_all_steps(trial.cls.update, arrays, trial.hyper)
    for step in (1, 2, 3, 10, 999, 2**31 + 1):
        one = trial.trace(step)
        assert at(step) == one
        assert list(map(type, at(step).slots)) == list(map(type, one.slots))


def formula(function: Callable[[Any], Any]) -> Callable[[int], Any]:
    """Record a number computed from the step, and return what gives it at a step."""
    at = trace_all_steps(lambda xp, p, g, state, hyper, step: (p * function(step), {}), (), None)
    return lambda step: at(step).slots[0]


NUMBERS_OF_THE_STEP: dict[str, Callable[[Any], Any]] = {
    "itself": lambda step: step,
    "constant": lambda step: 2.5,
    "infinite": lambda step: float("inf") * step,
    "order": lambda step: -((2 - step) ** 2) / (step - 0.1) - (-(3 * step)) ** -1 + 2.0**-step,
    "left": lambda step: step - 3 - step / 7 / 5,
    "right": lambda step: 1 - (1 - 0.1 * step),
    "bools": lambda step: True + step * False,
    "large": lambda step: 3**step,
}


@pytest.mark.parametrize("name", NUMBERS_OF_THE_STEP)
def test_a_formula_is_what_python_computes(name: str) -> None:
    function = NUMBERS_OF_THE_STEP[name]
    for step in (1, 2, 77):
        number = formula(function)(step)
        assert (number, type(number)) == (function(step), type(function(step)))


def test_not_a_number_is_a_number_of_a_formula() -> None:
    assert math.isnan(formula(lambda step: step + float("nan"))(1))


NEEDS_THE_VALUE: dict[str, Callable[[Any], Any]] = {
    "if": lambda step: 1.0 if step else 2.0,
    "not": lambda step: float(not step),
    "equal": lambda step: float(step == 1),
    "unequal": lambda step: float(step != 1),
    "less": lambda step: float(step < 5),
    "max": lambda step: max(1, step - 5),
    "float": float,
    "int": int,
    "sqrt": math.sqrt,
    "range": lambda step: float(sum(range(step))),
    "index": lambda step: [1.0, 2.0][step],
    "key": lambda step: {1: 2.0}.get(step, 3.0),
    "text": lambda step: float(f"{step}"),
    "str": lambda step: float(str(step)),
    "remainder": lambda step: step % 2,
    "attribute": lambda step: step.real,
    "repr": lambda step: float(repr(step)),
    "complex": lambda step: step * 1j,
    "NumPy's number": lambda step: np.float64(0.9) ** step,
    "a NumPy number on the right": lambda step: step * np.float32(0.9),
    "NumPy's function": lambda step: np.power(0.9, step),
    "far too long": lambda step: sum([step] * 400),
}


@pytest.mark.parametrize("name", NEEDS_THE_VALUE)
def test_what_needs_the_value_of_the_step_is_refused(name: str) -> None:
    with pytest.raises((NotTraceable, TypeError, AttributeError)):
        formula(NEEDS_THE_VALUE[name])


def test_a_formula_that_turns_complex_is_refused_there() -> None:
    number = formula(lambda step: (4 - step) ** 0.5)
    assert number(3) == 1.0
    with pytest.raises(NotTraceable, match="not real"):
        number(5)
