"""A wrapper around a torch.optim.Optimizer is one as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from optimkit.torch_class import TorchClass
from optimkit.torch_optimizer import untraced

if TYPE_CHECKING:
    from optimkit.wrappers.base import Wrapper
else:
    Wrapper = object


class TorchWrapper(TorchClass, Wrapper):
    """First base of a wrapper's class, to which torch's is added."""

    @classmethod
    def torch_base(cls, kind: type) -> type:
        return torch.optim.Optimizer

    def _patch_step_function(self) -> None:
        """Do nothing where torch would wrap `step`: the optimizer inside calls hooks."""

    @untraced
    def step(self, closure: Any = None, *, grads: Any = None) -> Any:
        return super().step(closure, grads=grads)

    @untraced
    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)


__all__ = ["TorchWrapper"]
