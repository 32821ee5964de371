"""Where a step finds its gradients, and what one is without."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from conftest import array, assert_same_bits
from forms import BOTH, IDS, tensor
from libraries import Library

import optimkit as ok


@pytest.mark.parametrize("library", ["Parameter", "nn.Parameter"], indirect=True)
def test_gradients_from_dot_grad(library: Library) -> None:
    a, b = library.param(array(1.0)), library.param(array(1.0))
    opt = ok.SGD([a, b], lr=1.0, momentum=0.5)
    a.grad = library.grad(array(1.0))
    opt.step()
    assert_same_bits(a, array(0.0))
    assert_same_bits(b, array(1.0))
    assert len(opt.state) == 1
    b.grad = library.grad(array(2.0))
    a.grad = None
    opt.step()
    assert_same_bits(a, array(0.0))
    assert_same_bits(b, array(-1.0))


def test_a_missing_gradient_leaves_the_step_count_alone(engine: str) -> None:
    a, b = array(1.0), array(1.0)
    together, apart = ok.Adam([a, b]), [ok.Adam([array(1.0)]) for _ in range(2)]
    pattern = [(1.0, None), (None, None), (2.0, 3.0), (None, 1.0), (1.0, 1.0)]
    for values in pattern:
        grads = [None if v is None else array(v) for v in values]
        together.step(grads=grads)
        for opt, grad in zip(apart, grads, strict=True):
            opt.step(grads=[grad])
    assert [together.state[p]["step"] for p in (a, b)] == [3, 3]
    for param, opt in zip((a, b), apart, strict=True):
        assert_same_bits(param, opt.param_groups[0]["params"][0])
    together.step(grads=[array(1.0), None])
    assert [together.state[p]["step"] for p in (a, b)] == [4, 3]


def test_missing_gradients_as_in_torch() -> None:
    results = []
    for lib in BOTH:
        a, b = tensor(1.0), tensor(1.0)
        opt = lib.Adam([a, b], lr=0.5)
        for values in [(1.0, None), (2.0, 3.0), (None, 1.0)]:
            for p, v in zip((a, b), values, strict=True):
                p.grad = None if v is None else torch.tensor([v])
            opt.step()
        saved = opt.state_dict()["state"]
        results.append([saved[i]["step"].item() for i in (0, 1)])
    assert results[0] == results[1] == [2.0, 2.0]


def test_gradients_by_name() -> None:
    a, b = array(1.0), array(1.0)
    opt = ok.SGD({"a": a, "b": b}, lr=1.0)
    opt.step(grads={"b": array(2.0), "a": None})
    assert (a.item(), b.item()) == (1.0, -1.0)


def test_gradients_by_name_across_groups() -> None:
    a, b = array(1.0), array(1.0)
    opt = ok.SGD([{"params": {"a": a}}, {"params": {"b": b}, "lr": 0.5}], lr=1.0)
    opt.step(grads={"b": array(2.0), "a": array(1.0)})
    assert (a.item(), b.item()) == (0.0, 0.0)


def test_gradients_from_an_iterator() -> None:
    a, b = array(1.0), array(1.0)
    ok.SGD([a, b], lr=1.0).step(grads=(g for g in (array(1.0), array(2.0))))
    assert (a.item(), b.item()) == (0.0, -1.0)


@pytest.mark.parametrize("lib", BOTH, ids=IDS)
def test_a_closure_that_sets_dot_grad(lib: Any) -> None:
    w = tensor(3.0)
    opt = lib.SGD([w], lr=0.25)

    def closure() -> torch.Tensor:
        opt.zero_grad()
        loss = (w**2).sum()
        loss.backward()
        return loss

    with torch.no_grad():  # the closure runs with gradients enabled whatever is outside
        loss = opt.step(closure)
    assert loss.item() == 9.0
    assert w.item() == 1.5


@pytest.mark.parametrize("as_keyword", [False, True])
def test_a_closure_that_returns_loss_and_gradients(as_keyword: bool) -> None:
    w = array(3.0)
    opt = ok.SGD([w], lr=0.25)

    def closure() -> tuple[float, list[np.ndarray]]:
        return float((w**2).sum()), [2 * w]

    assert (opt.step(closure=closure) if as_keyword else opt.step(closure)) == 9.0
    assert w.item() == 1.5


def test_a_closure_that_returns_gradients_by_name() -> None:
    w = array(3.0)
    opt = ok.SGD({"w": w}, lr=0.25)
    assert opt.step(lambda: (1.0, {"w": 2 * w})) == 1.0
    assert w.item() == 1.5


def test_step_returns_none_without_a_closure() -> None:
    opt = ok.SGD([array(1.0)])
    assert opt.step(grads=[array(1.0)]) is None


@pytest.mark.parametrize("lib", BOTH, ids=IDS)
@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad(lib: Any, set_to_none: bool) -> None:
    w, untouched = tensor(1.0, 2.0), tensor(1.0)
    w.grad = grad = (
        torch.ones(2, requires_grad=True) * 3
    )  # as backward(create_graph=True) leaves it
    assert grad.requires_grad
    lib.SGD([w, untouched]).zero_grad(set_to_none=set_to_none)
    assert untouched.grad is None
    if set_to_none:
        assert w.grad is None
    else:
        assert w.grad is grad
        assert not grad.requires_grad
        assert grad.tolist() == [0.0, 0.0]


def test_zero_grad_of_parameters_and_bare_arrays() -> None:
    p, bare = ok.Parameter(array(1.0)), array(1.0)
    opt = ok.SGD([p, bare])
    p.grad = grad = array(5.0)
    opt.zero_grad(set_to_none=False)
    assert p.grad is grad
    assert grad.item() == 0.0
    opt.zero_grad()
    assert p.grad is None


def test_gradients_missing_by_turns_and_momentum_turned_on(engine: str) -> None:
    """Plans are kept by what is missing; a state that one of them makes is everyone's."""
    params, plain = [np.ones(3), np.ones(3)], [np.ones(3), np.ones(3)]
    together = ok.SGD(params, lr=0.1)
    apart = [ok.SGD([x], lr=0.1) for x in plain]
    for step in range(12):
        if step == 4:
            for optimizer in (together, *apart):
                optimizer.param_groups[0]["momentum"] = 0.9
        grads = [np.full(3, 1.0 + step), np.full(3, 2.0) if step % 2 else None]
        together.step(grads=grads)
        for optimizer, grad in zip(apart, grads, strict=True):
            optimizer.step(grads=[grad])
        for x, y in zip(params, plain, strict=True):
            assert_same_bits(x, y)
    for x, y, optimizer in zip(params, plain, apart, strict=True):
        buffer = together.state[x]["momentum_buffer"]
        assert_same_bits(buffer, optimizer.state[y]["momentum_buffer"])
