"""``{command} NAME``: usage and options of a command, as its parser has them."""

from __future__ import annotations

import argparse
import os
from importlib import import_module
from typing import Any
from unittest.mock import patch

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from generate.executed import sources
from optimkit.validation.cli import COMMANDS


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser of one command."""
    place, text = COMMANDS[name]
    parser = argparse.ArgumentParser(prog=f"optimkit {name}", description=text)
    import_module(f"optimkit.validation.{place}").add_arguments(parser)
    return parser


def usage(name: str) -> str:
    """How a command is called."""
    with patch.dict(os.environ, {"COLUMNS": "78"}):
        return parser_of(name).format_usage().removeprefix("usage: ").rstrip()


def arguments(name: str) -> list[tuple[str, str, str]]:
    """The arguments of a command: how each is written, what it means, and what holds without it."""
    parser, found = parser_of(name), []
    formatter = parser._get_formatter()
    for action in parser._actions:
        if action.dest == "help":
            continue
        words = formatter._format_action_invocation(action)
        about = formatter._expand_help(action) if action.help else ""
        if action.choices and not action.metavar:
            about = about or "one of " + ", ".join(map(str, action.choices))
        shown = action.default not in (None, False, argparse.SUPPRESS, [])
        found.append((words, about, str(action.default) if shown else ""))
    return found


class Command(SphinxDirective):
    """``{command}``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        for path in sources():
            self.env.note_dependency(path)
        name = self.arguments[0]
        if name not in COMMANDS:
            raise self.error(f"there is no command {name!r}")
        call = nodes.literal_block(usage(name), usage(name), language="text")
        listed = nodes.definition_list(classes=["arguments"])
        for words, about, default in arguments(name):
            term = nodes.term("", "", nodes.literal("", words))
            said = about + (f" Default: {default}." if default and default not in about else "")
            text = said[:1].upper() + said[1:]
            listed += nodes.definition_list_item(
                "", term, nodes.definition("", nodes.paragraph(text, text))
            )
        return [call, listed]


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command", Command)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
