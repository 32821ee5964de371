"""The examples of docs/guides/torch.md run."""

from __future__ import annotations

import re
from typing import Any

import pytest
from conftest import ROOT

pytest.importorskip("torch", reason="torch is not installed")

TEXT = (ROOT / "docs" / "guides" / "torch.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.S)
TOGETHER = "# in each process"


def run(rank: int, block: str) -> None:
    exec(compile(block, "docs/guides/torch.md", "exec"), {"__name__": "__main__"})


def test_the_examples_run(processes: Any) -> None:
    assert sum(block.startswith(TOGETHER) for block in BLOCKS) == 1
    for block in BLOCKS:
        if block.startswith(TOGETHER):
            processes(run, block)
        else:
            run(0, block)
