"""Formulas as pages show them: set by KaTeX while the pages are built, so that they need no script.

KaTeX (MIT licence, see ``_static/katex``) runs in V8, which the package mini-racer brings.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from docutils import nodes

KATEX = Path(__file__).with_name("katex.min.js")


@functools.cache
def _katex() -> Any:
    from py_mini_racer import MiniRacer

    engine = MiniRacer()
    engine.eval(KATEX.read_text(encoding="utf-8"))
    return engine


@functools.cache
def render(tex: str, display: bool = False) -> str:
    r"""Return the HTML of a formula.

    Parameters
    ----------
    tex : str
        With ``\\`` between lines and ``&`` where they are aligned, as docstrings have it;
        ``\htmlClass{name}{...}`` gives a part a class.
    display : bool
        Whether it stands on lines of its own.

    Raises
    ------
    ValueError
        If it is no TeX that KaTeX knows.
    """
    aligned = "&" in tex or r"\\" in tex
    if display and aligned and r"\begin{aligned}" not in tex and r"\begin{align" not in tex:
        tex = rf"\begin{{aligned}}{tex}\end{{aligned}}"
    options = {"displayMode": display, "trust": True, "strict": False, "throwOnError": True}
    try:
        return str(_katex().call("katex.renderToString", tex, options))
    except Exception as error:
        raise ValueError(f"{tex!r}: {str(error).splitlines()[0]}") from error


def _inline(self: Any, node: nodes.math) -> None:
    self.body.append(render(node.astext()))
    raise nodes.SkipNode


def _display(self: Any, node: nodes.math_block) -> None:
    self.body.append(f'<div class="formula">{render(node.astext(), display=True)}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer, as ``html_math_renderer = "katex"``."""
    app.add_html_math_renderer("katex", (_inline, None), (_display, None))
    app.add_css_file("katex/katex.min.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
