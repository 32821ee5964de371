"""The adapters: who owns an array, its geometry, and several libraries at once."""

from __future__ import annotations

from typing import Any

import array_api_strict as strict
import numpy as np
import pytest
import torch
from conftest import array, bits

import optimkit as ok
from optimkit.backends.adapters import adapter_of
from optimkit.backends.adapters.base import is_dense, overlaps_itself


@pytest.mark.parametrize(
    ("shape", "strides", "dense", "overlaps"),
    [
        ((), (), True, False),
        ((3,), (8,), True, False),
        ((3,), (16,), False, False),
        ((3,), (0,), False, True),
        ((3,), (-8,), False, False),
        ((2, 3), (24, 8), True, False),
        ((2, 3), (8, 16), True, False),
        ((2, 3), (32, 8), False, False),
        ((2, 3), (8, 8), False, True),
        ((1, 3), (999, 8), True, False),
        ((0, 3), (1, 1), True, False),
        ((2, 1, 3), (24, 0, 8), True, False),
        ((3, 2), (8, 4), False, False),
    ],
)
def test_geometry(
    shape: tuple[int, ...], strides: tuple[int, ...], dense: bool, overlaps: bool
) -> None:
    if strides != (8, 4):  # bytes that do not hold a float64: only the names of the numbers matter
        assert is_dense(shape, strides, 8) is dense
    assert overlaps_itself(shape, strides) is overlaps


def test_the_adapter_is_found_by_the_library_of_the_type() -> None:
    class Mine(np.ndarray):
        pass

    names = {
        "numpy": [array(1.0), array(1.0).view(Mine), np.memmap],
        "torch": [torch.ones(1), torch.nn.Parameter(torch.ones(1))],
        "standard": [strict.ones(1)],
    }
    for name, examples in names.items():
        for x in examples:
            if not isinstance(x, type):
                assert type(adapter_of(x)).__module__ == f"optimkit.backends.adapters.{name}"


@pytest.mark.parametrize("x", [1.0, [1.0], "x", None, object()])
def test_what_is_no_array_has_no_adapter(x: Any) -> None:
    with pytest.raises(TypeError, match=type(x).__name__):
        adapter_of(x)


def test_parameters_of_several_libraries_together(engine: str) -> None:
    single = strict.ones(1, dtype=strict.float32)
    params = [array(1.0), torch.ones(1), single, ok.Parameter(array(1.0))]
    opt = ok.Adam(params, lr=0.5, eps=0.0)
    for _ in range(2):
        opt.step(grads=[array(1.0), torch.ones(1), single * 0 + 1, array(1.0)])
    assert len({bits(param) for param in params}) == 1
