"""Learning rates over the steps of a scheduler: the values, and pictures of them."""

from __future__ import annotations

import inspect
import textwrap
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from optimkit import lr_scheduler
from optimkit.replacing import replacing
from optimkit.validation.arguments import Refusal
from optimkit.validation.explain.subjects import Options, signature


@dataclass
class Curve:
    """An example of a scheduler.

    Attributes
    ----------
    call : str
        How it was made.
    lrs, momenta : list of float
        By step; no momenta if the scheduler leaves them alone.
    """

    call: str
    lrs: list[float]
    momenta: list[float]


class _Falling:
    """The factor ``1 - t / steps``, as an example of a user's function."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, t: int) -> float:
        return 1 - t / self.steps

    def __repr__(self) -> str:
        return f"lambda t: 1 - t / {self.steps}"


def _example_options(cls: type, steps: int, given: Options) -> Options:
    """Options for a curve of so many steps, where there is no default or it is for longer runs."""
    quarter = max(steps // 4, 1)
    lengths = {"total_iters": max(steps // 2, 1), "step_size_up": quarter}
    if "epochs" not in given:
        lengths["total_steps"] = steps
    needed = {
        "T_max": steps,
        "T_0": quarter,
        "step_size": quarter,
        "milestones": [steps // 2, 3 * steps // 4],
        "gamma": 0.95,
        "base_lr": 0.01,
        "max_lr": 0.1,
        "swa_lr": 0.02,
        "lr_lambda": _Falling(steps),
    }
    required = {
        name: needed[name]
        for name, parameter in signature(cls).items()
        if parameter.default is inspect.Parameter.empty and name in needed
    }
    usual = {name: n for name, n in lengths.items() if name in signature(cls)}
    return required | usual | given


def _example(cls: type, optimizer: Any, steps: int, given: Options) -> tuple[Any, str]:
    """Make a scheduler on `optimizer`, and say how."""
    module = lr_scheduler
    if given and cls in (module.SequentialLR, module.ChainedScheduler):
        raise Refusal(f"--option: the curve of {cls.__name__} is a fixed example")
    quarter = max(steps // 4, 1)
    if cls is module.SequentialLR:
        warm_up = module.LinearLR(optimizer, start_factor=0.1, total_iters=quarter)
        anneal = module.CosineAnnealingLR(optimizer, T_max=max(steps - quarter, 1))
        names = f"[LinearLR, CosineAnnealingLR], milestones=[{quarter}]"
        return cls(optimizer, [warm_up, anneal], milestones=[quarter]), names
    if cls is module.ChainedScheduler:
        held = module.ConstantLR(optimizer, factor=0.5, total_iters=quarter)
        decay = module.ExponentialLR(optimizer, gamma=0.98)
        return cls([held, decay]), f"[ConstantLR({quarter} steps), ExponentialLR]"
    options = _example_options(cls, steps, given)
    shown = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return cls(optimizer, **options), shown


def curve(cls: type, steps: int | None = None, given: Options | None = None) -> Curve | None:
    """Run a scheduler over an initial rate of 0.1; None if it has no formula of its own.

    The rates are those of the steps from 0 to `steps`; a cycle of a given length ends before.
    """
    if cls is lr_scheduler.LRScheduler:
        return None
    given = given or {}
    steps = given.get("total_steps") or 100 if steps is None else steps
    group: dict[str, Any] = {"lr": 0.1, "momentum": 0.9}
    optimizer = SimpleNamespace(param_groups=[group], defaults=dict(group))
    scheduler, options = _example(cls, optimizer, steps, given)
    plateau = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
    if plateau:
        options = f"{options}, ".lstrip(", ") + "metric better for a third of the steps, then equal"
    lrs, momenta = [], []
    for t in range(min(steps + 1, getattr(scheduler, "total_steps", steps + 1))):
        lrs.append(float(group["lr"]))
        momenta.append(float(group["momentum"]))
        scheduler.step(*[max(1 - 3 * t / steps, 0.01)] * plateau)
    cycled = len(set(momenta)) > 1
    return Curve(f"{cls.__name__}({options})", lrs, momenta if cycled else [])


def chart(values: list[float], width: int, height: int = 4) -> list[str]:
    """Draw a curve with blocks; at the left its highest and its lowest value."""
    width = min(width - 10, len(values), 64)
    low, high = min(values), max(values)
    chosen = [values[round(i * (len(values) - 1) / max(width - 1, 1))] for i in range(width)]
    span = high - low or 1.0
    eighths = [1 + round((value - low) / span * (8 * height - 1)) for value in chosen]
    labels = [f"{high:.3g}", *[""] * (height - 2), f"{low:.3g}"]
    lines = []
    for row, label in zip(reversed(range(height)), labels, strict=True):
        blocks = "".join(" ▁▂▃▄▅▆▇█"[min(max(n - 8 * row, 0), 8)] for n in eighths)
        lines.append(f"{label:>8} {blocks}")
    last = f"step {len(values) - 1}"
    return [*lines, " " * 9 + "0" + last.rjust(max(width - 1, len(last) + 1))]


def check_plot(path: Path) -> None:
    """Refuse a plot that cannot be drawn, before anything is done."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise Refusal("--plot needs matplotlib: pip install 'optimkit[docs]'", 1) from None
    kinds = Figure().canvas.get_supported_filetypes()
    if path.suffix[1:] not in kinds:
        raise Refusal(f"--plot {path}: the name must end in .png, or .{', .'.join(kinds)}", 1)


def plot(shown: Curve, path: Path) -> None:
    """Write the curve as an image, momentum below the rate."""
    from matplotlib.figure import Figure

    panels = [("learning rate", shown.lrs, "#1f5fa8")]
    panels += [("momentum", shown.momenta, "#b3541e")] if shown.momenta else []
    figure = Figure(figsize=(7.5, 1.4 + 2.4 * len(panels)), layout="constrained")
    figure.suptitle("\n".join(textwrap.wrap(shown.call, 80)), fontsize=11)
    axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for ax, (label, values, color) in zip(axes, panels, strict=True):
        ax.plot(range(len(values)), values, color=color, linewidth=2, clip_on=False)
        ax.set_ylabel(label)
        ax.set_ylim(*_limits(values))
        ax.set_xlim(0, max(len(values) - 1, 1))
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("step")
    try:
        with replacing(path) as new:
            figure.savefig(new, dpi=150, format=path.suffix[1:])
    except OSError as error:
        raise Refusal(f"--plot {path}: {error.strerror or error}", 1) from None


def _limits(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    low = 0.0 if 0 <= low < 0.5 * high else low
    room = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    return (0.0 if low == 0 else low - room), high + room
