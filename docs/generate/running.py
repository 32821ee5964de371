"""Runs what pages show: blocks of Python, refused calls, and commands, for their output.

A page is one program: its blocks share their names and a folder for files.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
WIDTH = 78
LIMIT = 120  # seconds for one command


class Unexpected(Exception):
    """A block did something else than its page says."""


@dataclass
class Refused:
    """A call that raises an error.

    Attributes
    ----------
    code, about : str
        The call, and the comment below it: the cause, and what would be right.
    error : str
        Type and message.
    """

    code: str
    about: str
    error: str


@dataclass
class Page:
    """The program of one page, in a folder that is gone when the page is."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="page-")))
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})

    def __post_init__(self) -> None:
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def python(self, code: str, file: str = "") -> str:
        """Run a block; what it prints, and the value of its last line if that is an expression.

        Parameters
        ----------
        code : str
        file : str, optional
            A name under which the block is kept, too, for commands that read it.
        """
        if file:
            (self.folder / file).write_text(code + "\n", encoding="utf-8")
        out = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(out):
            value = self.value(code)
            if value is not None:
                print(repr(value))
        return out.getvalue().rstrip("\n")

    def value(self, code: str) -> Any:
        """Run a block; the value of its last line if that is an expression."""
        tree = ast.parse(code)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "<page>", "exec"), self.names)
        if isinstance(last, ast.Expr):
            return eval(compile(ast.Expression(last.value), "<page>", "eval"), self.names)
        return None

    def refused(self, text: str) -> list[Refused]:
        """Run calls that raise or warn, each with a comment below it and then a blank line."""
        found = []
        for code, about in entries(text):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    self.python(code)
            except ModuleNotFoundError as error:
                raise Unexpected(f"{error}, which these pages do not need") from None
            except Exception as error:
                said = " ".join(str(error).split()).replace(str(self.folder) + os.sep, "")
                found.append(Refused(code, about, f"{type(error).__name__}: {said}"))
            else:
                raise Unexpected(f"raises nothing: {code}")
        return found

    def command(self, line: str, status: int = 0, width: int = WIDTH) -> tuple[str, float]:
        """Run a command in the page's folder; its output, and how many seconds it took."""
        words = shlex.split(line)
        if words[0] == "optimkit":
            words[:1] = [sys.executable, "-m", "optimkit"]
        elif words[0] == "python":
            words[0] = sys.executable
        plain = {"COLUMNS": str(width), "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf8"}
        began = time.perf_counter()
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=os.environ | plain,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=LIMIT,
        )
        seconds = time.perf_counter() - began
        text = "\n".join(x.rstrip() for x in ANSI.sub("", done.stdout).splitlines())
        if done.returncode != status:
            raise Unexpected(f"{line!r} ended with {done.returncode}, not {status}:\n{text}")
        return text.replace(str(self.folder) + os.sep, ""), seconds


def entries(text: str) -> list[tuple[str, str]]:
    """Pieces of code and the comment that ends each."""
    code: list[str] = []
    about: list[str] = []
    found = []
    for line in [*text.strip("\n").splitlines(), ""]:
        if line.startswith("# "):
            about.append(line.removeprefix("# "))
        elif about and not line:
            found.append(("\n".join(code).strip("\n"), " ".join(about)))
            code, about = [], []
        else:
            code.append(line)
    if code and any(code):
        raise Unexpected(f"no comment says why this is refused: {code}")
    return found


FENCE = re.compile(r"^(`{3,})(\{?[\w-]+\}?) ?(.*)\n((?:.*\n)*?)\1\n", re.M)
OPTION = re.compile(r"^:([\w-]+): ?(.*)$")


@dataclass
class Block:
    """A fenced block of a page.

    Attributes
    ----------
    kind : str
        The language, or the directive in braces.
    argument : str
    options : dict
    code : str
    """

    kind: str
    argument: str
    options: dict[str, str]
    code: str


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = []
    for _, kind, argument, body in FENCE.findall(text + "\n"):
        lines, options = body.splitlines(), {}
        while kind.startswith("{") and lines and (option := OPTION.match(lines[0])):
            options[option[1]] = option[2]
            del lines[0]
        found.append(Block(kind, argument.strip(), options, "\n".join(lines).strip("\n")))
    return found
