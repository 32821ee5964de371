"""The scripts of Getting started and of the gallery: how Sphinx-Gallery runs and shows them."""

from __future__ import annotations

import ast
import importlib.util
import re
import textwrap
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1]
SCRIPTS = DOCS / "scripts"  # one folder for each folder of pages, which git does not keep
SECTIONS = ("models", "training", "methods", "libraries")  # of the gallery, in this order
INK = "#757d87"  # legible on white and on black
BLUE, ORANGE, GREEN, PINK = "#2f86d6", "#e0702a", "#2fa36b", "#c8489b"
COLORS = [BLUE, ORANGE, GREEN, PINK, "#9a6bd6", "#b58a00", "#1fa7b5", "#d64550"]
STYLE: dict[str, Any] = {
    "figure.figsize": (7.0, 3.6),
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": "medium",
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": INK,
    "grid.alpha": 0.2,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "optimkit",  # the same picture is the same file
}


def scripts() -> list[Path]:
    """Every script, in the order of their names."""
    return sorted(SCRIPTS.rglob("*.py"))


def lacking(script: Path) -> list[str]:
    """What a script imports at its top level and is not installed here."""
    names = set()
    for node in ast.parse(script.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return sorted(name for name in names if importlib.util.find_spec(name) is None)


def style(gallery_conf: dict[str, Any], script: str) -> None:
    """Make the pictures of a script legible on light pages and on dark ones."""
    import matplotlib

    matplotlib.rcParams.update(STYLE)
    matplotlib.rcParams["axes.prop_cycle"] = matplotlib.cycler(color=COLORS)


def picture(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figures that a block of a script has drawn, as drawings in a box that can scroll."""
    from sphinx_gallery.scrapers import matplotlib_scraper

    saved: str = matplotlib_scraper(
        block, block_vars, gallery_conf, format="svg", metadata={"Date": None}
    )
    return ".. container:: picture\n\n" + textwrap.indent(saved, "   ") if saved else ""


def configuration() -> dict[str, Any]:
    """What Sphinx-Gallery is told. Scripts that lack a library are shown, not run."""
    runs = [re.escape(script.name) for script in scripts() if not lacking(script)]
    return {
        "examples_dirs": [str(SCRIPTS / name) for name in ("start", "gallery")],
        "gallery_dirs": ["start", "gallery"],
        "filename_pattern": rf"[/\\]({'|'.join(runs)})$",
        "subsection_order": [str(Path("scripts", "gallery", name)) for name in SECTIONS],
        "within_subsection_order": "FileNameSortKey",
        "nested_sections": False,
        "image_scrapers": ("generate.gallery.picture",),
        "reset_modules": ("matplotlib", "generate.gallery.style"),
        "min_reported_time": 5,
        "write_computation_times": False,
        "remove_config_comments": True,
        "download_all_examples": False,
        "notebook_extensions": set(),
        "show_signature": False,
        "show_memory": False,
        "capture_repr": (),
        "reference_url": {"optimkit": None},
        "doc_module": ("optimkit",),
        "css": ["sg_gallery"],
    }


def note(app: Any, page: str, text: list[str]) -> None:
    """Say at the head of a script's page that it was not run, where that is so."""
    script = SCRIPTS / f"{page}.py"
    missing = lacking(script) if script.is_file() else []
    if missing:
        said = f"These pages were made without {' and '.join(missing)}: shown, not run."
        text[0] = re.sub(r"(\n={3,}\n)", rf"\1\n.. note:: {said}\n\n", text[0], count=1)


def setup(app: Any) -> dict[str, bool]:
    """Add the notes."""
    app.connect("source-read", note)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
