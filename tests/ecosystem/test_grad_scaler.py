"""torch.amp.GradScaler around our steps: scaled by powers of two, which change no bit."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from networks import loss_of, near, network, same, train, whole  # noqa: E402
from torch.amp import GradScaler  # noqa: E402

import optimkit as ok  # noqa: E402

BROKEN = 2  # the batch whose loss is infinite


def train_scaled(
    model: Any, optimizers: list[Any], scaler: Any, clip: Any = None, broken: int | None = None
) -> list[float]:
    """A loop as the documentation of GradScaler has it; return the scales."""
    scales = []
    for number in range(6):
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = loss_of(model, number)
        scaler.scale(loss * (math.inf if number == broken else 1.0)).backward()
        if clip is not None:
            for optimizer in optimizers:
                scaler.unscale_(optimizer)
            clip(model.parameters(), 0.5)
        for optimizer in optimizers:
            scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    return scales


def scaler(**options: Any) -> Any:
    return GradScaler("cpu", init_scale=2.0**10, growth_interval=2, **options)


@pytest.mark.parametrize("kind", [ok.SGD, ok.AdamW, ok.RAdam, ok.Adafactor])
def test_a_scaled_loop_has_the_bits_of_a_plain_one(kind: Any) -> None:
    scaled, plain = network(), network()
    train_scaled(scaled, [kind(scaled.parameters(), lr=0.05)], scaler())
    train(plain, kind(plain.parameters(), lr=0.05), range(6))
    assert same(whole(scaled), whole(plain))


@pytest.mark.parametrize("clip", [None, ok.clip_grad_norm_, torch.nn.utils.clip_grad_norm_])
def test_steps_with_infinite_gradients_are_skipped(clip: Any) -> None:
    found, scales = [], []
    for lib in (ok, torch.optim):
        model = network()
        optimizer = lib.AdamW(model.parameters(), lr=0.05)
        scales.append(train_scaled(model, [optimizer], scaler(), clip, BROKEN))
        found.append(whole(model))
        assert all(int(state["step"]) == 5 for state in optimizer.state.values())
    assert scales[0] == scales[1] == [2.0**n for n in (10, 11, 10, 10, 11, 11)]
    assert near(*found)


def test_one_optimizer_of_two_is_skipped() -> None:
    model = network()
    first = ok.AdamW(model[0].parameters(), lr=0.05)
    second = ok.SGD(model[2].parameters(), lr=0.05)
    grads = scaler()
    grads.scale(loss_of(model, 0)).backward()
    model[0].weight.grad[0, 0] = math.inf
    before = whole(model)
    grads.step(first)
    grads.step(second)
    grads.update()
    after = whole(model)
    assert same(before[:2], after[:2])
    assert not any(torch.equal(x, y) for x, y in zip(before[2:], after[2:], strict=True))


def test_a_scaler_resumes_with_the_optimizer() -> None:
    model, resumed = network(), network()
    first, grads = ok.AdamW(model.parameters(), lr=0.05), scaler()
    train_scaled(model, [first], grads)
    second, again = ok.AdamW(resumed.parameters()), scaler()
    resumed.load_state_dict(model.state_dict())
    second.load_state_dict(first.state_dict())
    again.load_state_dict(grads.state_dict())
    scales = [
        train_scaled(net, [optimizer], each)
        for net, optimizer, each in ((model, first, grads), (resumed, second, again))
    ]
    assert scales[0] == scales[1]
    assert same(whole(model), whole(resumed))


def test_a_scaled_loop_under_autocast() -> None:
    found = []
    for lib in (ok, torch.optim):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
        optimizer = lib.SGD(model.parameters(), lr=0.05)
        grads = scaler()
        for _ in range(4):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                out = model(torch.randn(32, 8))
            assert out.dtype == torch.bfloat16
            grads.scale(out.float().square().mean()).backward()
            grads.unscale_(optimizer)
            ok.clip_grad_norm_(model.parameters(), 0.5)
            grads.step(optimizer)
            grads.update()
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        found.append(whole(model))
    # one multiply-add in torch's step; the next forward pass may round to another bfloat16
    assert all(torch.allclose(x, y, atol=2**-8) for x, y in zip(*found, strict=True))
