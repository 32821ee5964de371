"""Accelerate: what `prepare` returns steps when gradients are complete, and no other time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
accelerate = pytest.importorskip(
    "accelerate", reason="accelerate is not installed (optimkit[ecosystem])"
)

from networks import batch, near, network, numbers, same, whole  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

import optimkit as ok  # noqa: E402

SCHEDULERS = {"torch": torch.optim.lr_scheduler, "optimkit": ok.lr_scheduler}


@pytest.fixture(autouse=True)
def _anew() -> None:
    begin_anew()


def begin_anew() -> None:
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def prepared(lib: Any, schedulers: str = "torch", **options: Any) -> tuple[Any, ...]:
    accelerator = accelerate.Accelerator(cpu=True, **options)
    model = network()
    optimizer = lib.AdamW(model.parameters(), lr=0.05)
    scheduler = SCHEDULERS[schedulers].StepLR(optimizer, 2, gamma=0.5)
    loader = DataLoader([batch(i) for i in range(7)], batch_size=None)
    return accelerator, *accelerator.prepare(model, optimizer, loader, scheduler)


def train(
    accelerator: Any, model: Any, optimizer: Any, loader: Any, scheduler: Any, clip: float = 0.5
) -> list[float]:
    """The loop of Accelerate's documentation; return the learning rates."""
    rates = []
    for x, y in loader:
        with accelerator.accumulate(model):
            loss = nn.functional.mse_loss(model(x), y)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        rates.append(scheduler.get_last_lr()[0])
    return rates


@pytest.mark.parametrize("schedulers", SCHEDULERS)
@pytest.mark.parametrize("every", [1, 3])
def test_a_prepared_optimizer_steps_when_gradients_are_complete(
    every: int, schedulers: str
) -> None:
    from accelerate.optimizer import AcceleratedOptimizer
    from accelerate.scheduler import AcceleratedScheduler

    found, rates = [], []
    for lib in (ok, torch.optim):
        _, model, optimizer, _, scheduler = parts = prepared(
            lib, schedulers, gradient_accumulation_steps=every
        )
        assert type(optimizer) is AcceleratedOptimizer
        assert type(scheduler) is AcceleratedScheduler
        rates.append(train(*parts))
        found.append(whole(model))
        steps = {int(state["step"]) for state in optimizer.state.values()}
        assert steps == {7 if every == 1 else 3}  # the last one over what is left
    assert near(*found)
    assert rates[0] == rates[1]


def test_a_prepared_optimizer_has_the_bits_of_a_plain_one() -> None:
    accelerator, model, optimizer, loader, scheduler = prepared(ok)
    train(accelerator, model, optimizer, loader, scheduler)
    plain = network()
    own = ok.AdamW(plain.parameters(), lr=0.05)
    for number in range(7):
        own.zero_grad()
        x, y = batch(number)
        nn.functional.mse_loss(plain(x), y).backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        own.step()
        if number % 2:
            own.param_groups[0]["lr"] *= 0.5
    assert same(whole(model), whole(plain))


@pytest.mark.parametrize(("begun_by", "alike"), [(ok, same), (torch.optim, near)])
def test_a_state_that_accelerate_saves_goes_on(begun_by: Any, alike: Any, tmp_path: Path) -> None:
    first = prepared(begun_by)
    train(*first)
    first[0].save_state(str(tmp_path / "state"))
    train(*first)
    second = prepared(ok)
    second[0].load_state(str(tmp_path / "state"))
    train(*second)
    assert alike(whole(first[1]), whole(second[1]))


def _two_processes(rank: int) -> None:
    import os

    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}  # as `accelerate launch` sets them
    os.environ |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    found = []
    for lib in (ok, torch.optim):
        begin_anew()
        accelerator, model, optimizer, _, scheduler = prepared(lib, gradient_accumulation_steps=2)
        assert type(model) is nn.parallel.DistributedDataParallel
        batches = [batch(number) for number in numbers(rank, 4)]
        train(accelerator, model, optimizer, batches, scheduler)
        assert {int(state["step"]) for state in optimizer.state.values()} == {2}
        found.append(whole(model))
    assert near(*found)


def test_two_processes(processes: Any) -> None:
    processes(_two_processes)
