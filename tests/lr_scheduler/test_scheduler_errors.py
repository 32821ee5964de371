"""Errors of schedulers, of torch's types."""

import re
from typing import Any

import pytest
import torch
from rates import NAMES, torch_sgd
from torch.optim import lr_scheduler as theirs

import optimkit.lr_scheduler as ours
from optimkit.swa_utils import SWALR
from optimkit.validation.parity import configurations
from optimkit.validation.parity.configurations import TYPICAL

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


@pytest.mark.parametrize("name", [name for name in NAMES if name not in configurations.COMPOSITES])
def test_object_that_is_no_optimizer(name: str) -> None:
    with pytest.raises(TypeError, match="object is not an optimizer"):
        TYPICAL[name].build(ours, object())


CYCLE = {"base_lr": 0.1, "max_lr": 1.0, "cycle_momentum": False}
ONE_CYCLE = {"max_lr": 1.0, "total_steps": 10}
NAN = float("nan")
NEVER: list[tuple[str, dict[str, Any], str, Any]] = [  # what torch takes, and cannot work
    *[("StepLR", {}, "step_size", value) for value in (0, -1, NAN)],
    ("StepLR", {"step_size": 3}, "gamma", -0.1),
    ("MultiStepLR", {}, "milestones", [2, 3.5]),
    ("MultiStepLR", {}, "milestones", [-1]),
    ("MultiStepLR", {"milestones": [2]}, "gamma", -0.1),
    ("ConstantLR", {"total_iters": 2}, "factor", 0.0),
    *[("ConstantLR", {}, "total_iters", value) for value in (0, -1)],
    *[("LinearLR", {}, "total_iters", value) for value in (0, -1)],
    ("LinearLR", {}, "start_factor", NAN),
    ("ExponentialLR", {}, "gamma", -0.1),
    *[("PolynomialLR", {}, "total_iters", value) for value in (0, -1)],
    ("PolynomialLR", {}, "power", -1.0),
    *[("CosineAnnealingLR", {}, "T_max", value) for value in (0, -1)],
    ("CosineAnnealingLR", {"T_max": 3}, "eta_min", NAN),
    ("CosineAnnealingWarmRestarts", {"T_0": 3}, "eta_min", NAN),
    *[("CyclicLR", CYCLE, "step_size_up", value) for value in (0, -1)],
    ("CyclicLR", CYCLE, "step_size_down", -1),
    ("CyclicLR", CYCLE | {"mode": "exp_range"}, "gamma", -0.5),
    ("CyclicLR", CYCLE | {"scale_fn": abs}, "scale_mode", "steps"),
    *[("OneCycleLR", ONE_CYCLE, "div_factor", value) for value in (0.0, -1.0)],
    *[("OneCycleLR", ONE_CYCLE, "final_div_factor", value) for value in (0.0, -1.0)],
    ("ReduceLROnPlateau", {}, "factor", -0.1),
    ("ReduceLROnPlateau", {}, "patience", -1),
    ("ReduceLROnPlateau", {}, "cooldown", -1),
    ("ReduceLROnPlateau", {}, "eps", NAN),
    *[("StepLR", {"step_size": 3}, "last_epoch", value) for value in (-2, 1.5)],
]


@pytest.mark.parametrize(("name", "options", "option", "value"), NEVER)
def test_an_option_that_can_never_work(
    name: str, options: dict[str, Any], option: str, value: Any
) -> None:
    optimizer = torch_sgd()
    before = [dict(group) for group in optimizer.param_groups]
    with pytest.raises(ValueError, match=rf"{option}\b.*{re.escape(repr(value))}"):
        getattr(ours, name)(optimizer, **options, **{option: value})
    assert [dict(group) for group in optimizer.param_groups] == before


@pytest.mark.parametrize("milestones", [[4, 2], [1.5, 2], [-1, 2]])
def test_milestones_that_can_never_work(milestones: list[Any]) -> None:
    optimizer = torch_sgd()
    schedulers = [ours.ExponentialLR(optimizer, 0.5) for _ in range(3)]
    with pytest.raises(ValueError, match=rf"milestones: {re.escape(repr(milestones))}"):
        ours.SequentialLR(optimizer, schedulers, milestones)


def test_a_rate_of_averaging_that_can_never_work() -> None:
    with pytest.raises(ValueError, match=r"swa_lr: -0\.5"):
        SWALR(torch_sgd(), -0.5)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("StepLR", "gamma"),
        ("ExponentialLR", "gamma"),
        ("CosineAnnealingLR", "eta_min"),
        ("ReduceLROnPlateau", "patience"),
    ],
)
def test_an_option_of_another_kind(name: str, option: str) -> None:
    needed = {"StepLR": {"step_size": 3}, "CosineAnnealingLR": {"T_max": 3}}.get(name, {})
    with pytest.raises(TypeError, match=f"{option}: 'low'"):
        getattr(ours, name)(torch_sgd(), **needed, **{option: "low"})


SCALE = ["StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR"]
FOLLOWED = [*SCALE, "ChainedScheduler"]  # of those that scale
BY_THE_STEP = [name for name in NAMES if name not in ("LRScheduler", "ReduceLROnPlateau")]


@pytest.mark.parametrize("name", [*BY_THE_STEP, "SWALR"])
def test_a_group_added_later_is_followed_or_refused_at_once(name: str) -> None:
    optimizer = torch_sgd()
    scheduler = SWALR(optimizer, 0.5) if name == "SWALR" else TYPICAL[name].build(ours, optimizer)
    optimizer.step()
    scheduler.step()
    optimizer.add_param_group({"params": [torch.zeros(1)], "lr": 1.0})
    before = [dict(group) for group in optimizer.param_groups]
    if name in FOLLOWED:
        scheduler.step()
        return
    for _ in range(2):
        with pytest.raises(ValueError, match=r"does not follow groups that are added after"):
            scheduler.step()
        assert [dict(group) for group in optimizer.param_groups] == before


def test_a_sequence_looks_only_at_what_is_to_come() -> None:
    optimizer = torch_sgd()
    warm_up = ours.LambdaLR(optimizer, lambda t: (t + 1) / 4)
    scheduler = ours.SequentialLR(optimizer, [warm_up, ours.ExponentialLR(optimizer, 0.5)], [2])
    optimizer.step()
    scheduler.step()
    scheduler.step()
    optimizer.add_param_group({"params": [torch.zeros(1)], "lr": 1.0})
    scheduler.step()
    assert optimizer.param_groups[1]["lr"] == 0.5


def test_the_old_name_of_the_base() -> None:
    assert issubclass(ours.StepLR, ours._LRScheduler)
    assert theirs._LRScheduler is not None


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
