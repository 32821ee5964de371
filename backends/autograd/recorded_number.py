"""Numbers that carry derivatives: what a rule is given for an option that is a tensor."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

Binary = Callable[[Any, Any], Any]
SMALLEST = sys.float_info.min * sys.float_info.epsilon  # above zero


def _arithmetic(compute: Binary) -> tuple[Binary, Binary]:
    """An operator of two operands, and its reflection."""

    def combined(x: Any, y: Any) -> Any:
        array = next((z for z in (x, y) if isinstance(z, Tensor)), None)
        if array is not None:
            return compute(
                *(z.beside(array) if isinstance(z, RecordedNumber) else z for z in (x, y))
            )
        if not all(isinstance(z, Real | RecordedNumber) for z in (x, y)):
            return NotImplemented
        number = compute(*(z.number if isinstance(z, RecordedNumber) else z for z in (x, y)))
        tensor = compute(
            *(z.tensor if isinstance(z, RecordedNumber) else _tensor(z) for z in (x, y))
        )
        if compute is operator.pow and (missing := number - tensor.item()):
            tensor = tensor + missing  # torch's powers may be a bit off; so the sum is exact
        return RecordedNumber(number, tensor)

    return combined, lambda x, y: combined(y, x)


def _order(compare: Binary) -> Binary:
    def compared(x: RecordedNumber, y: Any) -> Any:
        if isinstance(y, Tensor):
            return compare(x.beside(y), y)
        return compare(
            *(z.number or SMALLEST if isinstance(z, RecordedNumber) else z for z in (x, y))
        )

    return compared


def _tensor(number: float) -> Tensor:
    return torch.tensor(number, dtype=torch.float64, device="cpu")


class RecordedNumber:
    """A number that computes as a Python float does, to the bit, and carries derivatives.

    To comparisons it is equal to no number, and zero is a little above zero: where an option is 0
    or 1, a rule leaves out what it is multiplied by, and the derivative with it.

    Parameters
    ----------
    number : float
    tensor : Tensor
        The same number in float64, without axes, on the CPU.
    """

    __slots__ = ("number", "tensor")

    def __init__(self, number: float, tensor: Tensor) -> None:
        self.number, self.tensor = number, tensor

    @classmethod
    def of(cls, x: Tensor) -> RecordedNumber:
        """The one number in a tensor."""
        with torch.enable_grad():  # as all of a step
            own = x.reshape(()).to("cpu", torch.float64, copy=True)  # the user may write to theirs
        return cls(own.item(), own)

    def beside(self, array: Tensor) -> Tensor:
        """The number as it takes part in arithmetic with an array: rounded to its dtype."""
        return self.tensor.to(array.dtype)

    __add__, __radd__ = _arithmetic(operator.add)
    __sub__, __rsub__ = _arithmetic(operator.sub)
    __mul__, __rmul__ = _arithmetic(operator.mul)
    __truediv__, __rtruediv__ = _arithmetic(operator.truediv)
    __pow__, __rpow__ = _arithmetic(operator.pow)
    __lt__, __le__ = _order(operator.lt), _order(operator.le)
    __gt__, __ge__ = _order(operator.gt), _order(operator.ge)

    def __eq__(self, other: object) -> Any:
        return self.beside(other) == other if isinstance(other, Tensor) else self is other

    __hash__ = object.__hash__

    def __neg__(self) -> RecordedNumber:
        return RecordedNumber(-self.number, -self.tensor)

    def __abs__(self) -> RecordedNumber:
        return RecordedNumber(abs(self.number), abs(self.tensor))

    def float32(self) -> RecordedNumber:
        """The number as it is: rounding it has no derivative."""
        return self

    def __float__(self) -> float:
        raise TypeError(
            f"{self.number!r}, an option or a number of the state, carries derivatives, which a "
            "float does not: a rule computes with it by + - * / ** and abs, not by math"
        )

    def __repr__(self) -> str:
        return f"RecordedNumber({self.number!r})"


def carries(x: Any) -> bool:
    """Whether a tensor carries derivatives: backward, or forward as a dual number does."""
    return isinstance(x, Tensor) and (x.requires_grad or unpack_dual(x).tangent is not None)  # type: ignore[no-untyped-call]


__all__ = ["RecordedNumber", "carries"]
