"""Sparse gradients of every kind, layout and dtype, on every engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import ENGINES, assert_same_bits, require_engine
from tables import ROWS, SPARSE, dense, make, scipy_kinds, table_and_gradient

import optimkit as ok
from optimkit.backends.adapters import adapter_of


@pytest.mark.parametrize("name", SPARSE)
def test_scipy(name: str, rng: np.random.Generator) -> None:
    table, grad = table_and_gradient(rng)
    expected = table.copy()
    make(name, [expected]).step(grads=[grad])
    for kind, form in scipy_kinds(grad).items():
        own = ok.Parameter(table.copy())
        own.grad = form
        make(name, [own]).step()
        assert_same_bits(own, expected, kind)


def test_scipy_vector(rng: np.random.Generator) -> None:
    sp = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    table, grad = table_and_gradient(rng, (30,), 7)
    form = sp.coo_array((grad.values, (grad.indices,)), grad.shape)
    for gradient in (grad, form):
        own, expected = table.copy(), table.copy()
        ok.SGD([own], lr=0.5).step(grads=[gradient])
        ok.SGD([expected], lr=0.5).step(grads=[dense(grad)])
        assert_same_bits(own, expected)


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.parametrize("kind", ["coo", "coalesced", "csr", "rows"])
def test_torch(name: str, kind: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    table, grad = table_and_gradient(rng)
    expected = table.copy()
    make(name, [expected]).step(grads=[grad])
    own = torch.nn.Parameter(torch.from_numpy(table))
    places, values = torch.from_numpy(grad.indices), torch.from_numpy(grad.values)
    form = torch.sparse_coo_tensor(places[None], values, grad.shape, check_invariants=True)
    if kind == "coalesced":
        form = form.coalesce()
    elif kind == "csr":
        with pytest.warns(UserWarning, match="beta") if first_csr() else no_context():
            form = torch.from_numpy(dense(grad)).to_sparse_csr()
        # an element that the layout leaves out is left alone: here there is none in these rows
    elif kind == "rows":
        form = ok.RowSparse(places, values, grad.shape)
    before = own._version
    make(name, [own]).step(grads=[form])
    assert_same_bits(own, expected)
    assert own._version > before


def no_context() -> Any:
    from contextlib import nullcontext

    return nullcontext()


_csr_seen: list[bool] = []


def first_csr() -> bool:
    """Whether torch has yet to say, once in a process, that CSR is in beta."""
    _csr_seen.append(True)
    return len(_csr_seen) == 1


def test_cupyx(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    pytest.importorskip("cupy", reason="CuPy is not installed")
    from optimkit.backends.adapters.cupy import ADAPTER

    kind = type("coo_matrix", (), {"__module__": "cupyx.scipy.sparse._coo"})
    form = kind()
    form.row, form.col, form.data, form.shape = np.array([2]), np.array([1]), np.ones(1), (4, 3)
    form.tocoo = lambda: form
    entries = ADAPTER.entries(form)
    assert entries is not None
    assert entries.shape == (4, 3)
    assert [int(x[0]) for x in entries.places] == [2, 1]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("order", ["C", "F", "gaps"])
def test_memory_and_dtypes(dtype: str, order: str, rng: np.random.Generator) -> None:
    table, grad = table_and_gradient(rng, dtype=dtype)
    expected = table.copy()
    ok.Adagrad([expected]).step(grads=[dense(grad)])
    own = np.zeros((50, 6), dtype)[:, ::2] if order == "gaps" else np.zeros((50, 3), dtype, order)
    own[...] = table
    ok.Adagrad([own]).step(grads=[grad])
    eps = 4 * np.finfo(dtype).eps  # the dense rule multiplies before it divides
    np.testing.assert_allclose(own, expected, rtol=eps, atol=eps)
    ok.SGD([own], lr=0.1).step(grads=[grad])
    ok.SGD([expected], lr=0.1).step(grads=[dense(grad)])
    np.testing.assert_allclose(own, expected, rtol=eps, atol=eps)


@pytest.mark.parametrize("shape", [(40,), (40, 3), (40, 3, 2), (40, 1), (40, 0)])
@pytest.mark.parametrize("name", ROWS)
def test_engines_agree(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    table, grad = table_and_gradient(rng, shape, dtype="f4")
    results = {}
    for engine in ENGINES:
        if engine not in ok.available_engines():
            continue
        own = table.copy()
        with ok.use_engine(engine):
            run = make(name, [own])
            for _ in range(3):
                run.step(grads=[grad])
        results[engine] = [own, *(x for x in run.state[own].values() if hasattr(x, "shape"))]
    for engine, arrays in results.items():
        for one, other in zip(arrays, results["eager"], strict=True):
            assert_same_bits(one, other, engine)


@pytest.mark.parametrize("name", ENGINES)
def test_fused(name: str, rng: np.random.Generator) -> None:
    require_engine(name)
    table, grad = table_and_gradient(rng)
    with ok.use_engine(name):
        run = ok.SparseAdam([table], fused=True)
        if name == "eager":
            with pytest.raises(RuntimeError, match="fused=True"):
                run.step(grads=[grad])
        else:
            run.step(grads=[grad])
            assert run.state[table]["step"] == 1


def test_repr() -> None:
    assert repr(ok.RowSparse([1], np.ones((1, 2)), (5, 2))).startswith("RowSparse(array([1])")


def test_rows_are_told_from_arrays() -> None:
    assert adapter_of(np.ones(2)).entries(np.ones(2)) is None
    assert adapter_of(np.ones(2)).entries(SimpleNamespace(shape=(2,))) is None
