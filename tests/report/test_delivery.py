"""Files are the old ones or the new ones, whole; and the exit status says what was found."""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from optimkit.validation.arguments import Refusal
from optimkit.validation.report import delivery
from optimkit.validation.report.document import Document, Mood

pytest.importorskip("rich", reason="documents are shown with rich")


def deliver(document: Document, facts: Any, **files: Path) -> tuple[int, list[str]]:
    from rich.console import Console

    shown: list[str] = []
    arguments = argparse.Namespace(json=None, report=None)
    vars(arguments).update(files)
    console = Console(quiet=True)
    status = delivery.deliver(
        arguments, document, facts, console, lambda document, _: shown.append(document.verdict)
    )
    return status, shown


@pytest.mark.parametrize(
    ("mood", "unfinished", "status"),
    [("good", "", 0), ("doubt", "", 0), ("bad", "", 1), ("doubt", "Interrupted.", 130),
     ("bad", "Interrupted.", 130)],
)  # fmt: skip
def test_exit_status(mood: Mood, unfinished: str, status: int) -> None:
    document = Document("t", "v", mood, unfinished=unfinished)
    assert deliver(document, {}) == (status, ["v"])


def test_files(tmp_path: Path) -> None:
    facts = {"a": math.inf, "b": [math.nan, 1.5, {2: (-math.inf, "λ")}]}
    document = Document("t", "v", "doubt", unfinished="Interrupted.")
    deliver(document, facts, json=tmp_path / "x.json", report=tmp_path / "x.html")
    text = (tmp_path / "x.json").read_text("utf-8")
    found = {"a": "inf", "b": ["nan", 1.5, {"2": ["-inf", "λ"]}], "interrupted": True}
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == found
    assert "Interrupted." in (tmp_path / "x.html").read_text("utf-8")
    assert sorted(os.listdir(tmp_path)) == ["x.html", "x.json"]


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_what_was_found_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.json"
    file.write_text("old")

    def full(path: Path, data: bytes) -> int:
        with open(path, "wb") as half:
            half.write(data[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    shown: list[str] = []
    with pytest.raises(Refusal, match=r"x\.json could not be written: No space left on device"):
        delivery.deliver(
            argparse.Namespace(json=file, report=None),
            Document("t", "v", "good"),
            {},
            None,
            lambda document, _: shown.append(document.verdict),
        )
    assert shown == ["v"]
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.json"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no such device here")
def test_a_device_is_written_to_and_not_replaced() -> None:
    delivery.write(Path("/dev/null"), "text")
    with pytest.raises(Refusal, match="No space left"):
        delivery.write(Path("/dev/full"), "text")
    assert not Path("/dev/full").is_file()
