"""float16 and bfloat16 on every engine: computed in float32, rounded once, with the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import assert_same_bits
from trials import FUSED

import optimkit as ok

HALVES = pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
Make = Callable[[Any], ok.Optimizer]
RULES: dict[str, Make] = {
    "the difference": lambda p: ok.SGD(p, lr=1.0),
    "SGD": lambda p: ok.SGD(p, lr=0.1, momentum=0.9),
    "AdamW": lambda p: ok.AdamW(p, lr=0.1),
    "Rprop": lambda p: ok.Rprop(p, lr=0.1),
}


def stepped(make: Make, engine: str, starts: list[Any], rows: list[list[Any]]) -> list[Any]:
    """Parameters and state after steps on an engine, every NaN the same."""
    params = [_twin(x) for x in starts]
    with ok.use_engine(engine):
        opt = make(params)
        for row in rows:
            opt.step(grads=row)
    state = [v for entry in opt.state.values() for v in entry.values() if hasattr(v, "shape")]
    for x in [*params, *state]:
        x[np.isnan(x)] = np.nan
    return [*params, *state]


def _twin(x: Any) -> Any:
    """A copy, every second of a row where the array has gaps."""
    return x.copy() if x.flags.c_contiguous else np.repeat(x, 2, axis=-1)[..., ::2]


@HALVES
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", FUSED)
def test_all_numbers_there_are(name: str, rule: str, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    everything = np.arange(2**16, dtype=np.uint16).view(dtype)
    with np.errstate(all="ignore"):
        halfway = np.asarray(everything.astype("float32") * 2.0**-9, dtype)  # falls between two
        last = np.asarray(0.1 * rng.standard_normal(2**16), dtype)
        rows = [[halfway], [rng.permutation(everything)], [last]]
        ours, eager = (stepped(RULES[rule], e, [everything], rows) for e in (name, "eager"))
    for x, y in zip(ours, eager, strict=True):
        assert_same_bits(x.view(np.uint16), y.view(np.uint16))


@HALVES
@pytest.mark.parametrize("name", FUSED)
def test_many_sizes_and_gaps(name: str, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    shapes = [(), (0,), (1,), (3, 4), (300_001,)]
    starts = [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]
    starts.append(np.asarray(rng.standard_normal((5, 12)), dtype)[:, ::2])
    rows = [[np.asarray(rng.standard_normal(x.shape), dtype) for x in starts] for _ in range(3)]
    for make in (RULES["AdamW"], lambda p: ok.AdamW(p, lr=0.1, fused=True)):
        ours = stepped(make, name, starts, rows)
        for x, y in zip(ours, stepped(RULES["AdamW"], "eager", starts, rows), strict=True):
            assert_same_bits(x.view(np.uint16), y.view(np.uint16))


class Precise(ok.Optimizer):
    """Half precision, with moments in full."""

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {"mean": xp.zeros_like(param, dtype=xp.float32)}

    @staticmethod
    def update(
        xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
    ) -> tuple[Any, dict[str, Any]]:
        mean = 0.9 * state["mean"] + 0.1 * grad
        return param - hyper.lr * mean, {"mean": mean}


@HALVES
@pytest.mark.parametrize("name", FUSED)
def test_state_in_full_precision_stays_so(name: str, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    start = np.asarray(rng.standard_normal(5_000), dtype)
    rows = [[np.asarray(rng.standard_normal(5_000), dtype)] for _ in range(3)]
    results = [
        stepped(lambda p: Precise(p, {"lr": 0.1}), engine, [start], rows)
        for engine in (name, "eager")
    ]
    for x, y in zip(*results, strict=True):
        assert_same_bits(np.asarray(x, "float32"), np.asarray(y, "float32"))
    assert results[0][1].dtype == np.float32
    assert not np.array_equal(results[0][1], results[0][1].astype(dtype).astype("float32"))
