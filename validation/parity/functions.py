"""Schedulers, averages and clipping: the same calls in torch and here, and what they come to.

In the IEEE setting torch's results are written to one file, as its optimizers' are.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import optimkit as ok
from optimkit import clip, lr_scheduler, swa_utils
from optimkit.validation.parity.configurations import COMPOSITES, DRAW, Random, draw_configuration
from optimkit.validation.parity.schedules import Side, make_optimizer
from optimkit.validation.parity.trajectories import Difference, compare
from optimkit.validation.reference.inputs import Array, Setting, gradients

FILE = "functions.npz"
MODULES = {
    "lr_scheduler": [name for name in lr_scheduler.__all__ if name != "schedules"],
    "swa_utils": swa_utils.__all__,
    "clip": clip.__all__,
}
TORCH_ALONE = ("update_bn",)  # what there is nothing of without torch
SETTING = Setting(shapes=(((60,), "C"), ((5, 6), "C")), tame=True)
UPDATES = 7  # of an average
AVERAGED_BY = {"": "", "avg_fn": "get_ema_avg_fn", "multi_avg_fn": "get_ema_multi_avg_fn"}


@dataclass(frozen=True)
class Library:
    """What torch and optimkit both have."""

    lr_scheduler: Any
    swa_utils: Any
    clip: Any
    host: str  # of schedulers
    parameter: Callable[[Array], Any]  # a copy of an array that can have a gradient
    count: Callable[[int], Any]  # a number of averages


def numpy_here() -> Library:
    """This library, on NumPy."""
    return Library(
        lr_scheduler, swa_utils, clip, "plain", lambda x: ok.Parameter(x.copy()), lambda n: n
    )


def installed_torch() -> Library:
    """The installed torch."""
    import torch

    return Library(
        torch.optim.lr_scheduler,
        torch.optim.swa_utils,
        torch.nn.utils,
        "torch",
        lambda x: torch.nn.Parameter(torch.from_numpy(x.copy())),
        torch.tensor,
    )


def numbers(x: Any) -> Array:
    """A copy of an array or tensor."""
    return np.array(x.detach() if hasattr(x, "detach") else x)


# ---------------------------------------------------------------- calls


def rates(name: str, number: int, library: Library) -> list[Any]:
    """Learning rates and momenta of a random schedule, as far as it goes without an error."""
    configuration = draw_configuration(Random(f"{name} {number}"), name)
    found: list[Any] = []
    try:
        side = Side(library.lr_scheduler, library.host, configuration)
        for t in range(configuration.steps):
            if configuration.events.get(t, ("", None))[0] in ("resume", "exchange"):
                side.resume(side.scheduler.state_dict())
            side.step(t)
            for group in side.optimizer.param_groups:
                found += [np.ravel(group[k]) for k in ("lr", "momentum", "betas") if k in group]
    except Exception:  # of torch in some nests; whether ours goes on, other checks ask
        pass
    return found


def swa_rates(strategy: str, epochs: int, library: Library) -> list[Any]:
    """Learning rates of SWALR."""
    optimizer = make_optimizer(library.host, "momentum", (1.0, 0.1))
    scheduler = library.swa_utils.SWALR(optimizer, 0.05, epochs, strategy)
    found: list[Any] = []
    for _ in range(12):
        scheduler.step()
        found += [[group["lr"]] for group in optimizer.param_groups]
    return found


def averages(name: str, dtype: str, library: Library, **options: Any) -> list[Any]:
    """An average after each of some updates, by the function of this name."""
    function = getattr(library.swa_utils, name)(**options)
    columns = gradients(SETTING, dtype, UPDATES)
    found: list[Any] = []
    averaged = [library.parameter(column[0]).data for column in columns]
    for n in range(1, UPDATES):
        current = [library.parameter(column[n]).data for column in columns]
        count = library.count(n)
        if "multi" in name:
            function(averaged, current, count)
        else:
            averaged = [function(a, x, count) for a, x in zip(averaged, current, strict=True)]
        found += map(numbers, averaged)
    return found


def averaged_model(dtype: str, option: str, name: str, library: Library) -> list[Any]:
    """What AveragedModel holds after each of some updates."""
    options = {option: getattr(library.swa_utils, name)()} if option else {}
    columns = gradients(SETTING, dtype, UPDATES)
    params = [library.parameter(column[0]) for column in columns]
    if library.host == "torch":
        from torch.nn import ParameterList

        model: Any = ParameterList(params)
    else:
        model = params
    average = library.swa_utils.AveragedModel(model, **options)
    found: list[Any] = []
    for n in range(UPDATES):
        for param, column in zip(params, columns, strict=True):
            param.data[...] = library.parameter(column[n]).data
        average.update_parameters(model)
        found += map(numbers, average.parameters())
    return found


def clipped(name: str, dtype: str, arguments: tuple[Any, ...], library: Library) -> list[Any]:
    """What a function of clipping returns, and the gradients after it."""
    params = []
    for column in gradients(SETTING, dtype, 2):
        param = library.parameter(column[0])
        param.grad = library.parameter(column[1]).data
        params.append(param)
    function = getattr(library.clip, name)
    if name == "get_total_norm":
        return [np.array(float(function([p.grad for p in params], *arguments)), dtype)]
    norm = function(params, *arguments)
    returned = [] if norm is None else [np.array(float(norm), dtype)]
    return [*returned, *(numbers(p.grad) for p in params)]


def batch_norm(library: Library) -> list[Any]:
    """Statistics of batch normalization after update_bn."""
    import torch

    model = torch.nn.BatchNorm1d(6)
    batches = [torch.from_numpy(x) for x in gradients(SETTING, "float32", 8)[1]]
    library.swa_utils.update_bn(batches, model)
    return [numbers(model.running_mean), numbers(model.running_var)]


# ---------------------------------------------------------------- cases


@dataclass(frozen=True)
class Call:
    """A call to be made in both libraries; `tolerance` is relative, 0 asks for equal bits."""

    name: str
    label: str
    make: Callable[[Library], list[Any]]
    tolerance: float = 0.0
    recorded: bool = True  # or else both libraries make it where both are

    @property
    def key(self) -> str:
        """What it is called in the file."""
        return f"{self.name}: {self.label}"

    def result(self, library: Library) -> Array:
        """Every number that it comes to, in a row."""
        parts = [np.ravel(x) for x in self.make(library)]
        return np.concatenate(parts) if parts else np.zeros(0)


# The last bits of cosines and powers are the platform's, which need not be that of a recording.
PLATFORM = 1e-12
SUMS = 16  # machine epsilons: torch adds up in the gradients' precision, in another order
NOTES = (
    "Norms differ within 16 machine epsilons, since torch adds up in the gradients' precision; "
    "schedules recorded elsewhere within 1e-12, since cosines and powers are the platform's.",
)


def calls(live: bool) -> Iterator[Call]:
    """Every call."""
    for name in [*DRAW, *COMPOSITES]:
        for number in range(5):
            made = partial(rates, name, number)
            yield Call(name, f"schedule {number}", made, 0.0 if live else PLATFORM)
    for strategy in ("cos", "linear"):
        for epochs in (0, 10):
            made = partial(swa_rates, strategy, epochs)
            yield Call("SWALR", f"{strategy} {epochs}", made, 0.0 if live else PLATFORM)
    for dtype in ("float32", "float64"):
        for name in ("get_ema_avg_fn", "get_ema_multi_avg_fn"):
            for decay in (0.3, 0.999):
                yield Call(name, f"{dtype} {decay}", partial(averages, name, dtype, decay=decay))
        for name in ("get_swa_avg_fn", "get_swa_multi_avg_fn"):
            yield Call(name, dtype, partial(averages, name, dtype))
        for option, name in AVERAGED_BY.items():
            made = partial(averaged_model, dtype, option, name)
            yield Call("AveragedModel", f"{dtype} {name}", made)
        sums = SUMS * float(np.finfo(dtype).eps)
        for order in (1.0, 2.0, 3.0, np.inf):
            made = partial(clipped, "get_total_norm", dtype, (order,))
            yield Call("get_total_norm", f"{dtype} {order}", made, sums if order < 4 else 0.0)
            made = partial(clipped, "clip_grad_norm_", dtype, (0.5, order))
            yield Call("clip_grad_norm_", f"{dtype} {order}", made, sums)
        made = partial(clipped, "clip_grad_value_", dtype, (0.1,))
        yield Call("clip_grad_value_", dtype, made)
    yield Call("update_bn", "BatchNorm1d", batch_norm, recorded=False)


def record(folder: Path, origin: dict[str, Any]) -> None:
    """Write what torch makes of every call."""
    library = installed_torch()
    arrays: dict[str, Any] = {"origin": np.array(json.dumps(origin))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arrays |= {call.key: call.result(library) for call in calls(True) if call.recorded}
    partly = folder / "functions.partial.npz"
    np.savez_compressed(partly, **arrays)
    os.replace(partly, folder / FILE)


# ---------------------------------------------------------------- checks


@dataclass
class Tally:
    """What was compared of one function or class."""

    module: str
    cases: int = 0
    values: int = 0
    unequal: int = 0
    relative: float = 0.0
    problem: str = ""

    def add(self, difference: Difference, tolerance: float) -> None:
        """Count a case."""
        self.cases += 1
        self.values += difference.values
        self.unequal += difference.unequal
        self.relative = max(self.relative, difference.relative)
        if difference.relative > tolerance or (difference.unequal and not tolerance):
            self.problem = self.problem or difference.first

    def add_random(self, cases: int, values: int, mismatches: int) -> None:
        """Count random schedules, compared with ==, each up to its first mismatch."""
        self.cases += cases
        self.values += values
        self.unequal += mismatches
        if mismatches:
            self.problem = self.problem or f"{mismatches} random schedules differ"


def nothing_yet() -> dict[str, Tally]:
    """An empty tally for every public name."""
    return {name: Tally(module) for module, names in MODULES.items() for name in names}


def check(path: Path, live: bool) -> dict[str, Tally]:
    """Make every call here and hold it against the file."""
    tallies = nothing_yet()
    with np.load(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is deprecated, and is checked all the same
        for call in calls(live):
            if call.recorded and call.key not in file:
                tallies[call.name].problem = f"{call.label} is not in the recording"
            elif call.recorded or live:
                reference = file[call.key] if call.recorded else call.result(installed_torch())
                own = call.result(numpy_here())[: len(reference)]
                found = compare({1: {call.label: own}}, {1: {call.label: reference}}, 1e-300)
                tallies[call.name].add(found, call.tolerance)
    return tallies
