"""The rows that a sparse gradient touches: taken out for a step, and put back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optimkit.backends.adapters import Adapter, adapter_of
from optimkit.backends.bucket import Bucket, Member, buckets
from optimkit.backends.memory import is_array
from optimkit.backends.sparse import Entries, check_places


class Rows:
    """The touched rows of a parameter, of its gradient and of its state, each a copy.

    Attributes
    ----------
    param : object
        What the user passed as the parameter.
    group : int
        The number of its group.
    state : dict
        Its state, whole.
    taken : dict
        From ``"param"`` and the names of the state's arrays to their touched rows.
    grad : array
        The gradient of these rows.
    """

    def __init__(
        self,
        param: Any,
        group: int,
        adapter: Adapter,
        array: Any,
        state: dict[str, Any],
        entries: Entries,
    ) -> None:
        self.param, self.group, self.state = param, group, state
        self._adapter, self._array = adapter, array
        whole = {"param": array} | {name: x for name, x in state.items() if is_array(x)}
        for name, x in whole.items():
            if tuple(x.shape) != tuple(array.shape):
                raise RuntimeError(
                    f"its gradient is sparse, but its state {name} has shape {tuple(x.shape)}, "
                    "which has not the parameter's rows"
                )
        with adapter.running_on(array):
            self._places, self.grad = adapter.coalesce(entries)
            self._views = {name: adapter.view(x) for name, x in whole.items()}
            if not array.shape:  # one row, if the gradient has an entry at all
                self._places = ([0] * len(self.grad),)
                self._views = {name: view.reshape(1) for name, view in self._views.items()}
            self.taken = {name: view[self._places] for name, view in self._views.items()}

    def check(self, new: Mapping[str, Any]) -> None:
        """Raise if a step has made more than numbers."""
        if made := [name for name, x in new.items() if is_array(x)]:
            raise RuntimeError(
                f"with a sparse gradient all arrays of the state come from init, not {made}"
            )

    def put_back(self, numbers: Mapping[str, Any]) -> None:
        """Make the rows taken out the content of parameter and state; note what else is new."""
        with self._adapter.running_on(self._array):
            for name, view in self._views.items():
                view[self._places] = self.taken[name]
        self.state.update(numbers)
        self._adapter.touched([self._array])


def check_entries(adapter: Adapter, array: Any, entries: Entries) -> None:
    """Raise the error that says why `entries` are no gradient of `array`, if they are not."""
    shape = tuple(array.shape)
    if tuple(entries.shape) != shape:
        raise ValueError(f"its gradient has shape {tuple(entries.shape)}; {shape} is needed")
    if not adapter.owns(entries.values):
        kind = type(entries.values)
        raise TypeError(f"the values of its gradient are a {kind.__module__}.{kind.__qualname__}")
    if entries.values.dtype != array.dtype:
        _, found, _ = adapter.describe(entries.values)
        raise TypeError(f"its gradient has dtype {found}; {adapter.describe(array)[1]} is needed")
    if entries.values.device != array.device:
        _, _, found = adapter.describe(entries.values)
        raise RuntimeError(f"its gradient is on {found}; {adapter.describe(array)[2]} is needed")
    adapter.check_gradient(entries.values)
    check_places(entries.places, shape)


def spread(adapter: Adapter, array: Any, entries: Entries) -> Any:
    """Return a sparse gradient of `array` as a dense one."""
    with adapter.running_on(array):
        places, values = adapter.coalesce(entries)
        view = adapter.view(array)
        whole = adapter.namespace(view).zeros_like(view)
        whole[places] = values if places else values.sum()
        return adapter.wrap(whole, array)


def row_buckets(rows: Sequence[Rows]) -> list[Bucket]:
    """Sort touched rows into buckets: to an engine they are parameters like others."""
    members = [
        Member(
            i,
            x.group,
            adapter_of(x.taken["param"]),
            x.taken["param"],
            x.grad,
            x.state | {name: part for name, part in x.taken.items() if name != "param"},
        )
        for i, x in enumerate(rows)
    ]
    made = buckets(members, ())  # copies: no step overwrites what another reads
    for bucket in made:
        bucket.origins = [rows[i] for i in bucket.indices]
    return made


__all__ = ["Rows", "check_entries", "row_buckets", "spread"]
