"""Where arrays lie: which have memory in common, in what order their elements come."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations, pairwise
from math import gcd
from typing import Any

import numpy as np

from optimkit.backends.adapters import Adapter, Addresses, Geometry, adapter_of
from optimkit.backends.adapters.base import reach

ITEMSIZE = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}  # of what kernels run over
HALF = ("float16", "bfloat16")  # computed in float32, and rounded once when it is stored


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

    @property
    def apart(self) -> bool:
        """Whether no two stretches have a byte in common."""
        return bool((self._starts[1:] >= self._ends[1:-1]).all())

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
    """Arrays whose extents form one stretch, and a map of its bytes once it is needed."""

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

    def add(self, other: _Region) -> bool:
        """Take the arrays of another in; False if two have memory in common."""
        (low, high), (start, end) = self.extent, other.extent
        self.extent = low, high = min(low, start), max(high, end)
        self.members += other.members
        if self._origin <= low and high <= self._origin + self._reach:
            grain = self._grain
            for _, place in other.members:
                grain = _grain(grain, self._origin, place)
            if grain == self._grain:
                return all(self.mark(place) for _, place in other.members)
        return self.draw()

    def draw(self) -> bool:
        """Draw the map; False if two arrays have memory in common."""
        low, high = self.extent
        self._reach = 3 * (high - low)  # room to grow, so that it is not drawn again for each array
        self._origin = low - (high - low)
        self._grain = 0
        for _, each in self.members:
            self._grain = _grain(self._grain, self._origin, each)
        self._taken = np.zeros(self._reach // self._grain + 1, np.bool_)
        return all(self.mark(each) for _, each in self.members)

    def side_by_side(self) -> bool:
        """Whether the arrays are columns of one table, as far as that is seen without a map."""
        places = [place for _, place in self.members]
        rows = [_rows(*place[1:]) for place in places]
        pitch = rows[0][0]
        if pitch == 0 or any(other != pitch for other, _ in rows):
            return False
        lanes = sorted((x.extent[0] % pitch, n) for x, (_, n) in zip(places, rows, strict=True))
        lanes.append((lanes[0][0] + pitch, 0))
        return all(x + width <= other for (x, width), (other, _) in pairwise(lanes))


def _grain(grain: int, origin: int, place: Geometry) -> int:
    """The largest piece of memory of which array and `grain` are multiples."""
    return gcd(grain, place.start - origin, place.itemsize, *place.strides)


@lru_cache
def _rows(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> tuple[int, int]:
    """How far it is from a row of an array to the next, and how much of that a row takes."""
    ways = [(abs(stride), n) for n, stride in zip(shape, strides, strict=True) if n > 1]
    pitch, count = max(ways, default=(0, 1))
    low, high = reach(shape, strides, itemsize)
    return pitch, high - low - (count - 1) * pitch


class Territory:
    """The memory of all parameters of an optimizer, none of which may be in two of them.

    Each new parameter is looked at once, and again only where its extent meets another's.
    """

    def __init__(self) -> None:
        self.extents: list[tuple[int, int]] = []  # of the parameters, in their order
        self._starts: list[int] = []
        self._regions: list[_Region] = []

    def claim(self, arrays: Sequence[Any]) -> list[int]:
        """Add the next parameters.

        Returns
        -------
        list of int
            If two may now have memory in common, the numbers of those that may.
        """
        places = [adapter_of(x).geometry(x) for x in arrays]
        extents = [place.extent for place in places]
        members = sorted(zip(extents, enumerate(places, len(self.extents)), strict=True))
        self.extents += extents
        regions: list[_Region] = []
        for (start, end), member in members:
            if start == end:
                continue
            if regions and start < regions[-1].extent[1]:
                regions[-1].extent = regions[-1].extent[0], max(end, regions[-1].extent[1])
                regions[-1].members.append(member)
            else:
                regions.append(_Region((start, end), [member]))
        return [number for region in regions for number in self._settle(region)]

    def _settle(self, new: _Region) -> list[int]:
        """Put a region among the others; return its numbers if it is not well there."""
        start, end = new.extent
        first = last = bisect_right(self._starts, start)
        if first and self._regions[first - 1].extent[1] > start:
            first -= 1
        while last < len(self._starts) and self._starts[last] < end:
            last += 1
        region, *others = *self._regions[first:last], new
        alone = len(new.members) == 1 or new.side_by_side() or new.draw()
        for other in others:
            alone &= region.add(other)
        self._regions[first:last] = [region]
        self._starts[first:last] = [region.extent[0]]
        return [] if alone else [number for number, _ in region.members]


def check_apart(stretches: Sequence[Any], members: Sequence[Any]) -> None:
    """Raise if a state lies in memory of a parameter or of another state.

    Parameters
    ----------
    stretches : sequence of arrays (n, 2)
        All the memory in question; only where some of it overlaps is anything looked at closely.
    members : sequence of Member
    """
    if Memory(stretches).apart:
        return
    named: list[tuple[str, Any]] = []
    for member in members:
        label = f"parameter {member.place}"
        states = [(f"{label}: its state {k}", v) for k, v in member.state.items() if is_array(v)]
        named += [(label, member.array), *states]
    suspects = sorted(Territory().claim([x for _, x in named]))
    for (name, x), (other, y) in combinations([named[i] for i in suspects], 2):
        if share_memory(x, y):
            raise ValueError(f"{name} and {other} share memory; each needs its own")


def share_memory(x: Any, y: Any) -> bool:
    """Whether two arrays, of one library or two, have an element in common."""
    if adapter_of(x) is not adapter_of(y):
        x, y = adapter_of(x).view(x), adapter_of(y).view(y)
    return adapter_of(x) is not adapter_of(y) or adapter_of(x).share_memory(x, y)


def is_array(value: Any) -> bool:
    return hasattr(value, "__array_namespace__") or hasattr(value, "shape")


def lie_alike(adapter: Adapter, arrays: list[Any], *columns: list[Any]) -> list[list[bool]]:
    """For each array of the columns, whether its elements come in the same order in memory.

    The same as those of the array beside it, which has no gaps.
    """
    seen = adapter.signatures(arrays)
    return [
        [True] * len(arrays)
        if adapter.signatures(column) == seen
        else [_lie_alike(adapter, x, other) for x, other in zip(arrays, column, strict=True)]
        for column in columns
    ]


def _lie_alike(adapter: Adapter, x: Any, other: Any) -> bool:
    if 0 not in x.shape and not (
        adapter.layout(other).dense and _order(adapter, x) == _order(adapter, other)
    ):
        return False
    (shape, _, device), (other_shape, _, other_device) = map(adapter.describe, (x, other))
    return shape == other_shape and device == other_device


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
