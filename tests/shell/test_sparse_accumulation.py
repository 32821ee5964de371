"""Sparse gradients of several micro-batches are one sparse gradient with the rows of all."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import assert_same_bits
from libraries import LIBRARIES

import optimkit as ok

SHAPE = (7, 2)
N = 3


def micro_batch(number: int, dtype: Any) -> ok.RowSparse:
    """Rows that repeat, with values whose sums are exact."""
    rng = np.random.default_rng(number)
    values: Any = rng.integers(-8, 8, (4, 2)) * 0.75
    if np.dtype(dtype).kind == "c":
        values = values * (1 + 0.5j)
    return ok.RowSparse(rng.integers(0, 6, 4), np.asarray(values, dtype), SHAPE)


def in_one(found: list[ok.RowSparse], divisor: int) -> ok.RowSparse:
    """All of them, each row once, over a number."""
    whole = np.zeros(SHAPE, found[0].values.dtype)
    for rows in found:
        np.add.at(whole, rows.indices, rows.values)
    parts = whole.view(whole.real.dtype)
    parts /= parts.dtype.type(divisor)
    indices = np.unique(np.concatenate([rows.indices for rows in found]))
    return ok.RowSparse(indices, whole[indices], SHAPE)


RULES = {"SparseAdam": ok.SparseAdam, "SGD": ok.SGD, "Adagrad": ok.Adagrad}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("rule", RULES)
def test_a_window_is_one_step_with_all_rows(rule: str, dtype: str, reduction: str) -> None:
    if rule == "SparseAdam" and dtype == "complex64":
        pytest.skip("SparseAdam has no complex parameters")
    x, y = np.ones(SHAPE, dtype), np.ones(SHAPE, dtype)
    ours = ok.accumulate(RULES[rule]([x]), N, reduction=reduction)
    reference = RULES[rule]([y])
    for window in range(2):
        found = [micro_batch(N * window + k, dtype) for k in range(N)]
        for rows in found:
            ours.step(grads=[rows])
            rows.values[...] = np.nan  # the memory may be used again
        found = [micro_batch(N * window + k, dtype) for k in range(N)]
        reference.step(grads=[in_one(found, N if reduction == "mean" else 1)])
        assert_same_bits(x, y)


@pytest.mark.parametrize("way", ["state dict", "file", "copy", "group"])
@pytest.mark.parametrize("kind", ["numpy", "Parameter", "torch"])
def test_resuming_is_exact(kind: str, way: str, tmp_path: Path) -> None:
    library = LIBRARIES[kind]
    x, y = library.param(np.ones(SHAPE, "f")), library.param(np.ones(SHAPE, "f"))
    ours, reference = ok.accumulate(ok.SparseAdam([x]), N), ok.SparseAdam([y])
    found = [micro_batch(k, "float32") for k in range(N)]
    for k, rows in enumerate(found):
        if k == 2:
            again = ok.accumulate(ok.SparseAdam([library.param(np.ones(SHAPE, "f"))]), N)
            if way == "state dict":
                again.load_state_dict(copy.deepcopy(ours.state_dict()))
            elif way == "file":
                pytest.importorskip("safetensors", reason="files")
                ok.save(ours, tmp_path / "it")
                again.load_state_dict(ok.load(tmp_path / "it"))
            elif way == "copy":
                again = copy.deepcopy(ours)
            else:
                ours.add_param_group({"params": [library.param(np.ones(3, "f"))]})
                again = ours
            ours = again
        rest = [None] * (len(ours.param_groups) - 1)
        library.step(ours, [rows, *rest])
    library.step(reference, [in_one(found, N)])
    assert ours.step_count == 1
    (param, *_), (expected,) = (o.param_groups[0]["params"] for o in (ours, reference))
    assert_same_bits(library.to_numpy(param), library.to_numpy(expected))


def test_a_step_that_fails_can_be_tried_again() -> None:
    x, y = np.ones(SHAPE), np.ones(SHAPE)
    ours = ok.accumulate(ok.SGD([x], lr=1.0), 2)
    found = [micro_batch(k, "float64") for k in range(2)]
    ours.step(grads=[found[0]])
    ours.param_groups[0]["lr"] = "fast"
    with pytest.raises(TypeError, match="lr"):
        ours.step(grads=[found[1]])
    ours.param_groups[0]["lr"] = 1.0
    ours.step(grads=[found[1]])
    ok.SGD([y], lr=1.0).step(grads=[in_one(found, 2)])
    assert_same_bits(x, y)
    ours.step(grads=[found[0]])
    ours.flush()
    ok.SGD([y], lr=1.0).step(grads=[found[0]])
    assert_same_bits(x, y)


def test_what_is_not_added_up() -> None:
    sp = pytest.importorskip("scipy.sparse")
    tables = {"table": np.ones(SHAPE), "other": np.ones(SHAPE)}
    ours = ok.accumulate(ok.SGD(tables), 9)
    dense, sparse = np.ones(SHAPE), micro_batch(0, "float64")
    ours.step(grads={"table": dense, "other": sparse})
    wrong = [
        ({"table": sparse, "other": sparse}, RuntimeError, "table: its gradients are dense and"),
        ({"table": dense, "other": dense}, RuntimeError, "other: its gradients are dense and"),
        ({"table": None, "other": sp.coo_array(dense)}, RuntimeError, "sparse along 2 axes"),
        (
            {"table": dense, "other": ok.RowSparse([0], np.ones((1, 3)), (7, 3))},
            ValueError,
            r"parameter other: its gradient has shape \(7, 3\)",
        ),
        ({"table": np.ones(3), "other": sparse}, ValueError, "parameter table"),
    ]
    for grads, error, words in wrong:
        with pytest.raises(error, match=words):
            ours.step(grads=grads)
        assert ours.pending == 1
    ours.flush()
    twins = {"table": np.ones(SHAPE), "other": np.ones(SHAPE)}
    ok.SGD(twins).step(grads={"table": dense, "other": sparse})
    for name, table in tables.items():
        assert_same_bits(table, twins[name])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"indices": None}, TypeError, "parameter 0: loaded rows have a builtins.NoneType"),
        ({"values": np.ones((3, 2))}, ValueError, "values have shape"),
        ({"indices": np.array([0, 1, 2, 70])}, ValueError, "index 70"),
    ],
)
def test_rows_that_do_not_fit(change: Any, error: type[Exception], words: str) -> None:
    ours = ok.accumulate(ok.SparseAdam([np.ones(SHAPE)]), 2)
    ours.step(grads=[micro_batch(0, "float64")])
    saved = copy.deepcopy(ours.state_dict())
    saved["accumulate"]["sums"][0].update(change)
    with pytest.raises(error, match=words):
        ours.load_state_dict(saved)
    assert ours.pending == 1


def test_tensors_that_are_sparse() -> None:
    weight, twin = torch.ones(SHAPE), torch.ones(SHAPE)
    ours = ok.accumulate(ok.SparseAdam([weight]), 2)
    found = [
        torch.sparse_coo_tensor([[1, 4, 1]], torch.ones(3, 2), SHAPE, check_invariants=True)
        for _ in range(2)
    ]
    for grad in found:
        ours.step(grads=[grad])
    ok.SparseAdam([twin]).step(grads=[((found[0] + found[1]) / 2).coalesce()])
    assert_same_bits(weight, twin)
