"""Accumulation and skipping in other people's programs."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from networks import batch, near, network, same, sharded, whole  # noqa: E402
from torch import nn  # noqa: E402

import optimkit as ok  # noqa: E402

N, STEPS = 3, 2


def loss_of(model: Any, number: int) -> Any:
    x, y = batch(number)
    return nn.functional.mse_loss(model(x.double()), y.double())


def alone(ranks: int = 1) -> Any:
    """A loop without wrappers over the micro-batches of so many processes."""
    model = network().double()
    optimizer = ok.AdamW(model.parameters(), lr=0.05)
    for step in range(STEPS):
        optimizer.zero_grad()
        for number in range(N * ranks * step, N * ranks * (step + 1)):
            (loss_of(model, number) / (N * ranks)).backward()
        optimizer.step()
    return model


def wrapped(params: Any) -> Any:
    return ok.accumulate(ok.skip_nonfinite(ok.AdamW(params, lr=0.05)), N)


# ---------------------------------------------------------------- many processes


def _replicas(rank: int, view: bool) -> None:
    model = nn.parallel.DistributedDataParallel(network().double(), gradient_as_bucket_view=view)
    optimizer = wrapped(model.parameters())
    for k in range(N * STEPS):
        optimizer.zero_grad()
        with contextlib.nullcontext() if optimizer.will_step else model.no_sync():
            loss_of(model, 2 * k + rank).backward()
        optimizer.step()
    assert optimizer.step_count == STEPS
    assert near(model.module.parameters(), alone(2).parameters())


@pytest.mark.parametrize("view", [False, True])
def test_data_parallel(processes: Any, view: bool) -> None:
    processes(_replicas, view)


def _shards(rank: int, quiet: bool) -> None:
    model = sharded(network().double())
    optimizer = wrapped(model.parameters())
    for k in range(N * STEPS):
        if k == 4:  # in the middle of a window
            saved = optimizer.state_dict()
            optimizer = wrapped(model.parameters())
            optimizer.load_state_dict(saved)
        optimizer.zero_grad()
        if quiet:
            model.set_requires_gradient_sync(optimizer.will_step)
        loss_of(model, 2 * k + rank).backward()
        optimizer.step()
    assert near(whole(model), alone(2).parameters())


@pytest.mark.parametrize("quiet", [False, True])
def test_fully_sharded(processes: Any, quiet: bool) -> None:
    processes(_shards, quiet)


def _skipped_by_all(rank: int, dtype: Any) -> None:
    model = sharded(network().to(dtype))
    optimizer = ok.skip_nonfinite(ok.AdamW(model.parameters(), lr=0.05))
    before = whole(model)
    for value in (float("nan"), float("inf")):
        for param in model.parameters():
            param.grad = torch.zeros_like(param)
        part = next(model.parameters()).grad._local_tensor
        if rank == 1:
            part.view(-1)[-1] = value
        optimizer.step()
        assert not optimizer.stepped
        assert same(whole(model), before)
    for param in model.parameters():
        param.grad = torch.full_like(param, torch.finfo(dtype).max / 4)
    optimizer.step()
    assert optimizer.stepped
    assert optimizer.skipped == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_one_process_sees_all_leave_out(processes: Any, dtype: Any) -> None:
    processes(_skipped_by_all, dtype)


# ---------------------------------------------------------------- trainers


def test_accelerate() -> None:
    accelerate = pytest.importorskip("accelerate", reason="Accelerate is not installed")
    model = network().double()
    ours = wrapped(model.parameters())
    schedule = torch.optim.lr_scheduler.StepLR(ours, 100)
    accelerator = accelerate.Accelerator(cpu=True)
    model, optimizer, schedule = accelerator.prepare(model, ours, schedule)
    for number in range(N * STEPS):
        optimizer.zero_grad()
        accelerator.backward(loss_of(model, number))
        optimizer.step()
        schedule.step()
    assert near(model.parameters(), alone().parameters())


@pytest.mark.filterwarnings("ignore")  # Lightning's own
def test_lightning(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning", reason="Lightning is not installed")

    class Module(lightning.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = network().double()

        def training_step(self, numbers: Any, index: int) -> Any:
            return loss_of(self.model, int(numbers[0]))

        def configure_optimizers(self) -> Any:
            self.ours = wrapped(self.model.parameters())
            return self.ours

    module = Module()
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", default_root_dir=tmp_path, **dict.fromkeys(quiet, False)
    )
    trainer.fit(module, torch.utils.data.DataLoader(range(N * STEPS)))
    assert module.ours.step_count == STEPS
    assert near(module.model.parameters(), alone().parameters())


def _differentiable(rank: int) -> None:
    for params in (list(sharded().parameters()), [p.clone() for p in sharded().parameters()]):
        with pytest.raises(TypeError, match=r"parameter 0: .*a DTensor has a plain one in"):
            ok.AdamW(params, differentiable=True)


def test_differentiable_steps_refuse_parts(processes: Any) -> None:
    processes(_differentiable)


@pytest.mark.parametrize(
    "wrap", [lambda inner: ok.accumulate(inner, N), ok.skip_nonfinite, wrapped]
)
def test_distributed_checkpoints(wrap: Any) -> None:
    """They hold what is the inner optimizer's, between windows; of a new one, take the inner."""
    from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

    def begin() -> Any:
        model = network().double()
        return model, wrap(
            list(model.parameters()) if wrap is wrapped else ok.AdamW(model.parameters())
        )

    def train(model: Any, optimizer: Any) -> None:
        for k in range(2 * N):
            optimizer.zero_grad()
            loss_of(model, k).backward()
            optimizer.step()

    model, optimizer = begin()
    train(model, optimizer)
    weights, saved = get_state_dict(model, optimizer)
    model_again, resumed = begin()
    inner = getattr(resumed.optimizer, "optimizer", resumed.optimizer)
    get_state_dict(model_again, inner)  # a template, for which torch takes a step with zeros
    set_state_dict(model_again, resumed, model_state_dict=weights, optim_state_dict=saved)
    assert getattr(resumed, "pending", 0) == 0
    train(model, optimizer)
    train(model_again, resumed)
    assert same(model.parameters(), model_again.parameters())
