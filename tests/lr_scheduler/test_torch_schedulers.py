"""A scheduler over a torch optimizer is torch's LRScheduler as well."""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as torchs

import optimkit as ok
from optimkit import lr_scheduler as ours

MAKE: dict[str, Any] = {
    "LambdaLR": lambda lib, opt: lib.LambdaLR(opt, half),
    "MultiplicativeLR": lambda lib, opt: lib.MultiplicativeLR(opt, half),
    "StepLR": lambda lib, opt: lib.StepLR(opt, 2),
    "MultiStepLR": lambda lib, opt: lib.MultiStepLR(opt, [1, 3]),
    "ConstantLR": lambda lib, opt: lib.ConstantLR(opt, total_iters=2),
    "LinearLR": lambda lib, opt: lib.LinearLR(opt),
    "ExponentialLR": lambda lib, opt: lib.ExponentialLR(opt, 0.5),
    "PolynomialLR": lambda lib, opt: lib.PolynomialLR(opt),
    "CosineAnnealingLR": lambda lib, opt: lib.CosineAnnealingLR(opt, 4),
    "CosineAnnealingWarmRestarts": lambda lib, opt: lib.CosineAnnealingWarmRestarts(opt, 2),
    "CyclicLR": lambda lib, opt: lib.CyclicLR(opt, 0.1, 0.5, 2),
    "OneCycleLR": lambda lib, opt: lib.OneCycleLR(opt, 0.5, total_steps=8),
    "SequentialLR": lambda lib, opt: lib.SequentialLR(
        opt, [lib.ConstantLR(opt), lib.StepLR(opt, 1)], [2]
    ),
    "ChainedScheduler": lambda lib, opt: lib.ChainedScheduler(
        [lib.ConstantLR(opt), lib.StepLR(opt, 1)]
    ),
    "ReduceLROnPlateau": lambda lib, opt: lib.ReduceLROnPlateau(opt, patience=0),
}


def half(step: int) -> float:
    return 0.5


class Mine(ours.LRScheduler):
    def get_lr(self) -> list[float]:
        return [lr / (1 + self.last_epoch) for lr in self.base_lrs]


MAKE["Mine"] = lambda lib, opt: Mine(opt)
OPTIMIZERS = {"optimkit": ok.SGD, "torch": torch.optim.SGD}


def optimizer(lib: str) -> Any:
    w = torch.nn.Parameter(torch.ones(2))
    w.grad = torch.ones(2)
    return OPTIMIZERS[lib]([w], lr=1.0, momentum=0.9)


def rates(opt: Any, scheduler: Any, steps: int = 6) -> list[float]:
    found = []
    for _ in range(steps):
        opt.step()
        scheduler.step(*[1.0] if isinstance(scheduler, torchs.ReduceLROnPlateau) else [])
        found.append(opt.param_groups[0]["lr"])
    return found


def test_all_are_tried() -> None:
    assert set(MAKE) == {n for n in ours.__all__ if n not in ("LRScheduler", "schedules")} | {
        "Mine"
    }


@pytest.mark.parametrize("lib", OPTIMIZERS)
@pytest.mark.parametrize("name", MAKE)
def test_it_is_torchs_over_an_optimizer_of_torchs(name: str, lib: str) -> None:
    opt = optimizer(lib)
    scheduler = MAKE[name](ours, opt)
    assert isinstance(scheduler, torchs.LRScheduler)
    assert isinstance(scheduler, torchs.ReduceLROnPlateau) == (name == "ReduceLROnPlateau")
    assert isinstance(scheduler, Mine if name == "Mine" else getattr(ours, name))
    assert type(scheduler).__name__ == name
    twin, its = copy.deepcopy((opt, scheduler))
    loaded, theirs = pickle.loads(pickle.dumps((opt, scheduler)))
    assert type(its) is type(theirs) is type(scheduler)
    assert rates(opt, scheduler) == rates(twin, its) == rates(loaded, theirs)


@pytest.mark.parametrize("name", MAKE)
def test_it_is_not_over_other_optimizers(name: str) -> None:
    bare = SimpleNamespace(param_groups=[{"lr": 1.0, "momentum": 0.9}])
    for opt in (ok.SGD([np.ones(2)], momentum=0.9), bare):
        scheduler = MAKE[name](ours, opt)
        assert type(scheduler) is (Mine if name == "Mine" else getattr(ours, name))


@pytest.mark.parametrize("name", [name for name in MAKE if name != "Mine"])
def test_torchs_schedulers_set_the_same_rates_on_both(name: str) -> None:
    found = [
        rates(opt, MAKE[name](torchs, opt)) for opt in (optimizer("optimkit"), optimizer("torch"))
    ]
    assert found[0] == found[1]


def test_swalr() -> None:
    for lib in OPTIMIZERS:
        assert isinstance(ok.swa_utils.SWALR(optimizer(lib), 0.1), torchs.LRScheduler)


def test_torchs_composites_take_it() -> None:
    found = []
    for lib in (ours, torchs):
        opt = optimizer("optimkit")
        inner = [lib.LinearLR(opt, total_iters=2), lib.StepLR(opt, 1, gamma=0.5)]
        found.append(rates(opt, torchs.SequentialLR(opt, inner, [2])))
        opt = optimizer("torch")
        inner = [lib.LinearLR(opt, total_iters=2), lib.StepLR(opt, 1, gamma=0.5)]
        found.append(rates(opt, torchs.ChainedScheduler(inner, opt)))
    assert found[0] == found[2]
    assert found[1] == found[3]
    opt = optimizer("optimkit")
    with pytest.raises(ValueError, match="ReduceLROnPlateau"):
        torchs.SequentialLR(opt, [ours.ReduceLROnPlateau(opt), ours.StepLR(opt, 1)], [2])


@pytest.mark.filterwarnings("error")
def test_schedulers_of_schedulers_read_a_rate_that_requires_grad() -> None:
    """torch warns where such a tensor is made a float."""
    param = torch.nn.Parameter(torch.ones(2))
    rate = torch.tensor(0.5, requires_grad=True)
    optimizer = ok.SGD([param], lr=rate)
    scheduler = ours.ChainedScheduler([ours.ExponentialLR(optimizer, 0.5)])
    param.grad = torch.ones(2)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25
