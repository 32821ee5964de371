"""Every optimizer as a class that is a torch.optim.Optimizer, for code that asks for classes.

``optimkit.torch.AdamW`` is what ``type(optimkit.AdamW(tensors))`` is: a subclass of both
:class:`optimkit.AdamW` and ``torch.optim.Optimizer`` that holds torch tensors alone.

Examples
--------
>>> import torch, optimkit, optimkit.torch
>>> issubclass(optimkit.torch.AdamW, torch.optim.Optimizer)
True
>>> type(optimkit.AdamW([torch.ones(2)])) is optimkit.torch.AdamW
True
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from optimkit.optimizer import Optimizer
from optimkit.torch_optimizer import TorchOptimizer


def _is_rule(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Optimizer)


def of(rule: type[Optimizer]) -> type[Optimizer]:
    """Return the class of an optimizer class that is a ``torch.optim.Optimizer`` as well.

    Parameters
    ----------
    rule : type
        A subclass of :class:`optimkit.Optimizer`, your own or optimkit's.

    Returns
    -------
    type
        Its subclass, the same at every call.

    Raises
    ------
    TypeError
        If `rule` is something else.
    """
    if not _is_rule(rule):
        raise TypeError(f"optimkit.torch.of takes a class of optimizers, not {rule!r}")
    return TorchOptimizer.of(rule)


def __getattr__(name: str) -> Any:
    rule: Any = getattr(import_module("optimkit"), name, None)
    if not _is_rule(rule):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return of(rule)


def __dir__() -> list[str]:
    """The optimizers, and `of`."""
    public = import_module("optimkit")
    return ["of", *(name for name in public.__all__ if _is_rule(getattr(public, name)))]
