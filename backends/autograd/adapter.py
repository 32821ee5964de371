"""torch tensors as autograd sees them: by how they came about, not by their memory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from optimkit.backends.adapters.torch import TorchAdapter, check_elements, is_wrapper
from optimkit.backends.autograd.namespace import NAMESPACE
from optimkit.backends.autograd.recorded_number import RecordedNumber, carries
from optimkit.backends.memory import is_array


class FollowedTensors(TorchAdapter):
    """Views are tensors that remember what they are views of."""

    def native(self, x: Any) -> Any:
        if x.is_complex():
            x = torch.view_as_real(x.resolve_conj())
        return x.resolve_neg()

    def view(self, x: Any) -> Any:
        return self.native(x)

    def check_gradient(self, grad: Any) -> None:
        if grad.layout is not torch.strided:
            raise RuntimeError("its gradient is sparse; give grad.to_dense()")


class RecordingAdapter(FollowedTensors):
    """Tensors in which autograd records a step."""

    def check_parameter(self, x: Any) -> None:
        check_elements(x)  # it need be no leaf, nor have memory of its own
        if is_wrapper(x):
            raise TypeError(
                "it is a meta, fake or wrapper tensor, on which no step is recorded; a DTensor has "
                "a plain one in full_tensor() and to_local()"
            )

    def check_target(self, x: Any, count: Any) -> None:
        """Raise RuntimeError for what autograd does not let change in place, and, as torch, for a
        count that asks for derivatives."""
        leaf = x._base if x._is_view() else x
        if leaf.requires_grad and leaf.is_leaf:
            kind = "a view of a leaf" if leaf is not x else "a leaf"
            raise RuntimeError(
                f"it is {kind} that requires grad, which a differentiable step cannot change; give "
                "the optimizer what is made from it: param.clone()"
            )
        if isinstance(count, torch.Tensor) and count.requires_grad:
            raise RuntimeError("`requires_grad` is not supported for `step` in differentiable mode")

    def namespace(self, view: Any) -> Any:
        return NAMESPACE

    def number(self, x: Any) -> Any:
        return x if carries(x) else x.item()

    def entry(self, value: Any, like: Any) -> Any:
        """Return what is kept of an entry of a state."""
        if isinstance(value, RecordedNumber):
            return value.tensor
        return self.wrap(value, like) if is_array(value) else value

    def write(self, x: Any, view: Any, value: Any) -> None:
        with torch.enable_grad():
            x.copy_(value)

    def take(self, x: Any) -> Any:
        """Return a copy of a tensor with its history, which the tensor itself then has no more."""
        with torch.enable_grad():
            copy = x.clone()
        x.detach_()
        return copy

    def divide_gradients(self, params: Sequence[Any], number: int) -> None:
        with torch.enable_grad():
            for param in params:
                param.grad = self.divided(param.grad, number)

    def running_on(self, x: Any) -> AbstractContextManager[Any]:
        if torch.is_inference_mode_enabled():
            raise RuntimeError("autograd records nothing inside torch.inference_mode")
        if x.is_cuda and self.is_capturing(x.device.index):
            raise RuntimeError("a differentiable step cannot be captured in a CUDA graph")
        return torch.enable_grad()


ADAPTER = RecordingAdapter()
