"""What is explained: by its name, or a class of one's own by its file."""

from __future__ import annotations

from pathlib import Path

import optimkit as ok
from optimkit import lr_scheduler
from optimkit.validation.arguments import Refusal
from optimkit.validation.explain.subjects import checked_rule, find, optimizers, schedulers
from optimkit.validation.loading import load, raised


def subject_of(text: str) -> type:
    """What a name says, or ``FILE.py:NAME``.

    Raises
    ------
    Refusal
        If that is neither an optimizer nor a scheduler.
    """
    if ":" not in text and not text.endswith(".py"):
        return find(text)
    found = load(text, "class")
    if isinstance(found, type) and issubclass(found, lr_scheduler.LRScheduler):
        return found
    if not (isinstance(found, type) and issubclass(found, ok.Optimizer)):
        raise Refusal(
            f"{text} is no class that derives from optimkit.Optimizer or from a scheduler; "
            "optimkit compare holds other code against a rule"
        )
    try:
        return checked_rule(found)
    except ValueError as error:
        raise Refusal(f"{text}: {error}") from None


def is_ours(subject: type) -> bool:
    """Whether a class is one of optimkit's."""
    return subject in (*optimizers().values(), *schedulers().values())


def refusal(text: str, error: Exception) -> Refusal:
    """Why what `text` says cannot be explained; of one's own with the line of its file."""
    place, own, _ = text.rpartition(":")
    return Refusal(raised(error, Path(place)) if own else str(error))
