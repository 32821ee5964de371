"""Sums in one order: the same bits as code for arrays of any library and as compiled loops."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from typing import Any

import array_api_strict
import numpy as np
import pytest
import torch
from conftest import assert_same_bits, require_engine

from optimkit.backends import reductions
from optimkit.backends.reductions import CHUNK, WIDTH, compiled, cut, pieces, total

SIZES = [0, 1, 2, 3, 7, WIDTH - 1, WIDTH, WIDTH + 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 77]
SPECIAL = {3: 1e-40, 5: np.inf, 6: np.nan}


def by_definition(x: np.ndarray) -> Any:
    """The definition once more, one addition after the other."""
    if len(x) > CHUNK:
        chunks = [by_definition(x[i : i + CHUNK]) for i in range(0, len(x), CHUNK)]
        return by_definition(np.array(chunks, x.dtype))
    sums = np.zeros(WIDTH, x.dtype)
    for i in range(0, len(x), WIDTH):
        sums[: len(x[i : i + WIDTH])] += x[i : i + WIDTH]
    while len(sums) > 1:
        sums = sums[: len(sums) // 2] + sums[len(sums) // 2 :]
    return sums[0]


def squared(size: int, dtype: str, special: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(size).standard_normal(size).astype(dtype)
    for place in special:
        if place < size:
            x[place] = SPECIAL[place]
    return x, x * x


@pytest.mark.parametrize("special", [(), (3,), (3, 5), (5, 6)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
def test_every_way_of_adding_up_has_the_bits_of_the_definition(
    size: int, dtype: str, special: tuple[int, ...]
) -> None:
    _, terms = squared(size, dtype, special)
    expected = by_definition(terms)
    found = total(np, terms)
    assert found.dtype == dtype
    assert_same_bits(found, expected)
    assert_same_bits(total(array_api_strict, array_api_strict.asarray(terms)), expected)
    assert_same_bits(total(np, terms[:, None] * np.ones(2, dtype), 0)[1], expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
def test_compiled_sums_have_the_bits_of_the_definition(size: int, dtype: str) -> None:
    require_engine("numba")
    x, _ = squared(size, dtype, (3,))
    for sum_dtype in (dtype, "float64"):
        kernel = compiled(dtype, sum_dtype)
        assert kernel is not None
        starts, counts, _ = cut([x.ctypes.data], [size], x.itemsize)
        for power in (1, 2):
            wide = x.astype(sum_dtype)
            wide = wide * wide if power == 2 else abs(wide)
            sums = pieces(kernel, starts, counts, power, sum_dtype)
            assert_same_bits(by_definition(sums), by_definition(wide))


def test_arrays_of_torch_are_added_up_in_the_same_order() -> None:
    _, terms = squared(5 * CHUNK + 77, "float32")
    import array_api_compat.torch as xp

    assert_same_bits(total(xp, torch.from_numpy(terms)), by_definition(terms))


@pytest.mark.parametrize("numba", [True, False])
@pytest.mark.parametrize("shape", [(3, 5), (1, 1), (700, 130), (2, 3, 4), (7, 0), (0, 7), (5,)])
@pytest.mark.parametrize("axis", [-1, -2])
def test_sums_of_squares_along_an_axis(
    shape: tuple[int, ...], axis: int, numba: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if len(shape) < -axis:
        pytest.skip("no such axis")
    if not numba:
        monkeypatch.setattr(reductions, "compiled", lambda *dtypes: None)
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    lines = np.moveaxis(x * x, axis, -1)
    rows = lines.reshape(-1, shape[axis]) if x.size else np.zeros((0, 0), x.dtype)
    expected = np.array([by_definition(row) for row in rows], "float32")
    if not x.size:
        expected = np.zeros(int(np.prod(lines.shape[:-1])), "float32")
    assert_same_bits(reductions.squares(np, x, axis), expected.reshape(lines.shape[:-1]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_errors_are_no_larger_than_those_of_pairwise_sums(dtype: str) -> None:
    """Of 10^7 terms, the largest of six errors; both are near half a unit in the last place."""
    own, numpys = [], []
    for seed in range(6):
        x = np.random.default_rng(seed).standard_normal(10**7).astype(dtype) ** 2
        exact = math.fsum(x)
        own.append(abs(float(total(np, x)) - exact) / exact)
        numpys.append(abs(float(np.sum(x)) - exact) / exact)
    # A sum is rounded to the dtype at last, so an error is a whole number of units or nearly.
    unit = float(np.finfo(dtype).eps)
    assert max(own) <= max(max(numpys), unit / 2 * 1.01)


@pytest.mark.parametrize("size", [10**6, 10**7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_sums_have_the_same_bits_compiled_or_not(
    size: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_engine("numba")
    x, _ = squared(size, dtype)
    starts, counts, _ = cut([x.ctypes.data], [size], x.itemsize)
    found = total(np, pieces(compiled(dtype, dtype), starts, counts, 0, dtype))
    monkeypatch.setattr(reductions, "compiled", lambda *dtypes: None)
    assert_same_bits(found, total(np, x))


@pytest.mark.parametrize("shape", [(3, 5), (7,), (400, 300)])
def test_the_order_of_bytes_changes_no_sum(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    other = x.astype(x.dtype.newbyteorder())
    assert reductions.square_sum(np, other) == reductions.square_sum(np, x)
    for axis in range(-x.ndim, 0):
        assert (reductions.squares(np, other, axis) == reductions.squares(np, x, axis)).all()


def test_one_thread_is_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reductions, "thread_count", lambda: 1)
    assert reductions._bounds(np.full(100, CHUNK)) is None
    assert reductions._even(100, large=True) is None


STEPS = """
import os, sys, threading, numpy as np, optimkit as ok
from optimkit.clip import clip_grad_norm_
def work():
    for _ in range(20):
        x = np.ones((400, 500), "f4")
        clip_grad_norm_([x], 1.0)
        ok.Adafactor([x]).step(grads=[x.copy()])
work()
if sys.argv[1] == "fork":
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    sys.exit(os.waitpid(child, 0)[1] != 0)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.parametrize("way", ["fork", "threads"])
def test_sums_in_children_and_in_many_threads(way: str) -> None:
    """GNU OpenMP ends a child that enters it again, Numba's work queue whoever enters it twice."""
    require_engine("numba")
    if way == "fork" and not hasattr(os, "fork"):
        pytest.skip("a system without fork")
    layer = {} if way == "fork" else {"NUMBA_THREADING_LAYER": "workqueue"}
    env = os.environ | {"OPTIMKIT_NUM_THREADS": "2"} | layer
    command = [sys.executable, "-W", "ignore", "-c", STEPS, way]
    subprocess.run(command, env=env, check=True, capture_output=True)
