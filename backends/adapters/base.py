"""What an adapter must tell of the arrays of one library."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, lru_cache
from typing import Any, NamedTuple

import array_api_compat as compat
import numpy as np

from optimkit.backends.adapters.headers import FEW
from optimkit.backends.sparse import Entries

Addresses = np.ndarray[Any, np.dtype[np.int64]] | list[int]  # a list where they are few


class Layout(NamedTuple):
    """How an array lies in memory, complex numbers counted as two reals."""

    dtype: str
    device: str
    size: int
    dense: bool


@cache
def _namespace_of(kind: type) -> Any:
    """The namespace of NumPy's own arrays, found once."""
    return compat.array_namespace(np.empty(0)) if kind is np.ndarray else None


class Geometry(NamedTuple):
    """The address of the first element, shape, strides and size of an element in bytes."""

    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    itemsize: int

    @property
    def extent(self) -> tuple[int, int]:
        """The first address and the address after the last; (0, 0) without elements."""
        low, high = reach(self.shape, self.strides, self.itemsize)
        return (self.start + low, self.start + high) if low < high else (0, 0)


class Watch:
    """What the arrays of a column were like: whether others, or the same later, are so too."""

    def __init__(self, adapter: Adapter, arrays: list[Any]) -> None:
        self._adapter, self._seen = adapter, adapter.signatures(arrays)
        self._places = address_key(adapter.places(arrays))

    def addresses(self, arrays: list[Any]) -> Addresses | None:
        """Where each array begins, if all are like those that were noted; else None."""
        if self._adapter.signatures(arrays) != self._seen:
            return None
        return self._adapter.places(arrays)

    def still(self, arrays: list[Any]) -> bool:
        """Whether these, the same objects as were noted, are like that and where they were."""
        found = self.addresses(arrays)
        return found is not None and address_key(found) == self._places


def address_key(addresses: Addresses) -> Any:
    """Addresses in a form that is good for ``==``."""
    return addresses.tobytes() if isinstance(addresses, np.ndarray) else addresses


class Adapter(ABC):
    """The arrays of one library.

    A *view* is an Array API array on the memory of the user's array, with a trailing axis of length
    2 in place of complex numbers. Views are made and thrown away; only `write` is sure to reach the
    user's array.
    """

    stays = False  # whether arrays keep their memory for as long as they are
    spreads = False  # whether arrays may have their elements in several processes

    @abstractmethod
    def owns(self, x: Any) -> bool:
        """Whether `x` is an array of this library, of a kind that can be updated in place."""

    @abstractmethod
    def check_parameter(self, x: Any) -> None:
        """Raise the error that says why `x` cannot be optimized, if it cannot."""

    @abstractmethod
    def signature(self, x: Any) -> Hashable:
        """Everything that must be the same for two arrays to be walked through side by side."""

    def signatures(self, arrays: Sequence[Any]) -> Any:
        """The signatures of many arrays, in a form that is good for ``==`` alone."""
        return list(map(self.signature, arrays))

    def watch(self, arrays: list[Any], exact: bool = False) -> Watch:
        """Note what these arrays are like.

        With `exact`, those that are looked at later are the same objects, which may only have been
        given other memory or another shape, or been closed to writing.
        """
        return Watch(self, arrays)

    @abstractmethod
    def layout(self, x: Any) -> Layout:
        """Describe the memory of `x`."""

    def plain(self, arrays: Sequence[Any]) -> list[Layout] | None:
        """The layouts of many arrays, if all are such as compiled loops run over, and it is quicker
        to find out for all at once."""
        return None

    @abstractmethod
    def addresses(self, arrays: Sequence[Any]) -> list[int]:
        """Where each array begins, as a number."""

    def places(self, arrays: list[Any]) -> Addresses:
        """The same, in an array where they are many."""
        found = self.addresses(arrays)
        return found if len(found) <= FEW else np.array(found, np.int64)

    @abstractmethod
    def geometry(self, x: Any) -> Geometry:
        """Where the elements of `x` are."""

    def extent(self, x: Any) -> tuple[int, int]:
        """First address of `x` and the address after its last; (0, 0) if it has none."""
        return self.geometry(x).extent

    def share_memory(self, x: Any, y: Any) -> bool:
        """Whether an element of `x` is an element of `y`, given that their extents overlap."""
        return True

    @abstractmethod
    def describe(self, x: Any) -> tuple[tuple[int, ...], str, str]:
        """Shape, dtype and device of `x`, as a person names them."""

    @abstractmethod
    def view(self, x: Any) -> Any:
        """Return the view of `x`."""

    def native(self, x: Any) -> Any:
        """Return a view that the library itself computes with."""
        return self.view(x)

    def is_whole(self, arrays: Sequence[Any]) -> bool:
        """Whether this process has all elements of these arrays, so that views show them."""
        return True

    def spread_as(self, grad: Any, like: Any) -> Any:
        """Return a gradient spread over processes as its parameter is, if it is of this library."""
        return grad

    def settled(self, x: Any) -> Any:
        """Return `x` with nothing left to be added up over processes."""
        return x

    def from_all_processes(self, arrays: Sequence[Any], found: list[float]) -> list[list[float]]:
        """Return for each array, which is settled, what every process has found in its part."""
        raise NotImplementedError

    @abstractmethod
    def wrap(self, view: Any, like: Any = None) -> Any:
        """Return an array of the user's kind on a view's memory, complex if that fits `like`."""

    def write(self, x: Any, view: Any, value: Any) -> None:
        """Make `value` the content of `x`, whose view is `view`."""
        view[...] = value

    @abstractmethod
    def convert(self, value: Any, like: Any) -> Any:
        """Copy `value`, an array of any library, to the kind, dtype and device of `like`.

        Where the two have the same shape, the copy also lies in memory as `like` does.
        """

    def as_gradient(self, grad: Any) -> Any:
        """Return `grad` as an array of this library where that is meant."""
        return grad

    def entries(self, grad: Any) -> Entries | None:
        """Return what is in a sparse gradient of a kind that goes with this library, else None."""
        return None

    def coalesce(self, entries: Entries) -> tuple[tuple[Any, ...], Any]:
        """Return places, each there once, and the sum of their values, both as views are.

        The values are in memory of their own.
        """
        raise NotImplementedError

    def check_target(self, x: Any, count: Any) -> None:
        """Raise if a step on `x` cannot be taken, whose state has this count of steps, or None."""

    def check_gradient(self, grad: Any) -> None:
        """Raise the error that says why `grad` cannot be read, if it cannot."""

    def namespace(self, view: Any) -> Any:
        """Return the Array API namespace of a view."""
        return _namespace_of(view.__class__) or compat.array_namespace(view)

    def evaluating(self) -> AbstractContextManager[Any]:
        """Return the context in which a user's closure runs."""
        return nullcontext()

    def zero_gradient(self, param: Any) -> None:
        """Set ``param.grad``, an array of this library, to zero, in place where it can be written
        to; forget a sparse one."""
        if self.entries(param.grad) is not None:
            param.grad = None
        elif compat.is_writeable_array(param.grad):
            param.grad[...] = 0
        else:
            param.grad = self.namespace(param.grad).zeros_like(param.grad)

    def divided(self, x: Any, number: int) -> Any:
        """Return an array or a view over a number: divided, not times the reciprocal."""
        return x / number

    def divide_gradients(self, params: Sequence[Any], number: int) -> None:
        """Divide the gradients that parameters keep, in place where they can be written to."""
        raise NotImplementedError

    def scalar(self, number: float) -> Any:
        """Return what torch would keep in a checkpoint for a number of the state."""
        return number

    def number(self, x: Any) -> Any:
        """Return what is kept of a number of the state that a user has given as an array."""
        return x.item()

    def running_on(self, x: Any) -> AbstractContextManager[Any]:
        """Return the context (device, stream) in which work on `x` must be launched."""
        return nullcontext()

    def stream(self, device: int) -> int:
        """The stream of a device on which this library queues work now."""
        raise NotImplementedError

    def is_capturing(self, device: int) -> bool:
        """Whether what is queued on a device now is recorded, as a graph, and not run."""
        return False

    def fill(self, x: Any, place: int, number: float) -> None:
        """Queue that the entry of `numbers` at a place becomes this number."""
        raise NotImplementedError

    def numbers(self, count: int, like: Any) -> Any:
        """Return room for so many float64 numbers, on the device of `like`."""
        raise NotImplementedError

    def fetch(self, x: Any) -> np.ndarray[Any, Any]:
        """Return the content of an array, or of a view, on the host."""
        return np.asarray(x)

    def for_sums(self, view: Any) -> Any:
        """Return a view of the same content whose library computes in float64."""
        return view

    def empty_like(self, x: Any) -> Any:
        """Return an array whose memory lies as that of `x`, a dense one, with any content."""
        raise NotImplementedError

    def touched(self, arrays: Sequence[Any]) -> None:
        """Tell the library that these arrays have new content."""


# Many arrays have the same shape and strides: what follows from these is worked out once.


@lru_cache
def reach(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> tuple[int, int]:
    """Where an array begins and ends, counted from its first element; (0, 0) without elements."""
    if 0 in shape:
        return 0, 0
    ways = [(n - 1) * stride for n, stride in zip(shape, strides, strict=True)]
    return sum(x for x in ways if x < 0), sum(x for x in ways if x > 0) + itemsize


@lru_cache
def is_dense(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    """Whether the elements fill one stretch of memory without gaps, in any order of the axes."""
    if 0 in shape:
        return True
    expected = itemsize
    for stride, length in sorted(zip(strides, shape, strict=True)):
        if length > 1:
            if stride != expected:
                return False
            expected *= length
    return True


@lru_cache
def overlaps_itself(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether two indices reach the same element (an expanded array)."""
    if 0 in shape:
        return False
    reach = 0
    for stride, length in sorted((abs(s), n) for s, n in zip(strides, shape, strict=True)):
        if length > 1:
            if stride <= reach:
                return True
            reach += stride * (length - 1)
    return False
