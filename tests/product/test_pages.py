"""Every block of Python on every page that is written by hand runs, in the order of the page."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from conftest import ROOT
from generate.running import Block, Page, blocks

# Beside other programs, in tests/ecosystem.
ELSEWHERE = {"docs/guides/torch.md"}
GENERATED = {"optimizers", "schedulers", "reference", "kept", "_build"}
PLAIN = {"python", "{code-block}"}
RUN = {*PLAIN, "{executed}", "{refused}", "{drawn}"}


def pages() -> list[str]:
    written = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    names = [path.relative_to(ROOT) for path in written]
    return [str(path) for path in names if not GENERATED & {*path.parts} and runs(path)]


def runs(path: Path) -> list[Block]:
    """The blocks that are Python's; commands are run where pages are built."""
    found = blocks((ROOT / path).read_text(encoding="utf-8"))
    return [
        block
        for block in found
        if block.kind in RUN
        and (block.kind not in ("{code-block}", "{executed}") or block.argument == "python")
    ]


def run(page: Page, block: Block) -> None:
    if block.kind == "{refused}":
        assert page.refused(block.code)
    elif block.kind == "{drawn}":
        assert page.value(block.code).axes, "the last line of a picture is a figure"
    else:
        page.python(block.code, block.options.get("as", ""))


# What torch's forward mode does when it is first used.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
@pytest.mark.parametrize("page", sorted({*pages()} - ELSEWHERE))
def test_the_blocks_of_a_page_run(page: str, tmp_path: Path) -> None:
    program, absent = Page(folder=tmp_path), set()
    for block in runs(Path(page)):
        libraries = set(re.findall(r"^(?:import|from) (\w+)", block.code, re.M))
        lacking = {name for name in libraries if importlib.util.find_spec(name) is None}
        absent |= lacking
        try:
            if not lacking:
                run(program, block)
        except NameError:  # of what a block that did not run would have made
            if not absent:
                raise
    if absent:
        pytest.skip(f"blocks that need {', '.join(sorted(absent))}, not installed; the others ran")


def test_there_are_pages() -> None:
    assert len(pages()) >= 20
