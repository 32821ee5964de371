"""What the tiers beyond equal bits found, computed now or recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from optimkit.validation.parity.tiers import agreement, drift, exactness, stock
from optimkit.validation.parity.tiers.agreement import Agreement
from optimkit.validation.parity.tiers.drift import Drift
from optimkit.validation.parity.tiers.exactness import Exactness, verdicts
from optimkit.validation.parity.tiers.stock import PerStep
from optimkit.validation.parity.trajectories import Way
from optimkit.validation.reference.cases import OPTIMIZERS

# What is asked for by --tier, and what it is.
TIERS = {
    "bitwise": "equal bits with torch in the IEEE setting",
    "stock": "each step beside ordinary torch",
    "drift": "free runs beside ordinary torch",
    "oracle": "exact arithmetic, our error beside torch's",
    "engines": "engines and array libraries, half precision too",
}
FILE = "tiers.json"
KINDS: Mapping[str, Any] = {"stock": PerStep, "drift": Drift, "oracle": Exactness}
SEPARATOR = ": "
SAME_ERROR = 1e-6  # relative: a platform's powers may differ in their last bits
Work = tuple[Any, tuple[Any, ...]]


@dataclass
class TierFindings:
    """What each tier found.

    Attributes
    ----------
    stock, drift, oracle, halves : list
        `PerStep`, `Drift`, `Exactness`, `Agreement`.
    recorded : dict of str to dict
        For each tier that was not computed now, where its numbers are from.
    compared : int
        How many recorded numbers were computed again.
    problems : list of str
        Other failures than those of single entries.
    """

    stock: list[PerStep] = field(default_factory=list)
    drift: list[Drift] = field(default_factory=list)
    oracle: list[Exactness] = field(default_factory=list)
    halves: list[Agreement] = field(default_factory=list)
    recorded: dict[str, dict[str, Any]] = field(default_factory=dict)
    compared: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, name: str, result: Any) -> None:
        """Take over what a piece of work, named by `work`, came to."""
        tier = name.partition(SEPARATOR)[0]
        if tier == "oracle" and tier in self.recorded:
            self.problems += self._changed(result)
        else:
            getattr(self, tier).extend(result)

    def _changed(self, now: Sequence[Exactness]) -> Iterator[str]:
        """Say where an error computed now is not the recorded one."""
        kept = {(one.optimizer, one.case, one.dtype): one for one in self.oracle}
        for one in now:
            before = kept.get((one.optimizer, one.case, one.dtype))
            if before is None or before.steps != one.steps:
                continue
            self.compared += 1
            if abs(one.mean - before.mean) > SAME_ERROR * before.mean:
                yield (
                    f"oracle, {one.optimizer}: {one.case}, {one.dtype}: an error of "
                    f"{one.mean:.6g} machine epsilons, recorded {before.mean:.6g}"
                )

    def failures(self) -> Iterator[str]:
        """Say what did not hold, a line each."""
        for kind, entries in (("stock", self.stock), ("drift", self.drift)):
            for entry in entries:
                if entry.problem:
                    yield f"{kind}, {entry.optimizer}: {entry.problem}"
        for verdict in verdicts(self.oracle):
            if not verdict.held:
                yield (
                    f"oracle, {verdict.optimizer}, {verdict.dtype}: our mean error is "
                    f"{verdict.ratio:.3f} times torch's, over {verdict.allowed:.2f}"
                )
        yield from (f"engines, {entry.problem}" for entry in self.halves if entry.problem)
        yield from self.problems

    def as_json(self) -> dict[str, Any]:
        """Return the numbers, and which of them are recorded."""
        kinds = {name: [asdict(x) for x in getattr(self, name)] for name in (*KINDS, "halves")}
        return {**kinds, "recorded": self.recorded}


def work(
    tiers: Sequence[str], names: Sequence[str], live: bool, quick: bool, ways: Sequence[Way]
) -> dict[str, Work]:
    """Return what is to be computed, by names that `TierFindings.add` knows.

    Without torch, engines in half precision on the fewest and the most options, and the oracle on
    the defaults.
    """
    found: dict[str, Work] = {}
    for name in names:
        if "stock" in tiers and live:
            found[f"stock{SEPARATOR}{name}"] = stock.measure, (name, quick)
        if "drift" in tiers and live:
            found[f"drift{SEPARATOR}{name}"] = drift.measure, (name, quick)
        if "oracle" in tiers and exactness.exact_cases(name):
            found[f"oracle{SEPARATOR}{name}"] = exactness.measure, (name, quick, live)
        if "engines" in tiers and exactness.exact_cases(name):
            short = quick or not live
            found[f"halves{SEPARATOR}{name}"] = agreement.measure, (name, ways, short)
    return found


def keep(found: TierFindings, origin: Mapping[str, Any], old: Path | None, new: Path) -> None:
    """Write what was computed with torch; of other optimizers, what the old file has stays."""
    before = read(old) if old is not None and old.exists() else {}
    content: dict[str, Any] = {"origin": dict(origin)}
    for kind in KINDS:
        entries = [asdict(x) for x in getattr(found, kind)]
        fresh = {entry["optimizer"] for entry in entries}
        entries += [x for x in before.get(kind, []) if x["optimizer"] not in fresh]
        content[kind] = sorted(entries, key=lambda x: OPTIMIZERS.index(x["optimizer"]))
    new.write_text(json.dumps(content) + "\n", encoding="utf-8")


def mixed(path: Path, names: Sequence[str], origin: Mapping[str, Any]) -> str:
    """Say why numbers of these optimizers cannot join the others of a file, if that is so."""
    content = read(path) if path.exists() else {}
    others = {x["optimizer"] for kind in KINDS for x in content.get(kind, [])} - set(names)
    before = content.get("origin", {})
    unlike = [name for name in origin if name != "date" and before.get(name) != origin[name]]
    if not others or not unlike:
        return ""
    return ", ".join(f"{name} {before.get(name)}, not {origin[name]}" for name in unlike)


def read(path: Path) -> dict[str, Any]:
    """Return what `keep` wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def recorded(path: Path, tiers: Sequence[str], names: Sequence[str]) -> TierFindings:
    """Return what was recorded of these tiers and optimizers."""
    content, found = read(path), TierFindings()
    for kind, make in KINDS.items():
        if kind in tiers:
            found.recorded[kind] = content["origin"]
            entries = [make(**x) for x in content[kind] if x["optimizer"] in names]
            getattr(found, kind).extend(entries)
    return found
