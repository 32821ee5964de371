"""``optimkit validate``: does every optimizer do what PyTorch does, on everything present?"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.arguments import Refusal, add_files, one_of, positive
from optimkit.validation.interruption import Interruptible
from optimkit.validation.parity import digits, functions
from optimkit.validation.parity import trajectories as parity
from optimkit.validation.parity.checks import Check, can_run, check_optimizer, steps_for
from optimkit.validation.parity.recording import files, record, torch_results
from optimkit.validation.parity.schedules import compare_with_torch
from optimkit.validation.parity.tiers import found as tiers
from optimkit.validation.parity.tiers.found import TIERS, TierFindings
from optimkit.validation.parity.trajectories import Way
from optimkit.validation.processes import Work, in_processes
from optimkit.validation.progress import watching
from optimkit.validation.reference import manifest
from optimkit.validation.reference.cases import OPTIMIZERS, cases_of
from optimkit.validation.reference.recordings import FOLDER, STEPS, load

SECONDS_A_STEP = 1e-4  # of a small case, on an ordinary machine


@dataclass
class Findings:
    """Everything that was found, for the tables, the report and the machine."""

    live: bool
    quick: bool
    origin: dict[str, Any] = field(default_factory=dict)
    own: dict[str, Any] = field(default_factory=dict)
    steps: dict[Way, tuple[int, ...]] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    curves: dict[str, tuple[digits.Training, dict[str, Any]]] = field(default_factory=dict)
    functions: dict[str, functions.Tally] = field(default_factory=functions.nothing_yet)
    schedules: Any = None
    asked: tuple[str, ...] = ()
    tiers: TierFindings = field(default_factory=TierFindings)
    not_run: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def source(self) -> str:
        """Where torch's results are from."""
        return "the installed torch" if self.live else "recordings of torch"

    @property
    def held(self) -> bool:
        """Whether everything that was to be checked was, and held."""
        return self.something and not self.failures and not self.left

    def wants(self, tier: str) -> bool:
        """Whether a tier was asked for; without asking, all are."""
        return not self.asked or tier in self.asked

    @property
    def something(self) -> bool:
        """Whether anything was computed, and not only read."""
        now = {tier for tier in ("stock", "drift", "oracle") if tier not in self.tiers.recorded}
        return bool(self.checks or self.tiers.halves or self.tiers.compared) or any(
            getattr(self.tiers, tier) for tier in now
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    public = [name for name in OPTIMIZERS if hasattr(ok, name)]
    parser.add_argument(
        "names",
        nargs="*",
        type=one_of("optimizer", public),
        metavar="OPTIMIZER",
        help="of the optimizers only these (all); the tier bitwise has schedulers, averages and "
        "clipping besides",
    )
    parser.add_argument("--quick", action="store_true", help="100 steps instead of 1,000")
    parser.add_argument(
        "--tier",
        action="append",
        type=one_of("tier", TIERS),
        metavar="TIER",
        help="only this tier, with its details; may be given more than once: "
        + "; ".join(f"{name}, {text}" for name, text in TIERS.items()),
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--live", action="store_true", help="demand the installed torch; without it is an error"
    )
    source.add_argument(
        "--recorded", action="store_true", help="use the recordings even if torch is installed"
    )
    source.add_argument(
        "--record", action="store_true", help="write the recordings anew with the installed torch"
    )
    add_files(parser)
    parser.add_argument(
        "--jobs", type=positive, default=min(2, os.cpu_count() or 1), help="processes (%(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    from optimkit.validation.parity import overview
    from optimkit.validation.report.delivery import deliver
    from optimkit.validation.report.terminal import console, show

    shown = console()
    has_torch = find_spec("torch") is not None
    if (arguments.live or arguments.record) and not has_torch:
        raise Refusal("torch is not installed; pip install 'optimkit[torch]'")
    names = arguments.names or [name for name in OPTIMIZERS if hasattr(ok, name)]
    if arguments.record:
        for option in ("json", "report", "quick", "tier"):
            if getattr(arguments, option):
                raise Refusal(f"--record writes recordings, and nothing for --{option}")
        peers = [name for name in names if any(case.peer for case in cases_of(name))]
        return record(peers, arguments.jobs, shown)
    live = has_torch and not arguments.recorded
    found = validate(names, live, arguments.quick, arguments.jobs, arguments.tier or ())
    if found.left and not found.checks:
        raise KeyboardInterrupt
    return deliver(arguments, overview.document(found), overview.as_json(found), shown, show)


def validate(
    names: list[str], live: bool, quick: bool, jobs: int, asked: Sequence[str] = ()
) -> Findings:
    """Run all the checks.

    Parameters
    ----------
    names : list of str
        The optimizers.
    live : bool
        Whether to compare with the installed torch instead of the recordings.
    quick : bool
        Whether to make do with 100 steps.
    jobs : int
        How many processes check.
    asked : sequence of str
        Some of `TIERS`, or nothing for all.
    """
    begin = time.perf_counter()
    found = Findings(live, quick, asked=tuple(asked))
    chosen = [tier for tier in TIERS if found.wants(tier)]
    found.own = {
        "optimkit": ok.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "device": "cpu",
    }
    with watching("what there is to check with", 1.0):
        ways, found.not_run = parity.ways()
    found.steps = {way: steps_for(way, place, quick) for place, way in enumerate(ways)}
    found.steps = {
        way: steps
        for place, (way, steps) in enumerate(found.steps.items())
        if ("engines" if place else "bitwise") in chosen
    }
    peers = [name for name in names if any(case.peer for case in cases_of(name))]
    found.not_run |= {name: "torch has no such optimizer" for name in names if name not in peers}
    if not live:
        absent = [name for name in peers if not (FOLDER / f"{name}.npz").exists()]
        found.not_run |= dict.fromkeys(absent, "no recording; optimkit validate --record")
        peers = [name for name in peers if name not in absent]
        manifest.check(FOLDER, files(peers))
    found.not_run |= {
        f"sparse gradients, {way.name}": "no sparse gradients for this library"
        for way in found.steps
        for name in peers
        if any(not can_run(case, way) for case in cases_of(name))
    }
    last = max((max(steps) for steps in found.steps.values()), default=0)
    steps = [step for step in STEPS if step <= last]
    with torch_results(live and last > 0, peers, steps, FOLDER) as (folder, died):
        work: dict[str, Work] = {
            name: (check_optimizer, (name, folder / f"{name}.npz", found.steps))
            for name in peers
            if found.steps
        }
        work |= _tiers(found, chosen, peers, ways)
        trained = [name for name in digits.RUNS if name in peers]
        if "bitwise" not in chosen:
            trained = []
        elif find_spec("sklearn") is None:
            found.not_run["handwritten digits"] = "scikit-learn is not installed"
        if trained and find_spec("sklearn") is not None:
            work["digits"] = (_digits, (trained, folder / "digits.json"))
        if "bitwise" not in chosen:
            pass
        elif live or (folder / functions.FILE).exists():
            work["functions"] = (functions.check, (folder / functions.FILE, live))
        else:
            found.not_run["schedulers, averages, clipping"] = "no recording; validate --record"
        if "bitwise" not in chosen:
            pass
        elif live:
            work["random schedules"] = (compare_with_torch, (60 if quick else 600, 0))
        else:
            found.not_run["random schedules, update_bn"] = "needs torch itself"
        found.left = [*work]
        with Interruptible():
            for name, result in in_processes(work, jobs, _weights(work, found), died):
                found.left.remove(name)
                if name == "random schedules":
                    found.schedules = result
                elif name == "functions":
                    found.functions = result
                elif name == "digits":
                    found.curves = result
                elif tiers.SEPARATOR in name:
                    found.tiers.add(name, result)
                else:
                    found.checks += result[0]
        if found.checks:
            found.origin = load(folder / f"{peers[0]}.npz").origin
    if found.schedules is not None:
        for name, counts in found.schedules.by_name.items():
            found.functions[name].add_random(**counts)
    found.checks.sort(key=lambda check: peers.index(check.case.optimizer))
    found.failures = _failures(found)
    found.seconds = time.perf_counter() - begin
    return found


def _tiers(
    found: Findings, chosen: Sequence[str], names: Sequence[str], ways: Sequence[Way]
) -> dict[str, Work]:
    """Read what was recorded of the tiers beyond equal bits; return what is to be computed."""
    kept, computed = [tier for tier in tiers.KINDS if tier in chosen], list(chosen)
    if not found.live and kept:
        if (FOLDER / tiers.FILE).exists():
            found.tiers = tiers.recorded(FOLDER / tiers.FILE, kept, names)
        else:
            found.not_run["stock, drift, oracle"] = "no recording; optimkit validate --record"
            computed = [tier for tier in computed if tier not in kept]
    return tiers.work(computed, names, found.live, found.quick, ways)


def _weights(work: Mapping[str, Work], found: Findings) -> dict[str, float]:
    """About how many seconds each piece of work takes: by the steps that an optimizer runs."""
    weights = {"digits": 4.0, "functions": 2.0, "random schedules": 10.0}
    steps = sum(max(steps) for steps in found.steps.values())
    weights |= {name: 3.0 if found.live else 1.0 for name in work if tiers.SEPARATOR in name}
    for name in work.keys() - weights.keys():
        runs = sum(len(case.dtypes) for case in cases_of(name) if case.peer)
        weights[name] = 1 + SECONDS_A_STEP * runs * steps
    return weights


def _digits(names: list[str], path: Path) -> dict[str, tuple[digits.Training, dict[str, Any]]]:
    runs = json.loads(path.read_text())["runs"]
    return {name: (digits.with_optimkit(name), runs[name]) for name in names}


def _failures(found: Findings) -> list[str]:
    failures = [
        f"{check.case.name}, {check.dtype}, {check.way.name}: {check.problem}"
        for check in found.checks
        if not check.held
    ]
    for name, (own, reference) in found.curves.items():
        if not digits.agree(own, reference):
            failures.append(f"digits with {name}: loss or accuracy differ from torch's")
        if reference["same_weights"] != reference["weights"]:
            failures.append(f"digits with {name} in torch.optim's place: other weights")
    for name, tally in found.functions.items():
        if tally.problem:
            failures.append(f"{name}: {tally.problem}")
        elif not found.wants("bitwise") or "functions" in found.left or tally.values:
            continue
        elif found.live or name not in functions.TORCH_ALONE:
            failures.append(f"{name} was not checked")
    if found.schedules is not None and found.schedules.mismatches:
        failures.append(f"random schedules: {found.schedules.first_mismatch}")
    return [*failures, *found.tiers.failures()]
