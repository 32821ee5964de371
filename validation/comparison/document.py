"""A comparison as a document: every fact of it is put into words here, for all that show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optimkit.validation.comparison.compare import Finding, Outcome
from optimkit.validation.comparison.diagnosis import BITS, NUMBERS, OPERATIONS, PART, Explanation
from optimkit.validation.comparison.judging import DIFFERENT, EQUAL, FLOAT32, ROUNDED
from optimkit.validation.report import conditions
from optimkit.validation.report.document import (
    Cell,
    Code,
    Curves,
    Document,
    Mood,
    Part,
    Section,
    Tabular,
)

HEADLINES: dict[str, tuple[str, Mood]] = {
    EQUAL: ("The same rule, in every bit", "good"),
    ROUNDED: ("The same rule; it rounds in another order", "good"),
    FLOAT32: ("The same rule; its numbers have the precision of float32", "good"),
    DIFFERENT: ("Another rule", "bad"),
}
MOST_LINES = 3  # a change of more lines is one of rounding throughout
LEAST = 0.5  # of the values: a change that reproduces fewer is not worth a name
LIBRARIES = ("jax", "optax", "keras", "tensorflow-cpu", "tensorflow", "mlx", "scipy")


def document(result: Outcome, name: str, unfinished: str = "") -> Document:
    """Return a comparison with the candidate of this name."""
    words, mood = headline(result)
    computes = Section("What it computes", [*remarks(result), *explained(result)])
    sections = [computes] if computes.parts else []
    sections.append(Section("What it was tried on", [tried(result)]))
    first = differing(result)
    if first is not None:
        table = differences(first)
        sections.append(Section(table.title, [table, *growth(first)]))
    return Document(
        title=f"{name} held against {result.optimizer}",
        verdict=f"{words}.",
        mood="doubt" if unfinished and mood == "good" else mood,
        unfinished=unfinished,
        conditions={
            "candidate": asked(result),
            **conditions.here(LIBRARIES),
        },
        sections=sections,
    )


def headline(result: Outcome) -> tuple[str, Mood]:
    """What the comparison comes to, and in what mood."""
    words, mood = HEADLINES[result.verdict]
    if result.verdict == DIFFERENT and result.rule_holds:
        apart = dict.fromkeys(f.circumstance for f in result.findings if f.verdict == DIFFERENT)
        words = f"The same rule, but for {', '.join(apart)}"
    elif result.departure:
        words += f": {result.departure}"
    elif result.verdict == DIFFERENT:
        words += ", which no change in the table makes of it"
    return words, mood


def remarks(result: Outcome) -> list[str]:
    """What was done about options."""
    said = []
    if result.adopted:
        said.append(f"Its own defaults, which the rule was given too: {listed(result.adopted)}")
    if result.unheard:
        names = ", ".join(result.unheard)
        said.append(f"It does not take {names}: the rule alone has what was asked for.")
    return said


def asked(result: Outcome) -> str:
    """What the candidate was taken for, and which options were asked for."""
    options = listed(result.options)
    return f"{result.kind}; {f'options {options}' if options else 'default options'}"


def listed(options: dict[str, Any]) -> str:
    """Options as a call has them."""
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


def explained(result: Outcome) -> list[Part]:
    """What it computes instead, and the lines of the rule that are changed."""
    if not result.explanations:
        return []
    first, *others = result.explanations
    if first.sure == PART and first.share < LEAST:
        return ["No known change comes near it; the differences are below."]
    said: list[Part] = []
    if first.sure == PART:
        said.append(f"The nearest is: {first.name}")
    said += [departure.meaning for departure in first.departures]
    said.append(_sure(first, others))
    for change in first.changes if len(first.changes) <= MOST_LINES else []:
        place = f"{first.text.file}, line {change.line}"
        said.append(Code(f"{place}\n- {change.before}\n+ {change.after}"))
    if first.equals:
        said.append(f"The rule does the same with {_asked(first.equals)}")
    elif first.options:
        said.append(f"It also has {_asked(first.options)}")
    return said


def _asked(options: dict[str, Any]) -> str:
    """Options as the command line takes them."""
    return " ".join(
        f"--option {name}={str(value).replace(' ', '')}" for name, value in options.items()
    )


def _sure(first: Explanation, others: list[Explanation]) -> str:
    said = {
        BITS: "This reproduces it in every bit",
        OPERATIONS: "This reproduces it in all but rounding",
        NUMBERS: "This reproduces it but for numbers of the precision of float32",
        PART: f"This reproduces {_percent(first.share)} of what differs",
    }[first.sure]
    near = [x for x in others if x.share > 0]
    if near:
        said += f"; the next, {near[0].name}, {_percent(near[0].share)} of what differs"
    return said + "."


def _percent(share: float) -> str:
    return f"{min(share * 100, 99.9):.3g} %" if share < 1 else "100 %"


def tried(result: Outcome) -> Tabular:
    """What came of each circumstance in each dtype."""
    dtypes = list(dict.fromkeys(finding.dtype for finding in result.findings))
    rows: list[Sequence[str | Cell]] = []
    for name in dict.fromkeys(finding.circumstance for finding in result.findings):
        row = {f.dtype: _cell(f) for f in result.findings if f.circumstance == name}
        rows.append([name, *(row.get(dtype, "") for dtype in dtypes)])
    why = dict.fromkeys(f"not tried: {f.verdict}" for f in result.findings if not f.tried)
    return Tabular("", ["tried on", *dtypes], rows, [*why])


def _cell(finding: Finding) -> Cell:
    if not finding.tried:
        return Cell("not tried", "aside")
    if finding.verdict == EQUAL:
        return Cell("equal in bits", "good")
    if finding.verdict == ROUNDED:
        if finding.most_units == 0:
            return Cell("equal but at the ends", "good")
        far = finding.most_units
        return Cell(
            f"rounding, {far:,.0f} ULP" if far < 1e5 else f"rounding, {far:.0e} ULP", "good"
        )
    if finding.verdict == FLOAT32:
        return Cell(f"rounding, {finding.most_relative:.1e}", "good")
    words = "as named" if finding.explained else "otherwise too"
    mood: Mood = "doubt" if finding.explained else "bad"
    return Cell(f"{finding.most_relative:.1e} off, {words}", mood)


def differing(result: Outcome) -> Finding | None:
    """The first circumstance in which something is seen to differ."""
    return next((f for f in result.findings if f.differences), None)


def differences(finding: Finding) -> Tabular:
    """Where each quantity first differs, and how that grows."""
    rows: list[Sequence[str | Cell]] = [
        [x.quantity, str(x.step), f"{x.gradient:.2g}", f"{x.value:.6g}", f"{x.reference:.6g}",
         f"{x.relative:.1e}", f"{x.units:.1e}"]
        for x in finding.differences
    ]  # fmt: skip
    grown = [
        f"{value:.1e} at step {step}"
        for step, value in finding.differences[0].growth.items()
        if value
    ]
    columns = ["", "step", "gradient", "value", "the rule's", "relative", "ULP"]
    return Tabular(
        f"Where it first differs: {finding.circumstance}, {finding.dtype}",
        columns,
        rows,
        [f"how it grows: {', '.join(grown)}"] if len(grown) > 1 else [],
        range(1, len(columns)),
    )


def growth(finding: Finding) -> list[Curves]:
    """How the differences grow over the steps, where they are seen at more than one."""
    lines = {x.quantity: [*x.growth.items()] for x in finding.differences if len(x.growth) > 1}
    across, up = "step", "largest relative difference"
    return [Curves("How it grows", across, up, lines, log_x=True, log_y=True)] if lines else []
