"""How fast is it: ``optimkit bench``, engines and peers side by side, as medians of ratios."""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import partial
from importlib.util import find_spec
from typing import Any

from optimkit.backends.engines import host_engines
from optimkit.validation.arguments import new_file, one_of, positive
from optimkit.validation.bench.costs import costs
from optimkit.validation.bench.device import SUBJECTS as SUBJECTS_ON_DEVICE
from optimkit.validation.bench.device import WORKLOADS as ON_DEVICE
from optimkit.validation.bench.measure import (
    OPTIMIZERS,
    THREADS,
    USUAL,
    WORKLOADS,
    Bound,
    Timings,
)
from optimkit.validation.bench.steps import step_bounds, steps_table

SUBJECTS = (
    "costs",
    *OPTIMIZERS,
    "groups",
    "averages",
    "clipping",
    "matrices",
    "sparse",
    "schedulers",
    "functional",
)


def _measured(subject: str, args: argparse.Namespace) -> tuple[list[Timings], list[Bound]]:
    """The tables and the figures of one subject."""
    if args.device == "cuda":
        import optimkit.validation.bench.device as device

        if subject == "costs":
            return [], device.costs()
        whole, host = device.tables(subject, args.rounds, args.workload)
        return [whole, host], device.figures(whole, host, args.rounds)
    engines = host_engines()
    if subject == "costs":
        return [], costs()
    if subject in OPTIMIZERS:
        table = steps_table(subject, args.rounds, args.workload, engines)
        return [table], step_bounds(table)
    if subject == "functional":
        import optimkit.validation.bench.functional as functional

        table = functional.table(args.rounds, args.workload)
        return [table], functional.bounds(table)
    if find_spec("torch") is None:
        raise ImportError(f"{subject} are measured beside torch, which is not installed")
    import optimkit.validation.bench.averages as averages
    import optimkit.validation.bench.groups as groups
    import optimkit.validation.bench.matrices as matrices
    import optimkit.validation.bench.schedulers as schedulers
    import optimkit.validation.bench.sparse as sparse

    if subject == "averages":
        table = averages.averages_table(args.rounds, args.workload, engines)
        return [table], averages.average_bounds(table)
    if subject == "clipping":
        table = averages.clipping_table(args.rounds, args.workload, engines)
        return [table], averages.clipping_bounds(table)
    if subject == "groups":
        measured = groups.tables(args.rounds)
        return measured, groups.bounds(measured)
    if subject == "matrices":
        tables = matrices.tables(args.rounds)
        return tables, [bound for table in tables for bound in matrices.bounds(table)]
    if subject == "sparse":
        ratios = sparse.ratios(sparse.step_times())
        return [], [Bound(f"SparseAdam: {what}", ratio) for what, ratio in ratios.items()]
    ratios = schedulers.step_costs()
    return [], [Bound(f"a step of {name} / torch's", ratio, 1) for name, ratio in ratios.items()]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``optimkit bench``."""
    parser.add_argument(
        "subject",
        type=one_of("subject", [*SUBJECTS, "all"]),
        nargs="*",
        metavar="SUBJECT",
        help=f"what to measure: {', '.join(SUBJECTS)}, or all (default: {', '.join(USUAL)})",
    )
    parser.add_argument(
        "--workload",
        type=one_of("workload", [*WORKLOADS, *ON_DEVICE]),
        nargs="*",
        metavar="WORKLOAD",
        help=f"of these: {', '.join(WORKLOADS)} (all); on a device: {', '.join(ON_DEVICE)}",
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=positive, default=21, help="turns of each candidate")
    parser.add_argument(
        "--json", type=new_file, metavar="FILE", help="write the figures for machines"
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print, and return 0 only if every bound held."""
    from rich.console import Console

    from optimkit.validation.progress import progress

    console = Console()
    known, usual, workloads = [*SUBJECTS], [*USUAL], WORKLOADS
    lack: str | None = None
    if args.device == "cuda":
        from optimkit.backends.engines.cuda.images import lack as what_is_missing

        known, usual, workloads = [*SUBJECTS_ON_DEVICE], [*SUBJECTS_ON_DEVICE], ON_DEVICE
        lack = what_is_missing()
    subjects = known if "all" in args.subject else args.subject or usual
    if "functional" in subjects:
        import optimkit.validation.bench.functional as functional

        if "all" in args.subject and functional.lack():
            subjects = [name for name in subjects if name != "functional"]
        else:
            lack = functional.lack()
    args.workload = args.workload or [*workloads]
    for given, names in ((subjects, known), (args.workload, workloads)):
        if unknown := [name for name in given if name not in names]:
            lack = f"{unknown[0]} is not measured there; there are {', '.join(names)}"
    if lack is not None:
        print(f"optimkit bench --device {args.device}: {lack}", file=sys.stderr)
        return 2
    _two_threads()
    tables: list[Timings] = []
    bounds: list[Bound] = []
    work = [(subject, partial(_measured, subject, args)) for subject in subjects]
    for _, function in progress(work):
        new_tables, new_bounds = function()
        tables += new_tables
        bounds += new_bounds
    for table in tables:
        console.print(_rich_table(table))
        console.print()
    console.print(_rich_bounds(bounds))
    if args.json:
        args.json.write_text(json.dumps(_as_json(tables, bounds), indent=1))
    return 0 if all(bound.held for bound in bounds) else 1


def _two_threads() -> None:
    os.environ.setdefault("OPTIMKIT_NUM_THREADS", str(THREADS))
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(THREADS)


def _rich_table(table: Timings) -> Any:
    from rich import box
    from rich.table import Table as RichTable

    shown = RichTable(
        title=f"{table.optimizer}, float32, {table.where}: time relative to {table.reference}",
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


def _as_json(tables: list[Timings], bounds: list[Bound]) -> dict[str, Any]:
    return {
        "threads": THREADS,
        "seconds": {table.optimizer: table.times for table in tables},
        "ratios": {table.optimizer: table.ratios() for table in tables},
        "bounds": [{**vars(bound), "held": bound.held} for bound in bounds],
    }
