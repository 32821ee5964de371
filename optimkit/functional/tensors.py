"""torch tensors that autograd or a transform of torch.func follows: by torch's own operations."""

from __future__ import annotations

from typing import Any

import array_api_compat.torch as xp
import numpy as np
import torch
from torch import Tensor

from optimkit.backends.adapters import Adapter
from optimkit.backends.autograd.adapter import FollowedTensors
from optimkit.backends.autograd.root import root
from optimkit.functional.libraries import ArrayLibrary
from optimkit.functional.namespace import Namespace


class _Torch(ArrayLibrary):
    rank = 1

    def double(self, x: Any) -> Any:
        return (
            x.to(torch.float64) if isinstance(x, Tensor) else torch.tensor(x, dtype=torch.float64)
        )

    def rounded(self, x: Any, like: Any) -> Any:
        return x.to(like.device, like.dtype)

    def sort_of(self, like: Any) -> Any:
        return like.device, like.dtype

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        return torch.where(condition, x, y)

    def power(self, x: Any, y: Any) -> Any:
        return torch.pow(x, y)

    def function(self, name: str, x: Any) -> Any:
        return getattr(torch, name)(x)

    def float32(self, x: Any) -> Any:
        return x.float().double()

    def span(self, x: Any) -> tuple[float, float]:
        return 0.0, np.inf

    def is_traced(self, x: Any) -> bool:
        return bool(
            torch._C._functorch.is_functorch_wrapped_tensor(x)
            or (x.requires_grad and torch.is_grad_enabled())
        )

    def adapter(self, traced: bool) -> Adapter | None:
        return ADAPTER if traced else None

    def count(self, number: int) -> Any:
        return torch.tensor(number)

    def number(self, value: Any, dtype: Any) -> Any:
        return self.double(value)


NAMESPACE = Namespace(xp, root)


class FunctionalTensors(FollowedTensors):
    """Tensors whose operations autograd or a transform follows."""

    def namespace(self, view: Any) -> Any:
        return NAMESPACE

    def wrap(self, view: Any, like: Any = None) -> Any:
        if like is None or not like.is_complex() or view.shape != (*like.shape, 2):
            return view
        return torch.view_as_complex(view.contiguous())


LIBRARY, ADAPTER = _Torch(), FunctionalTensors()
