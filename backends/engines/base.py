"""What an engine is: something that runs a rule over a bucket."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from optimkit.backends.bucket import Bucket
from optimkit.backends.trace import Traced

# Half precision is computed in float32 and rounded once, when it is stored.
HALF = ("float16", "bfloat16")

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
