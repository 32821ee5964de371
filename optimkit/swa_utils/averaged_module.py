"""Averages of a torch module, which are a torch module."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch

from optimkit.swa_utils.averages import COPY, Averager
from optimkit.swa_utils.averaging import Averaging


class AveragedModule(torch.nn.Module, Averaging):
    """What :class:`optimkit.swa_utils.AveragedModel` makes of a torch module."""

    def __init__(
        self,
        model: torch.nn.Module,
        device: Any = None,
        avg_fn: Callable[[Any, Any, Any], Any] | None = None,
        multi_avg_fn: Callable[[Any, Any, Any], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        self._begin(avg_fn, multi_avg_fn, use_buffers)
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", torch.tensor(0, device=device or "cpu"))

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()  # type: ignore[no-untyped-call]
        return {k: v for k, v in state.items() if k != "_averagers"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._averagers = Averager(), Averager()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the averaged module."""
        return self.module(*args, **kwargs)

    def _columns(self, model: Any) -> tuple[list[Any], list[Any]]:
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"averages of a module need the module, not a {type(model).__name__}")
        modules = self.module, model
        buffers = [module.buffers() if self.use_buffers else () for module in modules]
        averages, current = (
            [*module.parameters(), *more] for module, more in zip(modules, buffers, strict=True)
        )
        return averages, current

    def _beside(self, model: Any) -> list[Callable[[], None]]:
        if self.use_buffers:
            return []
        _, buffers = self._averagers
        return [buffers.ready(COPY, list(self.module.buffers()), list(model.buffers()), 0)]
