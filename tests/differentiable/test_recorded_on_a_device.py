"""Differentiable steps on a GPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recorded import RULES

import optimkit as ok

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here"),
]


def outcome(name: str, start: torch.Tensor, lr: torch.Tensor) -> Any:
    p = start.clone()
    optimizer = getattr(ok, name)([p], lr=lr, differentiable=True)
    for _ in range(3):
        optimizer.step(grads=[4 * p.clone() ** 3])
    return torch.autograd.grad((p**2).sum(), [start, lr])


@pytest.mark.parametrize("where", ["cpu", "cuda"])
@pytest.mark.parametrize("name", RULES)
def test_derivatives_are_those_on_the_cpu(name: str, where: str) -> None:
    """Wherever the option is."""
    start = torch.tensor([0.5, 0.9, -1.1], dtype=torch.float64)
    lr = torch.tensor(0.05, dtype=torch.float64)
    host = outcome(name, start.clone().requires_grad_(), lr.clone().requires_grad_())
    device = outcome(name, start.cuda().requires_grad_(), lr.to(where).requires_grad_())
    for x, y in zip(host, device, strict=True):
        torch.testing.assert_close(x, y.cpu(), rtol=1e-10, atol=1e-10)


def test_a_captured_step_is_refused() -> None:
    p = torch.ones(3, device="cuda")
    optimizer = ok.SGD([p], differentiable=True)
    grad = torch.ones(3, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        grad + 1  # torch warns of a graph without anything in it
        with pytest.raises(RuntimeError, match="captured"):
            optimizer.step(grads=[grad])
