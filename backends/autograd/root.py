"""The square root of torch tensors, correctly rounded, with a derivative everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from optimkit.backends.adapters.torch import NUMPY_DTYPES


class Root(torch.autograd.Function):
    """The square root as IEEE 754 has it, whose derivative at zero is taken for 0.

    It is infinite there. What a rule computes from the root of a sum of squares has a derivative at
    zero all the same, and this one: that of x / (sqrt(x^2) + eps) is 1 / eps.
    """

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        if not (x.is_cpu and x.dtype in NUMPY_DTYPES):
            return torch.sqrt(x)
        with np.errstate(all="ignore"):  # torch's own is a bit off at times
            return torch.from_numpy(np.asarray(np.sqrt(x.detach().numpy())))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return _along(ctx.saved_tensors[0], grads[0])

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return _along(ctx.saved_tensors[0], tangents[0])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], x: Tensor) -> tuple[Tensor, int | None]:
        return root(x), in_dims[0]


def _along(root: Tensor, direction: Tensor) -> Tensor:
    zero = root == 0
    slope = direction / (2 * torch.where(zero, 1, root))
    return torch.where(zero, 0, slope)


root: Any = Root.apply

__all__ = ["root"]
