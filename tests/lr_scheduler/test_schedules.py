"""Schedules: torch's values to the bit, also as pure functions."""

import copy
import doctest
import importlib
import inspect
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rates import NAMES, plain, rates, torch_sgd
from torch.optim import lr_scheduler as theirs

import optimkit.lr_scheduler as ours
from optimkit.lr_scheduler import schedules
from optimkit.validation.bench.bounds import schedulers
from optimkit.validation.parity import configurations
from optimkit.validation.parity import schedules as validation
from optimkit.validation.parity.configurations import TYPICAL, Spec

# --- the table is complete, and so is the surface -------------------------------------------


def test_every_public_name_is_in_the_tables() -> None:
    assert set(NAMES) == set(theirs.__all__)
    assert set(configurations.DRAW) | set(configurations.COMPOSITES) == set(NAMES)
    assert set(TYPICAL) == set(NAMES)
    for name in NAMES:
        assert getattr(ours, name).schedule is schedules.SCHEDULES.get(name)


@pytest.mark.parametrize("name", NAMES)
def test_signature_is_torchs(name: str) -> None:
    own = dict(inspect.signature(getattr(ours, name).__init__).parameters)
    reference = inspect.signature(getattr(theirs, name).__init__).parameters
    if name == "ReduceLROnPlateau":
        verbose = own.pop("verbose")
        assert verbose.default is False
        assert verbose.kind is inspect.Parameter.KEYWORD_ONLY
    assert [(p.name, p.default, p.kind) for p in own.values()] == [
        (p.name, p.default, p.kind) for p in reference.values()
    ]


@pytest.mark.parametrize(
    "module",
    ["schedules", "base", "functions", "decays", "cosine", "cyclical", "composite", "plateau"],
)
def test_examples_in_docstrings(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"optimkit.lr_scheduler.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_class_has_an_example(name: str) -> None:
    assert ">>>" in (inspect.getdoc(getattr(ours, name)) or "")


def test_import_needs_no_torch() -> None:
    code = "import sys, optimkit.lr_scheduler; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


# --- equal to torch -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_torch_on_random_configurations(seed: int) -> None:
    result = validation.compare_with_torch(300, seed)
    assert result.first_mismatch is None
    assert result.mismatches == 0
    assert result.configurations == 300
    assert result.checkpoints > 100
    assert result.torch_gave_up < 15
    assert all(result.schedulers[name] >= 5 for name in NAMES)


def test_comparison_sees_one_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed_form(self: ours.ExponentialLR) -> list[float]:
        return self.lr_at(self.last_epoch)

    monkeypatch.setattr(ours.ExponentialLR, "_next_lrs", closed_form)
    result = validation.compare_with_torch(100, 0)
    assert result.mismatches > 0
    assert "ExponentialLR" in (result.first_mismatch or "")


@pytest.mark.parametrize("name", [name for name in TYPICAL if hasattr(theirs, name)])
def test_state_dict_has_torchs_keys_and_values(name: str) -> None:
    schedulers = [TYPICAL[name].build(module, torch_sgd(0.1, 2)) for module in (theirs, ours)]
    reference, own = (scheduler.state_dict() for scheduler in schedulers)
    assert own == reference
    assert "optimizer" not in own


def test_step_costs_has_every_scheduler() -> None:
    assert set(schedulers.step_costs(rounds=1, calls=1)) == set(NAMES)


# --- pure functions -------------------------------------------------------------------------

CLOSED = [name for name in schedules.SCHEDULES if name not in ("LambdaLR", "MultiplicativeLR")]


@pytest.mark.parametrize("name", list(schedules.SCHEDULES))
def test_class_follows_its_schedule(name: str) -> None:
    options = {"total_iters": 50} if "total_iters" in TYPICAL[name].options else {}
    spec = Spec(name, {**TYPICAL[name].options, **options})
    scheduler = spec.build(ours, torch_sgd(0.1))
    expected = [scheduler.lr_at(t)[0] for t in range(60)]
    # the chainable form multiplies up to 60 rounded ratios of some 10 roundings each
    assert rates(scheduler, 59) == pytest.approx(expected, rel=60 * 10 * 2**-52, abs=1e-16)


def test_closed_form_changes_nothing() -> None:
    for name in schedules.SCHEDULES:
        optimizer = torch_sgd(0.1)
        scheduler = TYPICAL[name].build(ours, optimizer)
        before = copy.deepcopy((scheduler.state_dict(), optimizer.param_groups))
        scheduler.lr_at(7)
        assert (scheduler.state_dict(), optimizer.param_groups) == before


@pytest.mark.parametrize("name", ["LRScheduler", "SequentialLR", "ReduceLROnPlateau"])
def test_no_closed_form(name: str) -> None:
    with pytest.raises(NotImplementedError, match="no closed form"):
        TYPICAL[name].build(ours, plain()).lr_at(1)


@given(
    step=st.integers(0, 200),
    up=st.integers(1, 20),
    down=st.none() | st.integers(1, 20),
    mode=st.sampled_from(["triangular", "triangular2", "exp_range"]),
    scale_fn=st.none() | st.just(configurations.halves),
    scale_mode=st.sampled_from(["cycle", "iterations"]),
)
def test_cyclic_is_its_class(
    step: int, up: int, down: int | None, mode: Any, scale_fn: Any, scale_mode: Any
) -> None:
    options: dict[str, Any] = dict(
        max_lr=0.7, step_size_up=up, step_size_down=down, mode=mode, gamma=0.9
    )
    options |= dict(scale_fn=scale_fn, scale_mode=scale_mode)
    scheduler = ours.CyclicLR(plain(), 0.1, cycle_momentum=False, **options)
    assert schedules.cyclic(step, 0.1, **options) == scheduler.lr_at(step)[0]


@given(
    step=st.integers(0, 60),
    pct_start=st.floats(0, 1),
    anneal_strategy=st.sampled_from(["cos", "linear"]),
    three_phase=st.booleans(),
)
def test_one_cycle_is_its_class(
    step: int, pct_start: float, anneal_strategy: Any, three_phase: bool
) -> None:
    options: dict[str, Any] = dict(max_lr=0.3, total_steps=60, pct_start=pct_start)
    options |= dict(anneal_strategy=anneal_strategy, three_phase=three_phase)
    scheduler = ours.OneCycleLR(plain(), cycle_momentum=False, **options)
    assert schedules.one_cycle(step, **options) == scheduler.lr_at(step)[0]


@given(T_0=st.integers(1, 9), T_mult=st.integers(1, 6))
def test_restart_position_counts(T_0: int, T_mult: int) -> None:
    position, period = 0, T_0
    for step in range(400):
        assert schedules.warm_restart_position(step, T_0, T_mult) == (position, period)
        position += 1
        if position == period:
            position, period = 0, period * T_mult
