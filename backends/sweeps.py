"""One pass of a compiled loop over the memory of many arrays: sums, and products with a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from optimkit.backends import engines, reductions
from optimkit.backends.adapters import Adapter, Layout
from optimkit.backends.engines.base import FULL
from optimkit.backends.memory import ITEMSIZE
from optimkit.backends.reductions import total

FEW = 64  # pieces of an array that are put together with those of others


class Sweep(NamedTuple):
    """Arrays of one library, dtype and device, without gaps.

    Attributes
    ----------
    places : list of int
        Theirs among all.
    """

    adapter: Adapter
    dtype: str
    device: str
    places: list[int]
    arrays: list[Any]
    sizes: list[int]

    def sums(self, power: int) -> list[float]:
        """The sum of ``abs(x)**power``, of real and imaginary parts, for each array."""
        if self.device == "cpu":
            kernel = reductions.compiled(self.dtype, "float64")
            assert kernel is not None
            starts, counts, owners = self._cut()
            found = reductions.pieces(kernel, starts, counts, power, np.float64)
        else:
            from optimkit.backends.engines.cuda.sums import pieces

            found, owners = pieces(self.adapter, self.arrays, self.sizes, self.dtype, power)
        return _by_owner(found, owners, len(self.arrays))

    def scale(self, factor: float) -> None:
        """Multiply each array by a number."""
        with np.errstate(all="ignore"):
            number = np.dtype("float64" if self.dtype == "float64" else "float32").type(factor)
        if self.device == "cpu":
            starts, counts, _ = self._cut()
            reductions.scale(starts, counts, number, self.dtype)
        else:
            from optimkit.backends.engines.cuda.sums import scale

            scale(self.adapter, self.arrays, self.sizes, self.dtype, number)
        self.adapter.touched(self.arrays)

    def _cut(self) -> tuple[Any, Any, Any]:
        addresses = self.adapter.addresses(self.arrays)
        return reductions.cut(addresses, self.sizes, ITEMSIZE[self.dtype])


def sweeps(items: Sequence[tuple[int, Any, Adapter, Layout]]) -> list[Sweep]:
    """Sort arrays (place, array, adapter, layout) into passes; left out is what has none."""
    alike: dict[Any, list[tuple[int, Any, Adapter, Layout]]] = {}
    for item in items:
        alike.setdefault((id(item[2]), id(item[3])), []).append(item)
    found: dict[Any, Sweep] = {}
    for some in alike.values():
        places, arrays, (adapter, *_), ((dtype, device, size, dense), *_) = zip(*some, strict=True)
        if dense and size:
            sweep = found.setdefault(
                (adapter, dtype, device), Sweep(adapter, dtype, device, [], [], [])
            )
            sweep.places.extend(places)
            sweep.arrays.extend(arrays)
            sweep.sizes.extend([size] * len(places))
    return [sweep for sweep in found.values() if _can_run(sweep.dtype, sweep.device)]


def whole(adapter: Adapter, arrays: list[Any], layouts: Sequence[Layout]) -> Sweep | None:
    """One pass over arrays of one dtype and device without gaps, with these layouts, if it can be.

    Those without elements come to zero.
    """
    dtype, device, *_ = layouts[0]
    sizes = [layout.size for layout in layouts]
    if not any(sizes) or not _can_run(dtype, device):
        return None
    return Sweep(adapter, dtype, device, list(range(len(arrays))), arrays, sizes)


def _can_run(dtype: str, device: str) -> bool:
    """Whether there is a compiled loop, on the engine that is asked for."""
    if device == "cpu":
        usual = "numba"
        able = dtype in FULL and reductions.compiled(dtype, "float64") is not None
    else:
        usual = "cuda"
        able = device.startswith(usual) and dtype in ITEMSIZE
    return able and engines.forced_engine() in (None, usual) and engines.works(usual)


def _by_owner(sums: np.ndarray[Any, Any], owners: np.ndarray[Any, Any], count: int) -> list[float]:
    """The total of each owner's sums."""
    if len(sums) == count and (owners == np.arange(count)).all():
        return list(sums.tolist())
    bounds = np.searchsorted(owners, np.arange(count + 1))
    most = min(int(np.diff(bounds).max()), FEW)
    # Of few pieces side by side: a zero more is none, in the order in which they are added up.
    table = np.zeros((count, most))
    places = np.arange(len(sums)) - bounds[owners]
    few = places < most
    table[owners[few], places[few]] = sums[few]
    with np.errstate(all="ignore"):
        found: list[float] = total(np, table).tolist()
        for owner in np.flatnonzero(np.diff(bounds) > most).tolist():
            found[owner] = float(total(np, sums[bounds[owner] : bounds[owner + 1]]))
    return found


__all__ = ["Sweep", "sweeps", "whole"]
