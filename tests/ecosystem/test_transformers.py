"""The Hugging Face Trainer with our optimizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed (optimkit[ecosystem])"
)
pytest.importorskip("accelerate", reason="accelerate is not installed (optimkit[ecosystem])")

from networks import batch, near, network, same, whole  # noqa: E402
from torch import nn  # noqa: E402

import optimkit as ok  # noqa: E402
import optimkit.torch  # noqa: E402

# The Trainer's own: fork in a process with threads, pinned memory without a device, and the like.
pytestmark = pytest.mark.filterwarnings("ignore")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = network()
        self.norm = nn.LayerNorm(5, dtype=torch.float64)  # which the Trainer does not decay

    def forward(self, x: Any, labels: Any) -> dict[str, Any]:
        found = self.net(self.norm(x))
        return {"loss": nn.functional.mse_loss(found, labels), "logits": found}


def trainer(folder: Path, **options: Any) -> Any:
    arguments = {
        name: options.pop(name)
        for name in list(options)
        if name not in ("optimizers", "optimizer_cls_and_kwargs", "model")
    }
    x, y = batch(0, 64)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        **{
            "use_cpu": True,
            "report_to": [],
            "disable_tqdm": True,
            "per_device_train_batch_size": 8,
            "max_steps": 8,
            "learning_rate": 0.05,
            "weight_decay": 0.1,
            "warmup_steps": 2,
            "logging_steps": 1,
            "save_strategy": "steps",
            "save_steps": 4,
            "seed": 1,
            **arguments,
        },
    )
    data = [{"x": x[i], "labels": y[i]} for i in range(len(x))]
    return transformers.Trainer(
        model=options.pop("model", None) or Net(), args=arguments, train_dataset=data, **options
    )


def losses(found: Any) -> list[float]:
    return [entry["loss"] for entry in found.state.log_history if "loss" in entry]


def given(lib: Any) -> dict[str, Any]:
    """`optimizers=`, which the user makes."""
    model = Net()
    optimizer = lib.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
    scheduler = transformers.get_cosine_schedule_with_warmup(optimizer, 2, 8)
    return {"model": model, "optimizers": (optimizer, scheduler)}


def by_class(lib: Any) -> dict[str, Any]:
    """`optimizer_cls_and_kwargs`, with which the Trainer makes groups with and without decay.

    It looks whether the class is a subclass of torch's, which those of `optimkit.torch` are.
    """
    options = {"lr": 0.05, "betas": (0.9, 0.99), "eps": 1e-8, "foreach": False}
    kind = optimkit.torch.AdamW if lib is ok else lib.AdamW
    return {"optimizer_cls_and_kwargs": (kind, options)}


@pytest.mark.parametrize("how", [given, by_class], ids=lambda how: how.__name__)
@pytest.mark.parametrize("every", [1, 2])
def test_losses_are_those_of_torchs_optimizer(tmp_path: Path, how: Any, every: int) -> None:
    found, runs = [], []
    for lib in (ok, torch.optim):
        run = trainer(tmp_path, gradient_accumulation_steps=every, max_grad_norm=0.5, **how(lib))
        run.train()
        found.append(whole(run.model))
        runs.append(losses(run))
        inner = run.optimizer.optimizer
        assert type(inner).__module__.startswith("optimkit" if lib is ok else "torch")
        assert {int(state["step"]) for state in inner.state.values()} == {8}
        if how is by_class:
            assert [g["weight_decay"] for g in inner.param_groups] == [0.1, 0.0]
    assert len(runs[0]) == 8
    assert runs[0] == pytest.approx(runs[1], rel=1e-9)
    assert near(*found)


@pytest.mark.parametrize(("old", "new"), [("ok", "ok"), ("torch", "ok"), ("ok", "torch")])
def test_a_checkpoint_resumes(tmp_path: Path, old: str, new: str) -> None:
    libs = {"ok": ok, "torch": torch.optim}
    through = trainer(tmp_path, **by_class(libs[old]))
    through.train()
    resumed = trainer(tmp_path, **by_class(libs[new]))
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    if old == new:
        assert same(whole(through.model), whole(resumed.model))
        assert losses(through) == losses(resumed)
    else:
        assert near(whole(through.model), whole(resumed.model))


def test_an_own_optimizer_of_a_subclass(tmp_path: Path) -> None:
    """What the documentation of the Trainer suggests: a subclass with `create_optimizer`."""
    sample = trainer(tmp_path)

    class Own(type(sample)):  # type: ignore[misc]
        def create_optimizer(self, model: Any = None) -> Any:
            self.optimizer = ok.Adafactor(self.model.parameters(), lr=self.args.learning_rate)
            return self.optimizer

    own = Own(model=Net(), args=sample.args, train_dataset=sample.train_dataset)
    own.train()
    assert isinstance(own.optimizer.optimizer, ok.Adafactor)
    assert losses(own)[-1] < losses(own)[0]
