"""How fast are averages and clipping: against torch's, in one process, as medians of ratios."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from optimkit import clip, swa_utils
from optimkit.validation.bench.measure import (
    Bound,
    Step,
    Timings,
    on_engine,
    tensors,
    turns_of_lots,
)
from optimkit.validation.bench.workloads import Workloads, arrays

DECAY = 0.999
EMA_BOUNDS = {"mix": 0.6, "10M": 0.6}


def _ema_candidates(sizes: list[int], engines: list[str]) -> dict[str, Step]:
    """Every way to update an exponential moving average, by name."""
    import torch

    theirs: Any = torch.optim.swa_utils

    def average(library: Any, model: Any) -> Step:
        averages = library.AveragedModel(model, multi_avg_fn=library.get_ema_multi_avg_fn(DECAY))
        return lambda: averages.update_parameters(model)

    steps = {name: on_engine(name, average(swa_utils, arrays(sizes, 1))) for name in engines}
    model = torch.nn.ParameterList(tensors(sizes))
    steps[f"{engines[0]}, torch module"] = on_engine(engines[0], average(swa_utils, model))
    steps["torch AveragedModel"] = average(theirs, model)
    averages, current = tensors(sizes), tensors(sizes)
    update = theirs.get_ema_multi_avg_fn(DECAY)
    steps["torch foreach"] = lambda: update(averages, current, None)
    return steps


def _clip_candidates(sizes: list[int], engines: list[str]) -> dict[str, Step]:
    """Every way to clip gradients by their norm, by name."""
    import torch

    # The limit is the norm itself: gradients are scaled, by nearly 1, and do not vanish.
    limit = float(clip.get_total_norm(arrays(sizes, 1e-2)))

    def clipped(engine: str) -> Step:
        grads = arrays(sizes, 1e-2)
        return on_engine(engine, lambda: clip.clip_grad_norm_(grads, limit))

    steps = {name: clipped(name) for name in engines}
    ours, theirs = tensors(sizes), tensors(sizes)
    steps[f"{engines[0]}, torch tensors"] = on_engine(
        engines[0], lambda: clip.clip_grad_norm_(ours, limit)
    )
    steps["torch foreach"] = lambda: torch.nn.utils.clip_grad_norm_(theirs, limit)
    return steps


def averages_table(rounds: int, workloads: Workloads, engines: list[str]) -> Timings:
    """Measure the exponential moving average; the reference is torch's ``_foreach_lerp_``."""
    return _table("EMA", _ema_candidates, rounds, workloads, engines)


def clipping_table(rounds: int, workloads: Workloads, engines: list[str]) -> Timings:
    """Measure `clip_grad_norm_`; the reference is ``torch.nn.utils.clip_grad_norm_``."""
    return _table("clip_grad_norm_", _clip_candidates, rounds, workloads, engines)


def _table(
    name: str,
    candidates: Callable[[list[int], list[str]], dict[str, Step]],
    rounds: int,
    workloads: Workloads,
    engines: list[str],
) -> Timings:
    table = Timings(name, "torch foreach")
    for workload, sizes in workloads.items():
        make = partial(candidates, sizes, engines)
        table.turns[workload] = turns_of_lots(make, rounds)
    return table


def average_bounds(table: Timings) -> list[Bound]:
    """What the table of averages must show: 10M averaged faster than by ``_foreach_lerp_``."""
    return [
        table.bound(f"EMA, {workload}: numba / torch foreach", bound, workload, "numba")
        for workload, bound in EMA_BOUNDS.items()
        if workload in table.turns and "numba" in table.candidates(workload)
    ]


def clipping_bounds(table: Timings) -> list[Bound]:
    """What the table of clipping must show: small gradients clipped no slower than by torch."""
    return [
        table.bound(f"clip_grad_norm_, {workload}: numba / torch", 1, workload, "numba")
        for workload in ("300x64", "300x1000")
        if workload in table.turns and "numba" in table.candidates(workload)
    ]
