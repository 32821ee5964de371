"""Where arrays lie: which have memory in common, in what order their elements come."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import gcd
from typing import Any

import numpy as np

from optimkit.backends.adapters import Adapter, Addresses, Geometry, adapter_of

ITEMSIZE = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}  # of what kernels run over


class Memory:
    """Stretches of memory that a step writes to, in order of address.

    Parameters
    ----------
    extents : sequence of arrays (n, 2)
        Where they begin and end.
    """

    def __init__(self, extents: Sequence[Any] = ()) -> None:
        table = np.concatenate([np.empty((0, 2), np.int64), *extents])
        table = table[table[:, 0].argsort()]
        self._starts = table[:, 0].copy()
        # the last address of the stretches before each place in the order
        self._ends = np.maximum.accumulate(np.concatenate([[0], table[:, 1]]))
        self._few = self._starts.tolist(), self._ends.tolist()

    def overlaps(self, addresses: Addresses, reach: tuple[Any, Any]) -> Any:
        """For each address, whether a stretch may have a byte in what it reaches.

        `reach` is where that begins and where it ends, counted from the addresses.
        """
        lows, highs = reach
        if isinstance(addresses, list):
            starts, ends = self._few
            return [
                ends[bisect_left(starts, x + high)] > x + low
                for x, low, high in zip(addresses, lows, highs, strict=True)
            ]
        return self._ends[self._starts.searchsorted(addresses + highs)] > addresses + lows


class _Region:
    """Arrays whose extents form one stretch; where there are several, a map of its bytes."""

    def __init__(self, extent: tuple[int, int], members: list[tuple[int, Geometry]]) -> None:
        self.extent, self.members = extent, members
        self._taken: np.ndarray[Any, np.dtype[np.bool_]] | None = None
        self._origin = self._reach = self._grain = 0  # of the map, in bytes

    def mark(self, place: Geometry) -> bool:
        """Note which bytes an array takes; False if one was taken."""
        start, shape, strides, itemsize = place
        grain, origin, taken = self._grain, self._origin, self._taken
        assert taken is not None
        cells: np.ndarray[Any, Any] = np.ndarray(
            (*shape, itemsize // grain),
            np.bool_,
            taken,
            (start - origin) // grain,
            (*(stride // grain for stride in strides), 1),
        )
        if cells.any():
            return False
        cells[...] = True
        return True

    def add(self, number: int, place: Geometry) -> bool:
        """Take an array in; False if it has memory in common with another."""
        (low, high), (start, end) = self.extent, place.extent
        self.extent = low, high = min(low, start), max(high, end)
        self.members.append((number, place))
        if len(self.members) == 1:
            return True
        within = self._origin <= low and high <= self._origin + self._reach
        if within and _grain(self._grain, self._origin, place) == self._grain:
            return self.mark(place)
        self._reach = 3 * (high - low)  # room to grow, so that it is not drawn again for each array
        self._origin = low - (high - low)
        self._grain = 0
        for _, each in self.members:
            self._grain = _grain(self._grain, self._origin, each)
        self._taken = np.zeros(self._reach // self._grain + 1, np.bool_)
        return all(self.mark(each) for _, each in self.members)


def _grain(grain: int, origin: int, place: Geometry) -> int:
    """The largest piece of memory of which array and `grain` are multiples."""
    return gcd(grain, place.start - origin, place.itemsize, *place.strides)


class Territory:
    """The memory of all parameters of an optimizer, none of which may be in two of them.

    Each new parameter is looked at once, and again only where its extent meets another's.
    """

    def __init__(self) -> None:
        self.extents: list[tuple[int, int]] = []  # of the parameters, in their order
        self._starts: list[int] = []
        self._regions: list[_Region] = []

    def claim(self, array: Any) -> list[int]:
        """Add the next parameter.

        Returns
        -------
        list of int
            If it has memory in common with one before, the numbers of those it may be; what is
            claimed is then no longer of use.
        """
        place = adapter_of(array).geometry(array)
        start, end = extent = place.extent
        number = len(self.extents)
        self.extents.append(extent)
        if start == end:
            return []
        first = last = bisect_right(self._starts, start)
        if first and self._regions[first - 1].extent[1] > start:
            first -= 1
        while last < len(self._starts) and self._starts[last] < end:
            last += 1
        met = self._regions[first:last]
        if len(met) == 1:
            region = met[0]
        else:
            members = [member for each in met for member in each.members]
            start = min(start, *(each.extent[0] for each in met)) if met else start
            end = max(end, *(each.extent[1] for each in met)) if met else end
            region = _Region((start, end), members)
        alone = region.add(number, place)
        self._regions[first:last] = [region]
        self._starts[first:last] = [region.extent[0]]
        return [] if alone else [other for other, _ in region.members[:-1]]


def share_memory(x: Any, y: Any) -> bool:
    """Whether two arrays, of one library or two, have an element in common."""
    if adapter_of(x) is not adapter_of(y):
        x, y = adapter_of(x).view(x), adapter_of(y).view(y)
    return adapter_of(x) is not adapter_of(y) or adapter_of(x).share_memory(x, y)


def is_array(value: Any) -> bool:
    return hasattr(value, "__array_namespace__") or hasattr(value, "shape")


def lie_alike(adapter: Adapter, x: Any, other: Any) -> bool:
    """Whether the elements of two arrays come in the same order in memory, without gaps."""
    if adapter.signature(x) == adapter.signature(other):
        return True
    (shape, _, device), (other_shape, _, other_device) = map(adapter.describe, (x, other))
    if shape != other_shape or device != other_device:
        return False
    return 0 in shape or (
        adapter.layout(other).dense and _order(adapter, x) == _order(adapter, other)
    )


def _order(adapter: Adapter, x: Any) -> list[int]:
    """Strides, in elements, of the axes that have any length to speak of."""
    place = adapter.geometry(x)
    return [s // place.itemsize for s, n in zip(place.strides, place.shape, strict=True) if n > 1]


def flat(view: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A dense array as one dimension in the order of its memory, without a copy."""
    if view.flags.c_contiguous:
        return view.reshape(-1)
    axes = sorted(range(view.ndim), key=lambda axis: -view.strides[axis])
    return view.transpose(axes).reshape(-1)
