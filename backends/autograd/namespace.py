"""The Array API that autograd records: torch's, save where it loses bits or derivatives."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import array_api_compat.torch as compat
import torch
from torch import Tensor

from optimkit.backends.autograd.recorded_number import RecordedNumber
from optimkit.backends.autograd.root import root


class Recorded:
    """The namespace that a rule is given. Its functions take a RecordedNumber for a number."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(compat, name)
        if not callable(found) or isinstance(found, type):
            return found
        taking = _taking_scalars(found)
        setattr(self, name, taking)
        return taking

    sqrt = staticmethod(root)

    @staticmethod
    def full_like(x: Tensor, fill_value: Any, **options: Any) -> Tensor:
        if isinstance(fill_value, RecordedNumber):
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
        if array is not None and any(isinstance(x, RecordedNumber) for x in given):
            args = tuple(x.beside(array) if isinstance(x, RecordedNumber) else x for x in args)
            kwargs = {
                k: x.beside(array) if isinstance(x, RecordedNumber) else x
                for k, x in kwargs.items()
            }
        return function(*args, **kwargs)

    return taking


def _beside(x: Any, array: Tensor) -> Any:
    return x.beside(array) if isinstance(x, RecordedNumber) else x


NAMESPACE = Recorded()
