"""The learning rate of averages: torch's."""

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import swa_utils as theirs

import optimkit as ok
from optimkit import lr_scheduler, swa_utils
from optimkit.swa_utils import SWALR


def optimizers(lrs: list[float]) -> list[Any]:
    groups = [{"params": [torch.zeros(1)], "lr": lr} for lr in lrs]
    return [torch.optim.SGD([dict(g) for g in groups], lr=1.0) for _ in range(2)]


@pytest.mark.parametrize("seed", range(100))
def test_rates_are_torchs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lrs = [float(x) for x in rng.uniform(0.001, 2, rng.integers(1, 4))]
    swa_lr: Any = float(rng.uniform(0.001, 2))
    if rng.random() < 0.3:
        swa_lr = [float(rng.uniform(0.001, 2)) for _ in lrs]
    options = {
        "swa_lr": swa_lr,
        "anneal_epochs": int(rng.integers(0, 12)),
        "anneal_strategy": str(rng.choice(["cos", "linear"])),
    }
    mine, reference = optimizers(lrs)
    first = (ok.lr_scheduler, lr_scheduler.ExponentialLR(mine, 0.9))
    second = (torch.optim.lr_scheduler, torch.optim.lr_scheduler.ExponentialLR(reference, 0.9))
    ours, torchs = SWALR(mine, **options), theirs.SWALR(reference, **options)
    resume = int(rng.integers(1, 15))
    for step in range(20):
        assert [g["lr"] for g in mine.param_groups] == [g["lr"] for g in reference.param_groups]
        assert ours.get_last_lr() == torchs.get_last_lr()
        assert ours.state_dict() == torchs.state_dict()
        if step == resume:
            state, groups = torchs.state_dict(), mine.state_dict()
            mine = optimizers(lrs)[0]
            first = (ok.lr_scheduler, lr_scheduler.ExponentialLR(mine, 0.9))
            ours = SWALR(mine, swa_lr=1.0)
            mine.load_state_dict(groups)
            ours.load_state_dict(state)
        for optimizer in (mine, reference):
            optimizer.step()
        if rng.random() < 0.2:  # another scheduler moves the rates
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                first[1].step()
                second[1].step()
        ours.step()
        torchs.step()


def test_rates_of_a_last_epoch_are_torchs() -> None:
    for strategy in ("cos", "linear"):
        pair = optimizers([0.5])
        for optimizer, lib in zip(pair, (swa_utils, theirs), strict=True):
            optimizer.param_groups[0]["initial_lr"] = 0.5
            scheduler = lib.SWALR(optimizer, 0.1, 5, strategy, last_epoch=2)
            for _ in range(3):
                optimizer.step()
                scheduler.step()
        assert pair[0].param_groups[0]["lr"] == pair[1].param_groups[0]["lr"]


def test_swalr_in_a_sequence_is_torchs() -> None:
    pair = optimizers([0.5])
    for (optimizer, swa), schedulers in zip(
        zip(pair, (swa_utils, theirs), strict=True),
        (lr_scheduler, torch.optim.lr_scheduler),
        strict=True,
    ):
        parts = [schedulers.ExponentialLR(optimizer, 0.9), swa.SWALR(optimizer, 0.05, 4)]
        optimizer.rates = []
        sequence = schedulers.SequentialLR(optimizer, parts, milestones=[5])
        for _ in range(14):
            optimizer.step()
            sequence.step()
            optimizer.rates.append(optimizer.param_groups[0]["lr"])
    assert pair[0].rates == pair[1].rates


def test_swalr_drives_optimkit_and_plain_groups() -> None:
    w = np.zeros(1)
    optimizer = ok.SGD([w], lr=1.0)
    scheduler = SWALR(optimizer, 0.5, anneal_epochs=2, anneal_strategy="linear")
    optimizer.step(grads=[np.ones(1)])
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.75
    # another rounding than that of the chained form, by a unit or two in the last place of 1
    scheduler = SWALR(SimpleNamespace(param_groups=[{"lr": 1.0}]), 0.1, anneal_epochs=7)
    for step in range(10):
        assert scheduler.get_last_lr() == pytest.approx(scheduler.lr_at(step), abs=1e-14, rel=0)
        scheduler.step()
    assert SWALR(optimizer, 0.1, 0).lr_at(3) == [0.1]


def test_bad_options_of_swalr() -> None:
    group = SimpleNamespace(param_groups=[{"lr": 1.0}])
    for lib in (swa_utils, theirs):
        optimizer = group if lib is swa_utils else optimizers([1.0])[0]
        with pytest.raises(ValueError, match="anneal_strategy"):
            lib.SWALR(optimizer, 0.1, anneal_strategy="straight")
        for epochs in (-1, 1.5):
            with pytest.raises(ValueError, match="anneal_epochs"):
                lib.SWALR(optimizer, 0.1, anneal_epochs=epochs)
        with pytest.raises(ValueError, match="swa_lr"):
            lib.SWALR(optimizer, [0.1, 0.2])
    assert group.param_groups == [{"lr": 1.0}]
    with pytest.raises(TypeError, match="object is not an optimizer"):
        SWALR(object(), 0.1)  # type: ignore[arg-type]
    assert type(SWALR(group, np.float32(0.5), 0).get_last_lr()[0]) is float
