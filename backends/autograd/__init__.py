"""Arithmetic that torch's autograd records, with the bits that the reference has."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from optimkit.backends.adapters import adapter_of

if TYPE_CHECKING:
    from optimkit.backends.autograd.adapter import RecordingAdapter


def recording_adapter_of(x: Any) -> RecordingAdapter:
    """Return the adapter with which a step on `x` is recorded; TypeError if `x` is no tensor."""
    adapter_of(x)
    if not _is_tensor(x):
        raise TypeError(
            f"differentiable=True takes torch tensors, not a {type(x).__module__}."
            f"{type(x).__qualname__}, which keeps no derivatives; optimkit.functional has the pure "
            "step that jax.grad differentiates"
        )
    from optimkit.backends.autograd.adapter import ADAPTER

    return ADAPTER


def with_derivatives(number: Any, given: Any) -> Any:
    """Return `number`, or a pair of them, with the derivatives that `given` carries.

    It is what a user has given for it: a number, a tensor, or a pair of these.
    """
    if isinstance(given, tuple | list):
        return tuple(map(with_derivatives, number, given))
    if not _is_tensor(given):
        return number
    from optimkit.backends.autograd.recorded_number import RecordedNumber, carries

    return RecordedNumber.of(given) if carries(given) else number


def _is_tensor(x: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


__all__ = ["recording_adapter_of", "with_derivatives"]
