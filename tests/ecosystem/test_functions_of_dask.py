"""Rules as functions on dask's arrays, which are computed when they are asked for."""

from __future__ import annotations

import numpy as np
import pytest

da = pytest.importorskip("dask.array", reason="dask is not installed")

from conftest import assert_same_bits  # noqa: E402

import optimkit as ok  # noqa: E402
from optimkit import functional  # noqa: E402


@pytest.mark.parametrize("name", ["AdamW", "SGD", "RAdam", "NAdam", "Rprop"])
def test_the_bits_of_numpy(name: str) -> None:
    options = {"momentum": 0.9} if name == "SGD" else {}
    start = np.linspace(-1, 1, 30, dtype="float32").reshape(5, 6)
    param, x = start.copy(), da.from_array(start, chunks=(2, 3))
    optimizer, tx = (
        getattr(ok, name)([param], **options),
        functional.of(getattr(ok, name), **options),
    )
    state = tx.init(x)
    for k in range(1, 5):
        grad = np.sin(k * start)
        with ok.use_engine("eager"):
            optimizer.step(grads=[grad])
        x, state = tx.step(x, da.from_array(grad, chunks=(2, 3)), state)
    assert isinstance(x, da.Array)
    assert isinstance(state["step"], int)
    assert_same_bits(x.compute(), param)
