"""The example of a user's own optimizer, on every engine and adapter, as anyone would write it."""

from __future__ import annotations

import copy
from typing import Any

import array_api_strict
import numpy as np
import pytest
import torch
from conftest import assert_same_bits, require_engine

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


def kinds(dtype: str) -> dict[str, Any]:
    return {
        "numpy": lambda x: x.copy(),
        "parameter": lambda x: ok.Parameter(x.copy()),
        "strict": lambda x: array_api_strict.asarray(x.copy()),
        "torch": lambda x: torch.from_numpy(x.copy()),
        "nn.Parameter": lambda x: torch.nn.Parameter(torch.from_numpy(x.copy())),
    }


def like(param: Any, grad: np.ndarray) -> Any:
    if isinstance(param, torch.Tensor):
        return torch.from_numpy(grad.copy())
    if type(param).__module__.startswith("array_api_strict"):
        return array_api_strict.asarray(grad.copy())
    return grad


def step(opt: ok.Optimizer, params: list[Any], grads: list[np.ndarray]) -> None:
    opt.step(grads=[like(p, g) for p, g in zip(params, grads, strict=True)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["numpy", "parameter", "strict", "torch", "nn.Parameter"])
def test_the_paper_on_every_engine_and_library(engine: str, kind: str, dtype: str) -> None:
    params = [kinds(dtype)[kind](x) for x in starts(dtype)]
    opt = Lion(params, lr=0.01, weight_decay=0.1)
    for grads in gradients(dtype):
        step(opt, params, grads)
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


@pytest.mark.parametrize("kind", ["numpy", "strict", "torch"])
@pytest.mark.parametrize("at", range(STEPS))
def test_a_checkpoint_at_any_step_continues_bit_for_bit(kind: str, at: int) -> None:
    straight = [kinds("float32")[kind](x) for x in starts("float32")]
    opt = Lion(straight, lr=0.01)
    for grads in gradients("float32"):
        step(opt, straight, grads)

    params = [kinds("float32")[kind](x) for x in starts("float32")]
    opt = Lion(params, lr=0.01)
    for grads in gradients("float32")[:at]:
        step(opt, params, grads)
    saved = copy.deepcopy(opt.state_dict())
    opt = Lion(params, lr=99.0)
    opt.load_state_dict(saved)
    for grads in gradients("float32")[at:]:
        step(opt, params, grads)
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
        Lion([np.ones(4, np.float32)[::2]], fused=True).step(grads=[np.ones(2, np.float32)])
