"""What rules as functions need of JAX."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optimkit.backends.adapters import Adapter
from optimkit.backends.adapters.jax import JAXAdapter
from optimkit.functional.libraries import ArrayLibrary
from optimkit.functional.namespace import Namespace


def in_double() -> AbstractContextManager[Any]:
    """Return the context in which JAX has float64, without which it makes float32 of it."""
    module: Any = jax if hasattr(jax, "enable_x64") else import_module("jax.experimental")
    context: AbstractContextManager[Any] = module.enable_x64(True)
    return context


@jax.custom_jvp
def sqrt(x: Any) -> Any:
    """A square root whose derivative at zero is zero, taken wherever JAX wants it."""
    return jnp.sqrt(x)


@sqrt.defjvp
def _change_of_sqrt(values: Any, changes: Any) -> Any:
    with in_double():
        root = sqrt(*values)
        zero = root == 0
        return root, jnp.where(zero, 0, changes[0] / (2 * jnp.where(zero, 1, root)))


class _JAX(ArrayLibrary):
    rank = 2

    def computing(self) -> AbstractContextManager[Any]:
        return in_double()

    def double(self, x: Any) -> Any:
        return jnp.asarray(x, np.float64)

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        return jnp.where(condition, x, y)

    def power(self, x: Any, y: Any) -> Any:
        # JAX's own power has derivatives that cannot be had outside of `in_double`.
        above = x > 0
        others = jnp.where(y == 0, 1.0, jnp.where(x == 0, 0.0, jnp.nan))
        return jnp.where(above, jnp.exp(y * jnp.log(jnp.where(above, x, 1.0))), others)

    def function(self, name: str, x: Any) -> Any:
        return getattr(jnp, name)(x)

    def span(self, x: Any) -> tuple[float, float]:
        return 0.0, float(np.iinfo(x.dtype).max) if x.dtype.kind in "iu" else np.inf

    def is_traced(self, x: Any) -> bool:
        return isinstance(x, jax.core.Tracer)

    def adapter(self, traced: bool) -> Adapter:
        return ADAPTER

    def taken(self, x: Any) -> Any:
        return jnp.asarray(x) if isinstance(x, np.ndarray | np.generic) else x

    def count(self, number: int) -> Any:
        return jnp.asarray(number, np.int32)

    def precision(self) -> Any:
        return np.dtype(jax.dtypes.canonicalize_dtype(np.float64))

    def number(self, value: Any, dtype: Any) -> Any:
        return jnp.asarray(value, dtype)


NAMESPACE = Namespace(jnp, sqrt, placed=False)


class FunctionalArrays(JAXAdapter):
    """JAX arrays, with the namespace that traced numbers need."""

    def namespace(self, view: Any) -> Any:
        return NAMESPACE


LIBRARY, ADAPTER = _JAX(), FunctionalArrays()
