"""CuPy arrays, without a GPU and with one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import assert_same_bits
from rules import RULES

import optimkit as ok
from optimkit.backends.adapters import adapter_of


@pytest.fixture
def cp() -> Any:
    return pytest.importorskip("cupy", reason="needs optimkit[cuda13] or [cuda12]")


ADDRESS = 0x7F0000000000  # no memory is there, and none is touched


def device_array(
    cp: Any, shape: tuple[int, ...], dtype: str, strides: Any = None, offset: int = 0
) -> Any:
    """A CuPy array that needs no device: memory that is somebody else's, on device 0."""
    memory = cp.cuda.UnownedMemory(ADDRESS, 1 << 20, None, 0)
    pointer = cp.cuda.MemoryPointer(memory, offset)
    return cp.ndarray(shape, np.dtype(dtype), pointer, strides)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 3)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_cupy_arrays_are_described_without_a_device(
    cp: Any, shape: tuple[int, ...], dtype: str
) -> None:
    x = device_array(cp, shape, dtype, offset=64)
    same = np.empty(shape, dtype)
    adapter = adapter_of(x)
    assert type(adapter).__module__ == "optimkit.backends.adapters.cupy"
    adapter.check_parameter(x)
    assert adapter.describe(x) == (shape, dtype, "cuda:0")
    layout, expected = adapter.layout(x), adapter_of(same).layout(same)
    assert layout == expected._replace(device="cuda:0")
    assert adapter.addresses([x]) == [ADDRESS + 64]
    assert adapter.extent(x) == ((ADDRESS + 64, ADDRESS + 64 + same.nbytes) if x.size else (0, 0))
    view = adapter.view(x)
    assert view.shape == adapter_of(same).view(same).shape
    assert view.dtype == adapter_of(same).view(same).dtype
    wrapped = adapter.wrap(view, x)
    assert (wrapped.shape, wrapped.dtype, wrapped.data.ptr) == (x.shape, x.dtype, x.data.ptr)
    assert adapter.signature(x) == adapter.signature(device_array(cp, shape, dtype))


@pytest.mark.parametrize(
    ("strides", "dense", "extent"),
    [
        ((12, 4), True, (0, 24)),
        ((4, 8), True, (0, 24)),
        ((24, 8), False, (0, 44)),
        ((12, -4), False, (-8, 16)),
    ],
)
def test_cupy_layouts(cp: Any, strides: Any, dense: bool, extent: tuple[int, int]) -> None:
    x = device_array(cp, (2, 3), "float32", strides, offset=256)
    adapter = adapter_of(x)
    assert adapter.layout(x).dense is dense
    assert adapter.extent(x) == (ADDRESS + 256 + extent[0], ADDRESS + 256 + extent[1])
    assert adapter.signature(x) != adapter.signature(device_array(cp, (2, 3), "float32", (16, 4)))


@pytest.mark.parametrize(
    ("dtype", "strides", "error", "message"),
    [
        ("int32", None, TypeError, "int32"),
        ("bool", None, TypeError, "bool"),
        ("float32", (0, 4), ValueError, "overlap"),
    ],
)
def test_cupy_arrays_that_are_refused(
    cp: Any, dtype: str, strides: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=rf"SGD: parameter 0: .*{message}"):
        ok.SGD([device_array(cp, (2, 3), dtype, strides)])


def test_cupy_gradients_are_checked_before_anything_is_launched(cp: Any) -> None:
    x = device_array(cp, (2, 3), "float32")
    adapter = adapter_of(x)
    assert adapter.owns(x)
    assert not adapter.owns(np.ones(3))
    opt = ok.SGD([x])
    bad = {
        "ndarray": (np.ones((2, 3), np.float32), TypeError),
        r"\(3,\)": (device_array(cp, (3,), "float32"), ValueError),
        "float64": (device_array(cp, (2, 3), "float64"), TypeError),
    }
    for message, (grad, error) in bad.items():
        with pytest.raises(error, match=f"SGD: parameter 0: .*{message}"):
            opt.step(grads=[grad])


def test_cupy_parameters_that_share_memory_are_refused(cp: Any) -> None:
    x, y = device_array(cp, (4,), "float32"), device_array(cp, (4,), "float32", offset=8)
    with pytest.raises(ValueError, match="share memory"):
        ok.SGD([x, y])
    ok.SGD([x, device_array(cp, (4,), "float32", offset=16)])


def test_a_cupy_array_is_no_gradient_of_a_numpy_one(cp: Any) -> None:
    x = np.zeros(3)
    opt = ok.SGD([x], lr=1.0)
    for warm in range(2):
        with pytest.raises(TypeError, match=r"parameter 0.*cupy"):
            opt.step(grads=[device_array(cp, (3,), "float64")])
        assert x.tolist() == [0.0 - warm] * 3
        opt.step(grads=[np.ones(3)])


@pytest.mark.gpu
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_cupy_gives_numpys_bits(cp: Any, rule: str, dtype: str) -> None:
    try:
        present = cp.is_available()
    except Exception:  # CuPy 13.6 raises where there is no driver
        present = False
    if not present:
        pytest.skip("no CUDA device here")
    if dtype == "complex64" and rule == "Adam":
        pytest.skip("amsgrad takes the maximum of real numbers; 'complex' is Adam without it")
    rng = np.random.default_rng(0)
    plain = np.asarray(rng.standard_normal((3, 4)), dtype)
    x = cp.asarray(plain)
    ours, reference = RULES[rule]([x]), RULES[rule]([plain])
    for _ in range(3):
        grad = np.asarray(rng.standard_normal((3, 4)), dtype)
        ours.step(grads=[cp.asarray(grad)])
        reference.step(grads=[grad])
    assert_same_bits(cp.asnumpy(x), plain)
