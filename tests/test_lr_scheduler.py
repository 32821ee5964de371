"""Schedulers: torch's values to the bit, torch's state, and what torch cannot do."""

import copy
import doctest
import importlib
import inspect
import json
import math
import pickle
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler as theirs

import optimkit
import optimkit.lr_scheduler as ours
from optimkit.lr_scheduler import schedules
from optimkit.validation import schedules as validation
from optimkit.validation.schedules import TYPICAL, Spec

NAMES = [name for name in ours.__all__ if name != "schedules"]


def plain(lr: float = 1.0, groups: int = 1, **options: Any) -> Any:
    return SimpleNamespace(param_groups=[{"lr": lr, **options} for _ in range(groups)])


def torch_sgd(lr: float = 1.0, groups: int = 1, momentum: float = 0.9) -> torch.optim.SGD:
    params = [{"params": [torch.zeros(1)]} for _ in range(groups)]
    return torch.optim.SGD(params, lr=lr, momentum=momentum)


def rates(scheduler: Any, steps: int) -> list[float]:
    lrs = [scheduler.get_last_lr()[0]]
    for _ in range(steps):
        getattr(scheduler.optimizer, "step", bool)()
        scheduler.step()
        lrs.append(scheduler.get_last_lr()[0])
    return lrs


# --- the table is complete, and so is the surface -------------------------------------------


def test_every_public_name_is_in_the_tables() -> None:
    assert set(NAMES) == set(theirs.__all__)
    assert set(validation.DRAW) | set(validation.COMPOSITES) == set(NAMES)
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
    "module", ["schedules", "base", "schedulers", "cyclical", "composite", "plateau"]
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
    assert set(validation.step_costs(rounds=1, calls=1)) == set(NAMES)


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
    scale_fn=st.none() | st.just(validation.halves),
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


# --- nests ----------------------------------------------------------------------------------


def nest(module: Any, optimizer: Any) -> Any:
    """A SequentialLR in a ChainedScheduler that begins at a milestone of a SequentialLR."""
    inner = module.SequentialLR(
        optimizer,
        [module.ConstantLR(optimizer, 0.5, 100), module.ExponentialLR(optimizer, 0.5)],
        [2],
    )
    chain = module.ChainedScheduler([inner, module.StepLR(optimizer, 3, 0.25)])
    return module.SequentialLR(optimizer, [module.LinearLR(optimizer, 0.5, 1.0, 2), chain], [3])


def test_composite_begins_at_a_milestone() -> None:
    reference = nest(theirs, torch_sgd())
    with pytest.raises(NotImplementedError):
        rates(reference, 3)
    # warm-up; then 0.5, 0.5, and at the inner milestone the exponential from the initial rate
    expected = [0.5, 0.75, 1.0, 0.5, 0.5, 1.0, 0.125, 0.0625]
    assert rates(nest(ours, plain()), 7) == expected


@pytest.mark.parametrize("saved_at", range(8))
def test_nest_resumes_mid_phase(saved_at: int) -> None:
    expected = rates(nest(ours, plain()), 12)
    scheduler = nest(ours, plain())
    rates(scheduler, saved_at)
    state = json.loads(json.dumps(scheduler.state_dict()))
    optimizer = plain()
    resumed = nest(ours, optimizer)
    optimizer.param_groups = copy.deepcopy(scheduler.optimizer.param_groups)
    resumed.load_state_dict(state)
    assert rates(resumed, 12 - saved_at) == expected[saved_at:]


def test_sequential_restarts_inside_sequential() -> None:
    optimizer = plain()
    inner = ours.SequentialLR(
        optimizer, [ours.ConstantLR(optimizer, 0.5, 9), ours.ConstantLR(optimizer, 0.25, 9)], [2]
    )
    outer = ours.SequentialLR(optimizer, [ours.ConstantLR(optimizer, 1.0), inner], [2])
    assert rates(outer, 5) == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_group_without_initial_lr_keeps_its_rate_when_a_composite_begins() -> None:
    scheduler = nest(ours, plain())
    scheduler.optimizer.param_groups.append({"lr": 0.1})
    rates(scheduler, 3)
    warmed_up = 0.1 * 1.5 * (1 + 0.5 / 1.5)
    assert scheduler.get_last_lr() == [0.5, warmed_up * 0.5]


# --- where torch fails ----------------------------------------------------------------------


def test_one_cycle_with_a_phase_of_no_length() -> None:
    with pytest.raises(ZeroDivisionError):
        theirs.OneCycleLR(torch_sgd(), 1.0, total_steps=10, pct_start=0.1)
    scheduler = ours.OneCycleLR(torch_sgd(), 1.0, total_steps=10, pct_start=0.1)
    assert scheduler.get_last_lr() == [1.0]
    assert rates(scheduler, 9)[-1] == pytest.approx(1 / 25 / 1e4)


def test_jump_to_a_restart_lands_on_it() -> None:
    reference = theirs.CosineAnnealingWarmRestarts(torch_sgd(), 1, 3)
    reference.step(121)
    assert reference.get_last_lr() == [0.0]  # log(243, 3) rounds below 5
    scheduler = ours.CosineAnnealingWarmRestarts(torch_sgd(), 1, 3)
    scheduler.step(121)
    assert scheduler.get_last_lr() == [1.0]
    assert rates(ours.CosineAnnealingWarmRestarts(torch_sgd(), 1, 3), 121)[-1] == 1.0


def test_cyclic_state_loads_twice() -> None:
    scheduler = ours.CyclicLR(torch_sgd(), 0.1, 1.0)
    state = scheduler.state_dict()
    before = copy.deepcopy(state)
    scheduler.load_state_dict(state)
    scheduler.load_state_dict(state)
    assert state == before


def test_builtin_function_as_factor_can_be_saved() -> None:
    assert ours.LambdaLR(plain(), abs).state_dict()["lr_lambdas"] == [None]


def test_state_dict_is_a_snapshot() -> None:
    scheduler = ours.MultiStepLR(plain(), [3, 5])
    state = scheduler.state_dict()
    scheduler.milestones[7] += 1
    scheduler.base_lrs[0] = 9.0
    assert state["milestones"] == {3: 1, 5: 1}
    assert state["base_lrs"] == [1.0]


def test_error_leaves_everything_as_it_was() -> None:
    optimizer = plain(momentum=0.5)
    scheduler = ours.CyclicLR(optimizer, 0.1, 1.0, 4)
    scheduler.step()
    optimizer.param_groups.append({"lr": 0.3, "momentum": 0.5})
    before = copy.deepcopy((optimizer.param_groups, scheduler.last_epoch))
    with pytest.raises(ValueError, match="1 learning rates for 2 parameter groups"):
        scheduler.step()
    assert (optimizer.param_groups, scheduler.last_epoch) == before


def raises_at(step: int, factor: float = 0.5) -> Any:
    def function(t: int) -> float:
        if t == step:
            raise RuntimeError("no factor")
        return factor

    return function


def everything(scheduler: Any) -> Any:
    inner = [everything(each) for each in getattr(scheduler, "_schedulers", ())]
    groups = [
        {key: copy.deepcopy(value) for key, value in group.items() if key != "params"}
        for group in scheduler.optimizer.param_groups
    ]
    return scheduler.state_dict(), groups, inner


@pytest.mark.parametrize("make", [plain, torch_sgd])
def test_step_that_raises_is_taken_back(make: Any) -> None:
    optimizer = make()
    chained = ours.ChainedScheduler(
        [
            ours.ExponentialLR(optimizer, 0.5),
            ours.CosineAnnealingWarmRestarts(optimizer, 3),
            ours.MultiplicativeLR(optimizer, raises_at(2)),
        ]
    )
    nested = make()
    decay = ours.ExponentialLR(nested, 0.5)
    late = ours.LambdaLR(nested, raises_at(2))
    held = ours.ChainedScheduler([ours.StepLR(nested, 2), late])
    nested.step() if make is torch_sgd else None
    milestone = make()
    first, second = ours.ExponentialLR(milestone, 0.5), ours.LambdaLR(milestone, lambda t: 1.0)
    phases = ours.SequentialLR(milestone, [first, second], [2])
    second.lr_lambdas = [raises_at(0)]
    for scheduler in (
        ours.LambdaLR(make(), raises_at(2)),
        chained,
        ours.SequentialLR(nested, [held, decay], [9]),
        phases,
    ):
        scheduler.optimizer.step() if make is torch_sgd else None
        scheduler.step()
        before = everything(scheduler)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="no factor"):
                scheduler.step()
            assert everything(scheduler) == before


def test_step_that_raises_gives_a_tensor_its_rate_back() -> None:
    lr = torch.tensor(0.5)
    optimizer = torch.optim.Adam([torch.zeros(1)], lr=lr, capturable=False, foreach=False)
    decay = ours.ExponentialLR(optimizer, 0.5)
    chained = ours.ChainedScheduler([decay, ours.MultiplicativeLR(optimizer, raises_at(1))])
    optimizer.step()
    with pytest.raises(RuntimeError, match="no factor"):
        chained.step()
    assert optimizer.param_groups[0]["lr"] is lr
    assert (lr.item(), decay.last_epoch) == (0.5, 0)


def test_plateau_step_that_raises_is_taken_back() -> None:
    plateau = ours.ReduceLROnPlateau(plain(groups=2), patience=0, min_lr=[0.0, 0.0])
    plateau.step(1.0)
    plateau.optimizer.param_groups.append({"lr": 1.0})
    before = everything(plateau)
    with pytest.raises(RuntimeError, match="min_lr"):
        plateau.step(1.0)
    assert everything(plateau) == before


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda state: state.pop("lr_lambdas"), KeyError, "no 'lr_lambdas'"),
        (lambda state: state["lr_lambdas"].append(None), ValueError, "holds 2 functions, .* 1"),
        (lambda state: state.update(lr_lambdas=[3]), TypeError, "state of a function is a int"),
    ],
)
def test_state_that_does_not_fit_changes_nothing(change: Any, error: Any, match: str) -> None:
    def make() -> Any:
        optimizer = plain()
        decay = ours.LambdaLR(optimizer, validation.Decay(0.5))
        other = ours.MultiplicativeLR(optimizer, validation.Decay(0.5))
        return ours.SequentialLR(optimizer, [ours.ChainedScheduler([decay, other])], [])

    scheduler, source = make(), make()
    for _ in range(3):
        source.step()
    state = source.state_dict()
    inner = state["_schedulers"][0]["_schedulers"]
    for saved in inner:
        saved["lr_lambdas"] = [{"base": 0.25}]
    change(inner[1])
    before = everything(scheduler)
    with pytest.raises(error, match=match):
        scheduler.load_state_dict(state)
    assert everything(scheduler) == before
    leaf = scheduler._schedulers[0]._schedulers[1]
    with pytest.raises(error, match=match):
        leaf.load_state_dict(inner[1])
    assert everything(scheduler) == before
    with pytest.raises(KeyError, match="no '_schedulers'"):
        scheduler.load_state_dict({"last_epoch": 5})
    with pytest.raises(TypeError, match="a state is a dict"):
        leaf.load_state_dict(None)
    cyclic = ours.CyclicLR(plain(), 0.1, 1.0, cycle_momentum=False, scale_fn=validation.Decay(1.0))
    with pytest.raises(TypeError, match="state of a function"):
        cyclic.load_state_dict({"last_epoch": 5, "_scale_fn_custom": 3})
    assert cyclic.last_epoch == 0


def test_copies_and_pickles() -> None:
    scheduler = ours.SequentialLR(
        optimizer := torch_sgd(),
        [ours.StepLR(optimizer, 2), ours.ExponentialLR(optimizer, 0.5)],
        [3],
    )
    optimizer.step()
    scheduler.step()
    copies = [copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))]
    expected = rates(scheduler, 5)
    for copied in copies:
        assert copied.optimizer is not optimizer
        assert rates(copied, 5) == expected


# --- optimizers -----------------------------------------------------------------------------


def test_optimizer_is_not_patched() -> None:
    optimizer = torch_sgd()
    ours.StepLR(optimizer, 2)
    assert "step" not in vars(optimizer)


def test_tensor_rate_is_filled_in_place() -> None:
    lr = torch.tensor(0.5)
    optimizer = torch.optim.Adam([torch.zeros(1)], lr=lr, capturable=False, foreach=False)
    scheduler = ours.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == 0.25
    assert scheduler.get_last_lr() == [0.25]
    assert type(scheduler.get_last_lr()[0]) is float


def test_rates_are_python_floats() -> None:
    scheduler = ours.ConstantLR(plain(lr=1), 1, 3)
    assert [type(lr) for lr in scheduler.get_last_lr()] == [float]


class Integers(ours.LRScheduler):
    def get_lr(self) -> list[float]:
        return [1 for _ in self.base_lrs]


KINDS = {
    "float32": np.float32,
    "float64": np.float64,
    "array": np.array,
    "tensor": torch.tensor,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "make",
    [
        lambda g, x: ours.LambdaLR(g, lambda t: x(0.5)),
        lambda g, x: ours.MultiplicativeLR(g, lambda t: x(0.5)),
        lambda g, x: ours.ExponentialLR(g, x(0.5)),
        lambda g, x: ours.StepLR(g, 1, x(0.5)),
        lambda g, x: ours.CyclicLR(g, x(0.25), x(0.75), 4, base_momentum=x(0.5)),
        lambda g, x: ours.CyclicLR(g, 0.25, 0.75, 4, scale_fn=lambda t: x(0.5)),
        lambda g, x: ours.OneCycleLR(g, [x(0.5)], 10, div_factor=x(4.0)),
        lambda g, x: ours.CosineAnnealingLR(g, 4, x(0.5)),
        lambda g, x: Integers(g),
    ],
)
def test_rates_are_python_floats_whatever_the_options_are(make: Any, kind: str) -> None:
    optimizer = plain(momentum=0.5)
    scheduler = make(optimizer, KINDS[kind])
    for _ in range(3):
        lrs = [optimizer.param_groups[0]["lr"], *scheduler.get_last_lr()]
        lrs += [] if isinstance(scheduler, Integers) else scheduler.lr_at(2)
        assert {type(lr) for lr in lrs} == {float}
        assert type(optimizer.param_groups[0]["momentum"]) is float
        scheduler.step()


@pytest.mark.parametrize("low", [1, np.float32(1), [1]])
def test_plateau_rates_are_python_floats(low: Any) -> None:
    plateau = ours.ReduceLROnPlateau(plain(3.0), patience=0, factor=0.1, min_lr=low)
    plateau.step(1.0)
    plateau.step(1.0)
    assert plateau.get_last_lr() == [1.0]
    assert type(plateau.optimizer.param_groups[0]["lr"]) is float


def test_plateau_takes_arrays_of_one_element() -> None:
    plateau = ours.ReduceLROnPlateau(plain())
    for metric in (np.array([3.0]), np.full((1, 1), 2.0), np.float32(1), torch.tensor([0.5]), 0):
        plateau.step(metric)
        assert plateau.best == float(np.asarray(metric).reshape(()))
    for metric in (np.zeros(2), torch.zeros(2), None):
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            plateau.step(metric)
    assert plateau.last_epoch == 5


def test_scale_of_a_cycle_is_asked_for_once_in_a_step() -> None:
    calls: list[float] = []
    optimizer = plain(groups=2, momentum=0.5)
    scheduler = ours.CyclicLR(optimizer, 0.1, 1.0, 4, scale_fn=lambda x: calls.append(x) or 1.0)
    calls.clear()
    scheduler.step()
    assert calls == [1]


class Counting:
    """An optimizer that counts its own steps."""

    def __init__(self) -> None:
        self.param_groups = [{"lr": 1.0}]
        self.step_count = 5

    def step(self) -> None:
        self.step_count += 1


def optimkit_sgd() -> optimkit.SGD:
    parameter = optimkit.Parameter(np.zeros(1))
    parameter.grad = np.ones(1)
    return optimkit.SGD([parameter], lr=1.0)


@pytest.mark.parametrize("make", [torch_sgd, optimkit_sgd, Counting])
def test_order_of_steps(make: Any) -> None:
    scheduler = ours.StepLR(make(), 2)
    with pytest.warns(UserWarning, match="call optimizer.step") as caught:
        scheduler.step()
    assert caught[0].filename == __file__
    phrase = "Detected call of `lr_scheduler.step()` before `optimizer.step()`"  # torch's
    assert phrase in str(caught[0].message)
    scheduler.step()  # said once

    optimizer = make()
    several: list[ours.LRScheduler] = [
        ours.StepLR(optimizer, 2),
        ours.ExponentialLR(optimizer, 0.5),
    ]
    optimizer.step()
    for each in several:
        each.step()


def test_order_of_steps_is_unknown_for_other_objects() -> None:
    ours.StepLR(plain(), 2).step()


def test_epoch_argument_and_get_lr_warn() -> None:
    scheduler = ours.StepLR(plain(), 2, 0.5)
    with pytest.warns(UserWarning, match="deprecated") as caught:
        scheduler.step(5)
    assert caught[0].filename == __file__
    assert scheduler.get_last_lr() == [0.25]
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()
    with pytest.warns(UserWarning, match="deprecated"):
        ours.ReduceLROnPlateau(plain()).step(1.0, 3)


def test_subclass_in_torchs_manner() -> None:
    class Both(ours.LRScheduler):
        def get_lr(self) -> list[float]:
            return [float(group["lr"]) / 2 for group in self.optimizer.param_groups]

        def _get_closed_form_lr(self) -> list[float]:
            return [math.pi for _ in self.base_lrs]

    scheduler = Both(plain())
    with pytest.warns(UserWarning, match="deprecated"):
        scheduler.step(3)
    assert scheduler.get_last_lr() == [math.pi]
    with pytest.raises(NotImplementedError, match="get_lr"):
        ours.LRScheduler(plain())


def test_plateau_prints_reductions(capsys: pytest.CaptureFixture[str]) -> None:
    for verbose in (False, True):
        scheduler = ours.ReduceLROnPlateau(plain(groups=2), patience=0, verbose=verbose)
        scheduler.step(1.0)
        scheduler.step(1.0)
        assert "verbose" not in scheduler.state_dict()
    assert capsys.readouterr().out.splitlines() == [
        "step 2: learning rate of group 0 reduced from 1 to 0.1",
        "step 2: learning rate of group 1 reduced from 1 to 0.1",
    ]


# --- errors, of torch's types ---------------------------------------------------------------

ERRORS: list[tuple[str, dict[str, Any], type[Exception]]] = [
    ("LambdaLR", {"lr_lambda": [abs] * 3}, ValueError),
    ("LambdaLR", {"lr_lambda": 0.5}, TypeError),
    ("MultiplicativeLR", {"lr_lambda": [abs] * 3}, ValueError),
    ("MultiplicativeLR", {"lr_lambda": 0.5}, TypeError),
    ("StepLR", {"step_size": 3, "last_epoch": 2}, KeyError),
    ("ConstantLR", {"factor": 1.5}, ValueError),
    ("ConstantLR", {"factor": -0.5}, ValueError),
    ("LinearLR", {"start_factor": 0.0}, ValueError),
    ("LinearLR", {"start_factor": 1.5}, ValueError),
    ("LinearLR", {"end_factor": -0.5}, ValueError),
    ("CosineAnnealingWarmRestarts", {"T_0": 0}, ValueError),
    ("CosineAnnealingWarmRestarts", {"T_0": 1.5}, ValueError),
    ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 0}, ValueError),
    ("CosineAnnealingWarmRestarts", {"T_0": 2, "eta_min": "0"}, ValueError),
    ("CyclicLR", {"base_lr": [0.1] * 3, "max_lr": 1.0}, ValueError),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": [1.0] * 3}, ValueError),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "mode": "square"}, ValueError),
    ("OneCycleLR", {"max_lr": 1.0}, ValueError),
    ("OneCycleLR", {"max_lr": 1.0, "epochs": 3}, ValueError),
    ("OneCycleLR", {"max_lr": 1.0, "epochs": 0, "steps_per_epoch": 3}, ValueError),
    ("OneCycleLR", {"max_lr": 1.0, "epochs": 3, "steps_per_epoch": 1.5}, ValueError),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": -1}, ValueError),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 9, "pct_start": 2.0}, ValueError),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 9, "anneal_strategy": "exp"}, ValueError),
    ("OneCycleLR", {"max_lr": [1.0] * 3, "total_steps": 9}, ValueError),
    ("ReduceLROnPlateau", {"factor": 1.0}, ValueError),
    ("ReduceLROnPlateau", {"mode": "best"}, ValueError),
    ("ReduceLROnPlateau", {"threshold_mode": "both"}, ValueError),
    ("ReduceLROnPlateau", {"min_lr": [0.1] * 3}, ValueError),
]


@pytest.mark.parametrize("module", [theirs, ours], ids=["torch", "optimkit"])
@pytest.mark.parametrize(("name", "options", "error"), ERRORS)
def test_bad_options(module: Any, name: str, options: dict[str, Any], error: Any) -> None:
    with pytest.raises(error):
        getattr(module, name)(torch_sgd(groups=2), **options)


@pytest.mark.parametrize("module", [theirs, ours], ids=["torch", "optimkit"])
def test_errors_of_composites(module: Any) -> None:
    optimizer = torch_sgd()
    decay = module.ExponentialLR(optimizer, 0.5)
    plateau = module.ReduceLROnPlateau(optimizer)
    other = module.ExponentialLR(torch_sgd(), 0.5)
    for bad, error in [
        ([], ValueError),
        ([decay, plateau], ValueError),
        ([decay, other], ValueError),
        ([decay, object()], TypeError),
    ]:
        with pytest.raises(error):
            module.SequentialLR(optimizer, bad, [2])
        with pytest.raises(error):
            module.ChainedScheduler(bad)
    with pytest.raises(ValueError, match="milestones"):
        module.SequentialLR(optimizer, [decay], [2])


@pytest.mark.parametrize("name", [name for name in NAMES if name not in validation.COMPOSITES])
def test_object_that_is_no_optimizer(name: str) -> None:
    with pytest.raises(TypeError, match="object is not an optimizer"):
        TYPICAL[name].build(ours, object())


@pytest.mark.parametrize("module", [theirs, ours], ids=["torch", "optimkit"])
@pytest.mark.parametrize("name", ["StepLR", "CyclicLR", "OneCycleLR", "ReduceLROnPlateau"])
def test_errors_about_the_optimizer(module: Any, name: str) -> None:
    with pytest.raises(TypeError):
        TYPICAL[name].build(module, object())
    if name in ("CyclicLR", "OneCycleLR"):
        optimizer = torch.optim.Adagrad([torch.zeros(1)])
        with pytest.raises(ValueError, match="momentum"):
            TYPICAL[name].build(module, optimizer)
        assert optimizer.param_groups[0]["lr"] == 0.01 or module is theirs


@pytest.mark.parametrize("module", [theirs, ours], ids=["torch", "optimkit"])
def test_errors_while_stepping(module: Any) -> None:
    restarts = module.CosineAnnealingWarmRestarts(torch_sgd(), 3)
    with pytest.raises(ValueError, match="negative"):
        restarts.step(-1)
    plateau = module.ReduceLROnPlateau(torch_sgd(groups=2), patience=0, min_lr=[0.0, 0.0])
    plateau.optimizer.add_param_group({"params": [torch.zeros(1)]})
    plateau.step(1.0)
    with pytest.raises(RuntimeError, match="min_lr"):
        plateau.step(1.0)


def test_state_of_another_nest_is_refused() -> None:
    optimizer = plain()
    one = ours.ChainedScheduler([ours.StepLR(optimizer, 2)])
    two = ours.ChainedScheduler([ours.StepLR(optimizer, 2), ours.StepLR(optimizer, 3)])
    with pytest.raises(ValueError, match="the state holds 2 schedulers"):
        one.load_state_dict(two.state_dict())
