"""A comparison as a document: every fact of it is put into words here, for all that show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optimkit.validation.comparison.branches import (
    ANOTHER,
    FAILED,
    IGNORED,
    NOT_TAKEN,
    SAME,
    Branch,
)
from optimkit.validation.comparison.circumstances import TWO
from optimkit.validation.comparison.explanations import BITS, NUMBERS, OPERATIONS, PART, Explanation
from optimkit.validation.comparison.judging import (
    DIFFERENT,
    EQUAL,
    FLOAT32,
    ROUNDED,
    FirstDifference,
)
from optimkit.validation.comparison.outcome import Finding, Outcome
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

SAME_TAILS = {
    EQUAL: ", in every bit",
    ROUNDED: "; it rounds in another order",
    FLOAT32: "; numbers that are no arrays have the precision of float32 in one of the two",
}
MOST_LINES = 3  # a change of more lines is one of rounding throughout
MANY = 1e4  # units in the last place, of which nobody has an idea
WIDENED = (
    "torch keeps the dtype of a parameter. The likely cause is a NumPy number, such as "
    "np.sqrt(1 - beta2**t), or an array made without a dtype, such as np.zeros(n): both are of "
    "float64 and widen float32. (1 - beta2**t) ** 0.5, float(...) and np.zeros_like(param) do not."
)
OFF = "off: at most, relative to how far the parameter has gone by then"
LINES = "; - above is a line of the rule, + what this code has in its place"
LEAST = 0.5  # of the values: a change that reproduces fewer is not worth a name
LIBRARIES = ("jax", "optax", "keras", "tensorflow-cpu", "tensorflow", "mlx", "scipy")


def document(result: Outcome, name: str, unfinished: str = "") -> Document:
    """Return a comparison with the candidate of this name."""
    words, mood = headline(result)
    computes = Section("What it computes", [*remarks(result), *explained(result)])
    sections = [computes] if computes.parts else []
    sections.append(Section("What it was tried on", [tried(result)]))
    if off := branched(result):
        sections.append(Section("Options that are off", [*off]))
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
    dtypes = dict.fromkeys(finding.dtype for finding in result.findings)
    kept = [dtype for dtype in dtypes if dtype not in result.untried]
    missing = [dtype for dtype in result.untried if dtype not in result.widened]
    rest = [f"{x} becomes {y}" for x, y in result.widened.items()]
    rest += [f"{' and '.join(missing)} could not be tried"] if missing else []
    within = f" in {' and '.join(kept)}" if rest else ""
    if result.verdict == DIFFERENT:
        words = _another(result, within) if kept else "Another rule"
        return "; ".join([words, *rest]), "bad"
    words = "The same rule" + within
    if branches := [said for branch in result.branches if (said := told(branch))]:
        now = vars(result.judge.hyper({})) if result.judge else {}
        off = [{k: now.get(k) for k in [*b.options][:1]} for b in result.branches if told(b)]
        words += f" with {', '.join(map(listed, off))}"
        return "; ".join([words, *rest, *branches]), "bad"
    if rest:
        return "; ".join([words, *rest]), "bad" if result.widened else "good"
    return words + SAME_TAILS[result.verdict], "good"


def _another(result: Outcome, within: str) -> str:
    """What is said of a rule that differs."""
    apart = dict.fromkeys(f.circumstance for f in result.findings if f.verdict == DIFFERENT)
    why = f": {result.cause.name}" if result.cause else ""
    if result.rule_holds and TWO in apart:
        return f"Another rule{within} with {TWO}{why}"
    if result.rule_holds:
        return f"The same rule{within}, but for {', '.join(apart)}{why}"
    if why and not result.departure:
        return f"Another rule{within}{why}"
    if result.departure:
        return f"Another rule{within}: {result.departure}"
    return f"Another rule{within}; no change that is known makes it"


def told(branch: Branch) -> str:
    """What is said of an option that was off, where it makes another rule; else nothing."""
    given = listed(branch.options)
    if branch.came_to == IGNORED:
        return f"it ignores {given}"
    if branch.came_to == ANOTHER:
        return f"another with {given}" + (f": {branch.name}" if branch.name else "")
    return ""


def branched(result: Outcome) -> list[str]:
    """What came of the options that were off."""
    said = []
    alike = [listed(b.options) for b in result.branches if b.came_to == SAME]
    rest = [listed(b.options) for b in result.branches if b.came_to == FAILED]
    missing = dict.fromkeys(
        next(iter(b.options)) for b in result.branches if b.came_to == NOT_TAKEN
    )
    for branch in result.branches:
        if words := told(branch):
            given = " ".join(f"{k}={v}" for k, v in branch.options.items())
            said.append(f"{words[0].upper()}{words[1:]} (in full: --option {given})")
    if alike:
        said.append(f"As the rule, in a short run: {'; '.join(alike)}")
    if rest:
        said.append(f"It raises an error: {'; '.join(rest)}")
    if missing:
        said.append(f"Not looked at, as it does not take them: {', '.join(missing)}")
    return said


def remarks(result: Outcome) -> list[str]:
    """What was done about options, and what was seen beside the numbers."""
    said = []
    if result.adopted:
        usual = vars(result.judge.optimizer.bind()) if result.judge else {}
        own = [f"{k}={v!r} (the rule's: {usual.get(k)!r})" for k, v in result.adopted.items()]
        said.append(f"Its own defaults, which the rule was given too: {', '.join(own)}")
    if result.unheard:
        names = ", ".join(result.unheard)
        said.append(f"It does not take {names}: the rule alone has what was asked for.")
    return [*said, *result.remarks]


def asked(result: Outcome) -> str:
    """What the candidate was taken for, and which options were asked for."""
    options = listed(result.options)
    return f"{result.kind}; {f'options {options}' if options else 'default options'}"


def listed(options: dict[str, Any]) -> str:
    """Options as a call has them."""
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


def explained(result: Outcome) -> list[Part]:
    """What it computes instead, and the lines of the rule that are changed."""
    said: list[Part] = []
    if result.widened:
        said.append(WIDENED)
    if result.cause:
        said.append(result.cause.meaning)
    if not result.explanations or (result.verdict == DIFFERENT and result.explanations[0].rounds):
        return said
    first, *others = result.explanations
    if first.sure == PART and first.share < LEAST:
        return [*said, "No known change comes near it; the differences are below."]
    if first.sure == PART:
        said.append(f"The nearest is: {first.name}")
    said += [departure.meaning for departure in first.departures]
    if first.other:
        said.append("It is another optimizer of this library.")
    said.append(_sure(first, others, result))
    for change in first.changes if len(first.changes) <= MOST_LINES else []:
        place = f"{first.text.file}, line {change.line}"
        said.append(Code(f"{place}\n- {change.before}\n+ {change.after}"))
    if first.equals and not result.unexplained:
        said.append(f"{result.optimizer}({listed(result.options | first.equals)}) does the same.")
    elif first.options and first.departures and not first.other:
        said.append(f"It also has {listed(first.options)}.")
    return said


def _sure(first: Explanation, others: list[Explanation], result: Outcome) -> str:
    said = {
        BITS: "This reproduces it in every bit",
        OPERATIONS: "This reproduces it in all but rounding",
        NUMBERS: "This reproduces it but for numbers of the precision of float32",
        PART: f"This reproduces {_percent(first.share)} of what differs",
    }[first.sure]
    if result.verdict == DIFFERENT and result.unexplained and first.sure != PART:
        said += f" on {result.findings[0].circumstance}, and not on {', '.join(result.unexplained)}"
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
    why = dict.fromkeys(f.verdict for f in result.findings if not f.tried)
    off = any(f.tried and f.verdict in (DIFFERENT, FLOAT32) for f in result.findings)
    lines = any(isinstance(part, Code) for part in explained(result))
    legend = [OFF + (LINES if lines else "")] if off else []
    return Tabular(
        "",
        ["tried on", *dtypes],
        rows,
        [*legend, *([f"not tried: {'; '.join(why)}"] if why else [])],
    )


def _cell(finding: Finding) -> Cell:
    if not finding.tried:
        return Cell("not tried", "aside")
    if finding.verdict == EQUAL:
        return Cell("equal in bits", "good")
    if finding.verdict == ROUNDED:
        if finding.most_units == 0:
            return Cell("equal but at the ends", "good")
        if finding.most_units >= MANY:
            return Cell(f"rounding, {finding.most_relative:.1e}", "good")
        return Cell(f"rounding, {finding.most_units:,.0f} ULP", "good")
    if finding.verdict == FLOAT32:
        return Cell(f"rounding, {finding.most_relative:.1e}", "good")
    known = finding.explained or finding.cause
    words = "as named" if known else "otherwise too"
    mood: Mood = "doubt" if known else "bad"
    return Cell(f"{finding.most_relative:.1e} off, {words}", mood)


def differing(result: Outcome) -> Finding | None:
    """The first circumstance in which something is seen to differ."""
    return next((f for f in result.findings if f.differences), None)


def differences(finding: Finding) -> Tabular:
    """Where each quantity first differs, and how that grows."""
    rows: list[Sequence[str | Cell]] = [
        [_quantity(x), str(x.step), f"{x.gradient:.2g}", f"{x.value:.6g}", f"{x.reference:.6g}",
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


def _quantity(x: FirstDifference) -> str:
    """What differs, and of which parameter if there are several."""
    ordinals = {1: "1st", 2: "2nd", 3: "3rd"}
    of = ordinals.get(x.parameter, f"{x.parameter}th")
    return f"{x.quantity} of the {of}" if x.parameter else x.quantity


def growth(finding: Finding) -> list[Curves]:
    """How the differences grow over the steps, where they are seen at more than one."""
    lines = {x.quantity: [*x.growth.items()] for x in finding.differences if len(x.growth) > 1}
    across, up = "step", "largest relative difference"
    return [Curves("How it grows", across, up, lines, log_x=True, log_y=True)] if lines else []
