"""The page on rules as functions: what it shows runs."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "functional.md").read_text(), re.S)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_blocks_run(block: str) -> None:
    for library in ("jax", "torch", "optax"):
        if re.search(rf"^import {library}", block, re.M):
            pytest.importorskip(library, reason=f"{library} is not installed")
    exec(compile(block, "functional.md", "exec"), {"__name__": "__main__"})


def test_there_are_blocks() -> None:
    assert len(BLOCKS) == 5
