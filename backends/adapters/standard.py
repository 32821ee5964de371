"""Any other Array API library, through the standard alone."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import array_api_compat as compat
import numpy as np

from optimkit.backends.adapters.base import Adapter, Geometry, Layout


class StandardAdapter(Adapter):
    def owns(self, x: Any) -> bool:
        return bool(compat.is_array_api_obj(x)) and hasattr(x, "dtype")

    def check_parameter(self, x: Any) -> None:
        if not compat.is_writeable_array(x) or not hasattr(x, "__setitem__"):
            raise ValueError("it is read-only; an array that can be written to is needed")
        xp = compat.array_namespace(x)
        if not xp.isdtype(x.dtype, ("real floating", "complex floating")):
            raise TypeError(f"its dtype is {x.dtype}; a real or complex floating dtype is needed")

    def signature(self, x: Any) -> Hashable:
        return x.__class__, x.dtype, tuple(x.shape), str(compat.device(x))

    def layout(self, x: Any) -> Layout:
        # The standard knows no memory layout, so nothing here is fused.
        parts = 2 if compat.array_namespace(x).isdtype(x.dtype, "complex floating") else 1
        return Layout(str(x.dtype), str(compat.device(x)), parts * (compat.size(x) or 0), False)

    def addresses(self, arrays: Sequence[Any]) -> list[int]:
        return list(map(id, arrays))

    def geometry(self, x: Any) -> Geometry:
        return Geometry(id(x), (), (), 1)  # the standard knows no memory: only itself overlaps it

    def describe(self, x: Any) -> tuple[tuple[int, ...], str, str]:
        return tuple(x.shape), str(x.dtype).rpartition(".")[2], str(compat.device(x))

    def view(self, x: Any) -> Any:
        xp = compat.array_namespace(x)
        if not xp.isdtype(x.dtype, "complex floating"):
            return x
        return xp.stack([xp.real(x), xp.imag(x)], axis=-1)

    def wrap(self, view: Any, like: Any = None) -> Any:
        xp = compat.array_namespace(view)
        complex_like = like is not None and xp.isdtype(like.dtype, "complex floating")
        if not complex_like or view.shape != (*like.shape, 2):
            return view
        try:  # through NumPy's memory: arithmetic would make NaN of infinities
            pairs = np.ascontiguousarray(np.from_dlpack(view))
            return xp.asarray(pairs.view(f"c{2 * pairs.itemsize}")[..., 0])
        except (AttributeError, BufferError, RuntimeError, TypeError, ValueError):
            real, imag = (xp.astype(view[..., part], like.dtype) for part in (0, 1))
            return real + 1j * imag

    def fetch(self, x: Any) -> np.ndarray[Any, Any]:
        return np.from_dlpack(x)

    def write(self, x: Any, view: Any, value: Any) -> None:
        x[...] = self.wrap(value, x)

    def convert(self, value: Any, like: Any) -> Any:
        xp = compat.array_namespace(like)
        if not compat.is_array_api_obj(value) or compat.array_namespace(value) is not xp:
            value = xp.asarray(value, device=compat.device(like))
        return xp.astype(value, like.dtype)


ADAPTER = StandardAdapter()
