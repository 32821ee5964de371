"""Pictures that follow the page: matplotlib's figures as SVG in its colours and fonts."""

from __future__ import annotations

import io
import re
import zlib
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# In both modes each stands out from the ground, and from the others.
COLORS = ("#2f86d1", "#e0701f", "#2e9e5b", "#a065d8", "#d6485a", "#8a8f00")
INK, GRID = "#010203", "#040506"  # stand for the page's own colours
STYLE: dict[str, Any] = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "font.size": 11,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 2,
    "svg.fonttype": "none",
    "svg.hashsalt": "optimkit",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def figure(width: float = 7, height: float = 3.2, columns: int = 1) -> tuple[Figure, Any]:
    """A figure and its axes, as `matplotlib.pyplot.subplots`, with no window behind it."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update(STYLE)
    matplotlib.rcParams["axes.prop_cycle"] = matplotlib.cycler(color=COLORS)
    made = Figure(figsize=(width, height), layout="constrained")
    return made, made.subplots(1, columns)


def themed(made: Figure, words: str) -> str:
    """Return a figure as SVG for a page.

    Parameters
    ----------
    made : matplotlib.figure.Figure
        From `figure`.
    words : str
        What it shows, for those who do not see it.
    """
    file = io.StringIO()
    made.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    width = _found(r'width="([\d.]+)pt"', svg)
    box = _found(r'viewBox="([^"]*)"', svg)
    svg = svg[svg.index("</metadata>") + len("</metadata>") : svg.rindex("</svg>")]
    svg = re.sub(r"<!--.*?-->|<style.*?</style>|<defs>\s*</defs>", "", svg, flags=re.S)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)  # that of the page
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    svg = svg.replace(INK, "var(--pst-color-text-base)").replace(GRID, "var(--pst-color-border)")
    svg = re.sub(r"\s+", " ", svg)
    # Identifiers belong to a page, which may hold several pictures.
    used = set(re.findall(r"#([\w.-]+)", svg))
    prefix = f"d{zlib.crc32(svg.encode()):x}-"
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}", svg)
    return (
        f'<svg role="img" aria-label="{escape(words)}" viewBox="{box}" '
        f'style="max-width: {float(width) * 4 / 3:.0f}px" xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink">{svg}</svg>'
    )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, pattern
    return match[1]
