"""Schedulers of others over our optimizers: torch's, timm's and transformers'."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from networks import loss_of, near, network, same, step_on, whole  # noqa: E402
from torch.optim import lr_scheduler as lrs  # noqa: E402

import optimkit as ok  # noqa: E402

STEPS = 8


def composed(o: Any) -> list[Any]:
    return [lrs.ConstantLR(o, 0.1, total_iters=3), lrs.ExponentialLR(o, gamma=0.9)]


def has_momentum(o: Any) -> bool:
    """Whether there is one to cycle; torch's schedulers refuse to where there is none."""
    return any(name in o.defaults for name in ("momentum", "betas"))


TORCHS: dict[str, Callable[[Any], Any]] = {
    "LambdaLR": lambda o: lrs.LambdaLR(o, lambda n: 0.9**n),
    "MultiplicativeLR": lambda o: lrs.MultiplicativeLR(o, lambda n: 0.9),
    "StepLR": lambda o: lrs.StepLR(o, 2),
    "MultiStepLR": lambda o: lrs.MultiStepLR(o, [2, 4]),
    "ConstantLR": lambda o: lrs.ConstantLR(o, total_iters=3),
    "LinearLR": lambda o: lrs.LinearLR(o, total_iters=3),
    "ExponentialLR": lambda o: lrs.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda o: lrs.PolynomialLR(o, 6, 2.0),
    "CosineAnnealingLR": lambda o: lrs.CosineAnnealingLR(o, 5),
    "CosineAnnealingWarmRestarts": lambda o: lrs.CosineAnnealingWarmRestarts(o, 3),
    "CyclicLR": lambda o: lrs.CyclicLR(o, 0.01, 0.1, 2, 3, cycle_momentum=has_momentum(o)),
    "OneCycleLR": lambda o: lrs.OneCycleLR(o, 0.1, total_steps=10, cycle_momentum=has_momentum(o)),
    "SequentialLR": lambda o: lrs.SequentialLR(o, composed(o), milestones=[3]),
    "ChainedScheduler": lambda o: lrs.ChainedScheduler(composed(o)),
    "ReduceLROnPlateau": lambda o: lrs.ReduceLROnPlateau(o, patience=0, threshold=0.5),
    "SWALR": lambda o: torch.optim.swa_utils.SWALR(o, 0.01, anneal_epochs=3),
}
RULES: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9},
    "Adam": {},
    "AdamW": {},
    "NAdam": {},
    "RMSprop": {"momentum": 0.5},
    "ASGD": {},
    "Adafactor": {},
}


def stepped(model: Any, optimizer: Any, scheduler: Any, numbers: Any) -> list[list[Any]]:
    """Train, with a scheduler that is stepped with the loss where it wants one."""
    found = []
    for number in numbers:
        loss = step_on(model, optimizer, number)
        if "metrics" in inspect.signature(scheduler.step).parameters:
            scheduler.step(loss)
        else:
            scheduler.step()
        names = ("lr", "momentum", "betas")
        found.append([g[k] for g in optimizer.param_groups for k in names if k in g])
    return found


def grouped(lib: Any, name: str, model: Any) -> Any:
    params = list(model.parameters())
    groups = [{"params": params[:1]}, {"params": params[1:], "lr": 0.02}]
    return getattr(lib, name)(groups, lr=0.05, **RULES[name])


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("schedule", TORCHS)
def test_torchs_schedulers(schedule: str, name: str) -> None:
    found, options = [], []
    for lib in (ok, torch.optim):
        model = network()
        optimizer = grouped(lib, name, model)
        scheduler = TORCHS[schedule](optimizer)
        options.append(stepped(model, optimizer, scheduler, range(STEPS)))
        found.append(whole(model))
    assert options[0] == options[1]
    assert len({str(x) for x in options[0]}) > 1
    assert near(*found)


@pytest.mark.parametrize("schedule", TORCHS)
def test_torchs_schedulers_resume_and_are_copied(schedule: str) -> None:
    """Half the steps, then on in a new pair and in a deep copy of both together."""
    model, resumed = network(), network()
    optimizer = grouped(ok, "AdamW", model)
    scheduler = TORCHS[schedule](optimizer)
    stepped(model, optimizer, scheduler, range(4))
    second = grouped(ok, "AdamW", resumed)
    again = TORCHS[schedule](second)
    resumed.load_state_dict(model.state_dict())
    second.load_state_dict(deepcopy(optimizer.state_dict()))
    again.load_state_dict(deepcopy(scheduler.state_dict()))
    copied = deepcopy((model, optimizer, scheduler))
    trios = [(model, optimizer, scheduler), (resumed, second, again), copied]
    options = [stepped(*trio, range(4, STEPS)) for trio in trios]
    assert options[0] == options[1] == options[2]
    assert same(whole(model), whole(resumed))
    assert same(whole(model), whole(copied[0]))


def test_a_step_in_the_wrong_order_is_warned_of() -> None:
    optimizer = ok.AdamW(network().parameters())
    scheduler = lrs.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match=r"lr_scheduler\.step\(\)` before `optimizer\.step"):
        scheduler.step()


# ---------------------------------------------------------------- timm


@pytest.fixture(scope="module")
def timm() -> Iterator[ModuleType]:
    """timm's schedulers without the rest of it.

    ``import timm`` imports its models and with them torchvision, which has to be built for the very
    torch that is there. A module in its place, which only says where the folder is, does without.
    """
    found = importlib.util.find_spec("timm")
    if found is None:
        pytest.skip("timm is not installed (optimkit[ecosystem])")
    before = {name for name in sys.modules if name.partition(".")[0] == "timm"}
    if not before:
        stand_in = ModuleType("timm")
        stand_in.__path__ = list(found.submodule_search_locations or ())
        sys.modules["timm"] = stand_in
    yield importlib.import_module("timm.scheduler")
    for name in [x for x in sys.modules if x.partition(".")[0] == "timm" and x not in before]:
        del sys.modules[name]


TIMMS = {
    "CosineLRScheduler": {"t_initial": 6, "warmup_t": 2, "lr_min": 1e-4},
    "MultiStepLRScheduler": {"decay_t": [2, 4], "decay_rate": 0.5},
    "PolyLRScheduler": {"t_initial": 6, "warmup_t": 2},
    "StepLRScheduler": {"decay_t": 2, "decay_rate": 0.5, "noise_range_t": (3, 6)},
    "TanhLRScheduler": {"t_initial": 6},
    "WSDLRScheduler": {"t_initial": 6, "warmup_t": 2, "decay_t": 2},
    "PlateauLRScheduler": {"patience_t": 0, "decay_rate": 0.5, "mode": "min"},
}


@pytest.mark.filterwarnings("ignore:PlateauLRScheduler is deprecated:FutureWarning")
@pytest.mark.parametrize("name", TIMMS)
def test_timms_schedulers(timm: ModuleType, name: str) -> None:
    found, rates = [], []
    for lib in (ok, torch.optim):
        model = network()
        optimizer = grouped(lib, "AdamW", model)
        scheduler = getattr(timm, name)(optimizer, **TIMMS[name])
        own = []
        for epoch in range(STEPS):
            optimizer.zero_grad()
            loss = loss_of(model, epoch)
            loss.backward()
            optimizer.step()
            scheduler.step(epoch + 1, metric=loss.item())
            own.append([group["lr"] for group in optimizer.param_groups])
        rates.append(own)
        found.append(whole(model))
    assert rates[0] == rates[1]
    assert len({str(x) for x in rates[0]}) > 1
    assert near(*found)


# ---------------------------------------------------------------- transformers

TRANSFORMERS: dict[str, dict[str, Any]] = {
    "linear": {},
    "cosine": {},
    "cosine_with_restarts": {"num_cycles": 2},
    "polynomial": {"power": 2.0},
    "constant": {},
    "constant_with_warmup": {},
    "inverse_sqrt": {"timescale": 3},
    "reduce_lr_on_plateau": {"patience": 0, "threshold": 0.5},
    "cosine_with_min_lr": {"min_lr": 0.001},
    "cosine_warmup_with_min_lr": {"min_lr": 0.001},
    "warmup_stable_decay": {"num_decay_steps": 3},
    "greedy": {"patience": 0, "factor": 0.5, "min_lr": 0.0},
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers_schedulers(name: str) -> None:
    transformers = pytest.importorskip(
        "transformers", reason="transformers is not installed (optimkit[ecosystem])"
    )
    found, options = [], []
    for lib in (ok, torch.optim):
        model = network()
        optimizer = grouped(lib, "AdamW", model)
        scheduler = transformers.get_scheduler(
            name, optimizer, 2, STEPS, TRANSFORMERS[name] or None
        )
        options.append(stepped(model, optimizer, scheduler, range(STEPS)))
        found.append(whole(model))
    assert options[0] == options[1]
    assert near(*found)
