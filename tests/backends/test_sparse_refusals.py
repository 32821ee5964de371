"""What of sparse gradients is refused, and that nothing has changed then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import assert_same_bits
from tables import SPARSE, dense, make, scipy_kinds, table_and_gradient

import optimkit as ok

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
