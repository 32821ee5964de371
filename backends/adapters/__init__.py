"""One file per array library: who owns an object, its view, its write-back."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from optimkit.backends.adapters.base import Adapter, Addresses, Geometry, Layout, address_key

__all__ = ["Adapter", "Addresses", "Geometry", "Layout", "adapter_of", "address_key"]

LIBRARIES = ("numpy", "cupy", "torch", "jax")
SPREAD = "torch.distributed.tensor.DTensor"


@cache
def _adapter_of_type(kind: type) -> Adapter:
    """Find the library by the names of the type's bases: nothing is imported to look."""
    roots = {base.__module__.partition(".")[0] for base in kind.__mro__}
    library = next((name for name in LIBRARIES if name in roots), "standard")
    if library == "torch" and any(f"{x.__module__}.{x.__name__}" == SPREAD for x in kind.__mro__):
        library = "dtensor"
    adapter: Adapter = import_module(f"{__name__}.{library}").ADAPTER
    return adapter


def adapter_of(x: Any) -> Adapter:
    """Return the adapter for `x`, which must be an array or a tensor.

    Raises
    ------
    TypeError
        If `x` is not an array that can be updated in place.
    """
    adapter = _adapter_of_type(type(x))  # type: ignore[arg-type]  # a type is hashable
    if not adapter.owns(x):
        raise TypeError(f"a {type(x).__module__}.{type(x).__qualname__} is no array or tensor")
    return adapter
