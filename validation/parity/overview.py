"""The findings as tables: for the terminal, the report and the machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optimkit.validation.interruption import unfinished
from optimkit.validation.parity.checks import Check
from optimkit.validation.parity.tiers import tables
from optimkit.validation.parity.tiers.found import KINDS, TIERS
from optimkit.validation.parity.tiers.tables import mark
from optimkit.validation.parity.trajectories import LIBRARIES
from optimkit.validation.report import conditions
from optimkit.validation.report.document import Cell, Curves, Document, Section, Tabular, plain

if TYPE_CHECKING:
    from optimkit.validation.parity.validate import Findings

SHORT = {
    "float32": "f32",
    "float64": "f64",
    "complex64": "c64",
    "complex128": "c128",
    "float16": "f16",
    "bfloat16": "bf16",
}
ABSENT = Cell("not run", "aside")


@dataclass
class Summary:
    """Some checks taken together."""

    configurations: int
    dtypes: list[str]
    steps: int
    values: int
    unequal: int
    ulp: float
    relative: float
    held: bool

    @property
    def bits_equal(self) -> float:
        """The percentage of values with equal bits."""
        return 100 * (1 - self.unequal / self.values) if self.values else 0.0

    def cells(self) -> list[str | Cell]:
        """What tables say of it."""
        equal = f"{self.bits_equal:.4g} %"
        if self.unequal and equal == "100 %":
            equal = "< 100 %"
        worst = f"{self.ulp:.0f}" if self.ulp < 1e4 else f"{self.ulp:.1e}"
        gap = f"{self.relative:.1e}" if self.relative else "0"
        return [equal, worst, gap, mark(self.held)]


def summarize(checks: Iterable[Check]) -> Summary:
    """Take checks together."""
    checks = list(checks)
    found = [check.difference for check in checks]
    dtypes = {dtype for check in checks for dtype in check.case.dtypes}
    return Summary(
        len({check.case.name for check in checks}),
        [dtype for dtype in SHORT if dtype in dtypes],
        max((d.steps for d in found), default=0),
        sum(d.values for d in found),
        sum(d.unequal for d in found),
        max((d.ulp for d in found), default=0.0),
        max((d.relative for d in found), default=0.0),
        all(check.held for check in checks),
    )


def build(found: Findings) -> list[Tabular | Curves]:
    """Return the tables, the most important first; a chart belongs to the table before it."""
    parts: list[Tabular | Curves] = [_summary(found)]
    if found.steps:
        parts += [_optimizers(found), _ways(found)]
    if found.curves:
        parts += [_digits(found), *_losses(found)]
    if any(tally.values for tally in found.functions.values()):
        parts.append(_functions(found))
    if found.not_run:
        rows = [[name, why] for name, why in found.not_run.items()]
        parts.append(Tabular("Not run here, so not counted", ["What", "Why"], [*rows]))
    return parts


def document(found: Findings) -> Document:
    """Return all of it, for the terminal and the page."""
    sections: list[Section] = []
    for part in build(found):
        if isinstance(part, Tabular):
            sections.append(Section(part.title))
        sections[-1].parts.append(part)
    for section in tables.sections(found.tiers):
        section.page_only = not found.asked
        sections.append(section)
    total = summarize(found.checks)
    what = f"{len(found.checks):,} runs, {total.values:,} values, {found.seconds:.0f} s"
    count = len(found.failures)
    if not found.something:
        verdict = "Nothing was checked."
    elif found.left and not count:
        verdict = f"Unfinished; what was checked held: {what}."
    elif found.held:
        verdict = f"Everything held: {what}."
    else:
        verdict = f"{count:,} {'check' if count == 1 else 'checks'} failed: {what}."
    return Document(
        title="optimkit against PyTorch",
        verdict=verdict,
        mood="good" if found.held else "bad" if count or not found.something else "doubt",
        failures=found.failures,
        unfinished=unfinished(found.left) if found.left else "",
        conditions=conditions.here(threads=1) | {"reference": _provenance(found)},
        sections=sections,
    )


def _provenance(found: Findings) -> str:
    o = found.origin
    return (
        f"torch {o.get('torch')} ({found.source}), CPU capability {o.get('cpu_capability')}, "
        f"{o.get('device')} {o.get('machine')}, {o.get('threads')} thread, {o.get('path')}, "
        "correctly rounded sqrt"
    )


def _summary(found: Findings) -> Tabular:
    """What each tier came to, for each optimizer: the first thing to read."""
    first = next(iter(found.steps), None) if found.wants("bitwise") else None
    rows: list[Sequence[str | Cell]] = []
    names = dict.fromkeys(
        [check.case.optimizer for check in found.checks]
        + [entry.optimizer for kind in KINDS for entry in getattr(found.tiers, kind)]
        + [entry.optimizer for entry in found.tiers.halves]
    )
    for name in names:
        said = tables.cells(found.tiers, name)
        own = [check for check in found.checks if check.case.optimizer == name]
        halves = [entry for entry in found.tiers.halves if entry.optimizer == name]
        for tier, checks in (
            ("bitwise", [c for c in own if c.way == first]),
            ("engines", [c for c in own if c.way != first]),
        ):
            problem = tier == "engines" and any(entry.problem for entry in halves)
            if checks or (tier == "engines" and halves):
                held = all(check.held for check in checks) and not problem
                text = summarize(checks).cells()[0] if checks else "half"
                said[tier] = Cell(f"{text} {'✓' if held else '✗'}", "good" if held else "bad")
        rows.append([name, *(said.get(tier, "") for tier in TIERS)])
    notes = [
        "bitwise, engines: values with equal bits. stock: equal after one step from the same place "
        "beside ordinary torch (float32 and float64). drift: largest |Δ| / max(|p|, lr) from "
        "ordinary torch after the longest free run, float32. oracle: our mean distance from exact "
        "arithmetic relative to ordinary torch's.",
    ]
    if found.tiers.recorded:
        notes.append("rec.: recorded, read from a file, not computed now.")
    return Tabular("Every optimizer, every tier", ["Optimizer", *TIERS], rows, notes)


def _optimizers(found: Findings) -> Tabular:
    first = next(iter(found.steps))
    by_name: dict[str, list[Check]] = {}
    for check in found.checks:
        by_name.setdefault(check.case.optimizer, []).append(check)
    rows: list[Sequence[str | Cell]] = []
    notes = [
        "Values: parameters and state compared at steps "
        f"{', '.join(f'{step:,}' for step in found.steps[first])}. ULP: floating-point numbers "
        "between the two, at most. Worst |Δ|: relative to max(|value|, lr).",
        f"Reference: {_provenance(found)}.",
    ]
    for name, checks in by_name.items():
        own = summarize(check for check in checks if check.way == first)
        dtypes = " ".join(SHORT[d] for d in own.dtypes)
        about: list[str | Cell] = [
            name,
            str(own.configurations),
            dtypes,
            f"{own.steps:,}",
            f"{own.values:,}",
        ]
        rows.append(about + own.cells())
        bars = {(c.case.allowed, c.case.reason) for c in checks if c.case.tolerance}
        notes += [f"{name}: |Δ| up to {bar} allowed: {why}." for bar, why in sorted(bars)]
    zeros = sorted({c.case.zeros for c in found.checks if c.case.zeros})
    notes += [f"Zeros may differ in sign in some cases: {why}." for why in zeros]
    columns = ["Optimizer", "Cases", "Dtypes", "Steps", "Values", "Bits equal", "ULP"]
    title = f"Against PyTorch: parameters and state, {first.name}"
    return Tabular(title, [*columns, "Worst |Δ|", ""], rows, notes, (1, 3, 4, 5, 6, 7))


def _ways(found: Findings) -> Tabular:
    rows: list[Sequence[str | Cell]] = []
    for way in found.steps:
        checks = [check for check in found.checks if check.way == way]
        own = summarize(checks)
        about = [way.engine, LIBRARIES[way.library], str(len(checks))]
        rows.append([*about, f"{own.steps:,}", f"{own.values:,}", *own.cells()])
    columns = ["Engine", "Arrays", "Runs", "Steps", "Values", "Bits equal", "ULP"]
    title = "Every engine and array library, all configurations"
    notes = ["A rule that is not elementwise (Muon, Adafactor, LBFGS) runs on eager every time."]
    return Tabular(title, [*columns, "Worst |Δ|", ""], rows, notes, range(2, 8))


def _digits(found: Findings) -> Tabular:
    from optimkit.validation.parity import digits

    rows: list[Sequence[str | Cell]] = []
    for name, (own, reference) in found.curves.items():
        same, count = reference["same_weights"], reference["weights"]
        rows.append(
            [
                name,
                f"{own.loss[-1]:.5f}",
                f"{reference['loss'][-1]:.5f}",
                f"{100 * own.accuracy:.1f} %",
                f"{100 * reference['accuracy']:.1f} %",
                f"{100 * same / count:.6g} %",
                mark(digits.agree(own, reference) and same == count),
            ]
        )
    torch, same_weights = "torch", "Same weights"
    if not found.live:
        torch, same_weights = "torch, recorded", "Same weights, recorded"
    columns = ["Optimizer", "Loss: NumPy", torch, "Accuracy: NumPy", torch, same_weights, ""]
    notes = [
        f"Network of {' - '.join(map(str, digits.SIZES))}, float32, {digits.EPOCHS} epochs "
        f"({digits.EPOCHS * len(digits.batches(0)):,} steps) from one start, accuracy on the "
        "images kept for the test. NumPy: backpropagation by hand and optimkit; torch: autograd "
        "and torch.optim.",
        f"{same_weights}: torch's network trained with optimkit in place of torch.optim, equal "
        "bits.",
    ]
    if not found.live:
        notes.append("Recorded: read from a file of torch's results, not computed now.")
    return Tabular("Handwritten digits, trained twice", columns, rows, notes, range(1, 6))


def _losses(found: Findings) -> list[Curves]:
    theirs = "torch, torch.optim" + ("" if found.live else " (recorded)")
    return [
        Curves(
            f"Handwritten digits with {name}",
            "epoch",
            "mean loss",
            {
                who: [*enumerate(values, 1)]
                for who, values in ((theirs, reference["loss"]), ("NumPy, optimkit", own.loss))
            },
            log_y=True,
        )
        for name, (own, reference) in found.curves.items()
    ]


def _functions(found: Findings) -> Tabular:
    from optimkit.validation.parity import functions

    rows: list[Sequence[str | Cell]] = []
    for name, tally in found.functions.items():
        counts = [f"{n:,}" for n in (tally.cases, tally.values, tally.unequal)]
        gap = f"{tally.relative:.1e}" if tally.relative else "0"
        held = mark(not tally.problem) if tally.problem or tally.values else ABSENT
        rows.append([name, *counts, gap, held])
    notes = [*functions.NOTES]
    if found.schedules is not None:
        notes.append(
            f"{found.schedules.configurations:,} of the cases are random schedules, with "
            f"{found.schedules.checkpoints:,} checkpoints on the way, compared with ==."
        )
    columns = ["Name", "Cases", "Values", "Unequal", "Worst |Δ|", ""]
    title = f"Schedulers, averages and clipping, against {found.source}"
    return Tabular(title, columns, rows, notes, range(1, 5))


def as_json(found: Findings) -> dict[str, Any]:
    """Return the findings as JSON has them."""
    tabulated = {
        table.title: [dict(zip(table.columns, map(plain, row), strict=True)) for row in table.rows]
        for table in build(found)
        if isinstance(table, Tabular)
    }
    checks = [
        {
            "optimizer": check.case.optimizer,
            "options": dict(check.case.options),
            "exercises": check.case.exercises,
            "dtype": check.dtype,
            "engine": check.way.engine,
            "arrays": check.way.library,
            "tolerance": check.case.bound(check.dtype),
            **vars(check.difference),
            "ulp": min(check.difference.ulp, 1e308),
            "relative": min(check.difference.relative, 1e308),
            "held": check.held,
            "problem": check.problem,
        }
        for check in found.checks
    ]
    curves = {
        name: {"numpy": vars(own), "torch": {**reference, "recorded": not found.live}}
        for name, (own, reference) in found.curves.items()
    }
    return {
        "held": found.held,
        "source": found.source,
        "quick": found.quick,
        "torch": found.origin,
        "here": found.own,
        "not_run": found.not_run,
        "failures": found.failures,
        "tables": tabulated,
        "tiers": found.tiers.as_json(),
        "digits": curves,
        "functions": {name: vars(tally) for name, tally in found.functions.items()},
        "checks": checks,
        "seconds": found.seconds,
    }
