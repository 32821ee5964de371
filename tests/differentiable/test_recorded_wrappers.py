"""Differentiable steps inside accumulation and skipping: derivatives flow through the sums, too."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

import optimkit as ok

WRAPPED: dict[str, Callable[[Any], Any]] = {
    "accumulate": lambda optimizer: ok.accumulate(optimizer, 3),
    "around": lambda optimizer: ok.accumulate(ok.skip_nonfinite(optimizer), 3),
    "inside": lambda optimizer: ok.skip_nonfinite(ok.accumulate(optimizer, 3)),
}
KINDS = [torch.float64, torch.float32, torch.complex128]


class Token:
    """Something that a weak reference can be made to."""


def gradient(p: torch.Tensor, k: int) -> torch.Tensor:
    """Of a micro-batch, as part of the graph."""
    q = p.clone()
    loss = (k + 1) * (q * q.conj()).real.square().sum()
    (grad,) = torch.autograd.grad(loss, q, create_graph=True)
    return grad


def begin(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    start = torch.tensor([2.0, -1.0, 0.5], dtype=dtype, requires_grad=True)
    return start, torch.tensor(0.05, dtype=torch.float64, requires_grad=True)


def alone(start: torch.Tensor, lr: torch.Tensor, windows: int, mean: bool) -> torch.Tensor:
    """Steps with sums that are added up by hand."""
    p = start.clone()
    optimizer = ok.Adam([p], lr=lr, differentiable=True)
    for _ in range(windows):
        total = gradient(p, 0) + gradient(p, 1) + gradient(p, 2)
        if mean:
            parts = torch.view_as_real(total) if total.is_complex() else total
            total = torch.view_as_complex(parts / 3) if total.is_complex() else parts / 3
        optimizer.step(grads=[total])
    return p


def same_derivatives(p: torch.Tensor, other: torch.Tensor, of: Any) -> None:
    assert torch.equal(p, other)
    slopes = (
        torch.autograd.grad(x.abs().square().sum(), of, retain_graph=True) for x in (p, other)
    )
    for found, expected in zip(*slopes, strict=True):
        torch.testing.assert_close(
            found, expected, rtol=1e-12 if p.element_size() > 4 else 1e-5, atol=0
        )
        # they are added up in another order


@pytest.mark.parametrize("dtype", KINDS, ids=str)
@pytest.mark.parametrize("name", WRAPPED)
def test_derivatives_of_steps_with_sums(name: str, dtype: torch.dtype) -> None:
    start, lr = begin(dtype)
    p = start.clone()
    ours = WRAPPED[name](ok.Adam([p], lr=lr, differentiable=True))
    for k in range(9):
        ours.step(grads=[gradient(p, k % 3)])
    assert ours.step_count == 3
    same_derivatives(p, alone(start, lr, 3, mean=True), (start, lr))


def test_of_a_sum() -> None:
    start, lr = begin()
    p = start.clone()
    ours = ok.accumulate(ok.Adam([p], lr=lr, differentiable=True), 3, reduction="sum")
    for k in range(6):
        ours.step(grads=[gradient(p, k % 3)])
    same_derivatives(p, alone(start, lr, 2, mean=False), (start, lr))


@pytest.mark.parametrize("lib", [ok, torch.optim], ids=["optimkit", "torch"])
def test_of_what_is_in_grad(lib: Any) -> None:
    start, _ = begin()
    p = start.clone()
    ours = ok.accumulate(lib.SGD([p], lr=0.05, differentiable=True), 3)
    p.grad = gradient(p, 0)
    ours.step()
    p.grad = p.grad + gradient(p, 1)
    ours.step()
    p.grad = p.grad + gradient(p, 2)
    ours.step()
    assert ours.step_count == 1 if lib is ok else ours.stepped
    other = start.clone()
    total = gradient(other, 0) + gradient(other, 1) + gradient(other, 2)
    ok.SGD([other], lr=0.05, differentiable=True).step(grads=[total / 3])
    found, expected = (torch.autograd.grad(x.sum(), start)[0] for x in (p, other))
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=0)  # of torch's own arithmetic


def test_fewer_micro_batches() -> None:
    start, lr = begin()
    p, other = start.clone(), start.clone()
    ours = ok.accumulate(ok.Adam([p], lr=lr, differentiable=True), 3)
    for k in range(2):
        ours.step(grads=[gradient(p, k)])
    ours.flush()
    total = (gradient(other, 0) + gradient(other, 1)) / 2
    ok.Adam([other], lr=lr, differentiable=True).step(grads=[total])
    same_derivatives(p, other, (start, lr))


def test_a_step_left_out_leaves_no_trace() -> None:
    start, lr = begin()
    p, other = start.clone(), start.clone()
    ours = ok.skip_nonfinite(ok.Adam([p], lr=lr, differentiable=True))
    theirs = ok.Adam([other], lr=lr, differentiable=True)
    for bad in (False, True, False):
        grad = gradient(p, 0)
        ours.step(grads=[grad * torch.inf if bad else grad])
        if not bad:
            theirs.step(grads=[gradient(other, 0)])
    assert ours.skipped == 1
    same_derivatives(p, other, (start, lr))


def test_a_checkpoint_has_the_values_of_what_is_pending() -> None:
    start, lr = begin()
    p, q = start.clone(), start.clone()
    ours, resumed = (ok.accumulate(ok.Adam([x], lr=lr, differentiable=True), 3) for x in (p, q))
    for k in range(2):
        ours.step(grads=[gradient(p, k)])
    saved = ours.state_dict()
    assert not saved["accumulate"]["sums"][0].requires_grad
    resumed.load_state_dict(saved)
    for x, optimizer in ((p, ours), (q, resumed)):
        optimizer.step(grads=[gradient(x, 2)])
    assert torch.equal(p, q)


def test_the_history_of_a_window_is_let_go() -> None:
    start, _ = begin()
    p = start.clone()
    optimizer = ok.Adam([p], lr=0.1, differentiable=True)
    ours = ok.accumulate(optimizer, 2)
    histories = []
    for k in range(4):
        grad = gradient(p, k)
        histories.append(weakref.ref(token := Token()))
        grad.grad_fn.register_hook(lambda *_, kept=token: None)  # lives as long as the graph does
        del token
        ours.step(grads=[grad])
        del grad
    p.detach_()
    for entries in optimizer.state.values():
        entries.update({k: x.detach() for k, x in entries.items() if torch.is_tensor(x)})
    gc.collect()
    assert [history() for history in histories] == [None] * 4


def test_another_kind_of_steps_while_something_is_pending() -> None:
    start, lr = begin()
    p = start.clone()
    ours = ok.accumulate(ok.Adam([p], lr=lr, differentiable=True), 2)
    ours.step(grads=[gradient(p, 0)])
    ours.param_groups[0]["differentiable"] = False
    with pytest.raises(RuntimeError, match="differentiable has changed; flush"):
        ours.step(grads=[gradient(p, 1)])
    ours.param_groups[0]["differentiable"] = True
    ours.step(grads=[gradient(p, 1)])
    assert ours.step_count == 1
