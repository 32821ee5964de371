"""Everything public is described, and every example runs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import ROOT
from generate import subjects

import optimkit as ok

PUBLIC = ["optimkit", "optimkit.lr_scheduler", "optimkit.swa_utils", "optimkit.validation"]


def public() -> Iterator[tuple[str, Any]]:
    for module in PUBLIC:
        loaded = importlib.import_module(module)
        for name in loaded.__all__:
            value = getattr(loaded, name)
            if not isinstance(value, ModuleType):
                yield f"{module}.{name}", value


NAMES = dict(public())


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_a_numpydoc_docstring_whose_examples_run(name: str) -> None:
    value = NAMES[name]
    text = inspect.getdoc(value)
    assert text, "no docstring"
    first, _, rest = text.partition("\n")
    assert first.endswith("."), f"the summary is one line that ends in a full stop: {first!r}"
    assert not rest or rest.startswith("\n"), "an empty line follows the summary"
    if callable(value):
        taken = [
            p
            for p in inspect.signature(value).parameters.values()
            if p.name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        ]
        if taken:
            assert "\nParameters\n----------\n" in text
            section = text.partition("\nParameters\n----------\n")[2]
            section = re.split(r"\n\n\w[\w ]*\n---", section)[0]
            for parameter in taken:
                assert re.search(rf"(^|, ){parameter.name}\b", section, re.M), parameter.name
    assert "\nExamples\n--------\n" in text
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    examples = 0
    for test in finder.find(value, name):
        examples += len(test.examples)
        runner.run(test)
    assert examples > 0
    assert runner.summarize(verbose=False).failed == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    written = {f"{x.module}.{n}" for x in subjects.chapters() for n in x.names}
    written |= {f"optimkit.{n}" for n in subjects.optimizers()}
    written |= {f"optimkit.lr_scheduler.{n}" for n in subjects.schedulers()}
    written.add("optimkit.swa_utils.SWALR")  # among the schedulers
    assert name in written


def test_dir_shows_the_public_names_and_no_other() -> None:
    assert {name for name in dir(ok) if not name.startswith("__")} == set(ok.__all__)


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = (ROOT / "CITATION.cff").read_text()
    assert project["version"] == ok.__version__
    assert f"\nversion: {ok.__version__}\n" in citation


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!http)([^)#]+)", page.read_text())
    assert [target for target in targets if not (ROOT / target).exists()] == []
