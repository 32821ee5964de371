"""What several test files share: equal bits, engines, and why a test cannot run here."""

from __future__ import annotations

import os

# Threads of torch that wait are to sleep, for those of another process: set before its import.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from libraries import HERE, LIBRARIES, Library

import optimkit as ok
from optimkit.backends import engines

# Generous for a machine shared with others: no example takes anything near this alone.
settings.register_profile("optimkit", deadline=None, derandomize=True)
settings.load_profile("optimkit")

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
ENGINES = tuple(name for name in reversed(engines.NAMES) if name != "cuda")  # of the processor


def array(*values: float, dtype: Any = "float32") -> np.ndarray[Any, Any]:
    return np.array(values, dtype)


def to_numpy(x: Any) -> np.ndarray[Any, Any]:
    """An array of any library as a NumPy array with the same bits."""
    if isinstance(x, ok.Parameter):
        return to_numpy(x.data)
    if hasattr(x, "detach"):
        import torch

        x = x.detach().cpu().resolve_conj().resolve_neg()
        return (x.view(torch.uint16) if x.dtype == torch.bfloat16 else x).numpy()
    if type(x).__module__.startswith("array_api_strict"):
        return np.asarray(x._array)
    return np.asarray(x.get() if type(x).__module__.startswith("cupy") else x)


def bits(x: Any) -> bytes:
    """The bits of an array in C order, with every NaN the same NaN."""
    x = to_numpy(x).copy()
    if x.dtype.kind == "c":
        x = x[..., None].view(x.real.dtype)
    if x.dtype.kind == "f":
        x[np.isnan(x)] = np.nan
    raw = np.frombuffer(x.tobytes(), np.uint8)
    if x.dtype == np.longdouble and np.finfo(np.longdouble).nmant == 63:
        raw = raw.reshape(-1, x.itemsize)[:, :10]  # the rest is padding, and may be anything
    return repr((x.shape, x.dtype.str)).encode() + raw.tobytes()


def assert_same_bits(actual: Any, expected: Any, label: str = "") -> None:
    if bits(actual) != bits(expected):
        np.testing.assert_array_equal(to_numpy(actual), to_numpy(expected), err_msg=label)
        raise AssertionError(f"{label}: equal values, other bits: {actual!r} and {expected!r}")


def require_engine(name: str) -> None:
    if name not in ok.available_engines():
        pytest.skip(f"the engine {name} is not available here")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once under each engine."""
    require_engine(request.param)
    with ok.use_engine(request.param):
        yield request.param


@pytest.fixture(params=HERE)
def library(request: pytest.FixtureRequest) -> Library:
    """Run the test once on each array library.

    With ``@pytest.mark.parametrize("library", STEPPING, indirect=True)`` on those that an optimizer
    can step, with ``RUNNING`` also on read-only arrays, with which rules are called directly.
    """
    found = LIBRARIES[request.param]
    found.require()
    return found


@pytest.fixture
def numba() -> None:
    """Skip the test where there is no Numba."""
    require_engine("numba")


@pytest.fixture(scope="session")
def processes() -> Iterator[Any]:
    """Two processes that form a group of torch.distributed."""
    distributed = pytest.importorskip("torch.distributed", reason="torch is not installed")
    if not distributed.is_available():
        pytest.skip("this torch is built without torch.distributed")
    from processes import Processes

    pair = Processes()
    yield pair
    pair.stop()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260117)
