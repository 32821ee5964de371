"""Numbers that pages claim, from where they are: the README's measurements and the tables of cases.

``{measured}`AdamW, 300 × 64, numba``` is a cell of the README's table of times;
``{counted}`exact``` one of `COUNTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from docutils import nodes

from generate.root_files import ROOT
from optimkit.validation.explain.subjects import optimizers, schedulers

BEGIN, END = "<!-- measured:begin -->", "<!-- measured:end -->"


def times(readme: str) -> dict[tuple[str, str, str], str]:
    """The README's table of times, by optimizer, tensors and column."""
    found, optimizer, columns = {}, "", []
    part = readme[readme.index(BEGIN) : readme.index(END)]
    for line in part.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if line.startswith("| tensors"):
            columns = cells[1:]
        elif line.startswith("| **"):
            optimizer = cells[0].strip("*")
        elif line.startswith("| ") and optimizer:
            for column, cell in zip(columns, cells[1:], strict=True):
                found[optimizer, cells[0], column] = cell
    return found


def measured(text: str) -> str:
    """A cell of that table."""
    table = times((ROOT / "README.md").read_text(encoding="utf-8"))
    optimizer, rest = text.split(", ", 1)
    tensors, column = rest.split("; ") if "; " in rest else rest.rsplit(", ", 1)
    try:
        return table[optimizer, tensors, column]
    except KeyError:
        raise ValueError(f"the README has no time of {text!r}") from None


def _cases(exact: bool) -> int:
    from optimkit.validation.reference.cases import OPTIMIZERS, cases_of

    cases = [case for name in OPTIMIZERS for case in cases_of(name) if case.peer]
    return sum(len(case.dtypes) for case in cases if case.tolerance == 0 or not exact)


COUNTS: dict[str, Callable[[], int]] = {
    "optimizers": lambda: len(optimizers()),
    "schedulers": lambda: len(schedulers()) - 1,  # without their base
    "compared": lambda: _cases(exact=False),
    "exact": lambda: _cases(exact=True),
}


def _role(find: Callable[[str], str]) -> Callable[..., Any]:
    def role(
        name: str, rawtext: str, text: str, lineno: int, inliner: Any, *_: Any, **__: Any
    ) -> tuple[list[nodes.Node], list[nodes.Node]]:
        try:
            return [nodes.Text(find(text))], []
        except (KeyError, ValueError) as error:
            return [], [inliner.reporter.error(str(error), line=lineno)]

    return role


def setup(app: Any) -> dict[str, bool]:
    """Register the roles."""
    app.add_role("measured", _role(measured))
    app.add_role("counted", _role(lambda text: f"{COUNTS[text]():,}"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
