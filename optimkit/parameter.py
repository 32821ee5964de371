"""An array with a place for its gradient."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from optimkit.typing import Array

Data = TypeVar("Data", bound=Array)


class Parameter(Generic[Data]):
    """An array to be optimized, and its gradient.

    Parameters
    ----------
    data : array
        The array itself, not a copy; any array with an Array API namespace and item assignment.
    name : str, optional
        Name in error messages and in gradients given by name.

    Attributes
    ----------
    data : array
        Updated in place by an optimizer.
    grad : array or None
        Gradient of the loss, of the shape and dtype of `data`; an optimizer leaves a parameter
        without gradient alone.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> weights = ok.Parameter(np.array([1.0, -2.0]), name="weights")
    >>> optimizer = ok.SGD([weights], lr=0.5)
    >>> weights.grad = 2 * weights.data
    >>> optimizer.step()
    >>> weights.data
    array([0., 0.])
    """

    __slots__ = ("__weakref__", "data", "grad", "name")

    def __init__(self, data: Data, *, name: str | None = None) -> None:
        if not hasattr(data, "shape"):
            raise TypeError(f"Parameter: data must be an array, not a {type(data).__name__}")
        self.data = data
        self.grad: Any = None
        self.name = name

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.data.shape)

    @property
    def dtype(self) -> Any:
        return self.data.dtype

    def __repr__(self) -> str:
        named = "" if self.name is None else f", name={self.name!r}"
        return f"Parameter({self.data!r}{named})"


def array_of(param: Any) -> Any:
    """Return the array that a parameter is, or holds."""
    return param.data if isinstance(param, Parameter) else param


def is_torchs(x: Any) -> bool:
    """Whether this is one of torch's tensors; nothing is imported to look."""
    return isinstance(x, getattr(sys.modules.get("torch"), "Tensor", ()))


def gradients_of(params: Sequence[Any]) -> list[Any]:
    """Return the gradients that parameters keep."""
    try:
        return [param.grad for param in params]
    except AttributeError:
        kind = next(type(param).__name__ for param in params if not hasattr(param, "grad"))
        raise TypeError(
            f"a {kind} has no .grad: give step(grads=[...]), or wrap it in optimkit.Parameter"
        ) from None
