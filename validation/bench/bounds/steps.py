"""What steps of the optimizers must reach, beside torch's."""

from __future__ import annotations

import statistics
from itertools import cycle
from typing import Any

import optimkit as ok
from optimkit.validation.bench.implementations import FUSED_IN_TORCH
from optimkit.validation.bench.measure import Bound, Step, Timings, on_engine
from optimkit.validation.bench.workloads import arrays

MAIN = {"Adam", "AdamW", "SGD"}
FUSED = {"300x64": 0.35, "300x1000": 0.5, "1M": 0.85, "mix": 0.8, "10M": 1.1}
BLOCKED = {"1M": 0.6, "mix": 0.6, "10M": 0.6}
PEERS = {"torch-for-loop", "torch-foreach", "torch-fused"}


def ours(name: str, options: dict[str, Any], sizes: list[int], engine: str) -> Step:
    optimizer = getattr(ok, name)(arrays(sizes, 1), **options)
    # A model makes new arrays at each step: two sets take turns, so that none is recognized.
    grads = arrays(sizes, 1e-2)
    turns = cycle([grads, [grad[:] for grad in grads]])

    return on_engine(engine, lambda: optimizer.step(grads=next(turns)))


def step_bounds(table: Timings) -> list[Bound]:
    """What the tables must show."""
    bounds, of_fastest = [], []
    for workload in table.turns:
        names = table.candidates(workload)
        what = f"{table.optimizer}, {workload}: "
        if (
            table.optimizer in MAIN
            and workload in FUSED
            and "numba" in names
            and "torch-fused" in names
        ):
            figure = what + "numba / torch-fused"
            bounds.append(table.bound(figure, FUSED[workload], workload, "numba", "torch-fused"))
        if table.optimizer in MAIN and workload in BLOCKED:
            figure = what + "blocked / eager"
            bounds.append(table.bound(figure, BLOCKED[workload], workload, "blocked", "eager"))
        peers = [name for name in names if name in PEERS]
        if "numba" in names and peers:
            of_fastest.append(max(table.ratio(workload, "numba", peer) for peer in peers))
    if of_fastest:
        what = f"{table.optimizer}, all workloads: numba / torch's fastest, geometric mean"
        bound = 0.8 if table.optimizer in FUSED_IN_TORCH else 0.4
        bounds.append(Bound(what, statistics.geometric_mean(of_fastest), bound))
    return bounds
