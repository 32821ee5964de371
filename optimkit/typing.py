"""The types of what is passed to optimkit: arrays of any library, in the forms that calls take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from optimkit.backends.sparse import RowSparse

Loss = TypeVar("Loss")  # what a closure returns, and `step` with it


class Array(Protocol):
    """An array or tensor of any library, or a :class:`optimkit.Parameter`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...


class Tensor(Array, Protocol):
    """A torch tensor, told from other arrays where torch need not be installed."""

    def detach(self) -> Any: ...


class OptimizerLike(Protocol):
    """An optimizer of optimkit or torch, or whatever else has groups of parameters."""

    @property
    def param_groups(self) -> list[dict[str, Any]]: ...


Nest: TypeAlias = Mapping[str, Any] | list[Any] | tuple[Any, ...]  # of arrays, as models keep them
Params: TypeAlias = Iterable[Array | Nest] | Mapping[str, Any]
Gradient: TypeAlias = Array | RowSparse | None
Gradients: TypeAlias = Sequence[Gradient | Nest] | Mapping[str, Any]

# What norms and clipping take; the gradients among them may be missing.
Tensors: TypeAlias = Tensor | Iterable[Tensor | None] | Mapping[str, Tensor | None]
Arrays: TypeAlias = Array | Iterable[Array | Nest | None] | Mapping[str, Any] | OptimizerLike
