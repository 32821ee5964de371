"""The text of a rule, and rules that are made of it by changing something."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from types import CodeType
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.rounding import float32


def fma(x: Any, y: Any, z: Any) -> Any:
    """``x y + z``, rounded once where these are arrays."""
    arrays = [a for a in (x, y, z) if isinstance(a, np.ndarray)]
    if not arrays:
        return x * y + z
    dtype = arrays[0].dtype
    x, y, z = (np.asarray(a, dtype) for a in (x, y, z))
    if dtype == np.float32:  # the product is exact in float64
        return (np.multiply(x, y, dtype="f8") + z).astype(dtype)
    product = x * y
    wide = product.astype(np.longdouble) + z
    return (wide + _error_of_product(x, y, product)).astype(dtype)


def _error_of_product(x: Any, y: Any, product: Any) -> Any:
    """What a product of float64 lacks, by Dekker's splitting; 0 where that overflows."""

    def split(a: Any) -> tuple[Any, Any]:
        large = a * 134217729.0  # 2^27 + 1
        high = large - (large - a)
        return high, a - high

    (x1, x2), (y1, y2) = split(x), split(y)
    error = ((x1 * y1 - product) + x1 * y2 + x2 * y1) + x2 * y2
    return np.where(np.isfinite(error), error, 0.0)


def scalar32(x: Any) -> Any:
    """A number as float32 has it, and numbers of a tuple likewise; an array as it is."""
    if type(x) is tuple:
        return tuple(map(scalar32, x))
    return float32(x) if type(x) is float else x


GIVEN = {"fma": fma, "scalar32": scalar32}


@dataclass(frozen=True)
class Change:
    """One line of a rule that was changed: which, what it was and what it became."""

    line: int
    before: str
    after: str


@dataclass(frozen=True, eq=False)
class Text:
    """The text of a rule, as it is written or with changes.

    Attributes
    ----------
    optimizer : type
        Whose rule it is.
    tree : ast.Module
        The function, and the functions of its file that it calls, without decorators; empty if the
        source cannot be read, so that nothing of it can be changed.
    """

    optimizer: type[ok.Optimizer]
    tree: ast.Module

    @classmethod
    def of(cls, optimizer: type[ok.Optimizer]) -> Text:
        """The rule of an optimizer as it is written."""
        return cls(optimizer, _tree(_rule(optimizer)))

    @property
    def file(self) -> str:
        """Where the rule is written."""
        return str(_rule(self.optimizer).__module__).replace(".", "/") + ".py"

    def function(self, **given: Any) -> Callable[..., Any]:
        """The rule as a function; `given` are names that its text may use."""
        rule: Callable[..., Any] = _rule(self.optimizer)
        if not self.tree.body:
            return rule
        names = {**rule.__globals__, **GIVEN, **given}
        exec(self._code, names)
        made: Callable[..., Any] = names[rule.__name__]
        return made

    @cached_property
    def _code(self) -> CodeType:
        return compile(self.tree, f"<{self.optimizer.__name__}>", "exec")

    def uses(self, function: Any) -> bool:
        """Whether a function is one that the rule's file knows by its name."""
        return _rule(self.optimizer).__globals__.get(function.__name__) is function

    def changes(self, original: Text) -> list[Change]:
        """Where this text differs from that one, statement by statement."""
        return [*_changes(original.tree.body, self.tree.body)]

    def with_tree(self, tree: ast.Module) -> Text:
        return Text(self.optimizer, tree)


def _rule(optimizer: type[ok.Optimizer]) -> Any:
    """The function that a step is: of one parameter, or of a whole search."""
    return getattr(optimizer, "minimize", optimizer.update)


@cache
def _tree(rule: Any) -> ast.Module:
    """A function, after those of its file that it calls."""
    try:
        found = {rule.__name__: _function(rule)}
    except (OSError, SyntaxError, TypeError):  # such as one that was typed in, or compiled
        return ast.Module([], [])
    if rule.__closure__ or not isinstance(found[rule.__name__], ast.FunctionDef):
        return ast.Module([], [])
    waiting = [rule]
    while waiting:
        for name in waiting.pop().__code__.co_names:
            other = rule.__globals__.get(name)
            if name not in found and _is_helper(other, name, rule):
                found[name] = _function(other)
                waiting.append(other)
    return ast.Module([*reversed(found.values())], [])


def _is_helper(other: Any, name: str, rule: Any) -> bool:
    """Whether a function of the rule's own file is known by this name."""
    named = inspect.isfunction(other) and not other.__closure__
    return named and (other.__module__, other.__name__) == (rule.__module__, name)


def _function(function: Any) -> Any:
    """The text of a function, located where it stands in its file."""
    lines, first = inspect.getsourcelines(function)
    tree: Any = ast.parse(textwrap.dedent("".join(lines))).body[0]
    ast.increment_lineno(tree, first - 1)
    if isinstance(tree, ast.FunctionDef):
        tree.decorator_list, tree.returns = [], None
        for argument in tree.args.args:
            argument.annotation = None
        if isinstance(tree.body[0], ast.Expr) and len(tree.body) > 1:  # what it says of itself
            del tree.body[0]
    return tree


def _written(node: ast.AST) -> str:
    """A piece of code as one would write it."""
    text = ast.unparse(node).replace(" ** ", "**")
    if isinstance(node, ast.Return | ast.Assign) and isinstance(node.value, ast.Tuple):
        inner = ast.unparse(node.value).replace(" ** ", "**")
        text = text.replace(inner, inner[1:-1])
    return text


def _same_head(x: Any, y: Any) -> bool:
    """Whether two functions or loops differ in their bodies alone."""
    if isinstance(x, ast.For) and isinstance(y, ast.For):
        return x.iter is y.iter
    return isinstance(x, ast.FunctionDef) and isinstance(y, ast.FunctionDef)


def _changes(before: list[ast.stmt], after: list[ast.stmt]) -> Iterator[Change]:
    for x, y in zip(before, after, strict=True):
        if x is y:
            continue
        if _same_head(x, y):
            yield from _changes(x.body, y.body)  # type: ignore[attr-defined]
        elif isinstance(x, ast.If) and isinstance(y, ast.If):
            if x.test is not y.test:
                yield Change(x.lineno, f"if {_written(x.test)}:", f"if {_written(y.test)}:")
            yield from _changes(x.body, y.body)
            yield from _changes(x.orelse, y.orelse)
        else:
            yield Change(x.lineno, _written(x), _written(y))
