"""The reference: the rule as it is written, called on the arrays' own library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import array_api_compat as compat
import numpy as np

from optimkit.backends.bucket import Bucket
from optimkit.backends.engines.base import HALF, Job
from optimkit.backends.trace import checked


def _is_view(x: Any) -> bool:
    """Whether `x` may lie in the memory of another array."""
    return getattr(x, "base", None) is not None or getattr(x, "_base", None) is not None


def prepare(bucket: Bucket, update: Callable[..., Any], hyper: Any, native: bool = False) -> Job:
    """Make ready a call of `update` for every parameter of the bucket."""
    adapter, half = bucket.adapter, bucket.dtype in HALF
    view = adapter.native if native else adapter.view

    def run_one(i: int, x: Any) -> dict[str, Any]:
        columns = ("param", "grad", *bucket.names)
        owners = {name: bucket.column(name)[i] for name in columns}
        views = {name: view(owner) for name, owner in owners.items()}
        xp = adapter.namespace(views["param"])
        dtype = views["param"].dtype
        arrays = {k: xp.astype(v, xp.float32) for k, v in views.items()} if half else views
        state = bucket.scalars | {name: arrays[name] for name in bucket.names}
        new_param, new_state = checked(
            update(xp, arrays["param"], arrays["grad"], state, hyper, bucket.step)
        )
        if getattr(new_param, "shape", ()) != arrays["param"].shape:
            raise ValueError(
                f"update returned a parameter of shape {getattr(new_param, 'shape', ())}; "
                f"{arrays['param'].shape} is needed"
            )
        entries = {}
        new = {**new_state, "param": new_param}
        for name, value in new.items():  # what is an input under another name must not change
            if _is_view(value) or any(value is x for x in views.values()):
                new[name] = value if value is views.get(name) else xp.asarray(value, copy=True)
        for name, value in new.items():
            if name in views:
                stored = xp.astype(value, dtype) if half else value
                if stored is not views[name]:
                    adapter.write(owners[name], views[name], stored)
            elif compat.is_array_api_obj(value) or isinstance(value, np.generic):
                fresh = xp.asarray(value, dtype=dtype if half else None, copy=True)
                entries[name] = fresh
            else:
                entries[name] = value
        return entries

    def run() -> Sequence[dict[str, Any]]:
        with np.errstate(all="ignore"), adapter.running_on(bucket.arrays[0]):
            return [run_one(i, x) for i, x in enumerate(bucket.arrays)]

    return run
