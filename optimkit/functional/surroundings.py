"""What a call is about: libraries, whether they trace, and so how arrays and numbers are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from optimkit.backends.adapters import Adapter, adapter_of
from optimkit.backends.memory import is_array
from optimkit.functional.libraries import NUMPY, library_of
from optimkit.functional.scalars import Scalar


def is_unknown(value: Any) -> bool:
    """Whether an option is a number that is not known, or has one."""
    return next(scalars_in([value]), None) is not None


def scalars_in(values: Iterable[Any]) -> Iterator[Scalar]:
    """The numbers that are not known, among options."""
    for value in values:
        if isinstance(value, Scalar):
            yield value
        elif isinstance(value, tuple | list):
            yield from scalars_in(value)


class Surroundings:
    """The libraries of a call.

    Where anything is JAX's, numbers of the state are JAX arrays and NumPy's arrays are taken as
    such; else, where anything is torch's, they are tensors; else they are Python's.
    """

    def __init__(
        self, arrays: Iterable[Any], options: Mapping[str, Any], native: bool = False
    ) -> None:
        self._native = native  # whether a rule is called with torch's tensors as they are
        arrays = [x for x in arrays if is_array(x)]
        numbers = list(scalars_in(options.values()))
        self._traced = {library_of(x) for x in arrays if library_of(x).is_traced(x)}
        self._traced |= {x.library for x in numbers}
        found = self._traced | set(map(library_of, arrays))
        self.library = max(found, key=lambda library: library.rank, default=NUMPY)
        self._precision = self.library.precision()

    @contextmanager
    def computing(self) -> Iterator[None]:
        """The context in which rules compute."""
        with np.errstate(all="ignore"), self.library.computing():
            yield

    def taken(self, x: Any) -> Any:
        """Return what a rule is called with for what a user has."""
        return x if x is None else self.library.taken(x)

    def adapter(self, x: Any) -> Adapter:
        """Return the adapter for an array."""
        library = library_of(x)
        return library.adapter(self._native or library in self._traced) or adapter_of(x)

    def kept(self, value: Any) -> Any:
        """Return what a state has of an entry: a number as the library keeps it, () for none."""
        if value is None:
            return ()  # which JAX and torch map over, unlike torch over None
        if is_array(value) or isinstance(value, str):
            return value
        number = value.double if isinstance(value, Scalar) else value
        return self.library.number(number, self._precision)


__all__ = ["Surroundings", "is_unknown"]
