"""Every block of Python on every page that is written by hand runs, in the order of the page."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

# Beside other programs, in tests/ecosystem.
ELSEWHERE = {"docs/guides/torch.md"}
GENERATED = {"optimizers", "schedulers", "reference", "_build"}
BLOCK = re.compile(r"^```(?:python|\{code-block\} python)\n(.*?)^```", re.S | re.M)


def pages() -> list[str]:
    written = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    names = [path.relative_to(ROOT) for path in written]
    return [str(path) for path in names if not GENERATED & {*path.parts} and blocks(path)]


def blocks(path: Path) -> list[str]:
    return BLOCK.findall((ROOT / path).read_text(encoding="utf-8"))


# What torch's forward mode does when it is first used.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
@pytest.mark.parametrize("page", sorted({*pages()} - ELSEWHERE))
def test_the_blocks_of_a_page_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # pages write files
    names: dict[str, Any] = {"__name__": "__main__"}
    absent = set()
    for block in blocks(Path(page)):
        libraries = set(re.findall(r"^(?:import|from) (\w+)", block, re.M))
        lacking = {name for name in libraries if importlib.util.find_spec(name) is None}
        absent |= lacking
        if not lacking:
            exec(compile(block, page, "exec"), names)
    if absent:
        pytest.skip(f"blocks that need {', '.join(sorted(absent))}, not installed; the others ran")


def test_there_are_pages() -> None:
    assert len(pages()) >= 8
