"""Sparse gradients: SparseAdam, and SGD and Adagrad on the rows that a gradient touches."""

from __future__ import annotations

import copy
import tracemalloc
from typing import Any

import numpy as np
import pytest
from conftest import assert_same_bits, to_numpy
from hypothesis import given
from hypothesis import strategies as st
from tables import ROWS, SPARSE, dense, make, table_and_gradient

import optimkit as ok
from optimkit.backends.sparse import Entries, coalesce

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
