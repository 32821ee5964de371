"""A document on a terminal: 80 columns, any characters, no number cut."""

from __future__ import annotations

import io
from typing import Any

import pytest

from optimkit.validation.report.characters import spelled
from optimkit.validation.report.document import (
    Bars,
    Cell,
    Code,
    Curves,
    Document,
    Section,
    Tabular,
)
from optimkit.validation.report.terminal import show

rich = pytest.importorskip("rich.console", reason="the terminal is written to with rich")

WIDE = Tabular(
    "Optimizer × tier",
    ["Optimizer", *(f"Drift at {k},000" for k in range(12)), ""],
    [["Adam", *["1.234e-07"] * 12, Cell("✓", "good")], ["SGD", *["9"] * 12, Cell("✗", "bad")]],
    ["Δ is a difference; µ a microsecond; 10 ≤ 20."],
    range(1, 13),
)


def shown(document: Document, encoding: str = "utf-8", width: int = 80) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding)  # strict: what it lacks is an error
    console: Any = rich.Console(file=file, width=width, highlight=False)
    show(document, console)
    file.flush()
    assert isinstance(file.buffer, io.BytesIO)
    return file.buffer.getvalue().decode(encoding)


def with_parts(*parts: Any, mood: Any = "good") -> Document:
    return Document("t", "Everything held.", mood, sections=[Section("A section", [*parts])])


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_a_table_that_is_too_wide_is_shown_in_parts(encoding: str) -> None:
    text = shown(with_parts(WIDE), encoding)
    assert max(map(len, text.split("\n"))) <= 80
    assert text.count("1.234e-07") == 12
    assert text.count("Adam") == text.count("SGD") > 1
    assert "…" not in text
    if encoding != "utf-8":
        assert "?" not in text
        assert "FAILED" in text


def test_what_ascii_lacks_is_spelled() -> None:
    text = shown(with_parts(WIDE), "ascii")
    assert "Optimizer x tier" in text
    assert "diff is a difference; u a microsecond; 10 <= 20." in text
    assert text.rstrip().endswith("ok Everything held.")
    assert spelled("α β₁ → ∞ é 漢", "ascii") == "alpha beta1 -> inf e ?"
    assert spelled("α → ✓", "utf-8") == "α → ✓"


def test_what_was_found_comes_first_and_what_it_comes_to_last() -> None:
    document = Document(
        "t",
        "3 checks failed.",
        "bad",
        failures=[f"failure [bold]{i}[/]" for i in range(25)],
        unfinished="Interrupted: this is a part.",
        sections=[
            Section("Words", ["A paragraph [red]as it is[/].", Code("  x = 1\n    y = 2")]),
            Section("Numbers", [Tabular("A table", ["a"], [["1"]])]),
            Section("Nothing", [Tabular("An empty table", ["a"], [])]),
        ],
    )
    text = shown(document)
    order = [
        "Words", "A paragraph [red]as it is[/].", "  x = 1\n    y = 2", "A table",
        "An empty table\nnothing", "✗ failure [bold]0[/]", "failure [bold]19[/]", "and 5 more",
        "Interrupted", "✗ 3 checks failed.",
    ]  # fmt: skip
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert "failure [bold]20[/]" not in text
    assert "Numbers" not in text  # the table has a title of its own


def test_charts_are_for_pages() -> None:
    curves = Curves("a curve", "x", "y", {"a": [(1, 2)]})
    text = shown(with_parts(curves, Bars("bars", "x", {"a": (1, 2, 3)}), "words"))
    assert "words" in text
    assert "a curve" not in text


@pytest.mark.parametrize("width", [20, 40, 200])
def test_any_width(width: int) -> None:
    name = Tabular("t", ["name", "why"], [["a_very_long_name_" * 5, "some words " * 30]])
    text = shown(with_parts(WIDE, name), width=width)
    assert max(map(len, text.split("\n"))) <= width
    assert text.count("some") == 30


def test_nothing_is_styled_in_a_file() -> None:
    assert "\x1b" not in shown(with_parts(WIDE, mood="bad"))
