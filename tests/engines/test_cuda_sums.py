"""Norms and clipping on a device, played on the host: the bits of NumPy's, and one wait a call."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from conftest import assert_same_bits
from host_device import HostDriver, host_device, on_device

import optimkit as ok
from optimkit.backends.adapters.cupy import CuPyAdapter
from optimkit.backends.reductions import CHUNK
from optimkit.clip import clip_grad_norm_, get_total_norm

pytest.importorskip("cupy", reason="CuPy's arrays, on the host's memory, are what is summed")

SIZES = (1, 3, 255, 1_023, 1_024, 1_025, 5_000, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17)


@pytest.fixture
def device() -> Iterator[HostDriver]:
    with host_device() as driver:
        yield driver


def gradients(dtype: str, count: int = 1) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    found = [np.asarray(rng.standard_normal(n), dtype) for n in SIZES * count]
    return [*found, np.zeros((0, 3), dtype), np.asarray(2.5, dtype)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("order", [1, 2])
def test_norms_have_numpys_bits(device: HostDriver, dtype: str, order: int) -> None:
    grads = gradients(dtype)
    expected = get_total_norm(grads, order)
    assert get_total_norm(list(map(on_device, grads)), order) == expected
    assert len(device.launches) == 1


def test_complex_gradients(device: HostDriver) -> None:
    rng = np.random.default_rng(0)
    grad = (rng.standard_normal(5_000) + 1j * rng.standard_normal(5_000)).astype("complex64")
    assert get_total_norm([on_device(grad)]) == get_total_norm([grad])


def test_more_gradients_than_a_launch_takes(device: HostDriver) -> None:
    grads = gradients("float32", 300)
    assert get_total_norm(list(map(on_device, grads))) == get_total_norm(grads)
    assert len(device.launches) > 1


def test_not_finite(device: HostDriver) -> None:
    grads = [np.array([1.0, np.inf], "f"), np.ones(5, "f")]
    assert get_total_norm(list(map(on_device, grads))) == math.inf
    grads[1][0] = np.nan
    assert math.isnan(get_total_norm(list(map(on_device, grads))))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_clipping_has_numpys_bits(device: HostDriver, dtype: str) -> None:
    ours = gradients(dtype)
    reference = [x.copy() for x in ours]
    norm = clip_grad_norm_(list(map(on_device, ours)), 1.5)
    with ok.use_engine("eager"):
        assert clip_grad_norm_(reference, 1.5) == norm
    for x, y in zip(ours, reference, strict=True):
        assert_same_bits(x, y)


def test_one_wait_a_call(device: HostDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []
    fetch = CuPyAdapter.fetch
    monkeypatch.setattr(CuPyAdapter, "fetch", lambda self, x: waits.append(1) or fetch(self, x))
    clip_grad_norm_(list(map(on_device, gradients("float32", 30))), 1.0)
    assert len(waits) == 1
