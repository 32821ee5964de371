"""A small network, its data, and loops as torch's users write them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

ELEMENTWISE = {
    "SGD": {"momentum": 0.9, "nesterov": True},
    "Adam": {"amsgrad": True},
    "AdamW": {},
    "Adamax": {},
    "NAdam": {"decoupled_weight_decay": True, "weight_decay": 0.1},
    "RAdam": {},
    "Adagrad": {},
    "Adadelta": {},
    "RMSprop": {"centered": True, "momentum": 0.5},
    "Rprop": {},
    "ASGD": {},
}


def network() -> nn.Module:
    """The same at each call; 7 outputs are no multiple of 2 processes, and 1 is less than them."""
    generator = torch.Generator().manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1)).double()
    with torch.no_grad():
        for param in model.parameters():
            param.copy_(torch.randn(param.shape, generator=generator, dtype=torch.float64) / 2)
    return model


def batch(number: int, size: int = 8) -> tuple[Tensor, Tensor]:
    """Inputs and targets."""
    generator = torch.Generator().manual_seed(100 + number)
    x = torch.randn(size, 5, generator=generator, dtype=torch.float64)
    return x, x.sum(1, keepdim=True).sin()


def loss_of(model: nn.Module, number: int) -> Tensor:
    x, y = batch(number)
    return nn.functional.mse_loss(model(x), y)


def step_on(model: nn.Module, optimizer: Any, number: int) -> float:
    """Take a step on a batch; return the loss."""
    optimizer.zero_grad()
    loss = loss_of(model, number)
    loss.backward()
    optimizer.step()
    return float(loss.item())


def train(model: nn.Module, optimizer: Any, numbers: Iterable[int]) -> list[float]:
    """Take a step on each batch; return the losses."""
    return [step_on(model, optimizer, number) for number in numbers]


def whole(model: nn.Module) -> list[Tensor]:
    """The parameters, all of each."""
    return [
        (p.full_tensor() if hasattr(p, "full_tensor") else p).detach().clone()
        for p in model.parameters()
    ]


def same(a: Iterable[Tensor], b: Iterable[Tensor]) -> bool:
    """Whether tensors have the same bits."""
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# In float64, where the last bits of torch's square roots and multiply-adds are all that differs.
NEAR = {"rtol": 1e-11, "atol": 1e-13}


def near(a: Iterable[Tensor], b: Iterable[Tensor]) -> bool:
    """Whether tensors differ by rounding alone, after a few steps."""
    return all(torch.allclose(x, y, **NEAR) for x, y in zip(a, b, strict=True))


# ---------------------------------------------------------------- over two processes


def sharded(model: Any = None, **options: Any) -> Any:
    from torch.distributed.fsdp import fully_shard

    model = network() if model is None else model
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer, **options)
    return fully_shard(model, **options)


def numbers(rank: int, steps: int = 4) -> list[int]:
    """Each process has batches of its own."""
    return [2 * i + rank for i in range(steps)]


def trained_alone(make: Any, steps: int = 4, dtype: Any = torch.float64) -> Any:
    """One process over the batches of both, whose gradients are averaged."""
    model = network().to(dtype)
    optimizer = make(model.parameters())
    for i in range(steps):
        grads = []
        for rank in range(2):
            model.zero_grad()
            x, y = batch(2 * i + rank)
            nn.functional.mse_loss(model(x.to(dtype)), y.to(dtype)).backward()
            grads.append([p.grad for p in model.parameters()])
        for param, one, other in zip(model.parameters(), *grads, strict=True):
            param.grad = (one + other) / 2
        optimizer.step()
    return model, optimizer
