"""Code on the pages of schedulers: what is shown is what was run for the output below it."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

from optimkit import lr_scheduler
from optimkit.validation.explain.curves import example_options

HEAD = """\
import numpy as np
import optimkit as ok
from optimkit.{module} import {names}

weights = np.ones(3)
optimizer = ok.SGD([weights], lr=0.1, momentum=0.9)
"""
LOOP = """\
rates = scheduler.get_last_lr()
for step in range({steps}):
    optimizer.step(grads=[2 * weights])  # the gradient of the sum of squares
    scheduler.step()
    rates += scheduler.get_last_lr()
print(*(f"{{rate:.3g}}" for rate in rates[::10]))
"""
WATCHING = """\
rates = []
for step in range({steps}):
    loss = float(weights @ weights)
    optimizer.step(grads=[2 * weights])
    scheduler.step(max(loss, 1e-3))  # a loss that stays where it is from some step on
    rates += scheduler.get_last_lr()
print(*(f"{{rate:.3g}}" for rate in rates[::10]))
"""
OWN = """
class HalvedAtPowersOfTwo(LRScheduler):
    def get_lr(self):
        return [lr / 2 ** self.last_epoch.bit_length() for lr in self.base_lrs]


scheduler = HalvedAtPowersOfTwo(optimizer)
"""
PARTS = {
    "SequentialLR": (
        ["CosineAnnealingLR", "LinearLR", "SequentialLR"],
        """\
warm_up = LinearLR(optimizer, start_factor=0.1, total_iters=20)
decay = CosineAnnealingLR(optimizer, T_max=80)
scheduler = SequentialLR(optimizer, [warm_up, decay], milestones=[20])
""",
    ),
    "ChainedScheduler": (
        ["ChainedScheduler", "ExponentialLR", "LinearLR"],
        """\
warm_up = LinearLR(optimizer, start_factor=0.1, total_iters=20)
decay = ExponentialLR(optimizer, gamma=0.97)
scheduler = ChainedScheduler([warm_up, decay])
""",
    ),
    "LRScheduler": (["LRScheduler"], OWN),
}


def module_of(cls: type) -> str:
    """The module that a scheduler is imported from."""
    return "lr_scheduler" if hasattr(lr_scheduler, cls.__name__) else "swa_utils"


def made(cls: type, steps: int = 100) -> str:
    """The call that makes a scheduler, over so many steps."""
    options = example_options(cls, steps, {})
    return (
        f"{cls.__name__}({', '.join(['optimizer', *(f'{k}={v!r}' for k, v in options.items())])})"
    )


def recipe(cls: type) -> str:
    """A whole program with a scheduler."""
    names, making = PARTS.get(cls.__name__, ([cls.__name__], f"scheduler = {made(cls)}\n"))
    head = HEAD.format(module=module_of(cls), names=", ".join(names))
    plateau = issubclass(cls, lr_scheduler.ReduceLROnPlateau)
    return head + making + (WATCHING if plateau else LOOP).format(steps=100)


def composes(cls: type) -> bool:
    """Whether a scheduler can be shown in another."""
    return cls.__name__ not in PARTS and not issubclass(cls, lr_scheduler.ReduceLROnPlateau)


def after_warm_up(cls: type) -> str:
    """A program with a scheduler that begins when a warmup is over."""
    head = _importing(cls, "LinearLR", "SequentialLR")
    return (
        f"{head}warm_up = LinearLR(optimizer, start_factor=0.1, total_iters=20)\n"
        f"then = {made(cls, 80)}\n"
        "scheduler = SequentialLR(optimizer, [warm_up, then], milestones=[20])\n"
    ) + LOOP.format(steps=99)


def chained(cls: type) -> str:
    """A program with a scheduler that acts on what another has left."""
    head = _importing(cls, "ChainedScheduler", "ConstantLR")
    return (
        f"{head}halved = ConstantLR(optimizer, factor=0.5, total_iters=30)\n"
        f"other = {made(cls)}\n"
        "scheduler = ChainedScheduler([halved, other])\n"
    ) + LOOP.format(steps=99)


def _importing(cls: type, *names: str) -> str:
    inside = module_of(cls) == "lr_scheduler"
    text = HEAD.format(
        module="lr_scheduler", names=", ".join(sorted({*names, *[cls.__name__] * inside}))
    )
    if inside:
        return text
    line = f"from optimkit.{module_of(cls)} import {cls.__name__}\n"
    return text.replace("\n\nweights", f"\n{line}\nweights", 1)


def run(program: str) -> tuple[str, dict[str, Any]]:
    """Run a program; return what it prints, and its names."""
    names: dict[str, Any] = {"__name__": "recipe"}
    output = io.StringIO()
    with contextlib.redirect_stdout(output), warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(program, "<recipe>", "exec"), names)
    return output.getvalue(), names
