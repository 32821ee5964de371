"""What was found, as a document: verdicts first, then tables, bars, and what was not here."""

from __future__ import annotations

from optimkit.validation.bench import roofline
from optimkit.validation.bench.measure import Bound, Quartiles, Timings
from optimkit.validation.bench.measurement import AGAIN
from optimkit.validation.bench.results import Results
from optimkit.validation.bench.verdicts import judged, sentences, summary
from optimkit.validation.bench.workloads import classes, described
from optimkit.validation.report.document import Bars, Cell, Document, Mood, Section, Tabular

PER_TABLE = 3  # workloads beside one another, on 80 columns
NONE = "-"


def document(results: Results, unfinished: str = "") -> Document:
    """Return the document of a run."""
    sections = [_steps(results, table) for table in results.steps if any(table.turns.values())]
    sections += [_other(table) for table in results.others if any(table.turns.values())]
    if any(results.alone.values()):
        sections.append(Section("By itself", [_alone(o, results) for o in results.alone]))
    if results.figures:
        title = "What it must reach" if results.bounds else "Figures"
        sections.append(Section(title, [_figures(results.figures, results.bounds, title)]))
    aside = [f"{name}: {why}" for name, why in results.absent.items()]
    if aside or results.troubles.words:
        sections.append(Section("Not here", [*results.troubles.words, *aside]))
    verdict, mood = _verdict(results)
    return Document(
        title="How fast steps are",
        verdict=verdict,
        mood=mood,
        failures=[*results.troubles.failures],
        unfinished=unfinished,
        conditions=results.conditions,
        sections=sections,
    )


def _verdict(results: Results) -> tuple[str, Mood]:
    every = [verdict for table in results.steps for verdict in results.verdicts(table)]
    said = summary(every) if results.steps else "Measured."
    missed = [figure for figure in results.figures if not figure.held]
    if results.busy:
        said = f"{said} {results.busy}"
    if results.bounds:
        said += f" {len(missed)} of our {len(results.figures)} bounds missed."
    if results.troubles.failures:
        return f"{len(results.troubles.failures)} failed. {said}", "bad"
    unclear = any(verdict.outcome in ("unclear", "too few") for verdict in every)
    if results.busy or unclear or (results.bounds and missed):
        return said, "doubt"
    return said, "good"


# ---------------------------------------------------------------- steps


def _steps(results: Results, table: Timings) -> Section:
    section = Section(f"{table.optimizer}, float32, {table.where}")
    section.parts += sentences(table.optimizer, results.verdicts(table))
    done = [workload for workload, turns in table.turns.items() if turns]
    for group in classes(done).values():
        for start in range(0, len(group), PER_TABLE):
            section.parts.append(_ratios(table, group[start : start + PER_TABLE]))
    section.parts.append(_shares(table, done))
    section.parts += [bars(table, workload) for workload in done]
    return section


def _names(table: Timings, workloads: list[str], extra: bool = True) -> list[str]:
    """Candidates of these workloads; `extra`: with the reference again, and the plain traffic."""
    every = dict.fromkeys(name for workload in workloads for name in table.candidates(workload))
    return [n for n in every if extra or not (n.endswith(AGAIN) or n == roofline.NAME)]


def _digits(x: float) -> int:
    """How many digits after the point a ratio or a time is shown with."""
    return 1 if x >= 10 else 2 if x >= 0.095 else 3


def number(x: float | None) -> str:
    """A ratio or a time, if there is one."""
    return NONE if x is None else f"{x:.{_digits(x)}f}"


def said(spread: Quartiles) -> str:
    """A ratio with its quartiles."""
    digits = _digits(spread.middle)
    low, middle, high = (f"{x:.{digits}f}" for x in spread)
    return f"{middle} ({low}-{high})"


def _cell(table: Timings, workload: str, name: str) -> str | Cell:
    spread = table.spread(workload, name) if name in table.candidates(workload) else None
    if spread is None:
        return NONE
    if name == table.reference:
        return "1"
    itself = table.spread(workload, table.reference + AGAIN)
    unclear = name != roofline.NAME and judged(spread, itself) == "unclear"
    return Cell(said(spread), "aside") if unclear else said(spread)


def _ratios(table: Timings, workloads: list[str]) -> Tabular:
    rows: list[list[str | Cell]] = [
        [name, *(_cell(table, workload, name) for workload in workloads)]
        for name in _names(table, workloads)
    ]
    micro = [table.seconds(workload, table.reference) * 1e6 for workload in workloads]
    rows.append([f"{table.reference}, µs", *(f"{x:,.0f}" for x in micro)])
    notes = [f"{w}: {described(table.sizes[w])}" for w in workloads if w in table.sizes]
    turns = {len(table.turns[workload]) for workload in workloads}
    counted = f"{min(turns)} to {max(turns)}" if len(turns) > 1 else f"{min(turns)}"
    return Tabular(
        title=f"{table.optimizer}: time relative to {table.reference}",
        columns=["", *workloads],
        rows=[*rows],
        notes=[
            f"below 1 is faster; the median of {counted} interleaved turns (quartiles)",
            *notes,
        ],
        numbers=range(1, 1 + len(workloads)),
    )


def _shares(table: Timings, workloads: list[str]) -> Tabular:
    """How near each comes to moving the same bytes and doing nothing else."""
    rows = []
    for name in _names(table, workloads, extra=False):
        row = [name]
        for workload in workloads:
            spread = table.spread(workload, roofline.NAME, name)
            row.append(NONE if spread is None else percent(spread.middle))
        rows.append(row)
    streams = 2 * roofline.written(table.optimizer) + 1
    return Tabular(
        title=f"{table.optimizer}: share of the speed that memory allows",
        columns=["", *workloads],
        rows=[*rows],
        notes=[
            f"100 % is a plain loop over the same bytes ({streams} values of an element): "
            f"{roofline.described()}, of one array, with no work for each tensor",
        ],
        numbers=range(1, 1 + len(workloads)),
    )


def percent(share: float) -> str:
    """A share, small ones with a decimal."""
    return f"{share:.0%}" if share >= 0.095 else f"{share:.1%}"


def bars(table: Timings, workload: str) -> Bars:
    """The ratios of a workload, to be drawn."""
    spreads = {name: table.spread(workload, name) for name in table.candidates(workload)}
    return Bars(
        title=f"{table.optimizer}, {workload}",
        across=f"time relative to {table.reference}; below 1 is faster",
        bars={name: spread for name, spread in spreads.items() if spread is not None},
        line=1.0,
    )


def _other(table: Timings) -> Section:
    """Workloads downwards: these tables have fewer candidates than workloads."""
    names = list(dict.fromkeys(n for w in table.turns for n in table.candidates(w)))
    rows = []
    for workload, turns in table.turns.items():
        if turns:
            ratios = [table.spread(workload, name) for name in names]
            cells = [number(spread and spread.middle) for spread in ratios]
            rows.append(
                [workload, *cells, f"{table.seconds(workload, table.reference) * 1e6:,.0f}"]
            )
    title = f"{table.optimizer}, {table.where}"
    shown = Tabular(
        title=f"{title}: time relative to {table.reference}",
        columns=["", *names, f"{table.reference}, µs"],
        rows=[*rows],
        notes=["below 1 is faster; medians of the ratios of interleaved turns"],
        numbers=range(1, len(names) + 2),
    )
    charts = [bars(table, workload) for workload, turns in table.turns.items() if turns]
    return Section(title, [shown, *charts])


# ---------------------------------------------------------------- single numbers


def _alone(optimizer: str, results: Results) -> Tabular:
    rows = [
        [
            name,
            number(found.first),
            number(found.cached),
            number(found.memory),
        ]
        for name, found in results.alone[optimizer].items()
    ]
    return Tabular(
        title=f"{optimizer}, one array of 4M, each in a process of its own",
        columns=["", "first step, s", "from its cache, s", "memory of a step"],
        rows=[*rows],
        notes=[
            "first step: compiling included, the library is imported before; from its cache: in a "
            "later process, for those that keep kernels on the disk",
            "memory: the most that a later step takes beside parameter, gradient and state, in "
            "sizes of the parameter",
        ],
        numbers=(1, 2, 3),
    )


def _figures(figures: list[Bound], bounds: bool, title: str) -> Tabular:
    rows: list[list[str | Cell]] = []
    for figure in figures:
        value = f"{figure.value:.2f}" if figure.spread is None else said(figure.spread)
        row: list[str | Cell] = [figure.what, f"{value} {figure.unit}".strip()]
        if bounds:
            most = "" if figure.bound is None else f"{figure.bound:g} {figure.unit}".strip()
            verdict: tuple[str, Mood] = ("held", "good") if figure.held else ("missed", "bad")
            row.append(Cell(f"{most}, {verdict[0]}", verdict[1]) if most else "")
        rows.append(row)
    more = ["at most"] if bounds else []
    return Tabular(
        title, ["figure", "measured", *more], [*rows], numbers=(1, 2) if bounds else (1,)
    )
