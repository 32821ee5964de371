"""Sparse gradients: SparseAdam, and SGD and Adagrad on the rows that a gradient touches."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import ENGINES, assert_same_bits, require_engine, to_numpy
from hypothesis import given
from hypothesis import strategies as st

import optimkit as ok
from optimkit.backends.adapters import adapter_of
from optimkit.backends.sparse import Entries, coalesce

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


# ---------------------------------------------------------------------- against torch

SETTINGS: tuple[tuple[tuple[int, ...], int], ...] = (((60, 5), 1), ((12, 4, 2), 1), ((6, 9), 2))


def parity() -> int:
    """Compare with torch in the IEEE setting, in a process of its own; return what is unequal."""
    from optimkit.validation.ieee import prepare

    torch = prepare()
    torch.sparse.check_sparse_tensor_invariants.enable()
    failures = 0
    for name in SPARSE:
        for dtype in (torch.float32, torch.float64):
            for i, (shape, axes) in enumerate(SETTINGS):
                for engine in ok.available_engines():
                    steps = 1000 if (i, engine) == (0, ok.available_engines()[0]) else 20
                    with ok.use_engine(engine):
                        unequal = differences(torch, name, dtype, shape, axes, steps)
                    if unequal:
                        print(f"{name}, {dtype}, {shape}, {engine}: {unequal} values unequal")
                    failures += unequal
    return failures


def differences(
    torch: Any, name: str, dtype: Any, shape: tuple[int, ...], axes: int, steps: int
) -> int:
    random = torch.Generator().manual_seed(1)
    start = torch.randn(shape, generator=random, dtype=dtype)
    theirs, ours = (torch.nn.Parameter(start.clone()) for _ in range(2))
    array = start.numpy().copy()
    flags = {} if name.startswith("SparseAdam") else {"foreach": False}
    peer = make(name, [theirs], torch.optim, **flags)
    tensor, numpy = make(name, [ours]), make(name, [array])
    for _ in range(steps):
        count = int(torch.randint(0, 40, (1,), generator=random))
        places = torch.stack(
            [torch.randint(0, n, (count,), generator=random) for n in shape[:axes]]
        )
        values = torch.randn(count, *shape[axes:], generator=random, dtype=dtype)
        grad = torch.sparse_coo_tensor(places, values, shape)
        summed = grad.coalesce()
        # torch's SGD adds entries for one place in turn, which rounds in another way
        theirs.grad = ours.grad = summed if name.startswith("SGD") else grad
        peer.step()
        tensor.step()
        numpy.step(grads=[as_scipy(summed) if axes == 2 else as_rows(summed)])
    pairs = [(theirs, ours), (theirs, array)]
    for key, value in peer.state[theirs].items():
        for own in (tensor.state[ours], numpy.state[array]):
            if torch.is_tensor(value) and value.ndim:
                pairs.append((value.to_dense(), own[key]))
            elif value is not None:
                pairs.append((np.float64(value), np.float64(own[key])))
    # a sum of nothing is 0 and a product with it may be -0: equal values
    return sum(int((to_numpy(x) != to_numpy(y)).sum()) for x, y in pairs)


def as_rows(grad: Any) -> ok.RowSparse:
    return ok.RowSparse(grad.indices()[0].numpy(), grad.values().numpy(), tuple(grad.shape))


def as_scipy(grad: Any) -> Any:
    import scipy.sparse

    return scipy.sparse.coo_array((grad.values().numpy(), grad.indices().numpy()), grad.shape)


def test_equal_to_torch() -> None:
    pytest.importorskip("torch", reason="there is no torch to compare with")
    pytest.importorskip("scipy", reason="elementwise sparse gradients need SciPy")
    done = subprocess.run(
        [sys.executable, "-W", "ignore::UserWarning", __file__],
        env=os.environ | {"ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# ---------------------------------------------------------------------- kinds of gradients


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


# ---------------------------------------------------------------------- what is summed, and where


@given(
    rows=st.lists(st.integers(0, 6), max_size=40),
    axes=st.sampled_from([1, 2]),
    seed=st.integers(0, 2**32 - 1),
)
def test_coalesce(rows: list[int], axes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    places = (np.array(rows, np.intp), random.integers(0, 3, len(rows)))[:axes]
    shape = (7, 3, 2)
    values = random.integers(-9, 9, (len(rows), *shape[axes:])).astype(float)
    given_values = values.copy()
    found, summed = coalesce(np, Entries(places, values, shape))
    expected = np.zeros(shape)
    np.add.at(expected, places, values)
    actual = np.zeros(shape)
    actual[found] = summed
    np.testing.assert_array_equal(actual, expected)
    np.testing.assert_array_equal(values, given_values)
    flat = np.ravel_multi_index(found, shape[:axes])
    assert (np.diff(flat) > 0).all()
    assert set(flat) == set(np.ravel_multi_index(places, shape[:axes]))


def test_neighbours_are_summed_in_pairs() -> None:
    values = np.array([1.0, 2.0**-53, 2.0**-53, 2.0**-53, 5.0])
    entries = Entries((np.array([3, 3, 3, 3, 1]),), values, (4,))
    (rows,), summed = coalesce(np, entries)
    assert rows.tolist() == [1, 3]
    assert summed.tolist() == [5.0, (1 + 2.0**-53) + 2.0**-52]


@pytest.mark.parametrize("name", SPARSE)
def test_duplicates_are_summed(name: str, rng: np.random.Generator) -> None:
    table = rng.standard_normal((10, 3))
    values = rng.integers(-9, 9, (2, 4, 3)).astype(float)
    tokens = np.array([[7, 2, 7, 7], [0, 2, 9, 7]])
    whole = np.zeros((10, 3))
    np.add.at(whole, tokens, values)
    once = ok.RowSparse([0, 2, 7, 9], whole[[0, 2, 7, 9]], (10, 3))
    own, expected = table.copy(), table.copy()
    make(name, [own]).step(grads=[ok.RowSparse(tokens, values, (10, 3))])
    make(name, [expected]).step(grads=[once])
    assert_same_bits(own, expected)


@pytest.mark.parametrize("name", ROWS)
def test_other_rows_are_left_alone(name: str, rng: np.random.Generator) -> None:
    table, grad = table_and_gradient(rng)
    others = np.setdiff1d(np.arange(len(table)), grad.indices)
    table[others[:3]] = [np.nan, np.inf, -0.0]
    begin = table.copy()
    run = make(name, [table])
    for _ in range(3):
        run.step(grads=[grad])
    assert_same_bits(table[others], begin[others])
    assert (table[grad.indices] != begin[grad.indices]).all()
    for value in run.state.get(table, {}).values():
        if hasattr(value, "shape"):
            assert np.ptp(value[others]) == 0


@pytest.mark.parametrize("name", ROWS)
def test_gradient_from_the_table_itself(name: str, rng: np.random.Generator) -> None:
    first, second = rng.standard_normal((2, 20, 3))
    expected = [first.copy(), second.copy()]
    rows = np.arange(5)
    make(name, expected).step(
        grads=[ok.RowSparse(rows, x[5:10].copy(), (20, 3)) for x in reversed(expected)]
    )
    aliases = [ok.RowSparse(rows, x[5:10], (20, 3)) for x in (second, first)]
    make(name, [first, second]).step(grads=aliases)
    assert_same_bits(first, expected[0])
    assert_same_bits(second, expected[1])


def test_a_step_makes_nothing_of_the_size_of_the_table(rng: np.random.Generator) -> None:
    table, grad = table_and_gradient(rng, (300_000, 8), 100)
    for name in ROWS:
        run = make(name, [table])
        run.step(grads=[grad])
        tracemalloc.start()
        run.step(grads=[grad])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < table.nbytes / 50


# ---------------------------------------------------------------------- together with dense ones


@pytest.mark.parametrize("name", ["SGD", "SGD, momentum", "Adagrad"])
def test_dense_and_sparse_in_one_group(name: str, rng: np.random.Generator) -> None:
    table, grad = table_and_gradient(rng)
    other, other_grad = rng.standard_normal((2, 7))
    more, more_grad = table_and_gradient(rng, (9, 2), 4)
    own = [table.copy(), other.copy(), more.copy()]
    run = make(name, own)
    alone = [table.copy(), other.copy(), more.copy()]
    runs = [make(name, [x]) for x in alone]
    for step in range(6):  # dense at times, absent at times
        grads = [
            dense(grad) if step == 3 else grad,
            None if step == 2 else other_grad,
            None if step == 4 else more_grad,
        ]
        run.step(grads=grads)
        for single, g in zip(runs, grads, strict=True):
            single.step(grads=[g])
    for x, y in zip(own, alone, strict=True):
        assert_same_bits(x, y)


def test_embedding(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")

    def train(library: Any) -> Any:
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Embedding(30, 4, sparse=True), torch.nn.Flatten(), torch.nn.Linear(12, 1)
        ).double()
        table, *rest = model.parameters()
        runs = library.SparseAdam([table], lr=0.05), library.SGD(rest, lr=0.01)
        tokens = torch.randint(0, 30, (64, 3))
        goal = tokens.sum(1, keepdim=True).double() / 30
        losses = []
        for _ in range(60):
            for run in runs:
                run.zero_grad()
            loss = ((model(tokens) - goal) ** 2).mean()
            loss.backward()
            for run in runs:
                run.step()
            losses.append(loss.item())
        return losses, to_numpy(table)

    (losses, table), (reference, expected) = train(ok), train(torch.optim)
    # stock torch kernels fuse multiply and add, and their square root is off by one unit at times
    np.testing.assert_allclose(losses, reference, rtol=1e-9)
    np.testing.assert_allclose(table, expected, rtol=1e-9, atol=1e-12)
    assert losses[-1] < losses[0] / 5


def test_closure(rng: np.random.Generator) -> None:
    table, grad = table_and_gradient(rng)
    expected = table.copy()
    ok.SparseAdam([expected]).step(grads=[grad])
    assert ok.SparseAdam([table]).step(lambda: (1.5, [grad])) == 1.5
    assert_same_bits(table, expected)


# ---------------------------------------------------------------------- empty gradients, counts


@pytest.mark.parametrize("name", ROWS)
def test_empty_gradient(name: str, rng: np.random.Generator) -> None:
    table = rng.standard_normal((5, 2))
    begin = table.copy()
    run = make(name, [table])
    for _ in range(2):
        run.step(grads=[ok.RowSparse([], np.zeros((0, 2)), (5, 2))])
    assert_same_bits(table, begin)
    if not name.startswith("SGD"):
        assert run.state[table]["step"] == 2
    run.step(grads=[None])
    assert run.state.get(table, {}).get("step", 2) == 2


def test_zero_grad(rng: np.random.Generator) -> None:
    table, grad = table_and_gradient(rng)
    param = ok.Parameter(table)
    run = ok.SparseAdam([param])
    for set_to_none in (True, False):
        param.grad = grad
        run.zero_grad(set_to_none)
        assert param.grad is None


def test_zero_grad_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    param = torch.nn.Parameter(torch.ones(4, 2))
    param.grad = torch.ones(4, 2).to_sparse(1)
    ok.SparseAdam([param]).zero_grad(set_to_none=False)
    assert param.grad.is_sparse
    assert param.grad.to_dense().abs().sum() == 0


# ---------------------------------------------------------------------- checkpoints


@pytest.mark.parametrize("name", SPARSE)
def test_resume(name: str, rng: np.random.Generator) -> None:
    table, grad = table_and_gradient(rng)
    run = make(name, [table])
    for _ in range(3):
        run.step(grads=[grad])
    saved, other = copy.deepcopy(run.state_dict()), table.copy()
    again = make(name, [other])
    again.load_state_dict(saved)
    for _ in range(3):
        run.step(grads=[grad])
        again.step(grads=[grad])
    assert_same_bits(other, table)


@pytest.mark.parametrize("name", SPARSE)
def test_checkpoints_of_torch(name: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    table, grad = table_and_gradient(rng, dtype="f4")
    places = torch.from_numpy(np.sort(grad.indices))
    form = torch.sparse_coo_tensor(
        places[None], torch.from_numpy(grad.values), grad.shape, check_invariants=True
    ).coalesce()
    begin = [torch.nn.Parameter(torch.from_numpy(table.copy())) for _ in range(4)]
    with torch.sparse.check_sparse_tensor_invariants(True):
        one, other = make(name, [begin[0]], torch.optim), make(name, [begin[1]])
        for _ in range(3):
            for run, param in ((one, begin[0]), (other, begin[1])):
                param.grad = form
                run.step()
        saved = other.state_dict()
        if name.startswith("SparseAdam"):
            assert type(saved["state"][0]["step"]) is int
        crossed = [make(name, [begin[2]]), make(name, [begin[3]], torch.optim)]
        with torch.no_grad():
            begin[2].copy_(begin[0])
            begin[3].copy_(begin[1])
        crossed[0].load_state_dict(copy.deepcopy(one.state_dict()))
        crossed[1].load_state_dict(copy.deepcopy(saved))
        if name == "SGD, nesterov":  # torch cannot add a dense momentum to a sparse gradient
            del crossed[1], begin[3]
        for _ in range(3):
            for run, param in zip((one, other, *crossed), begin, strict=True):
                param.grad = form
                run.step()
    for param in begin[1:]:  # stock torch rounds otherwise, a little
        np.testing.assert_allclose(to_numpy(param), to_numpy(begin[0]), rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------------- refusals


REFUSING = [
    name
    for name in ("Adadelta", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop")
    if hasattr(ok, name)
]


@pytest.mark.parametrize("name", [*REFUSING, "ASGD"])
def test_others_refuse(name: str, rng: np.random.Generator) -> None:
    table, grad = table_and_gradient(rng)
    begin = table.copy()
    run = getattr(ok, name)([table])
    forms = [grad, *scipy_kinds(grad).values()]
    for form in forms:
        with pytest.raises(RuntimeError, match=r"parameter 0: sparse gradients are not supported"):
            run.step(grads=[form])
    assert_same_bits(table, begin)
    assert not run.state


@pytest.mark.parametrize("name", ["SGD", "SGD, momentum", "Adagrad"])
def test_weight_decay_is_refused(name: str, rng: np.random.Generator) -> None:
    table, grad = table_and_gradient(rng)
    begin = table.copy()
    run = make(name, [table], weight_decay=0.1)
    with pytest.raises(RuntimeError, match="weight_decay option is not compatible with sparse"):
        run.step(grads=[grad])
    assert_same_bits(table, begin)
    assert not run.state


def test_sparse_adam_refuses_dense(rng: np.random.Generator) -> None:
    table, grad = table_and_gradient(rng)
    begin = table.copy()
    run = ok.SparseAdam([table])
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"parameter 0: its gradient is dense.*Adam"):
            run.step(grads=[dense(grad)])
        assert_same_bits(table, begin)
        assert not run.state
    with pytest.raises(TypeError, match="parameter 0"):
        run.step(grads=["no gradient"])


@pytest.mark.parametrize(
    "options",
    [dict(lr=0), dict(lr=-1.0), dict(eps=0), dict(betas=(1.0, 0.9)), dict(betas=(0.9, -0.1))],
)
def test_sparse_adam_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="SparseAdam: invalid"):
        ok.SparseAdam([np.ones(3)], **options)


def test_sparse_adam_parameters() -> None:
    with pytest.raises(ValueError, match="complex"):
        ok.SparseAdam([np.ones(3, complex)])
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with pytest.raises(ValueError, match="dense parameters"):
        ok.SparseAdam([torch.ones(3).to_sparse()])
    with pytest.raises(ValueError, match="complex"):
        ok.SparseAdam([torch.ones(3, dtype=torch.complex64)])


BAD_ROWS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "too large": (lambda: ok.RowSparse([0, 5], np.ones((2, 2)), (5, 2)), ValueError, "index 5"),
    "negative": (lambda: ok.RowSparse([0, -1], np.ones((2, 2)), (5, 2)), ValueError, "index -1"),
    "floats": (lambda: ok.RowSparse([0.0], np.ones((1, 2)), (5, 2)), TypeError, "integers"),
    "booleans": (lambda: ok.RowSparse([True], np.ones((1, 2)), (5, 2)), TypeError, "integers"),
    "values": (lambda: ok.RowSparse([0, 1], np.ones((3, 2)), (5, 2)), ValueError, r"\(2, 2\)"),
    "no axes": (lambda: ok.RowSparse([], np.ones(0), ()), ValueError, "at least one axis"),
}


@pytest.mark.parametrize("what", BAD_ROWS)
def test_bad_rows(what: str) -> None:
    make_it, error, match = BAD_ROWS[what]
    with pytest.raises(error, match=match):
        make_it()


def _changed(values: Any) -> ok.RowSparse:
    grad = ok.RowSparse(np.array([0, 1]), np.ones((2, 2)), (5, 2))
    grad.indices[:] = values
    return grad


BAD_GRADIENTS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "shape": (lambda: ok.RowSparse([0], np.ones((1, 2)), (6, 2)), ValueError, r"\(6, 2\)"),
    "dtype": (lambda: ok.RowSparse([0], np.ones((1, 2), "f4"), (5, 2)), TypeError, "float32"),
    "changed, too large": (lambda: _changed([1, 5]), ValueError, "index 5"),
    "changed, negative": (lambda: _changed([-1, 1]), ValueError, "index -1"),
    "masked": (
        lambda: ok.RowSparse([0], np.ma.masked_array(np.ones((1, 2))), (5, 2)),
        TypeError,
        "MaskedArray",
    ),
}


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.parametrize("what", BAD_GRADIENTS)
def test_bad_gradients_change_nothing(name: str, what: str) -> None:
    make_it, error, match = BAD_GRADIENTS[what]
    params = [np.ones((5, 2)), np.ones((5, 2))]
    good = ok.RowSparse([3], np.ones((1, 2)), (5, 2))
    run = make(name, params)
    with pytest.raises(error, match=match) as caught:
        run.step(grads=[good, make_it()])
    assert "parameter 1" in str(caught.value)
    assert all((x == 1).all() for x in params)
    assert not run.state
    run.step(grads=[good, good])
    assert all((x[3] != 1).all() for x in params)


@pytest.mark.parametrize("name", SPARSE)
def test_bad_torch_gradients(name: str) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    param = torch.nn.Parameter(torch.ones(5, 2))
    run = make(name, [param])
    for rows in ([-1, 2], [2, 5]):
        grad = torch.sparse_coo_tensor([rows], torch.ones(2, 2), (5, 2), check_invariants=False)
        with pytest.raises(ValueError, match="index"):
            run.step(grads=[grad])
    wide = torch.ones(5, 2, dtype=torch.float64).to_sparse(1)
    with pytest.raises(TypeError, match="float64"):
        run.step(grads=[wide])
    with pytest.raises(TypeError, match="parameter 0"):
        run.step(grads=[scipy_kinds(ok.RowSparse([0], np.ones((1, 2), "f4"), (5, 2)))["coo_array"]])
    assert (param == 1).all()
    assert not run.state


def test_other_array_libraries_refuse() -> None:
    xp = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    table = xp.ones((5, 2))
    with pytest.raises(TypeError, match="RowSparse"):
        ok.SGD([table]).step(grads=[ok.RowSparse([0], np.ones((1, 2)), (5, 2))])


def test_state_that_has_no_rows() -> None:
    class Total(ok.SGD):
        @staticmethod
        def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
            return {"total": xp.zeros(3)}

    with pytest.raises(RuntimeError, match="total"):
        Total([np.ones((5, 2))]).step(grads=[ok.RowSparse([0], np.ones((1, 2)), (5, 2))])


def test_rules_of_ones_own(engine: str) -> None:
    class Lazy(ok.Optimizer):
        def __init__(self, params: Any, lr: float = 0.5) -> None:
            super().__init__(params, dict(lr=lr))

        @staticmethod
        def sparse_gradients(hyper: Any) -> str:
            return "rows"

        @staticmethod
        def update(
            xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
        ) -> tuple[Any, dict[str, Any]]:
            assert hyper.sparse
            return param - hyper.lr * step * grad, {"seen": step}

    table = np.zeros((5, 2))
    run = Lazy([table])
    for _ in range(2):
        run.step(grads=[ok.RowSparse([1, 1], np.ones((2, 2)), (5, 2))])
    assert table.tolist() == [[0, 0], [-3, -3], [0, 0], [0, 0], [0, 0]]
    assert run.state[table] == {"step": 2, "seen": 2}


def test_repr() -> None:
    assert repr(ok.RowSparse([1], np.ones((1, 2)), (5, 2))).startswith("RowSparse(array([1])")


def test_rows_are_told_from_arrays() -> None:
    assert adapter_of(np.ones(2)).entries(np.ones(2)) is None
    assert adapter_of(np.ones(2)).entries(SimpleNamespace(shape=(2,))) is None


if __name__ == "__main__":
    sys.exit(min(parity(), 1))
