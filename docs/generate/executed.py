"""Directives that run what they hold while pages are built, and show what it does.

``{executed} python`` shows a block and its output; ``{executed} console`` commands, after ``$``,
and theirs; ``{refused}`` calls that raise, with their messages; ``{drawn}`` the picture that the
last line of a block makes. A block that does something else than it should is a warning, which
ends a build with ``-W``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from generate.drawing import themed
from generate.running import WIDTH, Page, Unexpected


@cache
def sources() -> tuple[str, ...]:
    """Files whose change makes the output another one: the library's, and those beside this."""
    import optimkit.backends
    import optimkit.validation

    rooms = [Path(x.__file__).parent for x in (optimkit, optimkit.backends, optimkit.validation)]
    files = {path for room in (*rooms, Path(__file__).parent) for path in room.rglob("*.py")}
    return tuple(sorted(map(str, files)))


class _Running(SphinxDirective):
    has_content = True

    @property
    def page(self) -> Page:
        """The program of the page that the directive stands on."""
        return self.env.temp_data.setdefault("executed", Page())

    def run(self) -> list[nodes.Node]:
        for path in sources():
            self.env.note_dependency(path)
        try:
            return self.shown("\n".join(self.content))
        except Exception as error:
            said = str(error) if isinstance(error, Unexpected) else f"{error!r}"
            raise self.error(f"this block fails: {said}") from error

    def shown(self, code: str) -> list[nodes.Node]:
        """What stands on the page in place of the directive."""
        raise NotImplementedError

    def code(self, text: str, language: str) -> nodes.Node:
        """A block of code that can be copied."""
        node = nodes.literal_block(text, text, language=language)
        self.set_source_info(node)
        return node

    def output(self, text: str, seconds: float | None = None) -> nodes.Node:
        """A block of what was printed, in a box of its own."""
        language = self.options.get("language", "text")
        node = nodes.literal_block(text, text, language=language)
        box = nodes.container("", node, classes=["output"])
        if seconds is not None:
            took = f"{seconds:.1f} s, where this page was built"
            box += nodes.paragraph(took, took, classes=["took"])
        return box


class Executed(_Running):
    """``{executed} python`` or ``{executed} console``."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {
        "as": directives.unchanged,  # a file that commands of the page read
        "status": directives.nonnegative_int,  # with which the commands end
        "width": directives.positive_int,  # in characters, of the commands' output
        "timed": directives.flag,
        "hidden": directives.flag,  # the code is not shown
        "language": directives.unchanged,  # of the output
    }

    def shown(self, code: str) -> list[nodes.Node]:
        if self.arguments[0] == "python":
            found = [] if "hidden" in self.options else [self.code(code, "python")]
            text = self.page.python(code, self.options.get("as", ""))
            return [*found, self.output(text)] if text else found
        found = []
        for line in code.splitlines():
            text, seconds = self.page.command(
                line.removeprefix("$ "),
                self.options.get("status", 0),
                self.options.get("width", WIDTH),
            )
            found.append(self.code(line, "console"))
            found.append(self.output(text, seconds if "timed" in self.options else None))
        return found


class RefusedCalls(_Running):
    """``{refused}``."""

    def shown(self, code: str) -> list[nodes.Node]:
        found: list[nodes.Node] = []
        for entry in self.page.refused(code):
            message = nodes.paragraph("", "", nodes.literal("", entry.error), classes=["message"])
            about, _ = self.parse_inline(entry.about)
            cause = nodes.paragraph("", "", *about)
            box = nodes.container(
                "", self.code(entry.code, "python"), message, cause, classes=["refused"]
            )
            found.append(box)
        return found


class Drawn(_Running):
    """``{drawn} what the picture shows, in words``."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {"caption": directives.unchanged}

    def shown(self, code: str) -> list[nodes.Node]:
        svg = themed(self.page.value(code), self.arguments[0])
        caption = self.options.get("caption", "")
        below = f"<figcaption>{caption}</figcaption>" if caption else ""
        return [nodes.raw("", f'<figure class="drawn">{svg}{below}</figure>', format="html")]


def setup(app: Any) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("executed", Executed)
    app.add_directive("refused", RefusedCalls)
    app.add_directive("drawn", Drawn)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
