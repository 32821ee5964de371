"""A departure: one change of a rule's text, and how the tables of them are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from optimkit.validation.comparison.rewriting import everywhere, pattern, variants
from optimkit.validation.comparison.texts import Text

WRONG, SLIP, ROUNDING = "another rule", "a slip", "rounding"


@dataclass(frozen=True)
class Departure:
    """One change of a rule.

    Attributes
    ----------
    name : str
    meaning : str
        What is computed instead.
    edits : tuple of (str, str)
        Patterns, and what is in their place.
    kind : str
        Whether it is a rule that people know, a slip of the pen, or a matter of rounding.
    all : bool
        Whether every place is changed; else all edits have to be found, each at one place a time.
    """

    name: str
    meaning: str
    edits: tuple[tuple[str, str], ...]
    kind: str = WRONG
    all: bool = False

    def applied(self, text: Text) -> Iterator[Text]:
        """The texts that this change makes of a rule's."""
        if self.all:
            tree: Any = text.tree
            for before, after in self.edits:
                tree = everywhere(tree, pattern(before), pattern(after))
            trees = [] if tree is text.tree else [tree]
        else:
            trees = [text.tree]
            for before, after in self.edits:
                rewritten = (variants(tree, pattern(before), pattern(after)) for tree in trees)
                trees = [new for some in rewritten for new in some]
        for tree in trees:
            yield text.with_tree(tree)


def entries_of(kind: str, everywhere: bool = False) -> Callable[..., Departure]:
    """How entries of a kind are written: a name, what it means, and edits ``before → after``."""

    def entry(name: str, meaning: str, *edits: str) -> Departure:
        pairs = (edit.split(" → ") for edit in edits)
        return Departure(
            name, meaning, tuple((x.strip(), y.strip()) for x, y in pairs), kind, everywhere
        )

    return entry
