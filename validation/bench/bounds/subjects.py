"""What developers measure beside steps of the optimizers, by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from optimkit.backends.engines import host_engines
from optimkit.validation.bench.measure import Bound, Timings
from optimkit.validation.bench.workloads import Workloads

Found = tuple[list[Timings], list[Bound]]
ROOM = "optimkit.validation.bench.bounds."


def _costs(module: Any, rounds: int, workloads: Workloads) -> Found:
    return [], module.costs()


def _averages(module: Any, rounds: int, workloads: Workloads) -> Found:
    table = module.averages_table(rounds, workloads, host_engines())
    return [table], module.average_bounds(table)


def _clipping(module: Any, rounds: int, workloads: Workloads) -> Found:
    table = module.clipping_table(rounds, workloads, host_engines())
    return [table], module.clipping_bounds(table)


def _groups(module: Any, rounds: int, workloads: Workloads) -> Found:
    tables = module.tables(rounds)
    return tables, module.bounds(tables)


def _matrices(module: Any, rounds: int, workloads: Workloads) -> Found:
    tables = module.tables(rounds)
    return tables, [bound for table in tables for bound in module.bounds(table)]


def _sparse(module: Any, rounds: int, workloads: Workloads) -> Found:
    ratios = module.ratios(module.step_times())
    return [], [Bound(f"SparseAdam: {what}", ratio) for what, ratio in ratios.items()]


def _schedulers(module: Any, rounds: int, workloads: Workloads) -> Found:
    ratios = module.step_costs()
    return [], [Bound(f"a step of {name} / torch's", ratio, 1) for name, ratio in ratios.items()]


def _functional(module: Any, rounds: int, workloads: Workloads) -> Found:
    table = module.table(rounds, workloads)
    return [table], module.bounds(table)


# A subject, the module that measures it, what must be installed, and how it is asked.
SUBJECTS: dict[str, tuple[str, tuple[str, ...], Callable[[Any, int, Workloads], Found]]] = {
    "costs": ("costs", (), _costs),
    "groups": ("groups", ("torch",), _groups),
    "averages": ("averages", ("torch",), _averages),
    "clipping": ("averages", ("torch",), _clipping),
    "matrices": ("matrices", ("torch",), _matrices),
    "sparse": ("sparse", (), _sparse),
    "schedulers": ("schedulers", ("torch",), _schedulers),
    "functional": ("functional", ("jax", "optax"), _functional),
}


def lack(subject: str) -> str:
    """Why a subject cannot be measured here; empty if it can be."""
    missing = [name for name in SUBJECTS[subject][1] if find_spec(name) is None]
    return f"{subject} is measured beside {missing[0]}, which is not installed" if missing else ""


def measured(subject: str, rounds: int, workloads: Workloads) -> Found:
    """The tables and the figures of a subject."""
    module, _, ask = SUBJECTS[subject]
    return ask(import_module(ROOM + module), rounds, workloads)
