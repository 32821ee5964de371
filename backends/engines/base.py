"""What an engine is: something that runs a rule over a bucket."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from optimkit.backends.bucket import Bucket
from optimkit.backends.memory import ITEMSIZE
from optimkit.backends.program import Traced

FULL = ("float32", "float64")

# A step in two halves. The first finds all that is new and changes nothing of the user's; the
# second writes it down, and returns what is new in each state (views, numbers), or None.
Write = Callable[[], Sequence[dict[str, Any]] | None]
Job = Callable[[], Write]


class Divided(Exception):
    """Parts of a bucket have to be stepped apart: lists of units."""

    def __init__(self, parts: list[list[int]]) -> None:
        super().__init__(parts)
        self.parts = parts


class Engine(ABC):
    """Runs traced rules. `eager`, which needs no trace, is a function of its own."""

    name: str

    @abstractmethod
    def lack(self) -> str | None:
        """What the engine needs and this machine has not, or None."""

    def objection(self, bucket: Bucket) -> str | None:
        """Why this engine cannot run the bucket, or None if it can: as kernels on the CPU do."""
        dtypes = set(bucket.dtypes)
        if bucket.device != "cpu":
            return f"the {self.name} engine runs on the CPU, not on {bucket.device}"
        if unknown := dtypes - ITEMSIZE.keys():
            return f"the {self.name} engine has {', '.join(ITEMSIZE)}, not {unknown.pop()}"
        if "float64" in dtypes and len(dtypes) > 1:
            return f"parameter and state are of different dtypes: {', '.join(bucket.dtypes)}"
        if not isinstance(bucket.adapter.view(bucket.arrays[0]), np.ndarray):
            return "NumPy cannot look at the arrays (for bfloat16 it needs ml_dtypes)"
        if not bucket.fusable:
            return "parameter and state do not lie alike in memory without gaps"
        return None

    @abstractmethod
    def job(self, bucket: Bucket, traces: Sequence[Traced]) -> Job:
        """Compile what is needed; `traces` are those of the bucket's units, of one program."""


def rounded(traces: Sequence[Traced], dtype: str) -> np.ndarray[Any, Any]:
    """The slots of each unit (units, slots), as NumPy makes a Python number one of the dtype."""
    numbers = array("f" if dtype == "float32" else "d")  # unlike NumPy, it warns of no infinity
    for traced in traces:
        numbers.extend(traced.slots)
    if not numbers:
        return np.empty((len(traces), 0), dtype)
    return np.frombuffer(numbers, dtype).reshape(len(traces), -1)


def fresh_columns(bucket: Bucket, names: Sequence[str]) -> dict[str, list[Any]]:
    """Memory for state that is new, which lies as what is worked on does."""
    view = bucket.adapter.view
    return {name: [np.empty_like(view(x)) for x in bucket.like_new()] for name in names}


def new_entries(
    bucket: Bucket, columns: dict[str, list[Any]], traces: Sequence[Traced]
) -> list[dict[str, Any]] | None:
    """What is new in each state: arrays by name, and the numbers of its unit."""
    if not columns and not traces[0].scalars:
        return None
    units = [0] * len(bucket.arrays) if bucket.rows is None else bucket.rows.tolist()
    return [
        {name: x[i] for name, x in columns.items()} | traces[unit].scalars
        for i, unit in enumerate(units)
    ]
