"""Steps of each optimizer: the engines, and torch's ways of taking them."""

from __future__ import annotations

import statistics
from functools import partial
from importlib.util import find_spec
from itertools import cycle
from typing import Any

import optimkit as ok
from optimkit.validation.bench.measure import (
    FUSED_IN_TORCH,
    OPTIMIZERS,
    TORCH,
    USUAL,
    WORKLOADS,
    Bound,
    Step,
    Timings,
    arrays,
    on_engine,
    tensors,
    turns_of_lots,
)

FUSED_BOUNDS = dict(zip(WORKLOADS, (0.35, 0.5, 0.85, 0.8, 1.1), strict=True))
BLOCKED_BOUNDS = {"1 x 1M": 0.6, "mix, 10M": 0.6, "1 x 10M": 0.6}


def ours(name: str, options: dict[str, Any], sizes: list[int], engine: str) -> Step:
    optimizer = getattr(ok, name)(arrays(sizes, 1), **options)
    # A model makes new arrays at each step: two sets take turns, so that none is recognized.
    grads = arrays(sizes, 1e-2)
    turns = cycle([grads, [grad[:] for grad in grads]])

    return on_engine(engine, lambda: optimizer.step(grads=next(turns)))


def _candidates(
    name: str, options: dict[str, Any], sizes: list[int], engines: list[str]
) -> dict[str, Step]:
    """Every way to take the step, by name."""
    steps = {engine: ours(name, options, sizes, engine) for engine in engines}
    if find_spec("torch") is not None:
        import torch

        best = engines[0]
        adapted = getattr(ok, name)(tensors(sizes), **options)
        steps[f"{best}, tensors"] = on_engine(best, adapted.step)
        peers = dict(TORCH)
        if name in FUSED_IN_TORCH:
            peers["fused"] = {"fused": True}
        for peer, flags in peers.items():
            optimizer = getattr(torch.optim, name)(tensors(sizes), **options, **flags)
            steps[f"torch {peer}"] = optimizer.step
    return steps


def steps_table(name: str, rounds: int, workloads: list[str], engines: list[str]) -> Timings:
    """Measure one optimizer on the workloads."""
    reference = "torch fused" if name in FUSED_IN_TORCH else "torch for-loop"
    if find_spec("torch") is None:
        reference = "eager"
    table = Timings(name, reference)
    for workload in workloads:
        make = partial(_candidates, name, OPTIMIZERS[name], WORKLOADS[workload], engines)
        table.times[workload] = turns_of_lots(make, rounds)
    return table


def step_bounds(table: Timings) -> list[Bound]:
    """What the tables must show."""
    bounds, of_fastest = [], []
    for workload, times in table.times.items():
        what = f"{table.optimizer}, {workload}: "
        if "numba" in times and table.optimizer in USUAL and table.reference == "torch fused":
            bound = FUSED_BOUNDS[workload]
            bounds.append(Bound(what + "numba / fused", table.ratio(workload, "numba"), bound))
        if workload in BLOCKED_BOUNDS and table.optimizer in USUAL:
            ratio = table.ratio(workload, "blocked", "eager")
            bounds.append(Bound(what + "blocked / eager", ratio, BLOCKED_BOUNDS[workload]))
        if "numba" in times and "torch for-loop" in times:
            peers = [candidate for candidate in times if candidate.startswith("torch")]
            of_fastest.append(max(table.ratio(workload, "numba", peer) for peer in peers))
    if of_fastest:
        what = f"{table.optimizer}, all workloads: numba / torch's fastest, geometric mean"
        bound = 0.8 if table.optimizer in FUSED_IN_TORCH else 0.4
        bounds.append(Bound(what, statistics.geometric_mean(of_fastest), bound))
    return bounds
