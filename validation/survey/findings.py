"""The findings as they are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from optimkit.validation.survey.subjects import SUBJECTS

FILE = Path(__file__).with_name("findings.json")


def load(file: Path = FILE) -> dict[str, Any]:
    """What was found, or nothing yet."""
    if not file.exists():
        return {"conditions": {}, "departures": [], "findings": []}
    known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return known


def merged(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The newest finding of each subject, in their order; what is no subject any more is gone."""
    latest = {finding["key"]: finding for finding in [*old, *new]}
    return [
        latest[subject.key] | {"note": subject.note, "source": subject.source}
        for subject in SUBJECTS
        if subject.key in latest
    ]


def save(file: Path, known: dict[str, Any]) -> None:
    """Write findings, one a line."""
    lines = []
    for name, value in known.items():
        if isinstance(value, list):
            rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in value)
            lines.append(f"{json.dumps(name)}: [\n{rows}\n]")
        else:
            lines.append(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}")
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
