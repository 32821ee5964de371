"""The times of steps that the README and other pages show, from the one run that is published.

``python docs/generate/measured.py`` writes the README's table anew from docs/evidence/benchmark.md.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README, RUN = ROOT / "README.md", ROOT / "docs" / "evidence" / "benchmark.md"
BEGIN, END = "<!-- measured:begin -->\n", "<!-- measured:end -->"
OPTIMIZERS = ("AdamW", "SGD")
WORKLOADS = ("mlp", "300x64", "300x1000", "mix", "10M", "resnet50")  # those that the run has
COLUMNS = {
    "numba": "numba",
    "numba-tensors": "numba, torch tensors",
    "blocked": "blocked",
    "numpy": "plain NumPy",
    "torch-for-loop": "torch for-loop",
    "torch-foreach": "torch foreach",
    "torch-fused": "torch fused",
}

Times = dict[tuple[str, str, str], str]


def times(page: str | None = None) -> Times:
    """The published times, by optimizer, workload and implementation, as they are written."""
    found: Times = {}
    for table in (RUN.read_text(encoding="utf-8") if page is None else page).split("\n\n"):
        rows = [[x.strip(" `") for x in row.strip("|").split("|")] for row in table.splitlines()]
        if rows and rows[0][0] in OPTIMIZERS:
            (optimizer, *workloads), _, *implementations = rows
            for name, *cells in implementations:
                for workload, cell in zip(workloads, cells, strict=True):
                    found[optimizer, workload, name] = cell
    return found


def measured(text: str) -> str:
    """One of the published times, such as ``AdamW, 300x64, numba``."""
    optimizer, workload, name = text.split(", ")
    try:
        return times()[optimizer, workload, name]
    except KeyError:
        raise ValueError(f"the published run has no time of {text!r}") from None


def table(found: Times) -> str:
    """The README's table."""
    lines = [
        "| " + " | ".join(["tensors", *COLUMNS.values()]) + " |",
        "|---" * (1 + len(COLUMNS)) + "|",
    ]
    for optimizer in OPTIMIZERS:
        lines.append(f"| **{optimizer}** |" + " |" * len(COLUMNS))
        for workload in WORKLOADS:
            cells = [found.get((optimizer, workload, name), "") for name in COLUMNS]
            lines += [f"| `{workload}` | " + " | ".join(cells) + " |"] if any(cells) else []
    return "\n".join(lines) + "\n"


def renewed(readme: str, found: Times) -> str:
    """The README with its table as it should be."""
    head, rest = readme.split(BEGIN)
    return head + BEGIN + table(found) + END + rest.split(END)[1]


if __name__ == "__main__":
    README.write_text(renewed(README.read_text(encoding="utf-8"), times()), encoding="utf-8")
