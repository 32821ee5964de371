"""What schedulers do to optimizers, torch's and others."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from rates import plain, torch_sgd

import optimkit
import optimkit.lr_scheduler as ours


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
