"""Full-precision masters of half-precision parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from conftest import assert_same_bits

import optimkit as ok

HALVES = pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
Make = Callable[..., ok.Optimizer]
RULES: dict[str, Make] = {
    "SGD": lambda p, **o: ok.SGD(p, lr=0.1, momentum=0.9, **o),
    "Adam": lambda p, **o: ok.Adam(p, lr=0.1, weight_decay=0.1, **o),
    "AdamW": lambda p, **o: ok.AdamW(p, lr=0.1, amsgrad=True, **o),
    "NAdam": lambda p, **o: ok.NAdam(p, lr=0.1, **o),
    "Adafactor": lambda p, **o: ok.Adafactor(p, lr=0.1, **o),
    "Rprop": lambda p, **o: ok.Rprop(p, lr=0.1, **o),
}


def values(dtype: Any, count: int = 4) -> tuple[Any, list[Any]]:
    rng = np.random.default_rng(0)
    start, *grads = (np.asarray(rng.standard_normal((30, 40)), dtype) for _ in range(count + 1))
    return start, grads


@HALVES
@pytest.mark.parametrize("rule", RULES)
def test_the_rule_steps_the_master(engine: str, rule: str, dtype: Any) -> None:
    start, grads = values(dtype, 12)
    half, full = start.copy(), start.astype(np.float32)
    ours, reference = RULES[rule]([half], master_dtype="float32"), RULES[rule]([full])
    for grad in grads:
        ours.step(grads=[grad])
        reference.step(grads=[grad.astype(np.float32)])
        assert_same_bits(ours.state[half]["master"], full)
        assert_same_bits(half.view(np.uint16), full.astype(dtype).view(np.uint16))
    for name, value in reference.state[full].items():
        if hasattr(value, "shape"):
            assert_same_bits(ours.state[half][name], value, name)
        else:
            assert ours.state[half][name] == value


def test_small_steps_are_not_lost() -> None:
    bare, held = np.ones(3, np.float16), np.ones(3, np.float16)
    for x, options in ((bare, {}), (held, {"master_dtype": "float32"})):
        opt = ok.SGD([x], lr=1e-4, **options)
        for _ in range(100):
            opt.step(grads=[np.ones(3, np.float16)])
    assert bare.tolist() == [1.0] * 3  # each step is less than half a unit
    assert held.tolist() == [float(np.float16(0.99))] * 3


@HALVES
@pytest.mark.parametrize("rule", RULES)
def test_what_else_changes_a_parameter_is_not_undone(engine: str, rule: str, dtype: Any) -> None:
    start, grads = values(dtype, 6)
    half, edited = start.copy(), np.zeros(start.shape, bool)
    edited[::3, ::2] = True
    ours = RULES[rule]([half], master_dtype="float32")
    for grad in grads[:3]:
        ours.step(grads=[grad])
    half[edited] += np.asarray(1, dtype)
    half[0, 0], half[0, 2], half[0, 4] = np.inf, np.nan, -0.0
    full = np.where(edited, half.astype(np.float32), ours.state[half]["master"])
    reference = RULES[rule]([full])
    known = copy.deepcopy(dict(ours.state[half]))
    del known["master"]
    reference.state[full] = known
    for grad in grads[3:]:
        ours.step(grads=[grad])
        reference.step(grads=[grad.astype(np.float32)])
        assert_same_bits(ours.state[half]["master"], full)
        assert_same_bits(half.view(np.uint16), full.astype(dtype).view(np.uint16))


@pytest.mark.parametrize("rule", ["SGD", "AdamW"])
def test_steps_that_torch_took_are_not_undone(rule: str) -> None:
    def adam(lib: Any, param: Any, **options: Any) -> Any:
        return getattr(lib, rule)([param], lr=0.25, weight_decay=0, **options)

    half = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
    half.grad = torch.ones_like(half)
    ours = adam(ok, half, master_dtype="float32")
    ours.step()
    theirs = adam(torch.optim, half)
    theirs.load_state_dict(ours.state_dict())
    for _ in range(4):
        theirs.step()
    moved = half.detach().clone()
    again = adam(ok, half, master_dtype="float32")
    again.load_state_dict(theirs.state_dict())
    for group in again.param_groups:
        group["lr"] = 0.0
    again.step()
    assert torch.equal(half.detach(), moved)
    assert moved[0] < 0
    assert torch.equal(again.state[half]["master"], moved.float())


def test_full_precision_has_no_master(engine: str) -> None:
    x = np.ones(3, np.float32)
    opt = ok.AdamW([x], master_dtype="float32")
    opt.step(grads=[np.ones(3, np.float32)])
    assert "master" not in opt.state[x]


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_checkpoints_keep_masters(kind: str) -> None:
    def convert(x: Any) -> Any:
        return x.copy() if kind == "numpy" else torch.from_numpy(x.copy())

    start, grads = values(np.float16, 6)
    whole, first = convert(start), convert(start)
    through = ok.AdamW([whole], lr=0.1, master_dtype="float32")
    for grad in grads:
        through.step(grads=[convert(grad)])
    before = ok.AdamW([first], lr=0.1, master_dtype="float32")
    for grad in grads[:3]:
        before.step(grads=[convert(grad)])
    again = convert(np.asarray(first))
    after = ok.AdamW([again], lr=0.1, master_dtype="float32")
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    for grad in grads[3:]:
        after.step(grads=[convert(grad)])
    assert_same_bits(again, whole)
    assert_same_bits(after.state[again]["master"], through.state[whole]["master"])


def test_a_checkpoint_without_masters_begins_them() -> None:
    x, y = np.ones(3, np.float16), np.full(3, 2, np.float16)
    old = ok.AdamW([x])
    old.step(grads=[np.ones(3, np.float16)])
    new = ok.AdamW([y], master_dtype="float32")
    new.load_state_dict(old.state_dict())
    assert new.state[y]["master"].dtype == np.float32
    assert new.state[y]["master"].tolist() == [2.0] * 3
    assert new.state[y]["exp_avg"].dtype == np.float32
    new.step(grads=[np.ones(3, np.float16)])


def test_bfloat16_tensors(engine: str) -> None:
    torch.manual_seed(0)
    half = torch.randn(1_000).bfloat16().requires_grad_()
    full = half.detach().float().requires_grad_()
    ours, reference = ok.AdamW([half], lr=0.1, master_dtype="float32"), ok.AdamW([full], lr=0.1)
    for _ in range(3):
        half.grad = torch.randn(1_000).bfloat16()
        full.grad = half.grad.float()
        ours.step()
        reference.step()
    assert ours.state[half]["master"].dtype == torch.float32
    assert torch.equal(ours.state[half]["master"], full.detach())
    assert torch.equal(half.detach(), full.detach().bfloat16())


@pytest.mark.parametrize("wrong", ["float64", "float16", np.float32, 1])
def test_other_masters_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"AdamW: invalid master_dtype: .* must be 'float32'"):
        ok.AdamW([np.ones(3, np.float16)], master_dtype=wrong)


def test_groups_are_as_torchs_without_it() -> None:
    x = np.ones(3, np.float16)
    assert "master_dtype" not in ok.AdamW([x]).param_groups[0]
    assert ok.AdamW([x], master_dtype="float32").param_groups[0]["master_dtype"] == "float32"


def test_a_rule_of_ones_own() -> None:
    class Plain(ok.Optimizer):
        def __init__(self, params: Any, lr: float = 0.1, **options: Any) -> None:
            super().__init__(params, {"lr": lr, **options})

        @staticmethod
        def update(
            xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
        ) -> tuple[Any, dict[str, Any]]:
            assert "master" not in state
            return param - hyper.lr * grad, {}

    x = np.ones(3, np.float16)
    opt = Plain([x], 1e-4, master_dtype="float32")
    for _ in range(100):
        opt.step(grads=[np.ones(3, np.float16)])
    assert x.tolist() == [float(np.float16(0.99))] * 3
