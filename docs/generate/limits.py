"""``{limits}``: what options may be, as `optimkit.options` has it."""

from __future__ import annotations

import ast
import inspect
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from optimkit import options


def limits() -> list[tuple[str, str]]:
    """The names of all limits, and what each allows."""
    functions = [x for x in ast.parse(inspect.getsource(options)).body if _is_limit(x)]
    return [(x.name, getattr(options, x.name).__doc__) for x in functions]


def _is_limit(node: Any) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any(isinstance(x, ast.Call) and ast.unparse(x.func) == "_limit" for x in decorators)


class Limits(SphinxDirective):
    """``{limits}``."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(options.__file__)
        rows = [f"| `{name}` | {about} |" for name, about in limits()]
        return self.parse_text_to_nodes(
            "\n".join(["| limit | what it allows |", "|---|---|", *rows])
        )


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("limits", Limits)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
