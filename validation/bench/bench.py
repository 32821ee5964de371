"""How fast is a step: ``optimkit bench``, engines and peers side by side in one run."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

from optimkit.validation.arguments import Refusal, add_files, one_of, positive
from optimkit.validation.bench.alone import alone
from optimkit.validation.bench.bounds import subjects
from optimkit.validation.bench.bounds.steps import step_bounds
from optimkit.validation.bench.document import document
from optimkit.validation.bench.implementations import PEERS, Implementation, every
from optimkit.validation.bench.measure import THREADS
from optimkit.validation.bench.measurement import Effort, Unit, measurements
from optimkit.validation.bench.results import Results, facts
from optimkit.validation.bench.shapes import workload
from optimkit.validation.bench.workloads import ON_DEVICE, OPTIMIZERS, WORKLOADS, Workloads
from optimkit.validation.interruption import Interruptible, unfinished
from optimkit.validation.progress import progress, watching
from optimkit.validation.report import conditions
from optimkit.validation.report.delivery import deliver
from optimkit.validation.report.terminal import console, show

USUAL, USUAL_WORKLOADS = ["AdamW"], ["300x64", "1M", "mix"]
QUICK_WORKLOADS = ["300x64", "1M"]
QUICK = Effort(rounds=9, seconds=1.5, lots=1)
BESIDE = ("jax", "jaxlib", "optax", "thinc", "deepspeed", "scikit-learn")  # in the conditions
BUSY = 0.6  # of the processors: what a load at the start may come to
ON_THE_DEVICE = ("costs", "AdamW", "SGD", "clipping")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``optimkit bench``."""
    parser.add_argument(
        "optimizer",
        type=one_of("optimizer", [*OPTIMIZERS, *subjects.SUBJECTS, "all"]),
        nargs="*",
        metavar="OPTIMIZER",
        help=f"of these: {', '.join(OPTIMIZERS)}, or all (default: {', '.join(USUAL)}); for "
        f"developers also {', '.join(subjects.SUBJECTS)}",
    )
    parser.add_argument(
        "--workload",
        type=workload,
        nargs="+",
        metavar="WORKLOAD",
        help=f"of these: {', '.join(WORKLOADS)} (default: {', '.join(USUAL_WORKLOADS)}); or NxM, N "
        "tensors of M numbers, or a JSON file of shapes; on a device: "
        f"{', '.join(ON_DEVICE)} (all)",
    )
    parser.add_argument(
        "--peers",
        type=one_of("peer", [one.name for one in PEERS]),
        nargs="*",
        metavar="PEER",
        help=f"these alone: {', '.join(one.name for one in PEERS)} (default: all that are here "
        f"and do not have to be asked for)",
    )
    parser.add_argument(
        "--rounds", type=positive, metavar="N", help="turns of each (default: what time allows)"
    )
    parser.add_argument("--threads", type=positive, metavar="N", help="(default: 2)")
    parser.add_argument("--quick", action="store_true", help="fewer turns, and steps alone")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--bounds", action="store_true", help="for developers: what optimkit itself must reach"
    )
    add_files(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and show: 0, or 1 if something raised an error or computed something else."""
    shown = console()
    with watching("what there is to time", 2.0):
        results, units = _on_device(args) if args.device == "cuda" else _here(args)
    left = [name for name, _ in units]
    with Interruptible():
        for _, unit in progress(units):
            unit()
            left.pop(0)
    if left and results.empty:
        raise KeyboardInterrupt
    if args.bounds:
        steps = [bound for table in results.steps for bound in step_bounds(table)]
        results.figures[:0] = steps
    results.conditions = conditions.here(BESIDE, threads=args.threads) | {"device": args.device}
    said = unfinished(left) if left else ""
    return deliver(args, document(results, said), facts(results), shown, show)


# ---------------------------------------------------------------- on the processor


def _here(args: argparse.Namespace) -> tuple[Results, list[Unit]]:
    """What there will be, and the work that fills it."""
    asked = args.optimizer or USUAL
    named = [*OPTIMIZERS, *subjects.SUBJECTS] if "all" in asked else [*dict.fromkeys(asked)]
    others = [name for name in named if name in subjects.SUBJECTS]
    for subject in others:
        if lack := subjects.lack(subject):
            if "all" not in asked:
                raise Refusal(lack)
            others = [name for name in others if name != subject]
    whole = "all" in asked
    usual = [*WORKLOADS] if whole else QUICK_WORKLOADS if args.quick else USUAL_WORKLOADS
    asked_sizes = {one.name: one.sizes for one in args.workload or ()}
    workloads = asked_sizes or {name: WORKLOADS[name] for name in usual}
    if astray := [name for name in workloads if name in ON_DEVICE and name not in WORKLOADS]:
        raise Refusal(f"{astray[0]} is measured with --device cuda alone")
    set_threads(args)
    chosen, absent = chosen_implementations(args.peers)
    results = Results({one.name for one in chosen if one.ours}, absent=absent, bounds=args.bounds)
    optimizers = [name for name in named if name in OPTIMIZERS]
    results.steps, units = measurements(
        optimizers,
        workloads,
        chosen,
        effort(args),
        results.troubles,
        f"{args.threads} thread{'s' * (args.threads > 1)}",
    )
    if optimizers and not args.quick:
        units += _by_themselves(optimizers[0], chosen, results)
    rounds = args.rounds or effort(args).rounds
    units += [
        (subject, partial(_subject, subject, rounds, workloads, results)) for subject in others
    ]
    results.busy = busy()
    return results, units


def busy() -> str:
    """What else the machine is doing, if that is too much for times to be relied upon."""
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load <= BUSY * cores:
        return ""
    return (
        f"Other programs are running here: at the start the load was {load:.1f} on {cores} "
        "processors. Times are theirs too; measure again when they are done."
    )


def effort(args: argparse.Namespace) -> Effort:
    """How long to measure."""
    if args.rounds:
        return Effort(args.rounds, math.inf, args.rounds)
    return QUICK if args.quick else Effort()


def chosen_implementations(
    peers: list[str] | None,
) -> tuple[list[Implementation], dict[str, str]]:
    """The engines and the peers that will be timed, and why the others will not.

    Raises
    ------
    Refusal
        If a peer that was named is not here.
    """
    chosen, absent = [], dict[str, str]()
    for one in every():
        lack = one.lack()
        if not one.ours and peers is not None:
            if one.name not in peers:
                continue
            if lack:
                raise Refusal(f"{one.name} cannot be timed: {lack}")
            chosen.append(one)
        elif lack:
            absent[one.name] = lack
        elif one.asked:
            absent[one.name] = f"{one.asked}; ask for it: --peers {one.name}"
        else:
            chosen.append(one)
    return chosen, absent


def set_threads(args: argparse.Namespace) -> None:
    """As many threads for everyone, as far as they can be told."""
    setting = os.environ.get("OPTIMKIT_NUM_THREADS", "")
    args.threads = args.threads or (int(setting) if setting.isdecimal() else THREADS)
    os.environ["OPTIMKIT_NUM_THREADS"] = str(args.threads)
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(args.threads)


def _by_themselves(
    optimizer: str, chosen: list[Implementation], results: Results
) -> list[tuple[str, Callable[[], None]]]:
    rows = results.alone.setdefault(optimizer, {})

    def unit(one: Implementation) -> None:
        try:
            rows[one.name] = alone(one, optimizer)
        except RuntimeError as error:
            results.troubles.raised(f"{optimizer}, by itself", one.name, error)

    able = [one for one in chosen if not one.lack(optimizer)]
    return [(f"{optimizer}, {one.name} by itself", partial(unit, one)) for one in able]


def _subject(subject: str, rounds: int, workloads: Workloads, results: Results) -> None:
    tables, figures = subjects.measured(subject, rounds, workloads)
    results.others += tables
    results.figures += figures


# ---------------------------------------------------------------- on a device


def _on_device(args: argparse.Namespace) -> tuple[Results, list[Unit]]:
    from optimkit.backends.engines.cuda.images import lack as what_is_missing

    if args.peers is not None:
        raise Refusal("--peers chooses among those on the processor; leave --device cuda out")
    named = args.optimizer or ["all"]
    named = [*ON_THE_DEVICE] if "all" in named else named
    workloads = [one.name for one in args.workload or ()] or [*ON_DEVICE]
    for given, known in ((named, ON_THE_DEVICE), (workloads, ON_DEVICE)):
        if astray := [name for name in given if name not in known]:
            raise Refusal(f"{astray[0]} is not measured on a device; there are {', '.join(known)}")
    lack = what_is_missing()
    if lack is not None:
        raise Refusal(f"--device cuda: {lack}")
    set_threads(args)
    results = Results({"cuda"}, bounds=args.bounds)
    rounds = args.rounds or effort(args).rounds
    return results, [(name, partial(_device, name, rounds, workloads, results)) for name in named]


def _device(subject: str, rounds: int, workloads: list[str], results: Results) -> None:
    import optimkit.validation.bench.device as device

    if subject == "costs":
        results.figures += device.costs()
        return
    whole, host = device.tables(subject, rounds, workloads)
    results.others += [whole, host]
    results.figures += device.figures(whole, host, rounds)
