"""Patterns in Python's own syntax, and the rewriting of a rule's text by them.

In a pattern a single capital letter stands for any expression, or any attribute, the same one
wherever it comes again, and a name of `SYMBOLS` for an option by any of its names. ``A / B``
matches every division, ``hyper.N`` every option.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from typing import Any, TypeVar

SYMBOLS = {
    "LR": ("lr", "hyper.lr"),
    "EPS": ("eps", "hyper.eps"),
    "DECAY": ("decay", "hyper.weight_decay"),
    "MOMENTUM": ("momentum", "hyper.momentum"),
}
Binding = dict[str, Any]
Node = TypeVar("Node", bound=ast.AST)
_PLACE = ("lineno", "col_offset", "end_lineno", "end_col_offset", "type_comment", "kind")


@cache
def pattern(text: str) -> ast.AST:
    """Parse an expression or a statement."""
    statement = ast.parse(text).body[0]
    return statement.value if isinstance(statement, ast.Expr) else statement


def same(x: Any, y: Any) -> bool:
    """Whether two pieces of code say the same, wherever they stand."""
    if x is y:
        return True
    if type(x) is not type(y):
        return False
    if isinstance(x, list):
        return len(x) == len(y) and all(map(same, x, y))
    if not isinstance(x, ast.AST):
        return bool(x == y)
    return all(same(getattr(x, n, None), getattr(y, n, None)) for n in _fields(type(x).__name__))


@cache
def _fields(kind: str) -> tuple[str, ...]:
    """What says something in a node of this kind, and not where it stands."""
    return tuple(name for name in getattr(ast, kind)._fields if name not in _PLACE)


def match(wanted: Any, node: Any, binding: Binding) -> bool:
    """Whether code is of a pattern; the binding gets what its letters stand for."""
    if isinstance(wanted, ast.Name):
        name = wanted.id
        if name in SYMBOLS:
            named = any(same(pattern(form), node) for form in SYMBOLS[name])
            return named and same(binding.setdefault(name, node), node)
        if len(name) == 1 and name.isupper():
            return isinstance(node, ast.expr) and same(binding.setdefault(name, node), node)
    if type(wanted) is not type(node):
        return False
    if isinstance(wanted, list):
        return len(wanted) == len(node) and all(
            match(x, y, binding) for x, y in zip(wanted, node, strict=True)
        )
    if not isinstance(wanted, ast.AST):
        letter = isinstance(wanted, str) and len(wanted) == 1 and wanted.isupper()
        return bool((binding.setdefault(wanted, node) if letter else wanted) == node)
    return all(
        match(getattr(wanted, name, None), getattr(node, name, None), binding)
        for name in _fields(type(wanted).__name__)
    )


def _copy(node: Node, **fields: Any) -> Node:
    """The same node with other fields."""
    new = type(node)(**{name: getattr(node, name, None) for name in node._fields} | fields)
    return ast.copy_location(new, node)


def filled(replacement: Any, binding: Binding, at: ast.AST) -> Any:
    """A pattern with the expressions that its letters stand for, located where code stood."""
    if isinstance(replacement, list):
        return [filled(x, binding, at) for x in replacement]
    if not isinstance(replacement, ast.AST):
        return (
            binding.get(replacement, replacement) if isinstance(replacement, str) else replacement
        )
    if isinstance(replacement, ast.Name) and replacement.id in binding:
        return binding[replacement.id]
    fields = {
        name: filled(getattr(replacement, name, None), binding, at) for name in replacement._fields
    }
    return ast.copy_location(type(replacement)(**fields), at)


def _children(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """The expressions and statements that a piece of code has within it."""
    for name in _fields(type(node).__name__):
        value = getattr(node, name, None)
        if isinstance(value, ast.expr | ast.stmt) or (isinstance(value, list) and value):
            yield name, value


def variants(node: Any, wanted: ast.AST, replacement: ast.AST) -> Iterator[Any]:
    """Every text with one match rewritten. What is left as it is, is shared and not copied."""
    if isinstance(node, list):
        for i, item in enumerate(node):
            for new in variants(item, wanted, replacement):
                yield [*node[:i], new, *node[i + 1 :]]
        return
    if not isinstance(node, ast.AST):
        return
    binding: Binding = {}
    if type(wanted) is type(node) and match(wanted, node, binding):
        yield filled(replacement, binding, node)
    for name, value in _children(node):
        for new in variants(value, wanted, replacement):
            yield _copy(node, **{name: new})


def everywhere(node: Any, wanted: ast.AST, replacement: ast.AST) -> Any:
    """The text with every match rewritten, from the innermost outwards."""
    if isinstance(node, list):
        items = [everywhere(item, wanted, replacement) for item in node]
        return items if any(x is not y for x, y in zip(items, node, strict=True)) else node
    if not isinstance(node, ast.AST):
        return node
    fields = {name: everywhere(x, wanted, replacement) for name, x in _children(node)}
    if any(new is not getattr(node, name) for name, new in fields.items()):
        node = _copy(node, **fields)
    binding: Binding = {}
    found = type(wanted) is type(node) and match(wanted, node, binding)
    return filled(replacement, binding, node) if found else node
