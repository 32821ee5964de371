"""The findings as tables: for the terminal, the report and the machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optimkit.validation.parity.checks import Check
from optimkit.validation.parity.trajectories import LIBRARIES

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
GOOD, BAD, ABSENT = "✓", "✗", "not run"


@dataclass
class Overview:
    """A title, columns, rows of text, and lines to stand below."""

    title: str
    columns: Sequence[str]
    rows: list[list[str]]
    notes: Sequence[str] = ()


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

    def cells(self) -> list[str]:
        """What tables say of it."""
        equal = f"{self.bits_equal:.4g} %"
        if self.unequal and equal == "100 %":
            equal = "< 100 %"
        worst = f"{self.ulp:.0f}" if self.ulp < 1e4 else f"{self.ulp:.1e}"
        gap = f"{self.relative:.1e}" if self.relative else "0"
        return [equal, worst, gap, GOOD if self.held else BAD]


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


def build(found: Findings) -> list[Overview]:
    """Return the tables, the most important first."""
    tables = [_optimizers(found), _ways(found)]
    if found.curves:
        tables.append(_digits(found))
    tables.append(_functions(found))
    if found.not_run:
        rows = [[name, why] for name, why in found.not_run.items()]
        tables.append(Overview("Not run here, so not counted", ["What", "Why"], rows))
    return tables


def _provenance(found: Findings) -> str:
    o = found.origin
    return (
        f"torch {o.get('torch')} ({found.source}), CPU capability {o.get('cpu_capability')}, "
        f"{o.get('device')} {o.get('machine')}, {o.get('threads')} thread, {o.get('path')}, "
        "correctly rounded sqrt"
    )


def _optimizers(found: Findings) -> Overview:
    first = next(iter(found.steps))
    by_name: dict[str, list[Check]] = {}
    for check in found.checks:
        by_name.setdefault(check.case.optimizer, []).append(check)
    rows = []
    notes = [
        "Values: parameters and state compared at steps "
        f"{', '.join(f'{step:,}' for step in found.steps[first])}. ULP: floating-point numbers "
        "between the two, at most. Worst |Δ|: relative to max(|value|, lr).",
        f"Reference: {_provenance(found)}.",
    ]
    for name, checks in by_name.items():
        own = summarize(check for check in checks if check.way == first)
        dtypes = " ".join(SHORT[d] for d in own.dtypes)
        about = [name, str(own.configurations), dtypes, f"{own.steps:,}", f"{own.values:,}"]
        rows.append(about + own.cells())
        bars = {(c.case.allowed, c.case.reason) for c in checks if c.case.tolerance}
        notes += [f"{name}: |Δ| up to {bar} allowed: {why}." for bar, why in sorted(bars)]
    zeros = sorted({c.case.zeros for c in found.checks if c.case.zeros})
    notes += [f"Zeros may differ in sign in some cases: {why}." for why in zeros]
    columns = ["Optimizer", "Cases", "Dtypes", "Steps", "Values", "Bits equal", "ULP"]
    title = f"Against PyTorch: parameters and state, {first.name}"
    return Overview(title, [*columns, "Worst |Δ|", ""], rows, notes)


def _ways(found: Findings) -> Overview:
    rows = []
    for way in found.steps:
        checks = [check for check in found.checks if check.way == way]
        own = summarize(checks)
        about = [way.engine, LIBRARIES[way.library], str(len(checks))]
        rows.append([*about, f"{own.steps:,}", f"{own.values:,}", *own.cells()])
    columns = ["Engine", "Arrays", "Runs", "Steps", "Values", "Bits equal", "ULP"]
    title = "Every engine and array library, all configurations"
    notes = ["A rule that is not elementwise (Muon, Adafactor, LBFGS) runs on eager every time."]
    return Overview(title, [*columns, "Worst |Δ|", ""], rows, notes)


def _digits(found: Findings) -> Overview:
    from optimkit.validation.parity import digits

    rows = []
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
                GOOD if digits.agree(own, reference) and same == count else BAD,
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
    return Overview("Handwritten digits, trained twice", columns, rows, notes)


def _functions(found: Findings) -> Overview:
    from optimkit.validation.parity import functions

    rows = []
    for name, tally in found.functions.items():
        counts = [f"{n:,}" for n in (tally.cases, tally.values, tally.unequal)]
        gap = f"{tally.relative:.1e}" if tally.relative else "0"
        mark = BAD if tally.problem else GOOD if tally.values else ABSENT
        rows.append([name, *counts, gap, mark])
    notes = [*functions.NOTES]
    if found.schedules is not None:
        notes.append(
            f"{found.schedules.configurations:,} of the cases are random schedules, with "
            f"{found.schedules.checkpoints:,} checkpoints on the way, compared with ==."
        )
    columns = ["Name", "Cases", "Values", "Unequal", "Worst |Δ|", ""]
    title = f"Schedulers, averages and clipping, against {found.source}"
    return Overview(title, columns, rows, notes)


def show(table: Overview, console: Any) -> None:
    """Print a table."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    rich = RichTable(
        title=table.title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for i, column in enumerate(table.columns):
        cells = [row[i] for row in table.rows]
        numeric = i > 0 and all(cell[:1].isdigit() or cell == "inf" for cell in cells)
        whole = i == 0 or numeric or not column  # names, numbers and marks are not broken
        rich.add_column(
            column.replace(" ", "\n") if whole else column,
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=whole,
        )
    for row in table.rows:
        styles = {GOOD: "bold green", BAD: "bold red"}
        rich.add_row(*(Text(cell, styles.get(cell, "")) for cell in row))
    console.print(rich)
    for note in table.notes:
        console.print(Text(note, "dim"))
    console.print()


def conclude(found: Findings, console: Any) -> None:
    """Print what all this means."""
    for failure in found.failures[:20]:
        console.print(f"[bold red]{BAD}[/] ", end="")
        console.print(failure, markup=False, highlight=False)
    if len(found.failures) > 20:
        console.print(f"and {len(found.failures) - 20} more")
    total = summarize(found.checks)
    what = f"{len(found.checks):,} runs, {total.values:,} values, {found.seconds:.0f} s"
    if not found.checks:
        console.print(f"[bold red]{BAD} Nothing was checked.[/]")
    elif found.held:
        console.print(f"[bold green]{GOOD} Everything held[/]: {what}.", highlight=False)
    else:
        count = len(found.failures)
        console.print(f"[bold red]{BAD} {count} checks failed[/]: {what}.", highlight=False)


def as_json(found: Findings) -> dict[str, Any]:
    """Return the findings as JSON has them."""
    tables = {
        table.title: [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        for table in build(found)
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
        "tables": tables,
        "digits": curves,
        "functions": {name: vars(tally) for name, tally in found.functions.items()},
        "checks": checks,
        "seconds": found.seconds,
    }
