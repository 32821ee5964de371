"""What there is: ``optimkit list``."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from typing import Any

import optimkit as ok
from optimkit.validation.arguments import add_json
from optimkit.validation.explain.curves import curve
from optimkit.validation.explain.formulas import plain
from optimkit.validation.explain.subjects import (
    Docs,
    optimizers,
    options_of,
    schedulers,
    state_of,
    why_eager,
)
from optimkit.validation.report.delivery import as_json, write
from optimkit.validation.report.terminal import console


def describe(name: str, subject: type) -> dict[str, Any]:
    """What a row of ``optimkit list`` says, for machines."""
    docs = Docs.of(subject)
    paper = re.search(r"\(([^()]*\d{4})\)", sys.modules[subject.__module__].__doc__ or "")
    facts: dict[str, Any] = {
        "name": name,
        "summary": docs.summary,
        "options": options_of(subject),
        "paper": paper[1] if paper else next(iter(docs.references()), None),
        "references": docs.references(),
    }
    if not issubclass(subject, ok.Optimizer):
        shown = curve(subject)
        closed = getattr(subject, "schedule", None) is not None
        formula = next((plain(p) for p in docs.body if "``lr" in p), None)
        momentum = shown is not None and bool(shown.momenta)
        return facts | {"formula": formula, "closed_form": closed, "momentum": momentum}
    from optimkit.validation.reference.cases import cases_of

    always = list(state_of(subject, {}))
    seen: dict[str, None] = {}
    for case in cases_of(name):
        seen |= dict.fromkeys(state_of(subject, dict(case.options)))
    reason = why_eager(subject, {})
    return facts | {
        "state": always,
        "state_with_options": [key for key in seen if key not in always],
        "fused": reason is None,
        "eager_because": reason,
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``optimkit list``."""
    parser.add_argument("--schedulers", action="store_true", help="learning-rate schedulers")
    add_json(parser, "the table")


def run(args: argparse.Namespace) -> int:
    """Print the table of optimizers, or of schedulers."""
    shown = console()
    known: Mapping[str, type] = schedulers() if args.schedulers else optimizers()
    rows = [describe(name, subject) for name, subject in known.items()]
    if args.json:
        write(args.json, as_json(rows))
    shown.print(_scheduler_table(rows) if args.schedulers else _table(rows))
    return 0


def _about(row: dict[str, Any]) -> Any:
    from rich.text import Text

    lines = [(row["summary"], "")]
    lines += [(row["formula"], "green")] if row.get("formula") else []
    lines += [(", ".join(row["options"]), "cyan")] if row["options"] else []
    lines += [(row["paper"], "dim")] if row["paper"] else []
    return Text("\n").join(Text(*line) for line in lines)


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=f"{len(rows)} optimizers: optimkit explain NAME shows the mathematics",
        caption="(in brackets: state that some options bring)  fused: one compiled loop, by tracing"
        " the rule  eager: the rule as it is written",
        title_justify="left",
        caption_justify="left",
        show_lines=True,
    )
    table.add_column("name", no_wrap=True, style="bold")
    table.add_column("what it is, its options, its source", ratio=1)
    table.add_column("state", no_wrap=True)
    table.add_column("runs", no_wrap=True)
    for row in rows:
        state = [*row["state"], *(f"({key})" for key in row["state_with_options"])]
        runs = Text("fused", "green") if row["fused"] else Text("eager", "yellow")
        table.add_row(Text(row["name"]), _about(row), Text("\n".join(state) or "none"), runs)
    return table


def _scheduler_table(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=f"{len(rows)} schedulers: optimkit explain NAME shows the curve",
        title_justify="left",
        show_lines=True,
    )
    table.add_column("name", style="bold", overflow="fold")
    table.add_column("what it is, its formula, its options, its source", ratio=1)
    table.add_column("sets", no_wrap=True)
    for row in rows:
        sets = "rate and\nmomentum" if row["momentum"] else "rate"
        table.add_row(Text(row["name"]), _about(row), sets)
    return table
