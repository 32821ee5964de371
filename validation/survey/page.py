"""The tables of the page ``docs/evidence/which_adam.md``, made of the findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from optimkit.validation.comparison.circumstances import SIZES
from optimkit.validation.comparison.explanations import PART
from optimkit.validation.comparison.judging import DIFFERENT, EQUAL, FLOAT32, ROUNDED
from optimkit.validation.survey.subject import LIBRARIES

RULES = ("Adam", "AdamW", "NAdam", "RAdam", "Adamax", "SGD", "RMSprop", "Adagrad", "Adadelta",
         "Rprop", "ASGD", "Adafactor", "Muon")  # fmt: skip
NEARLY = 0.9  # a change that reproduces fewer of the values is not worth a name
OFF = "off at 1 | at 10⁻³ | at 10⁻⁵"
Finding = Mapping[str, Any]


def write(page: Path, known: Mapping[str, Any]) -> None:
    """Put the tables into a page, between the marks that say which belongs where."""
    page.write_text(filled(page.read_text(encoding="utf-8"), known), encoding="utf-8")


def filled(text: str, known: Mapping[str, Any]) -> str:
    """A page's text with the tables of these findings."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
        before, _, rest = text.partition(begin)
        after = rest.partition(end)[2]
        if not rest or not after:
            raise ValueError(f"the page has no place for {name}: {begin.strip()} … {end}")
        text = before + begin + "\n" + "\n".join(table(known)).strip() + "\n\n" + end + after
    return text


# ---------------------------------------------------------------- what each computes


def rules(known: Mapping[str, Any]) -> Iterator[str]:
    """For each rule, which implementations compute what."""
    for rule in RULES:
        rows = [finding for finding in known["findings"] if finding["rule"] == rule]
        if not rows:
            continue
        yield f"\n### {rule}\n"
        yield f"| implementation | what it computes | {OFF} | where it stands |"
        yield "|---|---|--:|--:|--:|---|"
        for finding in rows:
            name = _name(finding)
            off = " | ".join(share(finding, x) for x in finding["off"].values())
            yield f"| {name} | {computes(finding)} | {off} | `{finding['source']}` |"


def _name(finding: Finding) -> str:
    title = LIBRARIES[finding["library"]].title
    over = title.partition(" on ")[2]
    return f"`{finding['name']}`" + (f" on {over}" if over else "")


def computes(finding: Finding) -> str:
    """A finding in words."""
    said, explained = "", finding["explanation"]
    if finding["verdict"] != DIFFERENT:
        said = f"the rule{_rounding(finding)}"
    elif SIZES not in finding["apart"]:
        said = f"the rule, but for {', '.join(finding['apart'])}"
    elif explained and explained["sure"] != PART:
        said = f"**{explained['name']}**"
        if not explained["departures"]:
            said = f"**the rule with {_listed(explained['options'])}**"
        if explained["equals"] and explained["equals"] != explained["options"]:
            said += f"; the rule with {_listed(explained['equals'])}"
    elif explained and explained["share"] == 1:
        said = f"**{explained['name']}**, as far as can be told"
    else:
        said = "**another rule**"
        if explained and explained["share"] >= NEARLY:
            share = f"{explained['share']:.0%}".replace("%", " %")
            said += f"; the nearest, {explained['name']}, reproduces {share} of what differs"
    if [*finding["by_dtype"]] == ["float32"] or "became" in finding["by_dtype"].get("float64", ""):
        said += " (float32)"
    if finding["note"]:
        said += f"; {finding['note']}"
    return said


def _rounding(finding: Finding) -> str:
    if finding["verdict"] == EQUAL:
        return ", in every bit"
    if finding["verdict"] == FLOAT32:
        return ", its numbers rounded to float32"
    explained = finding["explanation"]
    named = explained and finding["verdict"] == ROUNDED and explained["sure"] != PART
    return f", with {explained['name']}" if named else ", in another order"


def _listed(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_option(value)}" for name, value in options.items())


def _option(value: Any) -> str:
    return repr(tuple(value)) if isinstance(value, list) else repr(value)


def share(finding: Finding, x: float) -> str:
    """A distance in words that are as exact as it is: rounding, a power of ten, or a percentage."""
    return "–" if finding["verdict"] != DIFFERENT or x < 1e-12 else written(x)


def written(x: float) -> str:
    """A number as one would write it."""
    if x < 1e-3:
        digits, power = f"{x:.1e}".split("e")
        return (
            f"{digits}·10{str(int(power)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
        )
    return f"{x * 100:.2g} %" if x < 1 else f"{x * 100:,.0f} %"


# ---------------------------------------------------------------- defaults and versions


def defaults(known: Mapping[str, Any]) -> Iterator[str]:
    """Which defaults are other than torch's."""
    yield "| implementation | its own defaults, where they are not torch's |"
    yield "|---|---|"
    for name, rule, options in own_defaults(known["findings"]):
        yield f"| `{name}` ({rule}) | {options} |"


def own_defaults(found: list[Finding]) -> Iterator[tuple[str, str, str]]:
    """Implementations whose defaults are not torch's: name, rule, options; each once."""
    rows = {
        (finding["name"].partition(",")[0].partition(" (")[0], finding["rule"], given): None
        for finding in sorted(found, key=lambda f: RULES.index(f["rule"]))
        if (given := _listed(finding["adopted"]))
    }
    yield from rows


def libraries(known: Mapping[str, Any]) -> Iterator[str]:
    """Which versions were held, and when."""
    yield "| library | version | held on | source |"
    yield "|---|---|---|---|"
    newest: dict[str, tuple[str, str]] = {}
    for finding in known["findings"]:
        newest[finding["library"]] = (finding["version"], finding["date"])
    for name, (version, date) in newest.items():
        library = LIBRARIES[name]
        place = library.source.removeprefix("https://")
        yield f"| {library.title} | {version} | {date} | [{place}]({library.source}) |"
    conditions = ", ".join(f"{key} {value}" for key, value in known["conditions"].items())
    yield f"\n{conditions}."


# ---------------------------------------------------------------- departures


def departures(known: Mapping[str, Any]) -> Iterator[str]:
    """How far each departure leads, by the size of the gradients."""
    yield f"| rule | departure | the line becomes | {OFF} |"
    yield "|---|---|---|--:|--:|--:|"
    for entry in known["departures"]:
        after = "<br>".join(f"`{line[1]}`" for line in entry["lines"][:2])
        options = f", {_listed(entry['options'])}" if entry["options"] else ""
        off = " | ".join("0" if x < 1e-15 else written(x) for x in entry["off"].values())
        yield f"| {entry['rule']}{options} | {entry['name']} | {after} | {off} |"


TABLES: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "rules": rules,
    "departures": departures,
    "defaults": defaults,
    "libraries": libraries,
}
