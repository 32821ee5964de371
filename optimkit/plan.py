"""What the steps of a group have in common, kept from one to the next."""

from __future__ import annotations

from itertools import repeat
from operator import is_
from typing import Any

from optimkit.backends.bucket import Bucket, Memory
from optimkit.parameter import Parameter, array_of


class Plan:
    """The buckets of one group, and what they were made for."""

    def __init__(
        self,
        params: list[Any],
        active: list[int],
        version: int,
        memory: Memory,
        strangers: list[tuple[Any, dict[str, Any]]],
    ) -> None:
        self.params, self.active, self.version = list(params), active, version
        self.memory = memory
        self.strangers = strangers  # parameters, with their state, that the optimizer has none of
        self.bare = not any(isinstance(param, Parameter) for param in params)
        self.buckets: list[Bucket] = []

    def _are_active(self, grads: list[Any]) -> bool:
        """Whether the parameters that have a gradient are those that had one."""
        if len(self.active) == len(self.params):
            return not any(map(is_, grads, repeat(None)))
        return [i for i, grad in enumerate(grads) if grad is not None] == self.active

    def renew(
        self, params: list[Any], grads: list[Any], version: int, memory: Memory | None
    ) -> bool:
        """Hand the buckets the next gradients; False if they have to be made anew."""
        if not (
            self.memory is memory
            and self.version == version
            and len(params) == len(self.params)
            and all(map(is_, params, self.params))
            and self._are_active(grads)
        ):
            return False
        arrays = params if self.bare else list(map(array_of, params))
        if len(self.buckets) == 1 and len(self.active) == len(params):
            return self.buckets[0].renew(arrays, grads)
        return all(
            bucket.renew([arrays[i] for i in bucket.indices], [grads[i] for i in bucket.indices])
            for bucket in self.buckets
        )
