"""The public names, by the chapter of the reference that they stand in."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import optimkit as ok
from optimkit.validation.explain.subjects import optimizers, schedulers


@dataclass(frozen=True)
class Chapter:
    """Names of the reference that belong together.

    Attributes
    ----------
    title, about : str
    module : str
        Where they are imported from.
    names : tuple of str
    """

    title: str
    about: str
    module: str
    names: tuple[str, ...]


def _public(module: str) -> tuple[str, ...]:
    return tuple(import_module(module).__all__)


def chapters() -> list[Chapter]:
    """What the reference is divided into, the pages of optimizers and schedulers left out."""
    apart = {*optimizers(), *schedulers()}
    base = ("Optimizer", "Parameter", "RowSparse")
    files = ("save", "load")
    clipping = ("clip_grad_norm_", "clip_grad_value_", "get_total_norm")
    wrappers = ("accumulate", "skip_nonfinite")
    engines = ("available_engines", "use_engine", "pure")
    known = {*base, *files, *clipping, *wrappers, *engines, *apart}
    rest = tuple(
        name
        for name in _public("optimkit")
        if name not in known and not inspect.ismodule(getattr(ok, name))
    )
    averages = tuple(name for name in _public("optimkit.swa_utils") if name not in apart)
    found = [
        Chapter("The base class", "What every optimizer is and has.", "optimkit", base),
        Chapter("Checkpoints in files", "State on disk, without pickle.", "optimkit", files),
        Chapter("Clipping", "Norms of gradients, and their limits.", "optimkit", clipping),
        Chapter("Wrappers", "Around an optimizer.", "optimkit", wrappers),
        Chapter(
            "What wrappers return",
            "",
            "optimkit.wrappers",
            ("Accumulation", "NonfiniteSkip"),
        ),
        Chapter("Engines", "What runs a rule.", "optimkit", engines),
        Chapter("Averages", "Of a model's parameters.", "optimkit.swa_utils", averages),
        Chapter(
            "Rules as functions",
            "Nothing is changed in place.",
            "optimkit.functional",
            ("of", "Transformation"),
        ),
        Chapter(
            "Schedules as functions",
            "",
            "optimkit.functional.schedules",
            ("Schedule", "sequential"),
        ),
        Chapter("Classes of torch", "", "optimkit.torch", ("of",)),
        Chapter("Comparing", "", "optimkit.validation", ("compare", "Outcome")),
        Chapter("Others", "", "optimkit", rest),
    ]
    return [chapter for chapter in found if chapter.names]


def subject(module: str, name: str) -> Any:
    """The thing that is called so."""
    return getattr(import_module(module), name)
