"""What functions need of an array library beside its adapter: NumPy's, and where the others' is."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from optimkit.backends.adapters import Adapter


class ArrayLibrary:
    """What is to be done with the arrays of a library: 0-d ones in float64, and others. NumPy's.

    Attributes
    ----------
    rank : int
        Of several libraries in a call the one of the highest rank decides what numbers are kept as.
    """

    rank = 0

    def computing(self) -> AbstractContextManager[Any]:
        """Return the context in which the rest is done."""
        return nullcontext()

    def double(self, x: Any) -> Any:
        return np.asarray(x, np.float64)

    def rounded(self, x: Any, like: Any) -> Any:
        return x.astype(like.dtype)

    def sort_of(self, like: Any) -> Any:
        """What decides `rounded`."""
        return like.dtype

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        return np.where(condition, x, y)

    def power(self, x: Any, y: Any) -> Any:
        return np.power(x, y)

    def function(self, name: str, x: Any) -> Any:
        return getattr(np, name)(x)

    def float32(self, x: Any) -> Any:
        return x.astype(np.float32).astype(np.float64)

    def span(self, x: Any) -> tuple[float, float]:
        """Where all values of a count lie."""
        return (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)

    def is_traced(self, x: Any) -> bool:
        """Whether an array has no value yet, or one that a derivative is taken by."""
        return False

    def adapter(self, traced: bool) -> Adapter | None:
        """The adapter whose views a rule can compute with, if it is not the usual one."""
        return None

    def taken(self, x: Any) -> Any:
        """An array of another library as one of this, where that is meant."""
        return x

    def count(self, number: int) -> Any:
        """A number of steps, as a state has it."""
        return number

    def precision(self) -> Any:
        """The dtype of other numbers, as the user has it set."""
        return None

    def number(self, value: Any, dtype: Any) -> Any:
        """Another number, as a state has it or a schedule returns it."""
        return value


MODULES = {"jax": "jax_arrays", "torch": "tensors"}


@cache
def _library_of_type(kind: type) -> ArrayLibrary:
    roots = {base.__module__.partition(".")[0] for base in kind.__mro__}
    for root, module in MODULES.items():
        if root in roots:
            found: ArrayLibrary = import_module(f"optimkit.functional.{module}").LIBRARY
            return found
    return NUMPY


def library_of(x: Any) -> ArrayLibrary:
    """Return the library of an array; that of NumPy for all that are not traced."""
    return _library_of_type(type(x))  # type: ignore[arg-type]  # a type is hashable


NUMPY = ArrayLibrary()


__all__ = ["NUMPY", "ArrayLibrary", "library_of"]
