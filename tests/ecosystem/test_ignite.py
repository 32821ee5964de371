"""pytorch-ignite: trainers, parameter schedulers and checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
ignite = pytest.importorskip(
    "ignite", reason="pytorch-ignite is not installed (optimkit[ecosystem])"
)

from ignite.engine import Events, create_supervised_trainer  # noqa: E402
from ignite.handlers import (  # noqa: E402
    Checkpoint,
    CosineAnnealingScheduler,
    DiskSaver,
    FastaiLRFinder,
    LRScheduler,
    PiecewiseLinear,
    create_lr_scheduler_with_warmup,
)
from networks import batch, near, network, same, whole  # noqa: E402
from networks import train as plainly  # noqa: E402
from torch import nn  # noqa: E402

import optimkit as ok  # noqa: E402

BATCHES = [batch(i) for i in range(6)]


def warmed(optimizer: Any) -> Any:
    after = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
    return create_lr_scheduler_with_warmup(
        after, warmup_start_value=0.0, warmup_end_value=0.05, warmup_duration=3
    )


SCHEDULES = {
    "LRScheduler of torch's": lambda o: LRScheduler(torch.optim.lr_scheduler.StepLR(o, 2)),
    "LRScheduler of ours": lambda o: LRScheduler(ok.lr_scheduler.StepLR(o, 2)),
    "cosine": lambda o: CosineAnnealingScheduler(o, "lr", 0.1, 0.01, 4),
    "piecewise": lambda o: PiecewiseLinear(o, "lr", milestones_values=[(0, 0.1), (4, 0.0)]),
    "warmup": warmed,
}


def trained(lib: Any, schedule: str | None = None) -> tuple[Any, list[float]]:
    model, rates = network(), []
    optimizer = lib.AdamW(model.parameters(), lr=0.05)
    trainer = create_supervised_trainer(model, optimizer, nn.functional.mse_loss)
    if schedule is not None:
        trainer.add_event_handler(Events.ITERATION_STARTED, SCHEDULES[schedule](optimizer))

    @trainer.on(Events.ITERATION_COMPLETED)
    def note() -> None:
        rates.append(optimizer.param_groups[0]["lr"])

    trainer.run(BATCHES, max_epochs=2)
    return model, rates


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules(schedule: str) -> None:
    model, rates = trained(ok, schedule)
    other, expected = trained(torch.optim, schedule)
    assert rates == expected
    assert len(set(rates)) > 2
    assert near(whole(model), whole(other))


def test_a_trainer_has_the_bits_of_a_plain_loop() -> None:
    model, _ = trained(ok)
    plain = network()
    optimizer = ok.AdamW(plain.parameters(), lr=0.05)
    for _ in range(2):
        plainly(plain, optimizer, range(6))
    assert same(whole(model), whole(plain))


def test_checkpoints(tmp_path: Path) -> None:
    def begun() -> dict[str, Any]:
        model = network()
        optimizer = ok.AdamW(model.parameters(), lr=0.05)
        trainer = create_supervised_trainer(model, optimizer, nn.functional.mse_loss)
        return {"trainer": trainer, "model": model, "optimizer": optimizer}

    first, resumed = begun(), begun()
    saver = DiskSaver(str(tmp_path), create_dir=False)
    handler = Checkpoint(first, saver)
    first["trainer"].add_event_handler(Events.EPOCH_COMPLETED(once=2), handler)
    first["trainer"].run(BATCHES, max_epochs=4)
    (path,) = tmp_path.glob("*.pt")
    Checkpoint.load_objects(resumed, torch.load(path, weights_only=False))
    resumed["trainer"].run(BATCHES, max_epochs=4)
    assert same(whole(first["model"]), whole(resumed["model"]))


@pytest.mark.filterwarnings("ignore:Run completed without loss diverging:UserWarning")
def test_a_search_for_a_learning_rate_leaves_the_optimizer_as_it_was() -> None:
    found = []
    for lib in (ok, torch.optim):
        model = network()
        optimizer = lib.AdamW(model.parameters(), lr=0.001)
        trainer = create_supervised_trainer(model, optimizer, nn.functional.mse_loss)
        finder, kept = FastaiLRFinder(), {"model": model, "optimizer": optimizer}
        batches = [batch(i) for i in range(20)]
        with finder.attach(trainer, kept, end_lr=1.0, num_iter=20) as searching:
            searching.run(batches)
        found.append(finder.lr_suggestion())
        assert same(whole(model), whole(network()))
        assert optimizer.param_groups[0]["lr"] == 0.001
        assert not optimizer.state
    assert found[0] == found[1]
