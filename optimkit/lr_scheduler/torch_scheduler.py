"""A scheduler over a torch optimizer is torch's LRScheduler as well."""

from __future__ import annotations

import torch.optim.lr_scheduler as torchs

from optimkit.torch_class import TorchClass


class TorchScheduler(TorchClass):
    """What is different in it is its class alone."""

    @classmethod
    def torch_base(cls, kind: type) -> type:
        made: type = getattr(torchs, kind.torch_name)  # type: ignore[attr-defined]
        return made
