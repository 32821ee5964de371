"""What every array library has in common, those included that cannot step here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import assert_same_bits
from libraries import LIBRARIES, Library

import optimkit as ok
from optimkit.backends.adapters import adapter_of
from optimkit.validation.reference.inputs import lay_out

DTYPES = ["float32", "float64", "complex64", "complex128"]
REFUSING = [name for name, library in LIBRARIES.items() if library.refused]
FORGETFUL = {"array-api-strict", "JAX"}  # of memory the standard says nothing


def example(dtype: str, order: str = "C", shape: tuple[int, ...] = (3, 4)) -> np.ndarray:
    numbers = np.arange(1, 1 + np.prod(shape, dtype=int)).reshape(shape)
    return lay_out(np.asarray(numbers * (1 + 2j) if "c" in dtype else numbers, dtype), order)


def array_of(param: Any) -> Any:
    return param.data if isinstance(param, ok.Parameter) else param


@pytest.mark.parametrize("order", ["C", "F", "gaps"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_are_described_as_numpys(library: Library, dtype: str, order: str) -> None:
    if not library.can_hold(dtype):
        pytest.skip(f"{library.name} has no {dtype}")
    same = example(dtype, order)
    x = library.array(same)
    adapter, numpy = adapter_of(x), adapter_of(same)
    assert adapter.owns(x)
    assert adapter.describe(x)[:2] == numpy.describe(same)[:2]
    assert adapter.layout(x).size == numpy.layout(same).size
    assert_same_bits(library.to_numpy(x), same)
    if library.name not in FORGETFUL:
        assert adapter.layout(x)[2:] == numpy.layout(same)[2:]
        lengths = {np.subtract(*a.extent(v)[::-1]) for a, v in ((adapter, x), (numpy, same))}
        assert len(lengths) == 1
        assert adapter.addresses([x]) == [library.to_numpy(x).__array_interface__["data"][0]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_view_has_pairs_for_complex_numbers(library: Library, dtype: str) -> None:
    if not library.can_hold(dtype) or library.name == "JAX":
        pytest.skip(f"there is no view of {library.name}'s {dtype}")
    x = library.array(example(dtype))
    adapter = adapter_of(x)
    view = adapter.view(x)
    assert tuple(view.shape) == ((3, 4, 2) if "c" in dtype else (3, 4))
    wrapped = adapter.wrap(view, x)
    assert adapter.describe(wrapped) == adapter.describe(x)
    assert_same_bits(library.to_numpy(wrapped), example(dtype))


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3, 0), (3,), (3, 4)])
def test_an_optimizer_holds_the_very_objects(library: Library, shape: tuple[int, ...]) -> None:
    params = [library.param(example("float32", shape=shape)) for _ in range(2)]
    if library.refused:
        kind, says = library.refused
        with pytest.raises(kind, match=f"SGD: parameter 0: .*{says}"):
            ok.SGD(params)
        return
    opt = ok.SGD(params)
    held = opt.param_groups[0]["params"]
    assert [id(x) for x in held] == [id(x) for x in params]
    if library.steps:
        library.step(opt, [example("float32", shape=shape)] * 2)
        assert [id(x) for x in opt.param_groups[0]["params"]] == [id(x) for x in params]


@pytest.mark.parametrize("library", REFUSING, indirect=True)
def test_immutable_arrays_are_refused_with_their_reason(library: Library) -> None:
    assert library.refused
    kind, says = library.refused
    good = np.ones(2)
    with pytest.raises(kind, match=f"parameter 1.*{says}"):
        ok.SGD([good, library.param(example("float32"))])


def test_a_gradient_is_checked_before_anything_moves(library: Library) -> None:
    if library.refused:
        pytest.skip(f"{library.name}: {library.refused[1]}")
    start = example("float32")
    x = library.param(start)
    opt = ok.SGD([x])
    bad = {
        r"\(3,\)": (library.array(example("float32", shape=(3,))), ValueError),
        "float64": (library.array(example("float64")), TypeError),
        "list": ([1.0], TypeError),
    }
    for says, (grad, kind) in bad.items():
        with pytest.raises(kind, match=f"SGD: parameter 0: .*{says}"):
            opt.step(grads=[grad])
    assert_same_bits(library.to_numpy(array_of(x)), start)
    assert len(opt.state) == 0
