"""The example of a user's own optimizer, on every engine and adapter, as anyone would write it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from conftest import assert_same_bits, require_engine
from libraries import STEPPING, Library

import optimkit as ok

SHAPES = [(3, 5), (), (70_000,), (0, 4), (64, 64)]
STEPS = 5


class Lion(ok.Optimizer):
    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, **options):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay, **options))

    @staticmethod
    def init(xp, param, hyper):
        return {"exp_avg": xp.zeros_like(param)}

    @staticmethod
    def update(xp, param, grad, state, hyper, step):
        beta1, beta2 = hyper.betas
        m = state["exp_avg"]
        direction = xp.sign(beta1 * m + (1 - beta1) * grad)
        param = param * (1 - hyper.lr * hyper.weight_decay) - hyper.lr * direction
        return param, {"exp_avg": beta2 * m + (1 - beta2) * grad}


def starts(dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]


def gradients(dtype: str) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(2)
    return [
        [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES] for _ in range(STEPS)
    ]


def by_hand(dtype: str, lr: float, decay: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The formula of the paper, with numbers rounded to the dtype as NumPy does."""
    params, moments = starts(dtype), [np.zeros(shape, dtype) for shape in SHAPES]
    for grads in gradients(dtype):
        for p, m, g in zip(params, moments, grads, strict=True):
            direction = np.sign(0.9 * m + (1 - 0.9) * g)
            p[...] = p * (1 - lr * decay) - lr * direction
            m[...] = 0.99 * m + (1 - 0.99) * g
    return params, moments


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("library", STEPPING, indirect=True)
def test_the_paper_on_every_engine_and_library(engine: str, library: Library, dtype: str) -> None:
    params = list(map(library.param, starts(dtype)))
    opt = Lion(params, lr=0.01, weight_decay=0.1)
    for grads in gradients(dtype):
        library.step(opt, grads)
    expected, moments = by_hand(dtype, 0.01, 0.1)
    for param, p, m in zip(params, expected, moments, strict=True):
        assert_same_bits(param, p)
        assert_same_bits(opt.state[param]["exp_avg"], m)
        assert opt.state[param]["step"] == STEPS


def test_groups_with_options_of_their_own(engine: str) -> None:
    first, second = starts("float32")[0], starts("float32")[2]
    alone = [first.copy(), second.copy()]
    opt = Lion([{"params": [first]}, {"params": [second], "lr": 0.5, "betas": (0.5, 0.6)}], lr=0.1)
    lone = [Lion([alone[0]], lr=0.1), Lion([alone[1]], lr=0.5, betas=(0.5, 0.6))]
    for grads in gradients("float32"):
        opt.step(grads=[grads[0], grads[2]])
        lone[0].step(grads=[grads[0]])
        lone[1].step(grads=[grads[2]])
    assert_same_bits(first, alone[0])
    assert_same_bits(second, alone[1])
    assert not np.array_equal(first, starts("float32")[0])


@pytest.mark.parametrize("library", STEPPING, indirect=True)
@pytest.mark.parametrize("at", range(STEPS))
def test_a_checkpoint_at_any_step_continues_bit_for_bit(library: Library, at: int) -> None:
    straight = list(map(library.param, starts("float32")))
    opt = Lion(straight, lr=0.01)
    for grads in gradients("float32"):
        library.step(opt, grads)

    params = list(map(library.param, starts("float32")))
    opt = Lion(params, lr=0.01)
    for grads in gradients("float32")[:at]:
        library.step(opt, grads)
    saved = copy.deepcopy(opt.state_dict())
    opt = Lion(params, lr=99.0)
    opt.load_state_dict(saved)
    for grads in gradients("float32")[at:]:
        library.step(opt, grads)
    for resumed, expected in zip(params, straight, strict=True):
        assert_same_bits(resumed, expected)


def test_torch_tensors_with_autograd(engine: str) -> None:
    weight = torch.nn.Parameter(torch.tensor([2.0, -3.0]))
    opt = Lion([weight], lr=0.5)
    for expected in ([1.5, -2.5], [1.0, -2.0]):
        opt.zero_grad()
        (weight**2).sum().backward()
        opt.step()
        assert weight.tolist() == expected
    assert type(opt.state[weight]["exp_avg"]) is torch.Tensor


def test_fused_is_an_option_like_in_any_optimizer() -> None:
    require_engine("numba")
    weight = np.ones(3, np.float32)
    Lion([weight], lr=0.5, fused=True).step(grads=[np.ones(3, np.float32)])
    assert weight.tolist() == [0.5, 0.5, 0.5]
    with pytest.raises(RuntimeError, match="fused=True"):
        Lion([np.ones(2, ">f4")], fused=True).step(grads=[np.ones(2, ">f4")])
