"""Many groups, many views, new gradients: what a step and its making cost beside the arithmetic."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.bench.measure import Bound, Timings, Turn, tensors, turns
from optimkit.validation.bench.workloads import arrays as make_arrays

GROUPS, ELEMENTS, ROWS, COLUMNS, POOL = 2_000, 64, 1_000, 1_500, 40
NEW = {"arrays": 0.10, "tensors": 0.20}  # of torch's fused step, 300x64, gradients always new

Made = tuple[Any, Callable[[Any], Any]]  # what an optimizer is given, and a step of it


def _groups(as_tensors: bool) -> Made:
    sizes = [ELEMENTS] * GROUPS
    params = tensors(sizes) if as_tensors else make_arrays(sizes, 1)
    return [{"params": [param]} for param in params], _step(params, as_tensors)


def _columns(as_tensors: bool) -> Made:
    import torch

    matrix = np.ones((ROWS, COLUMNS), np.float32)
    views = list((torch.from_numpy(matrix) if as_tensors else matrix).T)
    if as_tensors:
        for view in views:
            view.grad = torch.ones(ROWS)
    return views, _step(views, as_tensors)


def _step(params: list[Any], as_tensors: bool) -> Callable[[Any], Any]:
    if as_tensors:
        return lambda optimizer: optimizer.step()
    grads = [np.full(param.shape, 1e-2, np.float32) for param in params]
    return lambda optimizer: optimizer.step(grads=grads)


def _candidates() -> dict[str, tuple[Any, dict[str, Any], bool]]:
    import torch

    theirs = torch.optim.AdamW
    return {
        "numba": (ok.AdamW, {}, False),
        "numba, tensors": (ok.AdamW, {}, True),
        "torch": (theirs, {}, True),
        "torch fused": (theirs, {"fused": True}, True),
    }


def begun_and_steady(rounds: int) -> Timings:
    """Construct an optimizer and take its first step; and a later step."""
    table = Timings("AdamW, many", "torch fused")
    for what, make in {"2,000 groups": _groups, "1,500 columns": _columns}.items():
        begun, steady = list[Turn](), list[Turn]()
        for _ in range(max(3, rounds // 4)):
            first, later = Turn(), Turn()
            for name, (kind, options, as_tensors) in _candidates().items():
                given, step = make(as_tensors)
                start = time.perf_counter()
                optimizer = kind(given, **options)
                step(optimizer)
                first[name] = time.perf_counter() - start
                step(optimizer)
                start = time.perf_counter()
                step(optimizer)
                later[name] = time.perf_counter() - start
            begun.append(first)
            steady.append(later)
        table.turns[f"{what}, begin"], table.turns[what] = begun, steady
    return table


def new_gradients(rounds: int) -> Timings:
    """A step of 300x64 whose gradients are other arrays than at every step before."""
    import torch

    sizes = [ELEMENTS] * 300
    own, adapted, fused = make_arrays(sizes, 1), tensors(sizes), tensors(sizes)
    pool = [make_arrays(sizes, 1e-2) for _ in range(POOL)]
    as_tensors = [[torch.tensor(grad) for grad in grads] for grads in pool]
    optimizer, other = ok.AdamW(own), ok.AdamW(adapted)
    peer: Any = torch.optim.AdamW(fused, fused=True)
    given, turn = cycle(pool), cycle(as_tensors)

    def with_new(params: list[Any], step: Callable[[], Any]) -> float:
        for param, grad in zip(params, next(turn), strict=True):
            param.grad = grad
        start = time.perf_counter()
        step()
        return time.perf_counter() - start

    def of_arrays() -> float:
        grads = next(given)
        start = time.perf_counter()
        optimizer.step(grads=grads)
        return time.perf_counter() - start

    candidates: dict[str, Callable[[], float]] = {
        "arrays": of_arrays,
        "tensors": lambda: with_new(adapted, other.step),
        "torch fused": lambda: with_new(fused, peer.step),
    }
    table = Timings("AdamW, new gradients", "torch fused")
    taken = list[Turn]()
    for count in range(3 * rounds + 10):
        seconds = Turn()
        for name, step in candidates.items():
            time.sleep(0.01)
            step()
            seconds[name] = statistics.mean(step() for _ in range(5))
        if count >= 10:
            taken.append(seconds)
    table.turns["300x64"] = taken
    return table


def scheduled(rounds: int) -> Timings:
    """465 groups of one with a schedule; 500, of which each half has gradients in turn."""
    import torch

    table = Timings("AdamW, by group", "torch")
    scheduler: dict[str, Callable[[], Any]] = {}
    halves: dict[str, Callable[[], Any]] = {}
    for name, (kind, options, as_tensors) in _candidates().items():
        if not as_tensors:
            continue
        params = tensors([ELEMENTS] * 465)
        optimizer = kind([{"params": [param]} for param in params], **options)
        library = ok.lr_scheduler if kind is ok.AdamW else torch.optim.lr_scheduler
        schedule = library.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        scheduler[name] = _both(optimizer, schedule)
        halves[name] = _alternating(kind, options)
    table.turns["465, scheduled"] = turns(scheduler, rounds)
    table.turns["500, by halves"] = turns(halves, rounds)
    return table


def _both(optimizer: Any, schedule: Any) -> Callable[[], Any]:
    def step() -> None:
        optimizer.step()
        schedule.step()

    return step


def _alternating(kind: Any, options: dict[str, Any]) -> Callable[[], Any]:
    params = tensors([ELEMENTS] * 500)
    grads = [param.grad for param in params]
    optimizer = kind([{"params": [param]} for param in params], **options)
    parity = cycle((0, 1))

    def step() -> None:
        half = next(parity)
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            param.grad = grad if i % 2 == half else None
        optimizer.step()

    return step


def tables(rounds: int) -> list[Timings]:
    """Measure all of it."""
    return [new_gradients(rounds), begun_and_steady(rounds), scheduled(rounds)]


def bounds(measured: list[Timings]) -> list[Bound]:
    """What the tables must show: no slower than the fastest of torch's."""
    new, *others = measured
    found = [
        new.bound(f"300x64, new gradients, {name} / torch fused", bound, "300x64", name)
        for name, bound in NEW.items()
    ]
    for table in others:
        for what in table.turns:
            names = table.candidates(what)
            peers = [name for name in names if name.startswith("torch")]
            fastest = min(peers, key=lambda peer: table.seconds(what, peer))
            found += [
                table.bound(f"{what}, {own} / torch's fastest", 1, what, own, fastest)
                for own in names
                if own not in peers
            ]
    return found
