"""Optimizers for schedulers, and the rates that these give them."""

from types import SimpleNamespace
from typing import Any

import torch

import optimkit.lr_scheduler as ours

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
