"""Patterns of code, what they match, and the table of departures that is written in them."""

from __future__ import annotations

import ast

import pytest

import optimkit as ok
from optimkit.validation.comparison.departures import DEPARTURES
from optimkit.validation.comparison.rewriting import everywhere, pattern, variants
from optimkit.validation.comparison.roundings import ORDERS, ROUNDINGS
from optimkit.validation.comparison.texts import Text
from optimkit.validation.explain.subjects import optimizers


def rewritten(text: str, before: str, after: str) -> list[str]:
    new = variants(pattern(text), pattern(before), pattern(after))
    return [ast.unparse(node) for node in new]


@pytest.mark.parametrize(
    ("text", "before", "after", "expected"),
    [
        ("x + y", "A + B", "A - B", ["x - y"]),
        ("x + y + z", "A + B", "A", ["x + y", "x + z"]),
        ("x * x + x * y", "A * A", "A", ["x + x * y"]),
        ("f(xp.sqrt(v) + hyper.eps)", "xp.sqrt(V) + EPS", "xp.sqrt(V + EPS)",
         ["f(xp.sqrt(v + hyper.eps))"]),
        ("xp.sqrt(v) + eps", "A + EPS", "A", ["xp.sqrt(v)"]),
        ("xp.sqrt(v) + delta", "A + EPS", "A", []),
        ("g = g + decay * p", "g = g + DECAY * p", "p = p * (1 - DECAY)", ["p = p * (1 - decay)"]),
        ("lr * hyper.eps", "hyper.N", "f(hyper.N)", ["lr * f(hyper.eps)"]),
        ("x - y", "A + B", "A", []),
    ],
)  # fmt: skip
def test_every_match_gives_a_text(text: str, before: str, after: str, expected: list[str]) -> None:
    assert rewritten(text, before, after) == expected


def test_everywhere_from_the_innermost_outwards() -> None:
    new = everywhere(pattern("x / (y / z)"), pattern("A / B"), pattern("A * (1 / B)"))
    assert ast.unparse(new) == "x * (1 / (y * (1 / z)))"


def test_what_does_not_match_is_the_very_same_text() -> None:
    text = pattern("x / (y / z)")
    assert everywhere(text, pattern("A + B"), pattern("A")) is text


@pytest.mark.parametrize("entry", DEPARTURES + ROUNDINGS + ORDERS, ids=lambda x: x.name)
def test_every_entry_of_the_table_fits_a_rule(entry: object) -> None:
    texts = [Text.of(optimizer) for optimizer in optimizers().values()]
    made = [new for text in texts for new in entry.applied(text)]  # type: ignore[attr-defined]
    assert made
    for new in made:
        assert new.changes(Text.of(new.optimizer)), "it changes nothing"
        new.function()


def test_a_name_has_one_meaning() -> None:
    meanings: dict[str, set[str]] = {}
    for entry in DEPARTURES:
        assert entry.meaning
        meanings.setdefault(entry.name, set()).add(entry.kind)
    assert all(len(kinds) == 1 for kinds in meanings.values())


def test_the_rule_itself_is_left_alone() -> None:
    before = ast.unparse(Text.of(ok.Adam).tree)
    for entry in DEPARTURES:
        list(entry.applied(Text.of(ok.Adam)))
    assert ast.unparse(Text.of(ok.Adam).tree) == before


def test_the_changed_line_is_the_line_of_the_file() -> None:
    entry = next(x for x in DEPARTURES if x.name == "eps inside the root")
    (new,) = entry.applied(Text.of(ok.Adam))
    (change,) = new.changes(Text.of(ok.Adam))
    import inspect

    lines = inspect.getsource(inspect.getmodule(ok.Adam) or ok).split("\n")
    assert "".join(lines[change.line - 1].split()) == "".join(change.before.split())
    assert change.after == "denominator = xp.sqrt(v / (1 - beta2**step) + hyper.eps)"
