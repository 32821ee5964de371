"""Rules, arrays and runs that several tests of the engines share."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
from conftest import ENGINES, bits

import optimkit as ok

FUSED = [name for name in ENGINES if name != "eager"]


def after(
    engine: str,
    make: Callable[[list[Any]], ok.Optimizer],
    params: list[Any],
    grads: list[list[Any]],
) -> bytes:
    """The bits of parameters and state after steps on one engine."""
    with ok.use_engine(engine):
        opt = make(params)
        for row in grads:
            opt.step(grads=row)
    result = b"".join(map(bits, params))
    for param in params:
        if param in opt.state:
            for name, value in opt.state[param].items():
                result += name.encode() + (
                    bits(value) if hasattr(value, "shape") else repr(value).encode()
                )
    return result


RULES: dict[str, Callable[[Any], ok.Optimizer]] = {
    "SGD": lambda p: ok.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adam": lambda p: ok.Adam(p, lr=0.1, amsgrad=True, weight_decay=0.1),
    "AdamW": lambda p: ok.AdamW(p, lr=0.1),
}


def random(dtype: Any, seed: int, shape: tuple[int, ...] = (4, 5, 6)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal(shape)
    return np.asarray(x, dtype)


def process(script: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(running: subprocess.Popen[str]) -> str:
    out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    return out
