"""torch tensors that autograd or a transform of torch.func follows: by torch's own operations."""

from __future__ import annotations

from typing import Any

import array_api_compat.torch as xp
import numpy as np
import torch
from torch import Tensor

from optimkit.backends.adapters import Adapter
from optimkit.backends.adapters.torch import NUMPY_DTYPES, TorchAdapter
from optimkit.functional.libraries import ArrayLibrary
from optimkit.functional.namespace import Namespace


class _Root(torch.autograd.Function):
    """The square root as IEEE 754 has it, which torch's on the CPU is not; its derivative at zero
    is zero."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        if x.is_cpu and x.dtype in NUMPY_DTYPES:
            with np.errstate(invalid="ignore"):
                return torch.from_numpy(np.asarray(np.sqrt(x.detach().numpy())))
        return torch.sqrt(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def _slope(root: Tensor) -> Tensor:
        zero = root == 0
        return torch.where(zero, 0.0, 0.5 / torch.where(zero, 1.0, root))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * _Root._slope(ctx.saved_tensors[0])

    @staticmethod
    def jvp(ctx: Any, change: Tensor) -> Tensor:
        return change * _Root._slope(ctx.saved_tensors[0])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int], x: Tensor) -> tuple[Tensor, int]:
        return root(x), in_dims[0]


root: Any = _Root.apply


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


class FollowedTensors(TorchAdapter):
    """Tensors whose operations are followed: a view is a tensor, and stays attached."""

    def view(self, x: Any) -> Any:
        if x.is_complex():
            x = torch.view_as_real(x.resolve_conj())
        return x.resolve_neg()

    def namespace(self, view: Any) -> Any:
        return NAMESPACE

    def wrap(self, view: Any, like: Any = None) -> Any:
        if like is None or not like.is_complex() or view.shape != (*like.shape, 2):
            return view
        return torch.view_as_complex(view.contiguous())

    def check_gradient(self, grad: Any) -> None:
        if grad.layout is not torch.strided:
            raise RuntimeError("its gradient is sparse")


LIBRARY, ADAPTER = _Torch(), FollowedTensors()
