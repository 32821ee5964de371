"""Every rule of the table, on every array library: the bits of eager NumPy."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from conftest import assert_same_bits
from libraries import LIBRARIES, RUNNING, Library

import optimkit as ok
from optimkit.validation.reference.case import Case
from optimkit.validation.reference.cases import CASES
from optimkit.validation.reference.inputs import Setting, gradients, lay_out, parameters

STEPS = 3
SHAPES = (
    ((3, 4), "C"),
    ((), "C"),
    ((70,), "C"),
    ((5, 6), "F"),
    ((4, 3), "gaps"),
    ((2, 3, 4), "C"),
)
EMPTY = (((0,), "C"), ((0, 3), "C"), ((3, 0), "C"), ((2, 0, 3), "F"))
# Muon takes matrices, SparseAdam tables.
ONLY = {"Muon": (2,), "SparseAdam": (1, 2, 3)}
# Where another library computes, it may round otherwise: the tolerance of the table. For a number
# that divides a tensor on a device, torch multiplies by its reciprocal.
ITS_OWN = {
    ("Muon", "torch"),
    ("Muon", "nn.Parameter"),
    ("Muon", "torch, the host as device"),
    ("Muon", "CUDA tensors"),
    ("Adafactor", "CUDA tensors"),
}


def rule_of(case: Case) -> type[ok.Optimizer]:
    rule: type[ok.Optimizer] = getattr(ok, case.optimizer)
    return rule


# Cases that differ in their setting alone are one case here.
BY_OPTIONS = {
    (case.optimizer, repr(case.options), case.dtypes): case for case in CASES if not case.halves
}
TABLE = [case for case in BY_OPTIONS.values() if "update" in vars(rule_of(case))]


def problem(case: Case, dtype: str, shapes: Any) -> tuple[list[Any], list[list[Any]]]:
    """Where the parameters begin and their gradients at each step."""
    axes = ONLY.get(case.optimizer, (0, 1, 2, 3))
    shapes = tuple(shape for shape in shapes if len(shape[0]) in axes)
    setting = Setting(shapes, tame=case.circumstances.tame)
    orders = [order for _, order in shapes]
    starts = [lay_out(x, o) for x, o in zip(parameters(setting, dtype), orders, strict=True)]
    columns = gradients(setting, dtype, STEPS)
    rows = [
        [lay_out(x[step], order) for x, order in zip(columns, orders, strict=True)]
        for step in range(STEPS)
    ]
    if rule_of(case).needs_sparse:  # with all rows touched, the rule is given what it is given here
        rows = [[ok.RowSparse(np.arange(len(x)), x, x.shape) for x in row] for row in rows]
    return starts, rows


@cache
def expected(name: str, dtype: str, shapes: Any) -> list[tuple[Any, dict[str, Any]]]:
    case = next(case for case in TABLE if case.name == name)
    with ok.use_engine("eager"):
        return LIBRARIES["numpy"].run(rule_of(case), case.options, *problem(case, dtype, shapes))


def compare(case: Case, library: Library, shapes: Any) -> None:
    rule = rule_of(case)
    if rule.needs_sparse and library.name == "array-api-strict":
        pytest.skip("the standard knows no sparse gradients")
    for dtype in case.dtypes:
        if not library.can_hold(dtype):
            continue
        actual = library.run(rule, case.options, *problem(case, dtype, shapes))
        reference = expected(case.name, dtype, shapes)
        for (param, state), (same, same_state) in zip(actual, reference, strict=True):
            label = f"{case.name}, {library.name}, {dtype}, {same.shape}"
            if (case.optimizer, library.name) in ITS_OWN:
                scale = np.maximum(np.abs(same), rule([same]).param_groups[0]["lr"])
                assert (np.abs(param - same) <= case.bound(dtype) * scale).all(), label
                assert state.keys() == same_state.keys()
                continue
            assert_same_bits(param, same, label)
            assert state.keys() == same_state.keys(), label
            for name, value in same_state.items():
                if hasattr(value, "shape"):
                    assert_same_bits(state[name], value, f"{label}, {name}")
                else:
                    assert state[name] == value, f"{label}, {name}"


@pytest.mark.parametrize("library", RUNNING, indirect=True)
@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_steps_have_the_bits_of_eager_numpy(case: Case, library: Library) -> None:
    compare(case, library, SHAPES)


@pytest.mark.parametrize("library", RUNNING, indirect=True)
@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_arrays_without_elements_have_steps_too(case: Case, library: Library) -> None:
    compare(case, library, EMPTY)


def test_every_rule_is_in_the_table() -> None:
    public = [getattr(ok, name) for name in ok.__all__]
    rules = {x for x in public if isinstance(x, type) and issubclass(x, ok.Optimizer)}
    with_update = {rule for rule in rules if "update" in vars(rule)} - {ok.Optimizer}
    assert {rule_of(case) for case in TABLE} == with_update


def test_what_writes_to_its_inputs_is_found() -> None:
    class Writing(ok.SGD):
        @staticmethod
        def update(
            xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
        ) -> tuple[Any, dict[str, Any]]:
            grad *= 2
            return param - grad, {}

    start = np.ones(3)
    with pytest.raises(ValueError, match="read-only"):
        LIBRARIES["read-only numpy"].run(Writing, {}, [start], [[start]])
