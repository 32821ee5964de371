"""JAX arrays, which cannot be changed: rules run on them as functions, traced or not."""

from __future__ import annotations

from typing import Any

import array_api_compat as compat
import jax
import numpy as np

from optimkit.backends.adapters.base import Layout
from optimkit.backends.adapters.standard import StandardAdapter


class JAXAdapter(StandardAdapter):
    def owns(self, x: Any) -> bool:
        return isinstance(x, jax.Array)

    def check_parameter(self, x: Any) -> None:
        raise TypeError(
            "JAX arrays are immutable and cannot be updated in place; optimkit.functional has the "
            "rules as functions: init(params) and step(params, grads, state)"
        )

    def layout(self, x: Any) -> Layout:
        # Where a traced array will be is not known.
        parts = 2 if x.dtype.kind == "c" else 1
        return Layout(str(x.dtype), "", parts * x.size, False)

    def describe(self, x: Any) -> tuple[tuple[int, ...], str, str]:
        return tuple(x.shape), str(x.dtype), ""

    def for_sums(self, view: Any) -> Any:
        return np.asarray(view)

    def namespace(self, view: Any) -> Any:
        return jax.numpy

    def wrap(self, view: Any, like: Any = None) -> Any:
        if like is None or like.dtype.kind != "c" or view.shape != (*like.shape, 2):
            return view
        return jax.lax.complex(view[..., 0], view[..., 1])

    def convert(self, value: Any, like: Any) -> Any:
        if not compat.is_array_api_obj(value) or compat.is_torch_array(value):
            value = jax.dlpack.from_dlpack(value.detach().contiguous())
        return jax.numpy.asarray(value, like.dtype)


ADAPTER = JAXAdapter()
