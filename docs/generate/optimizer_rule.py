"""The text of a rule as a page shows it: beside its formula, with what does not run greyed."""

from __future__ import annotations

import ast
import inspect
import io
import keyword
import re
import sys
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from types import CodeType, FrameType, FunctionType
from typing import Any

import optimkit as ok
from generate.optimizer_symbols import Letter, letters
from optimkit.validation.explain.explain import rule_functions
from optimkit.validation.explain.subjects import Trial, options_of, signature

STEPS = 12  # after which every phase of a rule has begun, and another one
SEARCHES = 3  # steps of a rule that takes many iterations in one
Place = tuple[int, int]  # line, column
Range = tuple[Place, Place]


@dataclass(frozen=True)
class Source:
    """A function of a rule.

    Attributes
    ----------
    function : function
    text : str
        As it is written, without its indentation.
    tree : ast.FunctionDef
        Of the text.
    indent, first : int
        What the text lacks: columns, and lines before it.
    """

    function: FunctionType
    text: str
    tree: ast.FunctionDef
    indent: int
    first: int

    @classmethod
    def of(cls, function: FunctionType) -> Source:
        lines, first = inspect.getsourcelines(function)
        text = textwrap.dedent("".join(lines))
        tree = ast.parse(text).body[0]
        assert isinstance(tree, ast.FunctionDef)
        return cls(function, text, tree, len(lines[0]) - len(lines[0].lstrip()), first - 1)


def sources(cls: type[ok.Optimizer]) -> list[Source]:
    """The functions of a rule."""
    return [Source.of(function) for function in rule_functions(cls)]


# ---------------------------------------------------------------- what runs


def positions(code: CodeType, source: Source) -> list[Range | None]:
    """Where each instruction is in the text."""
    found: list[Range | None] = []
    for line, end_line, column, end_column in code.co_positions():
        if line is None or end_line is None or column is None or end_column is None:
            found.append(None)
        else:
            start = line - source.first, column - source.indent
            found.append((start, (end_line - source.first, end_column - source.indent)))
    return found


def not_run(cls: type[ok.Optimizer], options: dict[str, Any]) -> frozenset[tuple[int, Range]]:
    """Statements and branches that the rule leaves out with these options, by function.

    The rule takes steps, and each instruction that runs is seen.
    """
    parts = sources(cls)
    place = {source.function.__code__: i for i, source in enumerate(parts)}
    seen: set[tuple[int, int]] = set()

    def look(frame: FrameType, event: str, _: Any) -> Any:
        i = place.get(frame.f_code)
        if i is None:
            return None
        if event == "call":
            frame.f_trace_opcodes = True
            sys.settrace(look)  # Python 3.12 looks at the line before only now
        elif event == "opcode":
            seen.add((i, frame.f_lasti // 2))
        return look

    trial, before = Trial(cls, options), sys.gettrace()
    sys.settrace(look)
    try:
        for _ in range(SEARCHES if hasattr(cls, "minimize") else STEPS):
            trial.step()
    finally:
        sys.settrace(before)
    skipped: set[tuple[int, Range]] = set()
    for i, source in enumerate(parts):
        where = positions(source.function.__code__, source)
        ran = [where[k] for j, k in seen if j == i]
        for found in _left_out(source.tree.body, [x for x in where if x], [x for x in ran if x]):
            skipped.add((i, found))
    return frozenset(skipped)


def _left_out(nodes: list[Any], all_of: list[Range], ran: list[Range]) -> Iterator[Range]:
    for node in nodes:
        own = range_of(node)
        if _within(own, all_of) and not _within(own, ran):
            yield own
        else:
            yield from _left_out(_branches(node), all_of, ran)


def _branches(node: Any) -> list[Any]:
    """The statements within one, and the two sides of a choice within an expression."""
    found: list[Any] = []
    for child in ast.iter_child_nodes(node):
        if (isinstance(node, ast.IfExp) and child is not node.test) or isinstance(child, ast.stmt):
            found.append(child)
        else:
            found += _branches(child)
    return found


def range_of(node: Any) -> Range:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def _within(outer: Range, inner: list[Range]) -> bool:
    return any(outer[0] <= start and end <= outer[1] for start, end in inner)


# ---------------------------------------------------------------- what is meant


def meanings(cls: type[ok.Optimizer], source: Source) -> dict[Place, tuple[int, str]]:
    """Where the text names an option or state: the length of the name, the classes of its mark."""
    by_name = {letter.name: letter for letter in letters(cls)}
    local: dict[str, str] = {name: name for name in ("param", "grad", "step")}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                _learn(target, node.value, local, cls)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(value, ast.Name):
                    local.setdefault(value.id, str(key.value))
    found: dict[Place, tuple[int, str]] = {}
    for node in ast.walk(source.tree):
        name = local.get(node.id) if isinstance(node, ast.Name) else _named(node)
        if name is not None:
            start, end = range_of(node)
            if start[0] == end[0]:
                found[start] = (end[1] - start[1], classes(cls, by_name, name))
    return found


def classes(cls: type[ok.Optimizer], by_name: dict[str, Letter], name: str) -> str:
    """The classes of a mark for an option or a name of the state, with or without a letter."""
    option = name if name in options_of(cls) else ""
    return by_name.get(name, Letter("", name, option)).classes


def _named(node: Any) -> str | None:
    """The option of ``hyper.x``, the name in ``state["x"]``."""
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "hyper":
        return node.attr
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("state", "new"):
        return str(node.slice.value) if isinstance(node.slice, ast.Constant) else None
    return None


def _learn(target: Any, value: Any, local: dict[str, str], cls: type[ok.Optimizer]) -> None:
    """What a name is bound to, where an option or state is what it is bound to."""
    name = _named(value)
    if isinstance(target, ast.Tuple):
        if name is not None and name in options_of(cls):
            for part, key in zip(target.elts, _parts(cls, name), strict=False):
                if isinstance(part, ast.Name):
                    local[part.id] = key
        elif isinstance(value, ast.Tuple):
            for left, right in zip(target.elts, value.elts, strict=True):
                _learn(left, right, local, cls)
    elif isinstance(target, ast.Name) and name is not None:
        local.setdefault(target.id, name)
    elif isinstance(value, ast.Name) and _named(target) is not None:
        local.setdefault(value.id, _named(target) or "")


def _parts(cls: type[ok.Optimizer], option: str) -> list[str]:
    own = [letter.name for letter in letters(cls) if letter.option == option]
    default = signature(cls)[option].default
    count = len(default) if isinstance(default, tuple) else 0
    in_order = sorted(own, key=lambda name: name[-1:])
    return in_order if len(own) == count else [f"{option}.{i}" for i in range(count)]


# ---------------------------------------------------------------- how it looks


def rows(cls: type[ok.Optimizer], source: Source) -> list[tuple[int, int]]:
    """The lines of the text in groups, first and last: a formula in comments, and what it says."""
    lines = source.text.split("\n")
    begins = [1]
    depth = source.tree.body[0].col_offset
    for statement in source.tree.body:
        line = statement.lineno
        while line > 1 and lines[line - 2].startswith(" " * depth + "#"):
            line -= 1
        if line < statement.lineno or statement is source.tree.body[0]:
            begins.append(line)
    ends = [begin - 1 for begin in begins[1:]] + [source.text.rstrip("\n").count("\n") + 1]
    return [(b, e) for b, e in zip(begins, ends, strict=True) if b <= e]


def html(cls: type[ok.Optimizer], left_out: frozenset[tuple[int, Range]]) -> str:
    """The functions of a rule, each statement beside its formula."""
    parts = []
    for i, source in enumerate(sources(cls)):
        grey = [where for j, where in left_out if j == i]
        lines = _coloured(cls, source, grey)
        plain = source.text.split("\n")
        for first, last in rows(cls, source):
            comment, n = [], first
            while n <= last and plain[n - 1].lstrip().startswith("#"):
                comment.append(plain[n - 1].strip().lstrip("# "))
                n += 1
            code = "\n".join(lines[n - 1 : last])
            off = " off" if _first_is_off(source, n, grey) else ""
            formula = marked(cls, " ".join(comment))
            parts.append(f'<div class="formula-text{off}">{formula}</div><pre>{code}</pre>')
    return f'<div class="rule highlight">{"".join(parts)}</div>'


def _first_is_off(source: Source, line: int, grey: list[Range]) -> bool:
    """Whether nothing happens in the first statement from a line on."""
    below = [node for node in source.tree.body if node.lineno >= line]
    inner = [node for node in ast.walk(below[0]) if isinstance(node, ast.stmt)] if below else []
    simple = [range_of(node) for node in inner if not hasattr(node, "body")]
    return bool(simple) and all(any(_covers(r, own) for r in grey) for own in simple)


def _covers(outer: Range, inner: Range) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def marked(cls: type[ok.Optimizer], text: str) -> str:
    """A formula in a comment with its letters marked."""
    known = sorted(letters(cls), key=lambda letter: -len(letter.text))
    by_text = {letter.text: letter for letter in reversed(known)}
    pattern = "|".join(re.escape(t) for t in sorted(by_text, key=len, reverse=True))
    edge = r"(?<![A-Za-z0-9]){}(?![A-Za-z])".format(f"(?:{pattern})")

    def mark(match: re.Match[str]) -> str:
        return f'<span class="{by_text[match[0]].classes}">{escape(match[0])}</span>'

    pieces, last = [], 0
    for match in re.finditer(edge, text):
        pieces += [escape(text[last : match.start()]), mark(match)]
        last = match.end()
    return "".join([*pieces, escape(text[last:])])


KINDS = {tokenize.STRING: "s", tokenize.NUMBER: "mi", tokenize.COMMENT: "c1", tokenize.OP: "o"}


def _coloured(cls: type[ok.Optimizer], source: Source, grey: list[Range]) -> list[str]:
    """The lines of the text: tokens with the classes of Pygments, names with what they mean."""
    meant = meanings(cls, source)
    lines = source.text.rstrip("\n").split("\n")
    out, column, open_until = [""] * len(lines), [0] * len(lines), (0, 0)
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        (row, start), (end_row, end) = token.start, token.end
        if not token.string.strip() or row > len(lines):
            continue
        gap = escape(lines[row - 1][column[row - 1] : start])
        if (row, start) >= open_until and open_until != (0, 0):
            out[open_until[0] - 1] += "</span>"
            open_until = (0, 0)
        out[row - 1] += gap
        if (row, start) in meant:
            size, names = meant[row, start]
            out[row - 1] += f'<span class="{names}">'
            open_until = (row, start + size)
        kind = _kind(token)
        off = any(first <= (row, start) < last for first, last in grey)
        off = off or (token.type == tokenize.COMMENT and _comment_off(source, row, grey))
        names = " ".join(filter(None, (kind, "off" * off)))
        for k, text in enumerate(token.string.split("\n")):
            out[row - 1 + k] += f'<span class="{names}">{escape(text)}</span>' if names else text
        column[end_row - 1] = end
    if open_until != (0, 0):
        out[open_until[0] - 1] += "</span>"
    return out


def _kind(token: tokenize.TokenInfo) -> str:
    if token.type == tokenize.NAME:
        constant = token.string in ("None", "True", "False")
        return "kc" if constant else "k" if keyword.iskeyword(token.string) else ""
    return KINDS.get(token.type, "")


def _comment_off(source: Source, row: int, grey: list[Range]) -> bool:
    """Whether the statement below a comment is greyed."""
    below = [r for r in grey if r[0][0] > row]
    lines = source.text.split("\n")
    n = row
    while n < len(lines) and lines[n].lstrip().startswith("#"):
        n += 1
    return any(r[0][0] == n + 1 and r[0][1] == _indent(lines[n]) for r in below)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
