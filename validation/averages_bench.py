"""How fast are averages and clipping: against torch's, in one process, as medians of ratios."""

from __future__ import annotations

from functools import partial
from typing import Any

from optimkit import clip, swa_utils
from optimkit.validation.bench import (
    WORKLOADS,
    Bound,
    Step,
    Table,
    _arrays,
    _tensors,
    on_engine,
    turns_of_lots,
)

DECAY = 0.999
EMA_BOUNDS = {"mix, 10M": 0.6, "1 x 10M": 0.6}
NO_LIMIT = 1e9  # far above the norm, so that no round shrinks the gradients to nothing


def _ema_candidates(sizes: list[int], engines: list[str]) -> dict[str, Step]:
    """Every way to update an exponential moving average, by name."""
    import torch

    theirs: Any = torch.optim.swa_utils

    def average(library: Any, model: Any) -> Step:
        averages = library.AveragedModel(model, multi_avg_fn=library.get_ema_multi_avg_fn(DECAY))
        return lambda: averages.update_parameters(model)

    steps = {name: on_engine(name, average(swa_utils, _arrays(sizes, 1))) for name in engines}
    model = torch.nn.ParameterList(_tensors(sizes))
    steps[f"{engines[0]}, torch module"] = on_engine(engines[0], average(swa_utils, model))
    steps["torch AveragedModel"] = average(theirs, model)
    averages, current = _tensors(sizes), _tensors(sizes)
    update = theirs.get_ema_multi_avg_fn(DECAY)
    steps["torch foreach"] = lambda: update(averages, current, None)
    return steps


def _clip_candidates(sizes: list[int], engines: list[str]) -> dict[str, Step]:
    """Every way to clip gradients by their norm, by name."""
    import torch

    def arrays(engine: str) -> Step:
        grads = _arrays(sizes, 1e-2)
        return on_engine(engine, lambda: clip.clip_grad_norm_(grads, NO_LIMIT))

    steps = {name: arrays(name) for name in engines}
    ours, theirs = _tensors(sizes), _tensors(sizes)
    steps[f"{engines[0]}, torch tensors"] = on_engine(
        engines[0], lambda: clip.clip_grad_norm_(ours, NO_LIMIT)
    )
    steps["torch foreach"] = lambda: torch.nn.utils.clip_grad_norm_(theirs, NO_LIMIT)
    return steps


def averages_table(rounds: int, workloads: list[str], engines: list[str]) -> Table:
    """Measure the exponential moving average; the reference is torch's ``_foreach_lerp_``."""
    table = Table("EMA", "torch foreach")
    for workload in workloads:
        make = partial(_ema_candidates, WORKLOADS[workload], engines)
        table.times[workload] = turns_of_lots(make, rounds)
    return table


def clipping_table(rounds: int, workloads: list[str], engines: list[str]) -> Table:
    """Measure `clip_grad_norm_`; the reference is ``torch.nn.utils.clip_grad_norm_``."""
    table = Table("clip_grad_norm_", "torch foreach")
    for workload in workloads:
        make = partial(_clip_candidates, WORKLOADS[workload], engines)
        table.times[workload] = turns_of_lots(make, rounds)
    return table


def average_bounds(table: Table) -> list[Bound]:
    """What the table of averages must show: 10M averaged faster than by ``_foreach_lerp_``."""
    return [
        Bound(f"EMA, {workload}: numba / torch foreach", table.ratio(workload, "numba"), bound)
        for workload, bound in EMA_BOUNDS.items()
        if "numba" in table.times.get(workload, {})
    ]
