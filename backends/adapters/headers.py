"""What CPython and NumPy keep in front of their objects, read of many objects at once.

A step looks at every array to see whether it still is what it was. Asking one after the other
costs more than the arithmetic of small arrays; the same words, gathered from memory by one NumPy
call for all, cost a tenth. `KNOWN` says whether they are where this module looks: probes make sure
of it, and where they are not, each object is asked.
"""

from __future__ import annotations

import ctypes
import sys
import sysconfig
from collections.abc import Sequence
from typing import Any

import numpy as np

Words = np.ndarray[Any, np.dtype[np.int64]]

FEW = 16  # objects up to which NumPy costs more to call than to do without

_HEADER = object.__basicsize__ // 8  # words of an object before its own: a count and the type
TYPE = _HEADER - 1
DATA, RANK, SHAPE, STRIDES, DTYPE, FLAGS = (_HEADER + i for i in (0, 1, 2, 3, 5, 6))  # of an array
NONE = id(None)
_RANK_MASK, _FLAGS_MASK = 0xFFFF_FFFF, 0x0500  # an int and padding; aligned and writeable


class _Everything:
    """All memory as an array of words, the first of which is at address 8."""

    __array_interface__ = {"data": (8, True), "shape": (2**59,), "typestr": "<i8", "version": 3}


def at(addresses: Any) -> Words:
    """The words at these addresses, which must be multiples of 8."""
    found: Words = _memory[(addresses >> 3) - 1]
    return found


def objects(items: list[Any]) -> Words:
    """The address of each object in a list."""
    if not KNOWN:
        return np.fromiter(map(id, items), np.int64, len(items))
    start = (int(_memory[(id(items) >> 3) + _HEADER]) >> 3) - 1  # beside its length
    return _memory[start : start + len(items)].copy()


def identities(items: list[Any]) -> Any:
    """Which objects are in a list, and in what order; good for ``==`` alone."""
    return list(map(id, items)) if len(items) <= FEW else objects(items).tobytes()


def words(places: Words, offsets: Any) -> Words:
    """The words that far into the objects at `places`: a number, or a column of them."""
    found: Words = _memory[(places >> 3) + (offsets - 1)]
    return found


class Lists:
    """Short lists of words, wherever in memory they are."""

    def __init__(self, lengths: Words) -> None:
        self._owner = np.repeat(np.arange(len(lengths)), lengths)
        starts = np.cumsum(lengths) - lengths
        self._place = np.arange(len(self._owner)) - starts[self._owner] - 1

    def read(self, starts: Words) -> bytes:
        """The lists that begin at these addresses, one after the other."""
        found: bytes = _memory[(starts >> 3)[self._owner] + self._place].tobytes()
        return found


class ArrayHeaders:
    """Type, dtype, shape, strides and, if `exact`, the flags of NumPy arrays."""

    _WANTED = np.array([DATA, SHAPE, STRIDES, RANK, DTYPE, FLAGS])[:, None]

    def __init__(self, arrays: list[Any], exact: bool) -> None:
        places = objects(arrays)
        self._types = words(places, TYPE).tobytes()
        self._exact = exact
        ranks = words(places, RANK) & _RANK_MASK
        self._ranks, self._lists = ranks.tobytes(), Lists(np.concatenate([ranks, ranks]))
        self._seen = self._look(places)[1:]

    def addresses(self, arrays: list[Any]) -> Words | None:
        """Where each array begins, if all are as those were; else None."""
        places = objects(arrays)
        if words(places, TYPE).tobytes() != self._types:  # no arrays, perhaps: nothing else is read
            return None
        data, *seen = self._look(places)
        return data if seen == self._seen else None

    def _look(self, places: Words) -> list[Any]:
        found = words(places, self._WANTED)
        ranks, dtypes, flags = found[3] & _RANK_MASK, found[4], found[5] & _FLAGS_MASK
        rest = [(ranks).tobytes(), dtypes.tobytes(), flags.tobytes() if self._exact else b""]
        if rest[0] != self._ranks:
            return [None]
        return [found[0], *rest, self._lists.read(found[1:3].reshape(-1))]


def _probe() -> bool:
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    if ctypes.sizeof(ctypes.c_void_p) != 8 or sys.byteorder != "little":
        return False
    closed = np.empty((3, 4), "f")[:, 1:]
    closed.flags.writeable = False
    arrays: list[Any] = [np.empty(3), closed, np.empty(()), np.empty((2, 5, 3), "F")[::-1]]
    for x in arrays:
        word = (ctypes.c_int64 * (FLAGS + 1)).from_address(id(x))
        if word[TYPE] != id(type(x)) or word[DATA] != x.__array_interface__["data"][0]:
            return False
        if word[RANK] & _RANK_MASK != x.ndim or word[DTYPE] != id(x.dtype):
            return False
        known = (0x0100 if x.flags.aligned else 0) | (0x0400 if x.flags.writeable else 0)
        if word[FLAGS] & _FLAGS_MASK != known:
            return False
        for pointer, expected in ((SHAPE, x.shape), (STRIDES, x.strides)):
            if (
                expected
                and tuple((ctypes.c_int64 * x.ndim).from_address(word[pointer])) != expected
            ):
                return False
    word = (ctypes.c_int64 * (_HEADER + 2)).from_address(id(arrays))
    items = (ctypes.c_int64 * len(arrays)).from_address(word[_HEADER + 1])
    return word[_HEADER] == len(arrays) and list(items) == list(map(id, arrays))


KNOWN = _probe()
_memory: Words = np.asarray(_Everything()) if KNOWN else np.empty(0, np.int64)


_word = _memory.data  # half the time of NumPy's own indexing, for one
_DATA_HERE = DATA - 1  # `_memory` begins with the second word


def address_of(array: np.ndarray[Any, Any]) -> int:
    """Where a NumPy array begins."""
    if KNOWN:
        return _word[(id(array) >> 3) + _DATA_HERE]
    return int(array.__array_interface__["data"][0])


def addresses_of(arrays: Sequence[np.ndarray[Any, Any]]) -> list[int]:
    """Where each of many NumPy arrays begins."""
    if KNOWN and len(arrays) > FEW:
        found: list[int] = words(objects(list(arrays)), DATA).tolist()
        return found
    if KNOWN:
        return [_word[(id(array) >> 3) + _DATA_HERE] for array in arrays]
    return list(map(address_of, arrays))


def have_flags(arrays: Sequence[np.ndarray[Any, Any]], flags: int) -> bool:
    """Whether each of these NumPy arrays, many or few, has all of these flags."""
    if KNOWN and len(arrays) > FEW:
        return bool((words(objects(list(arrays)), FLAGS) & flags == flags).all())
    return all(x.flags.num & flags == flags for x in arrays)
