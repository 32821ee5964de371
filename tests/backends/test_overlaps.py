"""Gradients and parameters on the same memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from conftest import array, assert_same_bits
from libraries import STEPPING, Library

import optimkit as ok


@pytest.mark.parametrize("library", STEPPING, indirect=True)
@pytest.mark.parametrize("steps", [1, 3])
def test_gradients_that_are_other_parameters(engine: str, library: Library, steps: int) -> None:
    a, b = array(1.0, 2.0), array(10.0, 20.0)
    params = x, y = library.param(a), library.param(b)
    grads = [p.data if isinstance(p, ok.Parameter) else p for p in (y, x)]
    opt = ok.SGD(params, lr=0.5, momentum=0.5)
    reference = ok.SGD([a, b], lr=0.5, momentum=0.5)
    for _ in range(steps):
        opt.step(grads=grads)
        reference.step(grads=[b.copy(), a.copy()])
    assert_same_bits(x, a)
    assert_same_bits(y, b)


def test_gradients_that_overlap_parameters_in_part(engine: str) -> None:
    base, other = np.arange(8.0), np.arange(8.0)
    opt, reference = ok.SGD([base[:4]], lr=0.5), ok.SGD([other[:4]], lr=0.5)
    for _ in range(2):
        opt.step(grads=[base[2:6]])
        reference.step(grads=[other[2:6].copy()])
        opt.step(grads=[base[3::-1]])
        reference.step(grads=[other[3::-1].copy()])
        opt.step(grads=[base[:4]])
        reference.step(grads=[other[:4].copy()])
    assert_same_bits(base, other)


def test_gradients_that_are_parameters_of_another_group(engine: str) -> None:
    x, y = array(1.0), array(10.0)
    opt = ok.SGD([{"params": [x]}, {"params": [y]}], lr=1.0)
    for _ in range(2):
        opt.step(grads=[np.zeros(1, np.float32), x])
    assert y.item() == 8.0
    opt.step(grads=[y, x])
    assert (x.item(), y.item()) == (-7.0, 7.0)


@pytest.mark.parametrize("kind", ["parameter", "torch"])
def test_parameters_that_have_moved_are_still_told_from_gradients(engine: str, kind: str) -> None:
    data = np.array([[5.0], [7.0]])
    if kind == "torch":
        x, y = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1))
        table: Any = torch.from_numpy(data.astype("float32"))
    else:
        x, y = ok.Parameter(np.ones(1)), ok.Parameter(np.ones(1))  # type: ignore[assignment]
        table = data
    opt = ok.SGD([{"params": [x]}, {"params": [y]}], lr=1.0)
    zero = table[0] * 0
    opt.step(grads=[zero, zero])
    x.data, y.data = table
    opt.step(grads=[table[1], table[0]])
    assert table.tolist() == [[-2.0], [2.0]]


def views(rng: np.random.Generator) -> list[Any]:
    """Pieces of a few tables: mostly columns side by side, some of them reversed or with steps."""
    tables = [np.zeros((int(rng.integers(1, 5)), 24), np.float32) for _ in range(2)]
    found = []
    for _ in range(rng.integers(2, 7)):
        table = tables[rng.integers(2)]
        start, width = int(rng.integers(20)), int(rng.integers(1, 5))
        step = [(1, 1), (-1, 1), (1, -1), (1, 2), (2, 1)][rng.integers(5)]
        view = table[:: step[0], start : start + width][:, :: step[1]]
        found.append(view[:, 0] if rng.integers(2) else view)
    return found


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("grouped", [True, False], ids=["groups", "one group"])
def test_parameters_that_share_memory_are_found_among_many(kind: str, grouped: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        arrays = views(rng)
        sharing = [
            i for i, x in enumerate(arrays) if any(np.shares_memory(x, y) for y in arrays[:i])
        ]
        if kind == "torch":
            arrays = [torch.from_numpy(x) for x in arrays if min(x.strides) > 0]
            if len(arrays) < 2 or sharing:
                continue
        params = [{"params": [x]} for x in arrays] if grouped else arrays
        if sharing:
            with pytest.raises(ValueError, match=rf"and {sharing[0]} share memory"):
                ok.SGD(params)
        else:
            ok.SGD(params)
