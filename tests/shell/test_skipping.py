"""Steps with a gradient that is not finite are left out, counted, and named in the end."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import array, assert_same_bits
from forms import frozen, tensor
from host_device import HostDriver, host_device, on_device
from libraries import LIBRARIES, STEPPING, Library
from test_accumulation import KINDS, assert_equal, pair, params_of
from windows import batch, give, starts, total

import optimkit as ok
from optimkit.backends.reductions import CHUNK
from optimkit.norms import nonfinite

BAD = [np.nan, np.inf, -np.inf]


def spoiled(row: list[Any], value: float = np.nan, place: int = 1) -> list[Any]:
    row = [None if x is None else x.copy() for x in row]
    row[place].reshape(-1)[-1:] = value
    return row


# ---------------------------------------------------------------- what is left out


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("library", STEPPING, indirect=True)
def test_a_step_that_is_left_out_changes_nothing(library: Library, value: float) -> None:
    params, twins = ([library.param(x) for x in starts()] for _ in range(2))
    ours, reference = ok.skip_nonfinite(ok.AdamW(params)), ok.AdamW(twins)
    seen = []
    ours.register_step_pre_hook(lambda *_: seen.append("before"))
    for k in range(3):
        library.step(ours, batch(k))
        library.step(reference, batch(k))
        assert ours.stepped
        before = frozen(ours)
        for place in (0, 1, 2):
            library.step(ours, spoiled(batch(k), value, place))
            assert not ours.stepped
        assert frozen(ours) == before
        assert (ours.skipped, ours.consecutive_skipped) == (3 * (k + 1), 3)
    assert_equal(library, ours, reference)
    assert seen == ["before"] * 3
    assert ours.step_count == 3


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_every_element_is_looked_at(engine: str, dtype: str) -> None:
    sizes = [(), (0,), (1,), (255,), (3, 343), (CHUNK + 17,)]
    grads = [np.ones(size, dtype) for size in sizes]
    assert nonfinite(grads, grads) == []
    for i, grad in enumerate(grads):
        for place in {0, grad.size // 2, grad.size - 1} if grad.size else ():
            for value in BAD + ([1j * np.inf, complex(0, np.nan)] if "complex" in dtype else []):
                flat, old = grad.reshape(-1), grad.reshape(-1)[place].copy()
                flat[place] = value
                assert nonfinite(grads, grads) == [i]
                flat[place] = old


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex128"])
def test_large_is_finite(engine: str, dtype: str) -> None:
    grads = [np.full(100, np.finfo(dtype).max, dtype), np.full(3, -np.finfo(dtype).max, dtype)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert nonfinite(grads, grads) == []
        grads[1][1] = np.inf
        assert nonfinite(grads, grads) == [1]


@pytest.mark.parametrize("kind", ["gaps", "transposed", "bfloat16", "swapped", "two dtypes"])
def test_other_layouts(engine: str, kind: str) -> None:
    x: Any = np.ones((4, 6), np.float32)
    first: Any = np.ones(3, np.float32)
    if kind == "gaps":
        x = x[:, ::2]
    elif kind == "transposed":
        x = x.T
    elif kind == "bfloat16":
        x = x.astype(pytest.importorskip("ml_dtypes", reason="NumPy's bfloat16").bfloat16)
    elif kind == "swapped":
        x = x.astype(">f4")
    else:
        x = x.astype(np.float64)
    assert nonfinite([first, x], [first, x]) == []
    x[2, 1] = np.nan
    assert nonfinite([first, x], [first, x]) == [1]


def test_sparse_gradients() -> None:
    table = np.ones((5, 2))
    ours = ok.skip_nonfinite(ok.SparseAdam([table, np.ones((5, 2))]))
    good = ok.RowSparse([1], np.ones((1, 2)), (5, 2))
    for value in BAD:
        ours.step(grads=[good, ok.RowSparse([3], np.full((1, 2), value), (5, 2))])
        assert not ours.stepped
    ours.step(grads=[good, good])
    assert ours.stepped
    weight = torch.nn.Embedding(5, 2, sparse=True).weight
    held = ok.skip_nonfinite(ok.SparseAdam([weight]))
    indices = torch.tensor([[1, 3]])
    for value in (1.0, np.nan):
        weight.grad = torch.sparse_coo_tensor(
            indices, torch.full((2, 2), value), (5, 2), check_invariants=True
        )
        held.step()
    assert (held.skipped, held.step_count) == (1, 1)


def test_torchs_optimizers() -> None:
    w, v = tensor(1.0), tensor(1.0)
    ours, reference = ok.skip_nonfinite(torch.optim.Adam([w])), torch.optim.Adam([v])
    for value in (1.0, np.nan, 2.0):
        w.grad = torch.full((1,), value)
        ours.step()
        if np.isfinite(value):
            v.grad = torch.full((1,), value)
            reference.step()
    assert_same_bits(w, v)
    assert ours.skipped == 1


def test_closures_are_called_once() -> None:
    x, calls = array(1.0), []

    def closure() -> tuple[float, list[Any]]:
        calls.append(1)
        return 0.5, [array(np.nan if len(calls) == 1 else 2.0)]

    ours = ok.skip_nonfinite(ok.SGD([x], lr=1.0))
    assert [ours.step(closure), ours.step(closure)] == [0.5, 0.5]
    assert (x, len(calls), ours.skipped) == (-1.0, 2, 1)


# ---------------------------------------------------------------- in the end


def test_too_many_in_a_row() -> None:
    params = {"in": array(1.0), "out": array(1.0), "bias": array(1.0)}
    ours = ok.skip_nonfinite(ok.SGD(params, lr=1.0), max_consecutive=2)
    bad = {"in": array(np.inf), "out": array(1.0), "bias": array(np.nan)}
    good = dict.fromkeys(params, array(0.0))
    for _ in range(2):
        for _ in range(2):
            ours.step(grads=bad)
        with pytest.raises(RuntimeError, match=r"2 steps .*: parameter in, parameter bias$"):
            ours.step(grads=bad)
        assert not ours.stepped
        ours.step(grads=good)
        assert ours.consecutive_skipped == 0
    assert ours.skipped == 4
    assert list(params.values()) == [1.0] * 3


def test_none_in_a_row_and_any_number() -> None:
    x = array(1.0)
    with pytest.raises(RuntimeError, match="0 steps in a row"):
        ok.skip_nonfinite(ok.SGD([x]), max_consecutive=0).step(grads=[array(np.nan)])
    ours = ok.skip_nonfinite(ok.SGD([x]), max_consecutive=None)
    for _ in range(50):
        ours.step(grads=[array(np.nan)])
    assert ours.skipped == 50
    many = ok.skip_nonfinite(ok.SGD([array(1.0) for _ in range(9)]), max_consecutive=0)
    with pytest.raises(RuntimeError, match="parameter 4 and 4 more"):
        many.step(grads=[array(np.nan)] * 9)


def test_errors_are_those_of_a_step() -> None:
    ours = ok.skip_nonfinite(ok.SGD([array(1.0), array(1.0)]))
    with pytest.raises(ValueError, match="parameter 1: its gradient has shape"):
        ours.step(grads=[array(1.0), array(1.0, 2.0)])
    with pytest.raises(TypeError, match="gradient 1: its dtype is int64"):
        ours.step(grads=[array(1.0), np.array([1])])
    with pytest.raises(TypeError):
        ours.step(grads=[array(1.0), "gradient"])
    assert (ours.skipped, ours.step_count, ours.stepped) == (0, 0, False)


@pytest.mark.parametrize(
    ("limit", "error", "words"),
    [(-1, ValueError, "invalid max_consecutive: -1"), (1.5, TypeError, "whole number or None")],
)
def test_refusals(limit: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=f"skip_nonfinite: .*{words}"):
        ok.skip_nonfinite(ok.SGD([array(1.0)]), max_consecutive=limit)
    with pytest.raises(TypeError, match="skip_nonfinite: NonlinearCG evaluates the closure"):
        ok.skip_nonfinite(ok.NonlinearCG([array(1.0)]))


# ---------------------------------------------------------------- with accumulation


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_is_left_out(kind: str) -> None:
    library = LIBRARIES[kind]
    params, twins = ([library.param(x) for x in starts()] for _ in range(2))
    ours = ok.accumulate(ok.skip_nonfinite(ok.AdamW(params)), 2)
    reference = ok.AdamW(twins)
    for k in range(6):
        give(library, ours, spoiled(batch(k)) if k == 2 else batch(k))
        if k == 3 and hasattr(params[0], "grad"):
            ours.zero_grad()
    assert (ours.skipped, ours.step_count) == (1, 2)
    for k in (0, 4):
        library.step(reference, total([batch(k), batch(k + 1)]))
    assert_equal(library, ours, reference)


@pytest.mark.parametrize("kind", KINDS)
def test_a_micro_batch_is_left_out(kind: str) -> None:
    """Of tensors, with those before it, as autograd has added them up."""
    library = LIBRARIES[kind]
    inner, reference = pair(library)
    ours = ok.skip_nonfinite(inner)
    good = [batch(0), batch(1), batch(2)]
    for row in [good[0], spoiled(batch(9)), *(good if kind == "nn.Parameter" else good[1:])]:
        give(library, ours, row)
    assert (ours.skipped, ours.step_count, ours.pending) == (1, 1, 0)
    library.step(reference, total(good))
    assert_equal(library, ours, reference)


def test_flushing_what_is_inside() -> None:
    x = array(0.0)
    ours = ok.skip_nonfinite(ok.accumulate(ok.SGD([x], lr=1.0), 3))
    for value in (1.0, 2.0, np.nan):
        ours.step(grads=[array(value)])
        assert not ours.stepped
    ours.flush()
    assert ours.stepped
    assert (x, ours.pending) == (-1.5, 0)
    ours.flush()
    assert not ours.stepped
    with pytest.raises(AttributeError, match="flush"):
        ok.skip_nonfinite(ok.SGD([x])).flush()


# ---------------------------------------------------------------- going on


@pytest.mark.parametrize("way", ["state dict", "file", "pickle", "copy"])
@pytest.mark.parametrize("outside", ["skip", "accumulate"])
def test_counts_go_on(way: str, outside: str, tmp_path: Path) -> None:
    def new() -> Any:
        inner: Any = ok.Adam([array(1.0)])
        if outside == "skip":
            return ok.skip_nonfinite(ok.accumulate(inner, 2))
        return ok.accumulate(ok.skip_nonfinite(inner), 2)

    ours = new()
    for value in (1.0, 1.0, np.nan, np.nan, 3.0):
        ours.step(grads=[array(value)])
    if way == "state dict":
        again = new()
        again.load_state_dict(copy.deepcopy(ours.state_dict()))
    elif way == "file":
        pytest.importorskip("safetensors", reason="files")
        ok.save(ours, tmp_path / "x.safetensors")
        again = new()
        again.load_state_dict(ok.load(tmp_path / "x.safetensors"))
    else:
        again = pickle.loads(pickle.dumps(ours)) if way == "pickle" else copy.deepcopy(ours)
    for each in (ours, again):
        assert each.skipped == (2 if outside == "skip" else 1)
        assert each.pending == 1
        each.step(grads=[array(1.0)])
    state, expected = (each.state[params_of(each)[0]] for each in (again, ours))
    assert state["step"] == expected["step"] == 2
    assert_same_bits(state["exp_avg"], expected["exp_avg"])


def test_checkpoints() -> None:
    ours = ok.skip_nonfinite(ok.Adam([array(1.0)]))
    ours.step(grads=[array(np.nan)])
    saved = ours.state_dict()
    with pytest.raises(ValueError, match="loaded skip_nonfinite: skipped: -1 is no count"):
        ours.load_state_dict(saved | {"skip_nonfinite": {"skipped": -1}})
    assert ours.skipped == 1
    ours.load_state_dict(ok.Adam([array(1.0)]).state_dict())
    assert (ours.skipped, ours.consecutive_skipped) == (0, 0)
    ours.load_state_dict(saved)
    assert (ours.skipped, ours.consecutive_skipped) == (1, 1)


def test_schedulers_do_not_warn_of_a_step_that_was_taken() -> None:
    ours = ok.skip_nonfinite(ok.SGD([array(1.0)], lr=1.0))
    early, late = (ok.lr_scheduler.StepLR(ours, 1, 0.5) for _ in range(2))
    ours.step(grads=[array(np.nan)])
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        early.step()
    ours.step(grads=[array(1.0)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        late.step()


# ---------------------------------------------------------------- on a device


@pytest.fixture
def device() -> Iterator[HostDriver]:
    pytest.importorskip("cupy", reason="its arrays, on the host's memory, play a device's")
    with host_device() as driver:
        yield driver


def test_one_wait_a_call(device: HostDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    from optimkit.backends.adapters.cupy import CuPyAdapter

    waits = []
    fetch = CuPyAdapter.fetch
    monkeypatch.setattr(CuPyAdapter, "fetch", lambda self, x: waits.append(1) or fetch(self, x))
    host = [np.ones(n, np.float32) for n in (1, 3, 255, CHUNK + 1, 0)]
    grads = list(map(on_device, host))
    assert nonfinite(grads, grads) == []
    host[3][-1] = np.nan
    grads = list(map(on_device, host))
    assert nonfinite(grads, grads) == [3]
    assert len(waits) == len(device.launches) == 2
