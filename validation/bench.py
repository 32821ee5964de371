"""How fast is it: engines and peers side by side in one process, as medians of ratios."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from itertools import cycle
from typing import Any

import numpy as np

import optimkit as ok

WORKLOADS: dict[str, list[int]] = {
    "300 x 64": [64] * 300,
    "300 x 1,000": [1_000] * 300,
    "1 x 1M": [1_000_000],
    "mix, 10M": [64] * 100 + [4_096] * 50 + [250_000] * 40,
    "1 x 10M": [10_000_000],
}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "Adam": {},
    "AdamW": {},
    "SGD": {"lr": 1e-3, "momentum": 0.9},
    "Adagrad": {},
    "Adadelta": {},
    "Adamax": {},
    "ASGD": {},
    "NAdam": {},
    "RAdam": {},
    "RMSprop": {},
    "Rprop": {},
}
FUSED_IN_TORCH = ("SGD", "Adam", "AdamW", "Adagrad")
# Costs first: tensors that are made where others were let go lie apart in memory, and reading them
# takes up to two thirds longer.
USUAL = ("costs", "Adam", "AdamW", "SGD")
TORCH = {"for-loop": {"foreach": False}, "foreach": {"foreach": True}}
THREADS = 2
REST = 0.03  # seconds before a turn, in which the threads of the one before stop spinning
TURN = 2e-3  # seconds of steps that a candidate runs before the next has its turn
LOTS = 3  # sets of arrays: where one happens to lie in memory makes a step up to a third slower

Step = Callable[[], Any]


def _arrays(sizes: list[int], scale: float) -> list[np.ndarray[Any, Any]]:
    random = np.random.default_rng(0)
    return [(scale * random.standard_normal(n)).astype(np.float32) for n in sizes]


def on_engine(engine: str, step: Step) -> Step:
    """The step on that engine; nothing has to be said for the one that runs by itself."""
    if engine == ok.available_engines()[0]:
        return step

    def run() -> None:
        with ok.use_engine(engine):
            step()

    return run


def _ours(name: str, options: dict[str, Any], sizes: list[int], engine: str) -> Step:
    optimizer = getattr(ok, name)(_arrays(sizes, 1), **options)
    # A model makes new arrays at each step: two sets take turns, so that none is recognized.
    grads = _arrays(sizes, 1e-2)
    turns = cycle([grads, [grad[:] for grad in grads]])

    return on_engine(engine, lambda: optimizer.step(grads=next(turns)))


def _tensors(sizes: list[int]) -> list[Any]:
    import torch

    params = [torch.tensor(x) for x in _arrays(sizes, 1)]
    for param, grad in zip(params, _arrays(sizes, 1e-2), strict=True):
        param.grad = torch.tensor(grad)
    return params


def _candidates(
    name: str, options: dict[str, Any], sizes: list[int], engines: list[str]
) -> dict[str, Step]:
    """Every way to take the step, by name."""
    steps = {engine: _ours(name, options, sizes, engine) for engine in engines}
    if find_spec("torch") is not None:
        import torch

        best = engines[0]
        adapted = getattr(ok, name)(_tensors(sizes), **options)
        steps[f"{best}, tensors"] = on_engine(best, adapted.step)
        peers = dict(TORCH)
        if name in FUSED_IN_TORCH:
            peers["fused"] = {"fused": True}
        for peer, flags in peers.items():
            optimizer = getattr(torch.optim, name)(_tensors(sizes), **options, **flags)
            steps[f"torch {peer}"] = optimizer.step
    return steps


def turns(steps: dict[str, Step], rounds: int, rest: float = REST) -> dict[str, list[float]]:
    """Seconds of each step, turn by turn, the candidates following one another after a rest."""
    repeats = {}
    for name, step in steps.items():
        for _ in range(3):
            step()
        start = time.perf_counter()
        step()
        repeats[name] = max(1, int(TURN / (time.perf_counter() - start)))
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            time.sleep(rest)
            step()  # the candidate before has left its own arrays in the caches
            start = time.perf_counter()
            for _ in range(repeats[name]):
                step()
            times[name].append((time.perf_counter() - start) / repeats[name])
    return times


def turns_of_lots(
    make: Callable[[], dict[str, Step]], rounds: int, rest: float = REST
) -> dict[str, list[float]]:
    """The turns of several sets of the same candidates, at least `rounds` in all."""
    lots = [turns(steps, -(-rounds // LOTS), rest) for steps in [make() for _ in range(LOTS)]]
    return {name: [time for lot in lots for time in lot[name]] for name in lots[0]}


def measure(steps: dict[str, Step], rounds: int, rest: float = REST) -> dict[str, float]:
    """Median seconds of each step."""
    times = turns(steps, rounds, rest)
    return {name: statistics.median(values) for name, values in times.items()}


@dataclass
class Bound:
    """A figure and the most that it may be."""

    what: str
    value: float
    bound: float | None = None
    unit: str = ""

    @property
    def held(self) -> bool:
        return self.bound is None or self.value <= self.bound


FUSED_BOUNDS = dict(zip(WORKLOADS, (0.35, 0.5, 0.85, 0.8, 1.1), strict=True))
BLOCKED_BOUNDS = {"1 x 1M": 0.6, "mix, 10M": 0.6, "1 x 10M": 0.6}


@dataclass
class Table:
    """Times of one optimizer, turn by turn: a row for each workload, a column for each candidate.

    A ratio is taken within each turn, where both found the machine alike; shown is the median.
    """

    optimizer: str
    reference: str
    times: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def ratio(self, workload: str, candidate: str, reference: str | None = None) -> float:
        times = self.times[workload]
        pairs = zip(times[candidate], times[reference or self.reference], strict=True)
        return statistics.median(own / other for own, other in pairs)

    def seconds(self, workload: str, candidate: str) -> float:
        return statistics.median(self.times[workload][candidate])

    def ratios(self) -> dict[str, dict[str, float]]:
        """Return the time of each candidate over the reference's, by workload."""
        return {
            workload: {candidate: self.ratio(workload, candidate) for candidate in times}
            for workload, times in self.times.items()
        }


def steps_table(name: str, rounds: int, workloads: list[str], engines: list[str]) -> Table:
    """Measure one optimizer on the workloads."""
    reference = "torch fused" if name in FUSED_IN_TORCH else "torch for-loop"
    if find_spec("torch") is None:
        reference = "eager"
    table = Table(name, reference)
    for workload in workloads:
        make = partial(_candidates, name, OPTIMIZERS[name], WORKLOADS[workload], engines)
        table.times[workload] = turns_of_lots(make, rounds)
    return table


def step_bounds(table: Table) -> list[Bound]:
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


def trace_time() -> Bound:
    """Cost of tracing AdamW once, as a bucket does when an option changes."""
    from types import SimpleNamespace

    from optimkit.backends.trace import trace

    hyper = SimpleNamespace(**ok.AdamW([np.zeros(1)]).param_groups[0])
    names = ("exp_avg", "exp_avg_sq")

    def once() -> None:
        trace(ok.AdamW.update, names, {}, hyper, 3)

    seconds = measure({"trace": once}, 51)["trace"]
    return Bound("tracing a bucket (AdamW)", seconds * 1e6, 30, "µs")


def overhead() -> list[Bound]:
    """Python's share of a step a tensor: the growth of the time with the number of tensors of 1."""
    bounds = []
    kinds = ["arrays"] + (["torch tensors"] if find_spec("torch") else [])
    for kind in kinds:
        steps = {}
        for count in (100, 1100):
            sizes = [1] * count
            if kind == "arrays":
                steps[str(count)] = _ours("AdamW", {}, sizes, ok.available_engines()[0])
            else:
                steps[str(count)] = ok.AdamW(_tensors(sizes)).step
        # No rest: no other library's threads are about, and a core that has slept is slow at first.
        seconds = measure(steps, 31, rest=0)
        each = (seconds["1100"] - seconds["100"]) / 1000
        bounds.append(Bound(f"overhead a tensor and step ({kind})", each * 1e6, 2, "µs"))
    return bounds


FIRST_STEP = """
import time, numpy as np, optimkit as ok
optimizer, grads = ok.AdamW([np.ones(1_000_000, np.float32)]), [np.ones(1_000_000, np.float32)]
start = time.perf_counter()
optimizer.step(grads=grads)
print(time.perf_counter() - start)
"""


def first_step() -> list[Bound]:
    """Seconds of the first fused step of a process, import of Numba included."""
    if "numba" not in ok.available_engines():
        return []
    cold, warm = [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as cache:
            env = os.environ | {"OPTIMKIT_CACHE_DIR": cache}
            cold.append(float(_python(FIRST_STEP, env)))
            warm.append(float(_python(FIRST_STEP, env)))
    return [
        Bound("first fused step, cold", statistics.median(cold), 3, "s"),
        Bound("first fused step, from the disk cache", statistics.median(warm), 1, "s"),
    ]


def _python(code: str, env: dict[str, str] | None = None) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


def import_time() -> Bound:
    """`import optimkit` over `import numpy`, from bytecode, processes taking turns."""
    times: dict[str, list[float]] = {"numpy": [], "optimkit": []}
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    for turn in range(16):
        for name, values in times.items():
            code = f"import time; t = time.perf_counter(); import {name}; "
            seconds = float(_python(code + "print(time.perf_counter() - t)", env))
            values += [seconds] if turn else []  # the first import may compile the bytecode
    ratio = statistics.median(times["optimkit"]) / statistics.median(times["numpy"])
    return Bound("import optimkit / import numpy", ratio, 1.6)


def peak_memory() -> list[Bound]:
    """Largest memory a step of AdamW on one array of 10M takes, over the array's own."""
    bounds = []
    for engine in ok.available_engines():
        param, grad = _arrays([10_000_000], 1)[0], _arrays([10_000_000], 1)[0]
        optimizer = ok.AdamW([param])
        with ok.use_engine(engine):
            optimizer.step(grads=[grad])
            tracemalloc.start()
            optimizer.step(grads=[grad])
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        bound = None if engine == "eager" else 0.05
        what = f"memory a step takes / the parameter's ({engine})"
        bounds.append(Bound(what, peak / param.nbytes, bound))
    return bounds


def costs() -> list[Bound]:
    """What a step costs beside its arithmetic, and what a program pays to begin."""
    return [trace_time(), *overhead(), *first_step(), import_time(), *peak_memory()]


SUBJECTS = ("costs", *OPTIMIZERS, "averages", "clipping", "matrices", "sparse", "schedulers")


def _measured(subject: str, args: argparse.Namespace) -> tuple[list[Table], list[Bound]]:
    """The tables and the figures of one subject."""
    engines = ok.available_engines()
    if subject == "costs":
        return [], costs()
    if subject in OPTIMIZERS:
        table = steps_table(subject, args.rounds, args.workload, engines)
        return [table], step_bounds(table)
    if find_spec("torch") is None:
        raise ImportError(f"{subject} are measured beside torch, which is not installed")
    from optimkit.validation import averages_bench, matrix_bench, schedules, sparse_bench

    if subject == "averages":
        table = averages_bench.averages_table(args.rounds, args.workload, engines)
        return [table], averages_bench.average_bounds(table)
    if subject == "clipping":
        return [averages_bench.clipping_table(args.rounds, args.workload, engines)], []
    if subject == "matrices":
        tables = matrix_bench.tables(args.rounds)
        return tables, [bound for table in tables for bound in matrix_bench.bounds(table)]
    if subject == "sparse":
        ratios = sparse_bench.ratios(sparse_bench.step_times())
        return [], [Bound(f"SparseAdam: {what}", ratio) for what, ratio in ratios.items()]
    ratios = schedules.step_costs()
    return [], [Bound(f"a step of {name} / torch's", ratio, 1) for name, ratio in ratios.items()]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``optimkit bench``."""
    parser.add_argument(
        "subject",
        choices=[*SUBJECTS, "all", []],
        nargs="*",
        default=[],
        metavar="SUBJECT",
        help=f"what to measure: {', '.join(SUBJECTS)}, or all (default: {', '.join(USUAL)})",
    )
    parser.add_argument("--workload", choices=[*WORKLOADS], nargs="*", default=[*WORKLOADS])
    parser.add_argument("--rounds", type=int, default=21, help="turns of each candidate")
    parser.add_argument("--json", metavar="FILE", help="write the figures for machines")


def run(args: argparse.Namespace) -> int:
    """Measure, print, and return 0 only if every bound held."""
    from rich.console import Console

    from optimkit.validation.progress import progress

    console = Console()
    _two_threads()
    subjects = SUBJECTS if "all" in args.subject else args.subject or USUAL
    tables: list[Table] = []
    bounds: list[Bound] = []
    work = [(subject, partial(_measured, subject, args)) for subject in subjects]
    for _, function in progress(console, work):
        new_tables, new_bounds = function()
        tables += new_tables
        bounds += new_bounds
    for table in tables:
        console.print(_rich_table(table))
        console.print()
    console.print(_rich_bounds(bounds))
    if args.json:
        with open(args.json, "w") as file:
            json.dump(_as_json(tables, bounds), file, indent=1)
    return 0 if all(bound.held for bound in bounds) else 1


def _two_threads() -> None:
    os.environ.setdefault("OPTIMKIT_NUM_THREADS", str(THREADS))
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(THREADS)


def _rich_table(table: Table) -> Any:
    from rich import box
    from rich.table import Table as RichTable

    shown = RichTable(
        title=f"{table.optimizer}, float32, {THREADS} threads: time relative to {table.reference}",
        caption="below 1 is faster; medians of the ratios of interleaved runs",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    shown.add_column("tensors", no_wrap=True)
    for title in (*next(iter(table.times.values())), f"{table.reference}, µs"):
        shown.add_column(title.replace(" ", "\n"), justify="right", no_wrap=True)
    for workload, ratios in table.ratios().items():
        shown.add_row(
            workload,
            *(f"{ratio:.2f}" for ratio in ratios.values()),
            f"{table.seconds(workload, table.reference) * 1e6:,.0f}",
        )
    return shown


def _rich_bounds(bounds: list[Bound]) -> Any:
    from rich import box
    from rich.table import Table as RichTable

    shown = RichTable(
        title="What it must reach", title_justify="left", box=box.SIMPLE_HEAD, show_edge=False
    )
    shown.add_column("figure")
    shown.add_column("measured", justify="right", no_wrap=True)
    shown.add_column("at most", justify="right", no_wrap=True)
    shown.add_column("", no_wrap=True)
    for bound in bounds:
        at_most = "" if bound.bound is None else f"{bound.bound:g} {bound.unit}"
        verdict = "" if bound.bound is None else "[green]held" if bound.held else "[red]missed"
        shown.add_row(bound.what, f"{bound.value:.2f} {bound.unit}", at_most, verdict)
    return shown


def _as_json(tables: list[Table], bounds: list[Bound]) -> dict[str, Any]:
    return {
        "threads": THREADS,
        "seconds": {table.optimizer: table.times for table in tables},
        "ratios": {table.optimizer: table.ratios() for table in tables},
        "bounds": [{**vars(bound), "held": bound.held} for bound in bounds],
    }
