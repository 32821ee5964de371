"""``{root} FILE.md``: a file of the repository's root as a page, its links turned towards pages."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#)([^)#]+)(#[^)]*)?\)")


def turned(text: str, folder: str) -> str:
    """Links relative to the root as links relative to a folder of ``docs``.

    Files of the root that have a page are those in the same folder, in lower case; what has no page
    keeps its words alone.
    """

    def link(match: re.Match[str]) -> str:
        words, target, anchor = match[1], match[2], match[3] or ""
        if target.startswith("docs/"):
            return f"[{words}]({os.path.relpath(target.removeprefix('docs/'), folder)}{anchor})"
        page = Path(target).name.lower()
        if (ROOT / "docs" / folder / page).exists():
            return f"[{words}]({page}{anchor})"
        return words

    return LINK.sub(link, text)


class Root(SphinxDirective):
    """``{root}``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        path = ROOT / self.arguments[0]
        self.env.note_dependency(str(path))
        text = path.read_text(encoding="utf-8").partition("\n")[2]  # the page has the title
        return self.parse_text_to_nodes(
            turned(text, os.path.dirname(self.env.docname)), allow_section_headings=True
        )


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("root", Root)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
