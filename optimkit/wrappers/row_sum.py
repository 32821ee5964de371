"""The sum of sparse gradients: their rows, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import array_api_compat as compat

from optimkit.backends.adapters import adapter_of
from optimkit.backends.memory import is_array
from optimkit.backends.rows import check_entries
from optimkit.backends.sparse import Entries, RowSparse
from optimkit.naming import kind_of


def rows_of(grad: Any, array: Any) -> RowSparse | None:
    """The rows of a sparse gradient of this array, in memory of their own; None of a dense one."""
    adapter = adapter_of(array)
    entries = adapter.entries(grad)
    if entries is None:
        return None
    check_entries(adapter, array, entries)
    if len(entries.places) != 1:
        raise RuntimeError(
            f"its gradient is sparse along {len(entries.places)} axes; only rows are added up, as "
            "RowSparse has them"
        )
    with adapter.running_on(array):
        indices, values = entries.places[0], entries.values
        return RowSparse(_copy(indices), _copy(values), entries.shape)


def may_be_sparse(grads: Sequence[Any]) -> bool:
    """Whether one of them is of a kind of which some are sparse."""
    return any(
        issubclass(kind, RowSparse) or ".sparse" in kind.__module__ or hasattr(kind, "layout")
        for kind in set(map(type, grads))
    )


def total_of_rows(found: Sequence[RowSparse], array: Any, divisor: int) -> RowSparse:
    """The sum of sparse gradients of this array, over a number."""
    adapter, shape = adapter_of(array), found[0].shape
    with adapter.running_on(array):
        indices = _joined([rows.indices for rows in found])
        values = _joined([rows.values for rows in found])
        if divisor != 1:
            (indices,), view = adapter.coalesce(Entries((indices,), values, shape))
            values = adapter.wrap(adapter.divided(view, divisor), values[: len(view)])
        return RowSparse(indices, values, shape)


def loaded_rows(saved: Mapping[str, Any], array: Any) -> RowSparse:
    """Return rows that were saved, of a parameter that is this array."""
    indices, values = saved.get("indices"), saved.get("values")
    for part in (indices, values):
        if not is_array(part):
            raise TypeError(f"loaded rows have a {kind_of(part)}; an array is needed")
    adapter = adapter_of(array)
    with adapter.running_on(array):
        return RowSparse(indices, adapter.convert(values, array), tuple(array.shape))


def _copy(x: Any) -> Any:
    return compat.array_namespace(x).asarray(x, copy=True)


def _joined(arrays: list[Any]) -> Any:
    return compat.array_namespace(*arrays).concat(arrays)


__all__ = ["loaded_rows", "may_be_sparse", "rows_of", "total_of_rows"]
