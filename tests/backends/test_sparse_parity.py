"""Sparse gradients: torch's bits, in the IEEE setting."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from conftest import TESTS, to_numpy
from tables import SPARSE, as_rows, as_scipy, make

import optimkit as ok

SETTINGS: tuple[tuple[tuple[int, ...], int], ...] = (((60, 5), 1), ((12, 4, 2), 1), ((6, 9), 2))


def parity() -> int:
    """Compare with torch in the IEEE setting, in a process of its own; return what is unequal."""
    from optimkit.validation.reference.ieee import torch_with_ieee

    torch = torch_with_ieee()
    torch.sparse.check_sparse_tensor_invariants.enable()
    failures = 0
    for name in SPARSE:
        for dtype in (torch.float32, torch.float64):
            for i, (shape, axes) in enumerate(SETTINGS):
                for engine in ok.available_engines():
                    steps = 1000 if (i, engine) == (0, ok.available_engines()[0]) else 20
                    with ok.use_engine(engine):
                        unequal = differences(torch, name, dtype, shape, axes, steps)
                    if unequal:
                        print(f"{name}, {dtype}, {shape}, {engine}: {unequal} values unequal")
                    failures += unequal
    return failures


def differences(
    torch: Any, name: str, dtype: Any, shape: tuple[int, ...], axes: int, steps: int
) -> int:
    random = torch.Generator().manual_seed(1)
    start = torch.randn(shape, generator=random, dtype=dtype)
    theirs, ours = (torch.nn.Parameter(start.clone()) for _ in range(2))
    array = start.numpy().copy()
    flags = {} if name.startswith("SparseAdam") else {"foreach": False}
    peer = make(name, [theirs], torch.optim, **flags)
    tensor, numpy = make(name, [ours]), make(name, [array])
    for _ in range(steps):
        count = int(torch.randint(0, 40, (1,), generator=random))
        places = torch.stack(
            [torch.randint(0, n, (count,), generator=random) for n in shape[:axes]]
        )
        values = torch.randn(count, *shape[axes:], generator=random, dtype=dtype)
        grad = torch.sparse_coo_tensor(places, values, shape)
        summed = grad.coalesce()
        # torch's SGD adds entries for one place in turn, which rounds in another way
        theirs.grad = ours.grad = summed if name.startswith("SGD") else grad
        peer.step()
        tensor.step()
        numpy.step(grads=[as_scipy(summed) if axes == 2 else as_rows(summed)])
    pairs = [(theirs, ours), (theirs, array)]
    for key, value in peer.state[theirs].items():
        for own in (tensor.state[ours], numpy.state[array]):
            if torch.is_tensor(value) and value.ndim:
                pairs.append((value.to_dense(), own[key]))
            elif value is not None:
                pairs.append((np.float64(value), np.float64(own[key])))
    # a sum of nothing is 0 and a product with it may be -0: equal values
    return sum(int((to_numpy(x) != to_numpy(y)).sum()) for x, y in pairs)


def test_equal_to_torch() -> None:
    pytest.importorskip("torch", reason="there is no torch to compare with")
    pytest.importorskip("scipy", reason="elementwise sparse gradients need SciPy")
    done = subprocess.run(
        [sys.executable, "-W", "ignore::UserWarning", __file__],
        env=os.environ
        | {"ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(min(parity(), 1))
