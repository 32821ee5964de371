"""Recorded steps inside the transforms of torch.func, and in forward mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.autograd import forward_ad

import optimkit as ok

F64 = torch.float64
# What torch's forward mode does when it is first used.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")

RULES = {
    "SGD": {"momentum": 0.9, "nesterov": True},
    "Adam": {"amsgrad": True, "eps": 0.1},
    "NAdam": {"weight_decay": 0.1},
    "RMSprop": {"centered": True, "momentum": 0.5},
    "ASGD": {"t0": 1},
}


def outcome_of(name: str) -> Callable[..., torch.Tensor]:
    def outcome(start: torch.Tensor, lr: Any) -> torch.Tensor:
        p = start.clone()
        optimizer = getattr(ok, name)([p], lr=lr, **RULES[name], differentiable=True)
        for _ in range(3):
            optimizer.step(grads=[4 * p.clone() ** 3])
        return (p**2).sum()

    return outcome


@pytest.fixture
def start() -> torch.Tensor:
    return torch.tensor([0.5, 0.9, -1.1], dtype=F64)


@pytest.fixture
def lr() -> torch.Tensor:
    return torch.tensor(0.05, dtype=F64)


@pytest.mark.parametrize("name", RULES)
def test_derivatives_are_those_of_autograd(
    name: str, start: torch.Tensor, lr: torch.Tensor
) -> None:
    outcome = outcome_of(name)
    given = start.clone().requires_grad_(), lr.clone().requires_grad_()
    wanted = torch.autograd.grad(outcome(*given), given)
    for transform in (torch.func.grad, torch.func.jacrev, torch.func.jacfwd):
        found = transform(outcome, argnums=(0, 1))(start, lr)
        for x, y in zip(found, wanted, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(lr, torch.ones_like(lr))
        found = forward_ad.unpack_dual(outcome(start, dual)).tangent
    torch.testing.assert_close(found, wanted[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_second_derivatives(name: str, start: torch.Tensor, lr: torch.Tensor) -> None:
    outcome = outcome_of(name)
    found = torch.func.hessian(outcome)(start, lr)
    wanted = torch.autograd.functional.hessian(lambda x: outcome(x, lr), start)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", RULES)
def test_an_ensemble(name: str, start: torch.Tensor) -> None:
    outcome = outcome_of(name)
    starts = torch.stack([start, 0.5 * start])
    found = torch.func.vmap(lambda x: outcome(x, 0.05))(starts)
    assert found.tolist() == [outcome(x, 0.05).item() for x in starts]


def test_ordinary_steps_inside_transforms_are_refused(start: torch.Tensor) -> None:
    def ordinary(x: torch.Tensor) -> torch.Tensor:
        p = x.detach()
        ok.SGD([p], lr=0.1).step(grads=[p.clone()])
        return p.sum()

    with pytest.raises(TypeError, match=r"parameter 0: .*no memory.*torch\.func"):
        torch.func.vmap(ordinary)(start.reshape(3, 1))
