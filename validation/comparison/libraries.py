"""Arrays of other libraries, made of NumPy's and read back with the same bits."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

import optimkit as ok

Array = np.ndarray[Any, Any]
LIBRARIES = ("numpy", "torch", "jax", "tensorflow", "mlx", "cupy")


def library_of(x: Any) -> str:
    """The library that an array is of."""
    home = type(x).__module__.partition(".")[0]
    return {"jaxlib": "jax"}.get(home, home)


def loaded() -> list[str]:
    """The libraries that the program has imported, NumPy first."""
    return [name for name in LIBRARIES if name in sys.modules]


def made(array: Any, library: str) -> Any:
    """A copy of an array in another library, which the caller may write to.

    A `RowSparse` becomes what that library has for it: a sparse tensor of torch's.
    """
    if isinstance(array, ok.RowSparse):
        if library != "torch":
            raise ValueError(f"there are no sparse gradients for {library}")
        import torch

        places, values = torch.as_tensor(array.indices)[None], torch.as_tensor(array.values)
        return torch.sparse_coo_tensor(places, values, array.shape, check_invariants=True)
    array = np.array(array)
    if library == "torch":
        import torch

        return torch.from_numpy(array)
    if library == "jax":
        import jax.numpy as jnp

        return jnp.asarray(array)
    if library == "tensorflow":
        return sys.modules["tensorflow"].Variable(array)
    if library == "mlx":
        import mlx.core as mx  # type: ignore[import-not-found,unused-ignore]

        double = {"dtype": mx.float64} if array.dtype == np.float64 else {}  # else it is float32
        return mx.array(array, **double)
    if library == "tinygrad":
        return sys.modules["tinygrad"].Tensor(array)
    if library == "cupy":
        import cupy

        return cupy.asarray(array)
    return array


def read(x: Any) -> Array:
    """An array of any library as NumPy's."""
    if hasattr(x, "detach"):
        x = x.detach().cpu().numpy()
    elif hasattr(x, "get") and library_of(x) == "cupy":
        x = x.get()
    elif hasattr(x, "numpy"):
        x = x.numpy()
    return np.array(x)


def in_double(library: str) -> AbstractContextManager[Any]:
    """Within this a library computes in float64 where it is given that."""
    if library != "jax":
        return nullcontext()
    import jax

    home: Any = jax if hasattr(jax, "enable_x64") else jax.experimental
    context: AbstractContextManager[Any] = home.enable_x64(True)
    return context
