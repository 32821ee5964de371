"""Numbers that pages claim, from where they are: the published run and the tables of cases.

``{measured}`AdamW, 300x64, numba``` is a time of the run on the page about `optimkit bench`;
``{counted}`exact``` one of `COUNTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from docutils import nodes

from generate.measured import measured
from optimkit.validation.explain.subjects import optimizers, schedulers


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
