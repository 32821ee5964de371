"""Tables and sparse gradients of them, and the optimizers that take those."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import optimkit as ok

SPARSE = {
    "SparseAdam": dict(lr=0.1),
    "SparseAdam, maximize": dict(lr=0.02, betas=(0.5, 0.9), eps=1e-3, maximize=True),
    "SparseAdam, betas of 0": dict(betas=(0.0, 0.0)),
    "SGD": dict(lr=0.1),
    "SGD, maximize": dict(lr=0.1, maximize=True),
    "SGD, momentum": dict(lr=0.01, momentum=0.9, dampening=0.1),
    "SGD, nesterov": dict(lr=0.01, momentum=0.9, nesterov=True),
    "Adagrad": dict(lr=0.1, lr_decay=0.01, initial_accumulator_value=0.1),
    "Adagrad, maximize": dict(maximize=True),
}
ROWS = [name for name in SPARSE if "momentum" not in name and "nesterov" not in name]


def make(name: str, params: Any, library: Any = ok, **more: Any) -> Any:
    return getattr(library, name.partition(",")[0])(params, **SPARSE[name] | more)


def table_and_gradient(
    rng: np.random.Generator, shape: tuple[int, ...] = (50, 3), count: int = 20, dtype: Any = "f8"
) -> tuple[Any, ok.RowSparse]:
    """A table and a gradient with distinct rows out of order."""
    rows = rng.permutation(shape[0])[:count]
    values = rng.standard_normal((count, *shape[1:])).astype(dtype)
    return rng.standard_normal(shape).astype(dtype), ok.RowSparse(rows, values, shape)


def dense(grad: ok.RowSparse) -> Any:
    whole = np.zeros(grad.shape, grad.values.dtype)
    np.add.at(whole, grad.indices, grad.values)
    return whole


def as_rows(grad: Any) -> ok.RowSparse:
    return ok.RowSparse(grad.indices()[0].numpy(), grad.values().numpy(), tuple(grad.shape))


def as_scipy(grad: Any) -> Any:
    import scipy.sparse

    return scipy.sparse.coo_array((grad.values().numpy(), grad.indices().numpy()), grad.shape)


def scipy_kinds(grad: ok.RowSparse) -> dict[str, Any]:
    """Every SciPy form of a gradient, all elements of its rows given."""
    sp = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    width = grad.shape[1]
    rows = np.repeat(grad.indices, width)
    coordinates = rows, np.tile(np.arange(width), len(grad.indices))
    coo = sp.coo_array((grad.values.reshape(-1), coordinates), grad.shape)
    return {
        "coo_array": coo,
        "coo_matrix": sp.coo_matrix(coo),
        "csr_array": coo.tocsr(),
        "csr_matrix": sp.csr_matrix(coo),
        "csc_array": coo.tocsc(),
    }
