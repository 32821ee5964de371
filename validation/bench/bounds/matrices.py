"""Muon and Adafactor at the matrix shapes of GPT-2 small, beside torch's for-loop."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.bench.measure import Bound, Step, Timings, turns_of_lots

SHAPES = [(768, 768), (768, 2304), (768, 3072), (3072, 768)]
ALGORITHMS = ("Adafactor", "Muon")
REST = 0.15  # seconds; the threads of NumPy's BLAS wait for more work at full speed for longer


def _candidates(name: str, shape: tuple[int, int]) -> dict[str, Step]:
    """Every way to take the step, by name."""
    import torch

    random = np.random.default_rng(0)
    start, grad = (random.standard_normal(shape).astype(np.float32) for _ in range(2))

    def tensor() -> Any:
        param = torch.tensor(start)
        param.grad = torch.tensor(grad)
        return param

    arrays = getattr(ok, name)([start.copy()])
    return {
        "eager": lambda: arrays.step(grads=[grad]),
        "eager, tensors": getattr(ok, name)([tensor()]).step,
        "torch for-loop": getattr(torch.optim, name)([tensor()], foreach=False).step
        if name == "Adafactor"
        else getattr(torch.optim, name)([tensor()]).step,
    }


def tables(rounds: int) -> list[Timings]:
    """Measure both algorithms at every shape."""
    measured = []
    for name in ALGORITHMS:
        table = Timings(name, "torch for-loop")
        for shape in SHAPES:
            label = f"{shape[0]}x{shape[1]}"
            table.turns[label] = turns_of_lots(partial(_candidates, name, shape), rounds, REST)
        measured.append(table)
    return measured


def bounds(table: Timings) -> list[Bound]:
    """What a table must show: no step slower than torch's."""
    return [
        table.bound(f"{table.optimizer}, {shape}: {own} / torch for-loop", 1, shape, own)
        for shape in table.turns
        for own in table.candidates(shape)
        if own != table.reference
    ]
