"""How what is explained looks on a terminal."""

from __future__ import annotations

import textwrap
from typing import Any

from optimkit.validation.report.terminal import console


class Page:
    """Sections on a terminal, wrapped to its width."""

    def __init__(self) -> None:
        self.console = console()
        self.width = max(self.console.width - 2, 20)

    def title(self, name: str, summary: str) -> None:
        from rich.text import Text

        self.console.print(Text.assemble((name, "bold reverse"), "  ", (summary, "bold")))

    def section(self, title: str, detail: str = "") -> None:
        from rich.text import Text

        self.console.print()
        self.console.print(Text.assemble((title, "bold yellow"), "  ", (detail, "dim")))

    def _indented(self, content: Any) -> None:
        from rich.padding import Padding

        self.console.print(Padding(content, (0, 0, 0, 2)))

    def text(self, text: str, style: str = "") -> None:
        from rich.text import Text

        self._indented(Text(text, style))

    def lines(self, lines: list[str], style: str = "") -> None:
        self.text("\n".join(lines), style)

    def table(self, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
        for i, name in enumerate(header):
            room = self.width // 4 if i in (1, 2) else None
            style = "" if i else "bold"
            table.add_column(name, style=style, no_wrap=i == 0, max_width=room, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        self._indented(table)

    def code(self, text: str, language: str) -> None:
        """Show code; as it is where it goes to a file or another program."""
        from rich.syntax import Syntax

        if not self.console.is_terminal:
            self.console.out(textwrap.indent(text.rstrip(), "  "), highlight=False)
            return

        self._indented(
            Syntax(text, language, theme="ansi_dark", background_color="default", word_wrap=True)
        )
