"""``{sections} PAGE``: the sections of a written page, each with its first sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

SENTENCE = re.compile(r"(.+?[.:])(?:\s|$)", re.S)


def sections(text: str) -> list[tuple[str, str]]:
    """Titles of second rank, and the first sentence below each where that is prose."""
    found = []
    for part in re.split(r"^## ", text, flags=re.M)[1:]:
        title, _, body = part.partition("\n")
        opening = body.strip().split("\n\n")[0].replace("\n", " ")
        sentence = SENTENCE.match(opening)
        prose = sentence is not None and opening[0] not in "|#`-" and sentence[1].endswith(".")
        found.append((title.strip(), sentence[1] if sentence and prose else ""))
    return found


def anchor(title: str) -> str:
    """What MyST calls a section of that title."""
    return re.sub(r"[^\w\s-]", "", title.lower()).strip().replace(" ", "-")


class Sections(SphinxDirective):
    """``{sections}``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        path = Path(self.env.doc2path(self.env.docname)).parent / name
        self.env.note_dependency(str(path))
        lines = [
            f"- [{title}]({name}#{anchor(title)}). {first}".rstrip()
            for title, first in sections(path.read_text(encoding="utf-8"))
        ]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("sections", Sections)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
