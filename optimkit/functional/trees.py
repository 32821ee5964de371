"""Nested containers of arrays: their leaves by path, and the same containers around other leaves.

Dicts, lists, tuples and named tuples are containers, None is a container of nothing; so is whatever
has been registered with JAX, where a program has imported that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple

from optimkit.backends.memory import is_array
from optimkit.naming import kind_of


class Node(NamedTuple):
    """A container: its children by name, and how to make one like it of others."""

    kind: str
    children: dict[Any, Any]
    build: Callable[[list[Any]], Any]


def node_of(x: Any) -> Node | None:
    """Look into a container; None for a leaf."""
    if x is None:
        return Node("None", {}, lambda children: None)
    if is_array(x):
        return None
    if isinstance(x, dict):
        return Node("a dict", dict(x), lambda children: _like(x, children))
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        named: Any = x
        return Node(type(x).__name__, named._asdict(), named._make)
    if isinstance(x, list | tuple):
        kind = "a list" if isinstance(x, list) else "a tuple"
        return Node(kind, dict(enumerate(x)), type(x))
    found = _registered(x)
    if found is None and isinstance(x, Mapping):
        return Node("a mapping", dict(x), lambda children: dict(zip(x, children, strict=True)))
    return found


def _like(x: dict[Any, Any], children: list[Any]) -> Any:
    content = dict(zip(x, children, strict=True))
    if type(x) is dict:
        return content
    same = copy(x)  # an ordered dict, or one with a default
    same.update(content)
    return same


def _registered(x: Any) -> Node | None:
    """Look into what JAX knows for a container, if anything has imported JAX."""
    if "jax" not in sys.modules or not hasattr(sys.modules["jax"], "tree_util"):
        return None
    tree_util = sys.modules["jax"].tree_util
    pairs, structure = tree_util.tree_flatten_with_path(x, is_leaf=lambda child: child is not x)
    if len(pairs) == 1 and pairs[0][1] is x:
        return None
    names = [_name_of(path[0]) for path, _ in pairs]
    children = dict(zip(names, (child for _, child in pairs), strict=True))
    return Node(f"a {kind_of(x)}", children, structure.unflatten)


def _name_of(key: Any) -> str:
    """What an entry of one of JAX's paths is called."""
    return str(next((getattr(key, x) for x in ("name", "key", "idx") if hasattr(key, x)), key))


class Tree(NamedTuple):
    """A tree of arrays: its leaves, the path of each, and the way back."""

    paths: list[str]
    leaves: list[Any]
    root: Any

    def build(self, leaves: Sequence[Any]) -> Any:
        """Return the same containers with other leaves, in the order of `leaves`."""
        return _build(self.root, iter(leaves))

    def match(self, other: Any, what: str) -> list[Any]:
        """Return what another tree has in the place of each leaf, None where that is empty.

        Raises
        ------
        ValueError, TypeError
            If its containers are not those of this tree; `what` it is begins the message.
        """
        return list(_matched(self.root, other, "", what))


def tree_of(x: Any) -> Tree:
    """Take a tree apart."""
    pairs = list(_leaves(x, ""))
    return Tree([path for path, _ in pairs], [leaf for _, leaf in pairs], x)


def _inner(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _leaves(x: Any, path: str) -> Iterator[tuple[str, Any]]:
    node = node_of(x)
    if node is None:
        yield path, x
        return
    for key, child in node.children.items():
        yield from _leaves(child, _inner(path, key))


def _build(x: Any, leaves: Iterator[Any]) -> Any:
    node = node_of(x)
    if node is None:
        return next(leaves)
    return node.build([_build(child, leaves) for child in node.children.values()])


def _matched(x: Any, other: Any, path: str, what: str) -> Iterator[Any]:
    node, found = node_of(x), node_of(other)
    place = f"{what} at {path}" if path else what
    if node is None:
        if found is not None and found.children:
            raise TypeError(f"{place}: {found.kind} in the place of an array")
        yield other if found is None else None
        return
    if found is None:
        raise TypeError(f"{place}: a {kind_of(other)} in the place of {node.kind}")
    if found.kind != node.kind:
        raise TypeError(f"{place}: {found.kind} in the place of {node.kind}")
    missing = [key for key in node.children if key not in found.children]
    unknown = [key for key in found.children if key not in node.children]
    if missing or unknown:
        which, keys = ("missing", missing) if missing else ("unknown", unknown)
        shown = ", ".join(_inner(path, key) for key in keys)
        raise ValueError(f"{place} must be nested as the parameters are; {which}: {shown}")
    for key, child in node.children.items():
        yield from _matched(child, found.children[key], _inner(path, key), what)


__all__ = ["Tree", "tree_of"]
