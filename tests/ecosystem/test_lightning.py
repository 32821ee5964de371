"""Lightning: automatic and manual optimization, checkpoints, Fabric."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
lightning = pytest.importorskip(
    "lightning", reason="lightning is not installed (optimkit[ecosystem])"
)

from networks import (  # noqa: E402
    batch,
    loss_of,
    near,
    network,
    numbers,
    same,
    train,
    whole,
)
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

import optimkit as ok  # noqa: E402

# Lightning's own: workers of the loader, steps without a logger, names that torch calls deprecated.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}")
    for kind in ("FutureWarning", "UserWarning", "DeprecationWarning")
]
LIBS = {"optimkit": ok, "torch": torch.optim}
BATCHES = 4


class Net(lightning.LightningModule):
    """What a user writes, with the optimizers and schedulers of one library."""

    def __init__(self, configure: Callable[[nn.Module], Any]) -> None:
        super().__init__()
        self.net, self.configure, self.losses = network(), configure, []

    def training_step(self, found: Any, number: int) -> Any:
        x, y = found
        loss = nn.functional.mse_loss(self.net(x), y)
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self) -> Any:
        return self.configure(self.net)


class Alternating(Net):
    """Manual optimization of two optimizers, as the documentation has it for a GAN."""

    def __init__(self, configure: Callable[[nn.Module], Any]) -> None:
        super().__init__(configure)
        self.automatic_optimization = False

    def training_step(self, found: Any, number: int) -> None:
        optimizer = self.optimizers()[number % 2]
        self.toggle_optimizer(optimizer)
        optimizer.zero_grad()
        self.manual_backward(super().training_step(found, number))
        self.clip_gradients(optimizer, gradient_clip_val=0.5, gradient_clip_algorithm="norm")
        optimizer.step()
        self.untoggle_optimizer(optimizer)
        if self.trainer.is_last_batch:
            for scheduler in self.lr_schedulers():
                scheduler.step()


def loader() -> Any:
    return DataLoader([batch(i) for i in range(BATCHES)], batch_size=None)


def trainer(folder: Path, epochs: int, **options: Any) -> Any:
    quiet = ("enable_checkpointing", "enable_progress_bar", "enable_model_summary", "logger")
    return lightning.Trainer(
        default_root_dir=folder,
        max_epochs=epochs,
        accelerator="cpu",
        **dict.fromkeys(quiet, False),
        **({"devices": 1} | options),
    )


def scheduled(lib: Any, schedulers: Any = torch.optim.lr_scheduler) -> Callable[[nn.Module], Any]:
    def configure(net: nn.Module) -> Any:
        optimizer = lib.AdamW(net.parameters(), lr=0.05)
        return [optimizer], [schedulers.StepLR(optimizer, 1, gamma=0.5)]

    return configure


def alternating(lib: Any) -> Callable[[nn.Module], Any]:
    def configure(net: nn.Module) -> Any:
        optimizers = [
            lib.AdamW(net[0].parameters(), lr=0.05),
            lib.SGD(net[2].parameters(), lr=0.05, momentum=0.9),
        ]
        return optimizers, [torch.optim.lr_scheduler.StepLR(o, 1, gamma=0.5) for o in optimizers]

    return configure


@pytest.mark.parametrize("schedulers", [torch.optim.lr_scheduler, ok.lr_scheduler])
def test_automatic_optimization(tmp_path: Path, schedulers: Any) -> None:
    model, plain = Net(scheduled(ok, schedulers)), network()
    fit = trainer(tmp_path, 3)
    fit.fit(model, loader())
    optimizer = ok.AdamW(plain.parameters(), lr=0.05)
    losses = []
    for _ in range(3):
        losses += train(plain, optimizer, range(BATCHES))
        optimizer.param_groups[0]["lr"] *= 0.5
    assert model.losses == losses
    assert same(whole(model.net), whole(plain))
    (own,) = fit.optimizers
    assert isinstance(own, ok.AdamW)
    assert own.param_groups[0]["lr"] == 0.05 / 8
    theirs = Net(scheduled(torch.optim))
    trainer(tmp_path, 3).fit(theirs, loader())
    assert near(whole(model.net), whole(theirs.net))


@pytest.mark.parametrize("options", [{"accumulate_grad_batches": 2}, {"gradient_clip_val": 0.5}])
def test_accumulated_and_clipped_gradients(tmp_path: Path, options: Any) -> None:
    models = [Net(scheduled(lib)) for lib in LIBS.values()]
    steps = []
    for model in models:
        fit = trainer(tmp_path, 2, **options)
        fit.fit(model, loader())
        steps.append(fit.global_step)
    assert steps[0] == steps[1] == (4 if "accumulate_grad_batches" in options else 8)
    assert near(*[whole(model.net) for model in models])


def test_manual_optimization(tmp_path: Path) -> None:
    models = [Alternating(alternating(lib)) for lib in LIBS.values()]
    for model in models:
        fit = trainer(tmp_path, 3)
        fit.fit(model, loader())
        assert fit.global_step == 3 * BATCHES
        assert [opt.param_groups[0]["lr"] for opt in fit.optimizers] == [0.05 / 8] * 2
    assert near(*[whole(model.net) for model in models])


@pytest.mark.parametrize("kind", [Net, Alternating])
def test_a_checkpoint_resumes_to_equal_bits(tmp_path: Path, kind: Any) -> None:
    configure = (scheduled if kind is Net else alternating)(ok)
    through, first, resumed = kind(configure), kind(configure), kind(configure)
    trainer(tmp_path, 4).fit(through, loader())
    fit = trainer(tmp_path, 2)
    fit.fit(first, loader())
    fit.save_checkpoint(tmp_path / "half.ckpt")
    trainer(tmp_path, 4).fit(
        resumed, loader(), ckpt_path=tmp_path / "half.ckpt", weights_only=False
    )
    assert first.losses + resumed.losses == through.losses
    assert same(whole(through.net), whole(resumed.net))


@pytest.mark.parametrize(("old", "new"), [("torch", "optimkit"), ("optimkit", "torch")])
def test_a_checkpoint_of_the_other_library(tmp_path: Path, old: str, new: str) -> None:
    through, first, resumed = (Net(scheduled(LIBS[name])) for name in (old, old, new))
    trainer(tmp_path, 4).fit(through, loader())
    fit = trainer(tmp_path, 2)
    fit.fit(first, loader())
    path = tmp_path / "half.ckpt"
    fit.save_checkpoint(path)
    saved = torch.load(path, weights_only=False)["optimizer_states"]
    assert int(saved[0]["state"][0]["step"]) == 2 * BATCHES
    fit = trainer(tmp_path, 4)
    fit.fit(resumed, loader(), ckpt_path=path, weights_only=False)
    assert {int(x["step"]) for x in fit.optimizers[0].state.values()} == {4 * BATCHES}
    assert fit.optimizers[0].param_groups[0]["lr"] == 0.05 / 16
    assert near(whole(through.net), whole(resumed.net))


def test_line_searches_call_the_closure(tmp_path: Path) -> None:
    def configure(net: nn.Module) -> Any:
        return ok.LBFGS(net.parameters(), max_iter=5, line_search_fn="strong_wolfe")

    model = Net(configure)
    trainer(tmp_path, 3).fit(model, loader())
    assert len(model.losses) > 3 * BATCHES
    assert model.losses[-1] < model.losses[0] / 5


def by_metric(lib: Any, schedulers: Any) -> Callable[[nn.Module], Any]:
    def configure(net: nn.Module) -> Any:
        optimizer = lib.AdamW(net.parameters(), lr=0.05)
        scheduler = schedulers.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "monitor": "loss", "interval": "epoch"},
        }

    return configure


def by_step(lib: Any, schedulers: Any) -> Callable[[nn.Module], Any]:
    def configure(net: nn.Module) -> Any:
        optimizer = lib.SGD(net.parameters(), lr=0.05, momentum=0.9)
        scheduler = schedulers.OneCycleLR(optimizer, 0.1, total_steps=30)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    return configure


class Logging(Net):
    def training_step(self, found: Any, number: int) -> Any:
        loss = super().training_step(found, number)
        self.log("loss", loss, on_epoch=True)
        return loss


@pytest.mark.parametrize("schedulers", [torch.optim.lr_scheduler, ok.lr_scheduler])
@pytest.mark.parametrize("how", [by_metric, by_step])
def test_schedulers_by_step_and_by_metric(tmp_path: Path, how: Any, schedulers: Any) -> None:
    found, rates = [], []
    for lib, of in ((ok, schedulers), (torch.optim, torch.optim.lr_scheduler)):
        model = Logging(how(lib, of))
        fit = trainer(tmp_path, 4)
        fit.fit(model, loader())
        rates.append(fit.optimizers[0].param_groups[0]["lr"])
        found.append(whole(model.net))
    assert rates[0] == rates[1] != 0.05
    assert near(*found)


def test_stochastic_weight_averaging(tmp_path: Path) -> None:
    from lightning.pytorch.callbacks import StochasticWeightAveraging

    models = [Net(scheduled(lib)) for lib in LIBS.values()]
    for model in models:
        averaging = StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=2)
        trainer(tmp_path, 4, callbacks=[averaging]).fit(model, loader())
    assert near(*[whole(model.net) for model in models])


def test_fabric(tmp_path: Path) -> None:
    found = []
    for lib in LIBS.values():
        fabric = lightning.Fabric(accelerator="cpu", devices=1)
        net = network()
        model, optimizer = fabric.setup(net, lib.AdamW(net.parameters(), lr=0.05))
        for number in range(3):
            optimizer.zero_grad()
            fabric.backward(loss_of(model, number))
            fabric.clip_gradients(model, optimizer, max_norm=0.5)
            optimizer.step()
        fabric.save(tmp_path / "fabric.ckpt", {"model": model, "optimizer": optimizer})
        for number in range(3, 5):
            optimizer.zero_grad()
            fabric.backward(loss_of(model, number))
            optimizer.step()
        again = network()
        resumed, second = fabric.setup(again, lib.AdamW(again.parameters(), lr=0.5))
        fabric.load(tmp_path / "fabric.ckpt", {"model": resumed, "optimizer": second})
        train(resumed, second, range(3, 5))
        assert same(whole(net), whole(again))
        found.append(whole(net))
    assert near(*found)


def _two_processes(rank: int, folder: Path) -> None:
    import os
    import warnings

    warnings.simplefilter("ignore")  # Lightning's own
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0"}
    os.environ |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}  # as torchrun sets them
    os.environ |= {"TORCHELASTIC_RUN_ID": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    found = []
    for lib in LIBS.values():
        model = Net(scheduled(lib))
        options = {"strategy": "ddp", "devices": 2, "use_distributed_sampler": False}
        fit = trainer(folder, 2, **options)
        fit.fit(model, DataLoader([batch(i) for i in numbers(rank)], batch_size=None))
        assert fit.global_step == 2 * BATCHES
        found.append(whole(model.net))
    assert near(*found)


def test_ddp_in_two_processes(processes: Any, tmp_path: Path) -> None:
    processes(_two_processes, tmp_path)
