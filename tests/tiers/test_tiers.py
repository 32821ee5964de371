"""The tiers beyond equal bits: bounds, exact arithmetic, free runs, half precision."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from optimkit.backends.trace import trace
from optimkit.validation import cli
from optimkit.validation.parity.tiers import agreement, bounds, drift, exactness, stock
from optimkit.validation.parity.tiers import found as tiers
from optimkit.validation.parity.tiers.tables import cells, percent, sections
from optimkit.validation.parity.trajectories import Way
from optimkit.validation.reference import oracle
from optimkit.validation.reference.cases import CASES, OPTIMIZERS, cases_of
from optimkit.validation.reference.recordings import FOLDER

PEERS = [name for name in OPTIMIZERS if any(case.peer for case in cases_of(name))]
COLUMNS = {"param": np.array([1.0, -3.0]), "grad": np.array([0.1, 7.0])}


def traced(update, **scalars):
    return trace(update, (), scalars, SimpleNamespace(), 1)


# ---------------------------------------------------------------- bounds


def a_quotient(xp, param, grad, state, hyper, step):
    return param / (xp.sqrt(grad * grad) + 0.1) - grad, {}


def test_roundings_and_multiply_adds_are_counted_from_the_rule():
    program = traced(a_quotient).program
    assert bounds.roundings(program) == 5
    assert bounds.fusable(program) == 0

    def added(xp, param, grad, state, hyper, step):
        unused = grad * grad  # what no output depends on is not counted
        assert unused is not None
        return param + 0.1 * grad, {}

    program = traced(added).program
    assert (bounds.roundings(program), bounds.fusable(program)) == (2, 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_bound_holds_and_is_no_larger_than_it_must(rng, dtype):
    columns = {name: rng.standard_normal(20_000).astype(dtype) for name in ("param", "grad")}
    limit = bounds.bounds(traced(a_quotient), columns, dtype)["param"]
    own, _ = a_quotient(np, columns["param"], columns["grad"], {}, None, 1)
    wide = {name: x.astype(np.longdouble) for name, x in columns.items()}
    tenth = np.longdouble(np.asarray(0.1, dtype))
    truth = wide["param"] / (np.abs(wide["grad"]) + tenth) - wide["grad"]
    share = np.abs(own - truth) / limit
    assert 0.4 < share.max() <= 1


def test_a_root_of_what_may_be_negative_has_no_bound():
    def variance(xp, param, grad, state, hyper, step):
        return xp.sqrt(param - grad * grad), {}

    columns = {"param": np.array([0.01, 2.0, 0.0]), "grad": np.array([0.1, 0.1, 0.0])}
    limit = bounds.bounds(traced(variance), columns, "float64")["param"]
    assert np.isinf(limit[0])
    assert 0 < limit[1] < 1e-15
    assert limit[2] == 0  # zero without any rounding


def test_every_operation_has_an_error():
    assert bounds.ERRORS.keys() == bounds.OPERATIONS.keys()


# ---------------------------------------------------------------- stock


def steps_of(name, exercises, path="for-loop", dtype="float32"):
    found = stock.PerStep(name, dtype, path)
    case = next(case for case in cases_of(name) if case.exercises == exercises)
    stock.follow(found, case, 10)
    return found


def test_each_step_is_within_its_bound():
    pytest.importorskip("torch", reason="torch is not installed")
    loop = steps_of("RMSprop", "all together")
    assert loop.problem == ""
    assert 0.1 < loop.share <= 1
    assert loop.roundings == 18
    assert 0 < loop.equal < loop.values
    assert set(loop.counts) == {"param", "square_avg", "grad_avg", "momentum_buffer"}


@pytest.mark.parametrize(
    ("name", "exercises", "dtype"),
    [
        ("Adagrad", "rows of a table", "float64"),
        ("NAdam", "groups, schedule, missing gradients, shapes", "float32"),
        ("Adam", "complex", "complex64"),
        ("RAdam", "infinities and NaN", "float32"),
        ("Adafactor", "defaults", "float32"),
    ],
)
def test_every_kind_of_case_is_followed(name, exercises, dtype):
    pytest.importorskip("torch", reason="torch is not installed")
    found = steps_of(name, exercises, dtype=dtype)
    assert (found.cases, found.steps, found.problem) == (1, 10, "")
    assert bool(found.allowed) == (name == "Adafactor")
    assert bool(found.roundings) == (name != "Adafactor")


def test_a_path_that_writes_to_the_gradients_is_held_against_what_they_were():
    pytest.importorskip("torch", reason="torch is not installed")
    assert steps_of("SGD", "nesterov", "foreach", "float64").relative < 1e-14


def test_a_path_that_does_not_take_a_case_counts_nothing():
    pytest.importorskip("torch", reason="torch is not installed")
    assert steps_of("RMSprop", "defaults", "fused").cases == 0
    assert steps_of("Adagrad", "rows of a table", "fused").cases == 0
    assert steps_of("Adagrad", "defaults", "fused").cases == 1


def test_half_precision_fused_has_our_bits():
    pytest.importorskip("torch", reason="torch is not installed")
    loop = steps_of("AdamW", "defaults", dtype="float16")
    fused = steps_of("AdamW", "defaults", "fused", "float16")
    assert loop.equal < loop.values
    assert fused.worst <= 1


def test_a_step_beyond_its_bound_is_a_failure(monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed")
    smaller = {name: unit / 16 for name, unit in bounds.UNIT.items()}
    monkeypatch.setattr(bounds, "UNIT", smaller)
    found = steps_of("Adagrad", "weight_decay")
    assert "times the bound" in found.problem
    findings = tiers.TierFindings(stock=[found])
    assert next(findings.failures()).startswith("stock, Adagrad: Adagrad: weight_decay, float32")


# ---------------------------------------------------------------- free runs


def test_a_free_run_that_leaves_is_a_failure(monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed")
    found = drift.measure("Adam", quick=True)
    assert {one.rival for one in found} == {"optimkit", "foreach", "fused"}
    assert all(one.problem == "" and one.points[0][0] == 1 for one in found)
    monkeypatch.setattr(drift, "OPERATIONS", 1e-3)
    assert "over" in drift.measure("Adam", quick=True)[0].problem


def test_every_optimizer_runs_long_but_those_with_a_closure():
    without = {name for name in PEERS if drift.everyday(name) is None}
    assert without == {"LBFGS"}


# ---------------------------------------------------------------- the oracle


def test_exact_arithmetic_is_exact():
    case = exactness.exact_cases("SGD")[0]  # θ - γ g, with γ = 0.01
    run = oracle.exact_trajectory(case, "float64", (1, 3))
    from fractions import Fraction

    from optimkit.validation.reference.inputs import gradients, parameters

    param = parameters(case.circumstances, "float64")[0][4]
    grads = gradients(case.circumstances, "float64", 3)[0][:, 4]
    exact = Fraction(param) - Fraction(0.01) * sum(map(Fraction, grads))
    found = run[3][4]
    sign, mantissa, exponent, _ = found._mpf_
    binary = Fraction(-mantissa if sign else mantissa) * Fraction(2) ** exponent
    assert abs(binary - exact) < Fraction(1, 10**55)


def test_state_in_float32_is_not_rounded_by_the_oracle():
    from optimkit.rounding import float32

    third = oracle.CONTEXT.mpf(1) / 3
    assert float32(third) == third
    assert float32(1 / 3) != 1 / 3


def test_errors_are_relative_to_the_larger_of_value_and_step():
    truth = oracle.exact_array(np.array([2.0, 0.0]))
    found = oracle.errors(np.array([2.5, 0.5]), truth, 0.1)
    assert found == pytest.approx([0.25, 5.0])
    assert np.isinf(oracle.errors(np.array([np.nan]), truth[:1], 0.1)[0])


def test_every_elementwise_rule_is_held_against_exact_arithmetic():
    names = {name for name in PEERS if exactness.exact_cases(name)}
    assert set(PEERS) - names == {"Muon", "Adafactor", "SparseAdam", "LBFGS"}
    recorded = tiers.recorded(FOLDER / tiers.FILE, tuple(tiers.KINDS), PEERS)
    judged = list(exactness.verdicts(recorded.oracle))
    assert {one.optimizer for one in judged} == names
    assert all(one.held for one in judged)


def test_a_larger_error_is_a_failure():
    one = exactness.Exactness("Adam", "defaults", "float32", 100, 3.0, 9.0, 1.0, 9.0, 15, 3)
    assert [v.held for v in exactness.verdicts([one])] == [False]
    assert list(tiers.TierFindings(oracle=[one]).failures())
    one.mean = 1.2
    assert not list(tiers.TierFindings(oracle=[one]).failures())


# ---------------------------------------------------------------- half precision


def test_half_precision_is_equal_everywhere_and_differences_are_seen(monkeypatch):
    pytest.importorskip("ml_dtypes", reason="ml-dtypes is not installed")
    ways = [Way("eager", "numpy"), Way("blocked", "numpy")]
    found = agreement.measure("RAdam", ways, quick=False)
    assert {one.dtype for one in found} == {"float16", "bfloat16"}
    assert all(one.problem == "" and one.values > 1000 for one in found)
    plain, tried = agreement.trajectory, set()

    def changed(case, dtype, way, steps):
        tried.add(case.name)
        run = plain(case, dtype, way, steps)
        if way.engine == "blocked":
            run[10]["0"][3] *= 2
        return run

    monkeypatch.setattr(agreement, "trajectory", changed)
    found = agreement.measure("RAdam", ways, quick=True)
    assert all("step 10, 0[3]" in one.problem for one in found)
    assert tried == {"RAdam: defaults", "RAdam: betas, weight_decay, maximize"}
    assert all("engines" in line for line in tiers.TierFindings(halves=found).failures())


def test_half_precision_of_torch_is_in_the_table():
    halves = [case for case in CASES if case.halves]
    assert {case.optimizer for case in halves} == {"Adam", "AdamW"}


# ---------------------------------------------------------------- recorded or computed


def test_recorded_numbers_are_marked_and_kept_apart(tmp_path):
    recorded = tiers.recorded(FOLDER / tiers.FILE, ("stock", "drift", "oracle"), ["Adam"])
    assert recorded.recorded.keys() == {"stock", "drift", "oracle"}
    assert {one.optimizer for one in recorded.stock} == {"Adam"}
    assert all("rec." in cell.text for cell in cells(recorded, "Adam").values())
    parts = [part for section in sections(recorded) for part in section.parts]
    noted = [part for part in parts if getattr(part, "notes", ())]
    assert all(part.notes[0].startswith("Recorded, not computed now: torch") for part in noted)
    computed = tiers.TierFindings(stock=recorded.stock)
    assert "✓" in cells(computed, "Adam")["stock"].text


def test_another_error_than_recorded_is_a_failure():
    found = tiers.recorded(FOLDER / tiers.FILE, ("oracle",), ["SGD"])
    now = exactness.measure("SGD", quick=False, live=False)
    found.add("oracle: SGD", now)
    assert not list(found.failures())
    now[0].mean *= 1.01
    found.add("oracle: SGD", now)
    assert "recorded" in next(found.failures())


def test_what_is_kept_of_other_optimizers_stays(tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    first = tiers.TierFindings(stock=[stock.PerStep("SGD", "float32", "for-loop")])
    tiers.keep(first, {"torch": "1"}, old, old)
    second = tiers.TierFindings(stock=[stock.PerStep("Adam", "float32", "for-loop")])
    tiers.keep(second, {"torch": "2"}, old, new)
    content = json.loads(new.read_text())
    assert [entry["optimizer"] for entry in content["stock"]] == ["SGD", "Adam"]


def test_other_conditions_are_not_mixed(tmp_path):
    path, origin = tmp_path / "kept.json", {"torch": "1", "date": "today"}
    both = [stock.PerStep(name, "float32", "for-loop") for name in ("Adam", "SGD")]
    tiers.keep(tiers.TierFindings(stock=both), origin, path, path)
    assert tiers.mixed(path, ["SGD"], {"torch": "1", "date": "tomorrow"}) == ""
    assert tiers.mixed(path, ["SGD"], {"torch": "2"}) == "torch 1, not 2"
    assert tiers.mixed(path, ["SGD", "Adam"], {"torch": "2"}) == ""
    assert tiers.mixed(tmp_path / "none.json", ["SGD"], origin) == ""


def test_all_is_said_only_of_all():
    assert percent(10, 10) == "100 %"
    assert percent(99_999_999, 100_000_000) == "< 100 %"


def test_tiers_by_name(tmp_path, capsys):
    path = tmp_path / "found.json"
    arguments = ["SGD", "--recorded", "--tier", "oracle", "--tier", "stock"]
    assert cli.main(["validate", *arguments, "--json", str(path), "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert "Distance from exact arithmetic" in said
    assert "Recorded, not computed now" in said
    assert "Schedulers" not in said
    assert json.loads(path.read_text())["checks"] == []
    with pytest.raises(SystemExit, match="2"):
        cli.main(["validate", "--tier", "oracel"])
    assert "did you mean oracle" in capsys.readouterr().err
