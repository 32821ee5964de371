"""What an engine is: something that runs a rule over a bucket."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from optimkit.backends.bucket import Bucket
from optimkit.backends.trace import Traced

# A step that is ready: running it updates parameters and state in place and returns, for each
# parameter, what is new in its state (views, numbers), or None if nothing is.
Job = Callable[[], Sequence[dict[str, Any]] | None]


class Engine(ABC):
    """Runs traced rules. `eager`, which needs no trace, is a function of its own."""

    name: str

    @abstractmethod
    def available(self) -> bool:
        """Whether this machine has what the engine needs."""

    @abstractmethod
    def objection(self, bucket: Bucket) -> str | None:
        """Why this engine cannot run the bucket, or None if it can."""

    @abstractmethod
    def prepare(self, bucket: Bucket, traced: Traced) -> Job:
        """Compile what is needed; no array changes before the job runs."""


def new_entries(
    columns: dict[str, list[Any]], scalars: dict[str, Any], count: int
) -> list[dict[str, Any]] | None:
    """The result of a job from arrays by name and numbers that all parameters share."""
    if not columns and not scalars:
        return None
    return [{name: x[i] for name, x in columns.items()} | scalars for i in range(count)]


@cache
def thread_count() -> int:
    """Threads for one step: `OPTIMKIT_NUM_THREADS`, or the processors this process may use."""
    setting = os.environ.get("OPTIMKIT_NUM_THREADS")
    if setting is not None:
        if not setting.isdigit() or int(setting) < 1:
            raise ValueError(f"OPTIMKIT_NUM_THREADS is {setting!r}; it must be a positive integer")
        return int(setting)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
