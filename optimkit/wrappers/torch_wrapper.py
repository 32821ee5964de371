"""A wrapper around a torch.optim.Optimizer is one as well."""

from __future__ import annotations

import torch

from optimkit.torch_class import TorchClass


class TorchWrapper(TorchClass):
    """First base of a wrapper's class, to which torch's is added."""

    @classmethod
    def torch_base(cls, kind: type) -> type:
        return torch.optim.Optimizer

    def _patch_step_function(self) -> None:
        """Do nothing where torch would wrap `step`: the optimizer inside calls hooks."""


__all__ = ["TorchWrapper"]
