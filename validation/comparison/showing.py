"""How a comparison looks on a terminal."""

from __future__ import annotations

from typing import Any

from optimkit.validation.comparison.explanations import BITS, NUMBERS, OPERATIONS, PART, Explanation
from optimkit.validation.comparison.judging import (
    DIFFERENT,
    EQUAL,
    FLOAT32,
    ROUNDED,
    FirstDifference,
)
from optimkit.validation.comparison.outcome import Finding, Outcome

HEADLINES = {
    EQUAL: ("The same rule, in every bit", "bold green"),
    ROUNDED: ("The same rule; it rounds in another order", "bold green"),
    FLOAT32: ("The same rule; its numbers have the precision of float32", "bold green"),
    DIFFERENT: ("Another rule", "bold red"),
}
MOST_LINES = 3  # a change of more lines is one of rounding throughout
LEAST = 0.5  # of the values: a change that reproduces fewer is not worth a name


def show(console: Any, result: Outcome, name: str, cut: bool) -> None:
    """Print a comparison."""
    from rich.text import Text

    console.print(
        Text.assemble((name, "bold reverse"), "  held against ", (result.optimizer, "bold"))
    )
    console.print(Text(f"{result.kind}; {_options(result)}", "dim"))
    if result.adopted:
        console.print(_line("Its own defaults, which the rule was given too: ", result.adopted))
    if result.unheard:
        console.print(
            Text(
                f"It does not take {', '.join(result.unheard)}: the rule alone has "
                "what was asked for.",
                "yellow",
            )
        )
    headline, style = HEADLINES[result.verdict]
    if result.verdict == DIFFERENT and result.rule_holds:
        apart = dict.fromkeys(f.circumstance for f in result.findings if f.verdict == DIFFERENT)
        headline = f"The same rule, but for {', '.join(apart)}"
    elif result.departure:
        headline += f": {result.departure}"
    elif result.verdict == DIFFERENT:
        headline += ", which no change in the table makes of it"
    console.print()
    console.print(Text(headline, style))
    for text in _explained(result):
        console.print(text)
    console.print()
    console.print(_findings(result))
    differences = _differences(result)
    if differences:
        console.print()
        console.print(differences)
    if cut:
        console.print(Text("\nInterrupted: what is not listed was not tried.", "yellow"))


def _line(words: str, options: dict[str, Any]) -> Any:
    from rich.text import Text

    return Text.assemble(words, (_listed(options), "cyan"))


def _listed(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


def _options(result: Outcome) -> str:
    return f"options {_listed(result.options)}" if result.options else "default options"


def _explained(result: Outcome) -> list[Any]:
    from rich.padding import Padding
    from rich.text import Text

    if not result.explanations:
        return []
    first, *others = result.explanations
    lines: list[Any] = []
    if first.sure == PART and first.share < LEAST:
        return [Padding(Text("No known change comes near it; the differences are below."), (0, 2))]
    if first.sure == PART:
        lines.append(Text(f"The nearest is: {first.name}", "bold"))
    lines += [Text(departure.meaning) for departure in first.departures]
    if first.other:
        lines.append(Text("It is another optimizer of this library."))
    lines.append(Text(_sure(first, others), "dim"))
    changes = first.changes if len(first.changes) <= MOST_LINES else []
    for change in changes:
        lines += [
            Text(f"{first.text.file}, line {change.line}", "dim"),
            Text(f"- {change.before}", "red"),
            Text(f"+ {change.after}", "green"),
        ]
    if first.equals:
        lines.append(Text.assemble("The rule does the same with ", (_asked(first.equals), "cyan")))
    elif first.options and not first.other:
        lines.append(Text.assemble("It also has ", (_asked(first.options), "cyan")))
    return [Padding(line, (0, 2)) for line in lines]


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


def _cell(finding: Finding) -> Any:
    from rich.text import Text

    if not finding.tried:
        return Text("not tried", "dim")
    if finding.verdict == EQUAL:
        return Text("equal in bits", "green")
    if finding.verdict == ROUNDED:
        if finding.most_units == 0:
            return Text("equal but at the ends", "green")
        far = finding.most_units
        return Text(
            f"rounding, {far:,.0f} ULP" if far < 1e5 else f"rounding, {far:.0e} ULP", "green"
        )
    if finding.verdict == FLOAT32:
        return Text(f"rounding, {finding.most_relative:.1e}", "green")
    words = "as named" if finding.explained else "otherwise too"
    style = "yellow" if finding.explained else "red"
    return Text(f"{finding.most_relative:.1e} off, {words}", style)


def _findings(result: Outcome) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    dtypes = list(dict.fromkeys(finding.dtype for finding in result.findings))
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("tried on")
    for dtype in dtypes:
        table.add_column(dtype)
    names = list(dict.fromkeys(finding.circumstance for finding in result.findings))
    for name in names:
        row = {f.dtype: _cell(f) for f in result.findings if f.circumstance == name}
        table.add_row(name, *(row.get(dtype, Text("")) for dtype in dtypes))
    untried = {f.verdict: f for f in result.findings if not f.tried}
    if untried:
        table.caption = Text("\n".join(f"not tried: {why}" for why in untried), "dim")
        table.caption_justify = "left"
    return table


def _differences(result: Outcome) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    finding = next((f for f in result.findings if f.differences), None)
    if finding is None:
        return None
    table = Table(
        title=f"where it first differs, {finding.circumstance}, {finding.dtype}",
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for name in ("", "step", "gradient", "value", "the rule's", "relative", "ULP"):
        table.add_column(name, justify="left" if not name else "right")
    for x in finding.differences:
        table.add_row(
            x.quantity, str(x.step), f"{x.gradient:.2g}", f"{x.value:.6g}", f"{x.reference:.6g}",
            f"{x.relative:.1e}", f"{x.units:.1e}",
        )  # fmt: skip
    growth = _growth(finding.differences[0])
    if growth:
        table.caption, table.caption_justify = growth, "left"
    return table


def _growth(difference: FirstDifference) -> str:
    parts = [f"{value:.1e} at step {step}" for step, value in difference.growth.items() if value]
    return f"how it grows: {', '.join(parts)}" if len(parts) > 1 else ""
