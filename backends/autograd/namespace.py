"""The Array API that autograd records: torch's, save where it loses bits or derivatives."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import array_api_compat.torch as compat
import numpy as np
import torch
from torch import Tensor

from optimkit.backends.autograd.scalar import RecordedScalar


class Root(torch.autograd.Function):
    """The square root, correctly rounded, whose derivative at zero is taken for 0.

    It is infinite there. What a rule computes from the root of a sum of squares has a derivative at
    zero all the same, and this one: that of x / (sqrt(x^2) + eps) is 1 / eps.
    """

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        if not x.is_cpu:
            return torch.sqrt(x)
        root = torch.empty_like(x)
        with np.errstate(all="ignore"):
            np.sqrt(x.numpy(), out=root.numpy())  # torch's own is a bit off at times
        return root

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (root,) = ctx.saved_tensors
        return _along(root, grads[0])

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        (root,) = ctx.saved_tensors
        return _along(root, tangents[0])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], x: Tensor) -> tuple[Tensor, int | None]:
        return Recorded.sqrt(x), in_dims[0]


def _along(root: Tensor, direction: Tensor) -> Tensor:
    zero = root == 0
    slope = direction / (2 * torch.where(zero, 1, root))
    return torch.where(zero, 0, slope)


class Recorded:
    """The namespace that a rule is given. Its functions take Scalars where they take numbers."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(compat, name)
        if not callable(found) or isinstance(found, type):
            return found
        taking = _taking_scalars(found)
        setattr(self, name, taking)
        return taking

    @staticmethod
    def sqrt(x: Tensor) -> Tensor:
        root: Tensor = Root.apply(x)  # type: ignore[no-untyped-call]
        return root

    @staticmethod
    def full_like(x: Tensor, fill_value: Any, **options: Any) -> Tensor:
        if isinstance(fill_value, RecordedScalar):
            fill_value = fill_value.beside(x)
        if isinstance(fill_value, Tensor):
            return torch.zeros_like(x, **options) + fill_value
        return torch.full_like(x, fill_value, **options)

    @staticmethod
    def asarray(x: Any, *, dtype: Any = None, copy: bool | None = None, **options: Any) -> Tensor:
        if not isinstance(x, Tensor):
            return torch.asarray(x, dtype=dtype, **options)
        return x.to(dtype=dtype or x.dtype, copy=bool(copy), **options)


def _taking_scalars(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def taking(*args: Any, **kwargs: Any) -> Any:
        given = (*args, *kwargs.values())
        array = next((x for x in given if isinstance(x, Tensor) and x.is_floating_point()), None)
        if array is not None and any(isinstance(x, RecordedScalar) for x in given):
            args = tuple(x.beside(array) if isinstance(x, RecordedScalar) else x for x in args)
            kwargs = {
                k: x.beside(array) if isinstance(x, RecordedScalar) else x
                for k, x in kwargs.items()
            }
        return function(*args, **kwargs)

    return taking


NAMESPACE = Recorded()
