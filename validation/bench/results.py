"""All that a run of ``optimkit bench`` has found, and the same for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from optimkit.validation.bench import roofline
from optimkit.validation.bench.alone import Alone
from optimkit.validation.bench.measure import Bound, Timings
from optimkit.validation.bench.measurement import Troubles
from optimkit.validation.bench.verdicts import Verdict, verdicts


@dataclass
class Results:
    """What was found.

    Attributes
    ----------
    ours : set of str
        Which candidates are engines of optimkit's.
    steps : list of Timings
        Optimizers, implementations side by side.
    others : list of Timings
        Of subjects for developers, and of a device.
    figures : list of Bound
        Single numbers.
    alone : dict
        From an optimizer to what each implementation took by itself.
    absent : dict
        From an implementation that is not here to the reason.
    busy : str
        That other programs were running, if they were.
    bounds : bool
        Whether our own bounds are asked for.
    """

    ours: set[str]
    conditions: Mapping[str, str] = field(default_factory=dict)
    steps: list[Timings] = field(default_factory=list)
    others: list[Timings] = field(default_factory=list)
    figures: list[Bound] = field(default_factory=list)
    alone: dict[str, dict[str, Alone]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    troubles: Troubles = field(default_factory=Troubles)
    busy: str = ""
    bounds: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing was found that could be shown."""
        tables = [*self.steps, *self.others]
        timed = any(turns for table in tables for turns in table.turns.values())
        return not (timed or self.figures or self.alone or self.troubles.failures)

    def verdicts(self, table: Timings) -> list[Verdict]:
        return verdicts(table, self.ours)


def facts(results: Results) -> dict[str, Any]:
    """Everything for machines: conditions, all times turn by turn, and what follows from them."""
    tables = [*results.steps, *results.others]
    return {
        "conditions": dict(results.conditions),
        "same_traffic": roofline.described(),
        "seconds": {table.optimizer: table.turns for table in tables},
        "ratios": {table.optimizer: _ratios(table) for table in tables},
        "references": {table.optimizer: table.reference for table in tables},
        "verdicts": [
            {
                "optimizer": table.optimizer,
                "workload": verdict.workload,
                "own": verdict.own,
                "peer": verdict.peer,
                "ratio": verdict.ratio._asdict(),
                "outcome": verdict.outcome,
            }
            for table in results.steps
            for verdict in results.verdicts(table)
        ],
        "alone": {
            optimizer: {name: asdict(found) for name, found in rows.items()}
            for optimizer, rows in results.alone.items()
        },
        "not_here": results.absent,
        "busy": results.busy,
        "failures": results.troubles.failures,
        "left_out": results.troubles.words,
        "figures": [
            {
                "what": figure.what,
                "value": figure.value,
                "unit": figure.unit,
                "at_most": figure.bound,
                "held": figure.held,
                "spread": figure.spread._asdict() if figure.spread else None,
            }
            for figure in results.figures
        ],
    }


def _ratios(table: Timings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for workload in table.turns:
        spreads = {name: table.spread(workload, name) for name in table.candidates(workload)}
        found[workload] = {name: x._asdict() for name, x in spreads.items() if x is not None}
    return found
