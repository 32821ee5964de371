"""The tables of docs/coming_from say of other libraries' optimizers what compare says."""

from __future__ import annotations

import ast
import importlib
import re

import pytest
from conftest import ROOT

from optimkit.validation import compare

ROW = re.compile(r"\| `(\w+)`((?:, \w+=[\w.]+)*) \| `(\w+)` \| ([^|]+) \|")
PAGES = {"optax": "optax", "keras": "keras.optimizers"}
ROWS = [
    (module, *row)
    for page, module in PAGES.items()
    for row in ROW.findall((ROOT / "docs" / "coming_from" / f"{page}.md").read_text("utf-8"))
]


def test_there_are_rows() -> None:
    assert len(ROWS) == 24


@pytest.mark.parametrize(("module", "name", "options", "rule", "said"), ROWS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # theirs
def test_a_row(module: str, name: str, options: str, rule: str, said: str) -> None:
    pytest.importorskip(module.partition(".")[0])
    given = {key: ast.literal_eval(value) for key, value in re.findall(r"(\w+)=([\w.]+)", options)}
    candidate = getattr(importlib.import_module(module), name)
    found = compare(candidate, rule, quick=True, lr=0.01, **given)
    expected = {"the same": (True, None), "another rule": (False, None)}
    assert (found.same, found.departure) == expected.get(said.strip(), (False, said.strip()))
