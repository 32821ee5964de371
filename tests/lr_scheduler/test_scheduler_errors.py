"""Errors of schedulers, of torch's types."""

from typing import Any

import pytest
import torch
from rates import NAMES, torch_sgd
from torch.optim import lr_scheduler as theirs

import optimkit.lr_scheduler as ours
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
