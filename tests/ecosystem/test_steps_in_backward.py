"""An optimizer for each parameter, which steps in the backward pass as its gradient is ready."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from networks import loss_of, near, network, whole  # noqa: E402

import optimkit as ok  # noqa: E402


def test_hooks_on_gradients() -> None:
    """torch's tutorial: `register_post_accumulate_grad_hook`, with no other loop of steps."""
    found = []
    for lib in (ok, torch.optim):
        model = network()
        optimizers = {param: lib.AdamW([param], lr=0.05) for param in model.parameters()}

        def step(param: Any, optimizers: Any = optimizers) -> None:
            optimizers[param].step()
            optimizers[param].zero_grad()

        for param in model.parameters():
            param.register_post_accumulate_grad_hook(step)
        for number in range(4):
            loss_of(model, number).backward()
        assert all(param.grad is None for param in model.parameters())
        found.append(whole(model))
    assert near(*found)


def test_torchs_own_way() -> None:
    optim = pytest.importorskip("torch.distributed.optim", reason="torch is built without it")
    found = []
    for lib in (ok, torch.optim):
        model = network()
        optim._apply_optimizer_in_backward(lib.AdamW, model.parameters(), {"lr": 0.05})
        for number in range(4):
            loss_of(model, number).backward()
        found.append(whole(model))
    assert near(*found)
