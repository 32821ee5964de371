"""The reference: the rule as it is written, called on the arrays' own library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import array_api_compat as compat
import numpy as np

from optimkit.backends.adapters import Adapter
from optimkit.backends.bucket import Bucket, Unit
from optimkit.backends.engines.base import Job, Write
from optimkit.backends.masters import MASTER, held, steps_masters
from optimkit.backends.memory import HALF
from optimkit.backends.trace import checked

NAME = "eager"
# What is to be written, by name: (owner, view, value); and what is new.
Found = tuple[dict[str, tuple[Any, Any, Any]], dict[str, Any]]


def job(bucket: Bucket, update: Callable[..., Any], native: bool = False) -> Job:
    """Make ready a call of `update` for every parameter of the bucket."""
    adapter = bucket.adapter

    def call_all() -> Write:
        with np.errstate(all="ignore"), adapter.running_on(bucket.arrays[0]):
            found = [_call(bucket, i, update, native) for i in range(len(bucket.arrays))]

        def write() -> Sequence[dict[str, Any]]:
            with np.errstate(all="ignore"), adapter.running_on(bucket.arrays[0]):
                for values, _ in found:
                    for owner, view, value in values.values():
                        adapter.write(owner, view, value)
            return [entries for _, entries in found]

        return write

    return call_all


def _call(bucket: Bucket, i: int, update: Callable[..., Any], native: bool) -> Found:
    """Call the rule for one parameter, and check what it returns."""
    owners = {name: bucket.column(name)[i] for name in ("param", "grad", *bucket.names)}
    half = bucket.dtypes[0] in HALF
    return called(bucket.adapter, owners, bucket.unit(i), update, native=native, half=half)


def called(
    adapter: Adapter,
    owners: Mapping[str, Any],
    unit: Unit,
    update: Callable[..., Any],
    *,
    native: bool = False,
    half: bool = False,
) -> Found:
    """Call the rule for a parameter, with its gradient and the arrays of its state."""
    view = adapter.native if native else adapter.view
    views = {name: view(owner) for name, owner in owners.items()}
    xp = adapter.namespace(views["param"])
    dtype = views["param"].dtype
    arrays = {k: xp.astype(v, xp.float32) for k, v in views.items()} if half else views
    if MASTER in views and steps_masters(update):
        arrays = {**arrays, MASTER: held(xp, views[MASTER], views["param"])}
    state = unit.scalars | {k: v for k, v in arrays.items() if k not in ("param", "grad")}
    new_param, new_state = checked(
        update(xp, arrays["param"], arrays["grad"], state, unit.hyper, unit.step)
    )
    values, entries = {}, {}
    for name, value in (("param", new_param), *new_state.items()):
        if name in views and getattr(value, "shape", ()) != views[name].shape:
            what = "a parameter" if name == "param" else f"state {name}"
            raise ValueError(
                f"update returned {what} of shape {getattr(value, 'shape', ())}; "
                f"{views[name].shape} is needed"
            )
        if getattr(value, "dtype", dtype) != dtype and _is_no_number(value.dtype):
            raise TypeError(f"update returned {name} as an array of dtype {value.dtype}")
        # what is an input under another name must not change
        if value is not views.get(name) and (
            _is_view(value) or any(value is x for x in views.values())
        ):
            value = xp.asarray(value, copy=True)
        if name in views:
            stored = xp.astype(value, views[name].dtype) if half else value
            if stored is not views[name]:
                values[name] = owners[name], views[name], stored
        elif compat.is_array_api_obj(value) or isinstance(value, np.generic):
            kept = views[MASTER].dtype if MASTER in views else dtype
            entries[name] = xp.asarray(value, dtype=kept if half else None, copy=True)
        else:
            entries[name] = value
    return values, entries


def _is_no_number(dtype: Any) -> bool:
    """Whether no view may have this dtype: complex numbers are pairs there."""
    return any(kind in str(dtype) for kind in ("complex", "object"))


def _is_view(x: Any) -> bool:
    """Whether `x` may lie in the memory of another array."""
    return getattr(x, "base", None) is not None or getattr(x, "_base", None) is not None
