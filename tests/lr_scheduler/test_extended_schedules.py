"""A group that comes into a schedule later, as if it had been there from the beginning."""

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import optimkit as ok
import optimkit.lr_scheduler as ours
from optimkit.swa_utils import SWALR

S = ours
MAKE = {
    "LambdaLR": lambda o: S.LambdaLR(o, lambda t: 1 / (1 + t)),
    "MultiplicativeLR": lambda o: S.MultiplicativeLR(o, lambda t: 1 - 1 / (t + 3)),
    "StepLR": lambda o: S.StepLR(o, 3, 0.3),
    "MultiStepLR": lambda o: S.MultiStepLR(o, [2, 8], 0.3),
    "ConstantLR": lambda o: S.ConstantLR(o, 0.3, 8),
    "LinearLR": lambda o: S.LinearLR(o, 0.1, total_iters=9),
    "ExponentialLR": lambda o: S.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda o: S.PolynomialLR(o, 12, 1.7),
    "CosineAnnealingLR": lambda o: S.CosineAnnealingLR(o, 9, 0.01),
    "CosineAnnealingWarmRestarts": lambda o: S.CosineAnnealingWarmRestarts(o, 3, 2),
    "CyclicLR": lambda o: S.CyclicLR(o, 0.1, 1.0, 4, mode="exp_range", gamma=0.97),
    "OneCycleLR": lambda o: S.OneCycleLR(o, 0.7, 20),
    "SWALR": lambda o: SWALR(o, 0.05, 9),
    "SequentialLR, before": lambda o: S.SequentialLR(
        o, [S.LinearLR(o, 0.1, total_iters=8), S.CosineAnnealingLR(o, 9)], [8]
    ),
    "SequentialLR, after": lambda o: S.SequentialLR(
        o, [S.LinearLR(o, 0.1, total_iters=3), S.CosineAnnealingLR(o, 9)], [3]
    ),
    "ChainedScheduler": lambda o: S.ChainedScheduler(
        [S.LinearLR(o, 0.1, total_iters=4), S.CosineAnnealingLR(o, 9, 0.01)]
    ),
    "a chain first in a sequence": lambda o: S.SequentialLR(
        o,
        [S.ChainedScheduler([S.ConstantLR(o, 0.5, 2), S.ExponentialLR(o, 0.9)]), S.StepLR(o, 2)],
        [8],
    ),
    "sequences in a chain": lambda o: S.ChainedScheduler(
        [
            S.SequentialLR(o, [S.ConstantLR(o, 0.5, 2), S.ExponentialLR(o, 0.9)], [2]),
            S.PolynomialLR(o, 30),
        ]
    ),
}


def optimizer(*rates: float) -> Any:
    groups = [{"params": {f"{i}": np.ones(1)}, "lr": lr} for i, lr in enumerate(rates)]
    return ok.SGD(groups, momentum=0.9)


def held(of: Any) -> Any:
    return [{k: v for k, v in group.items() if k != "params"} for group in of.param_groups]


def test_every_scheduler_is_among_them() -> None:
    kinds = {name for name in ours.__all__ if name[0].isupper()}
    assert kinds - {"LRScheduler", "ReduceLROnPlateau"} <= {x.partition(",")[0] for x in MAKE}


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("at", [0, 1, 5])
def test_a_group_joins_where_it_would_be(name: str, at: int) -> None:
    with warnings.catch_warnings():
        # A chain that is first in a sequence takes a step as it is made, as in torch.
        warnings.simplefilter("ignore" if name.startswith("a chain") else "error")
        compare(name, at)


def compare(name: str, at: int) -> None:
    make = MAKE[name]
    grown, whole = optimizer(0.5), optimizer(0.5, 0.2)
    scheduler, wanted = make(grown), make(whole)
    for t in range(13):
        if t == at:
            grown.add_param_group({"params": {"1": np.ones(1)}, "lr": 0.2})
            scheduler = scheduler.extended(make)
        assert held(grown)[0] == held(whole)[0]
        assert t < at or held(grown) == held(whole)
        grown.step(grads=[None] * len(grown.param_groups))
        whole.step(grads=[None, None])
        scheduler.step()
        wanted.step()
    assert scheduler.get_last_lr() == wanted.get_last_lr()
    saved = {k: v for k, v in scheduler.state_dict().items() if k != "_schedulers"}
    assert saved.keys() == wanted.state_dict().keys() - {"_schedulers"}
    assert all(saved[k] == wanted.state_dict()[k] for k in saved if not callable(saved[k]))


def test_an_initial_rate_of_its_own() -> None:
    o = optimizer(1.0)
    scheduler = MAKE["ExponentialLR"](o)
    o.step(grads=[None])
    scheduler.step()
    o.add_param_group({"params": {"1": np.ones(1)}, "lr": 7.0, "initial_lr": 0.5})
    scheduler.extended(MAKE["ExponentialLR"])
    assert [group["lr"] for group in o.param_groups] == [0.9, 0.45]


def test_torch_optimizers_and_rates_in_tensors() -> None:
    first = torch.nn.Parameter(torch.ones(1))
    o = torch.optim.AdamW([first], lr=torch.tensor(0.5), capturable=False, foreach=False)
    rate = o.param_groups[0]["lr"]
    scheduler = MAKE["CosineAnnealingLR"](o)
    first.grad = torch.ones(1)
    o.step()
    scheduler.step()
    before = float(rate)
    o.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.2})
    scheduler = scheduler.extended(MAKE["CosineAnnealingLR"])
    assert isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)
    assert o.param_groups[0]["lr"] is rate
    assert float(rate) == before
    assert before / 0.5 * 0.2 < o.param_groups[1]["lr"] < 0.2


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: S.CosineAnnealingLR(o, 10), ValueError, r"group 0 would have the rate 0\.39"),
        (lambda o: S.StepLR(o, 10), TypeError, "a StepLR; a CosineAnnealingLR is needed"),
        (lambda o: None, TypeError, "a NoneType; a CosineAnnealingLR is needed"),
        (lambda o: S.CosineAnnealingLR(o, 0), ValueError, "T_max"),
        (lambda o: 1 / 0, ZeroDivisionError, "zero"),
    ],
)
def test_what_does_not_make_it(make: Any, error: type[Exception], message: str) -> None:
    o = optimizer(0.5)
    scheduler = S.CosineAnnealingLR(o, 9)
    for _ in range(3):
        o.step(grads=[None])
        scheduler.step()
    o.add_param_group({"params": {"1": np.ones(1)}, "lr": 0.2})
    groups, state = held(o), scheduler.state_dict()
    with pytest.raises(error, match=message):
        scheduler.extended(make)
    assert held(o) == groups
    assert scheduler.state_dict() == state
    scheduler.extended(lambda o: S.CosineAnnealingLR(o, 9))


def test_a_rate_that_something_else_has_set() -> None:
    o = optimizer(0.5)
    scheduler = MAKE["StepLR"](o)
    o.param_groups[0]["lr"] = 0.4
    with pytest.raises(ValueError, match=r"the rate 0\.5 and not 0\.4"):
        scheduler.extended(MAKE["StepLR"])
    assert o.param_groups[0]["lr"] == 0.4


def test_the_error_says_how_and_a_plateau_needs_nothing() -> None:
    o = optimizer(0.5)
    scheduler, plateau = MAKE["CosineAnnealingLR"](o), S.ReduceLROnPlateau(o, patience=0)
    o.add_param_group({"params": {"1": np.ones(1)}})
    with pytest.raises(ValueError, match=r"scheduler = scheduler\.extended\(make\)"):
        scheduler.step()
    with pytest.raises(TypeError, match="follows groups that are added"):
        plateau.extended(lambda o: plateau)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plateau.step(1.0)


def test_anything_with_groups() -> None:
    o = SimpleNamespace(param_groups=[{"lr": 1.0}])
    scheduler = MAKE["StepLR"](o)
    for _ in range(3):
        scheduler.step()
    o.param_groups.append({"lr": 0.5})
    assert scheduler.extended(MAKE["StepLR"]).get_last_lr() == [0.3, 0.15]
