"""A rule that may be what a candidate computes, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import optimkit as ok
from optimkit.validation.comparison.departure import ROUNDING, SLIP, WRONG, Departure
from optimkit.validation.comparison.fitting import GRID, NARROWED, Options
from optimkit.validation.comparison.runs import Run
from optimkit.validation.comparison.texts import Change, Text

BITS, OPERATIONS, NUMBERS, PART = "equal in bits", "all but rounding", "float32 numbers", "a part"
SURE = (BITS, OPERATIONS, NUMBERS, PART)
RANK = {WRONG: 0, SLIP: 1, ROUNDING: 2}
MOST_DIGITS = 20.0


@dataclass(frozen=True)
class Breadth:
    """How many of the nearest are checked, changed once more and fitted, and how finely."""

    checked: int
    bases: int
    fitted: int
    fineness: tuple[int, int]


THOROUGH, BRIEF = Breadth(8, 16, 4, (GRID, NARROWED)), Breadth(3, 4, 1, (10, 14))


@dataclass
class Explanation:
    """A rule that may be what a candidate computes.

    Attributes
    ----------
    text : Text
        The rule with its changes.
    departures : tuple of Departure
    options : dict
        Options with other values than were asked for.
    equals : dict
        Options with which the rule as it is written does the same.
    digits : float
        How far off it is: the mean of the digits by which values differ from the candidate's,
        beyond what rounding can do.
    share : float
        Which part of the values that differ from the rule's it reproduces to rounding.
    sure : str
        What it reproduces: one of `SURE`.
    run : Run
    other : bool
        Whether it is another rule of the library, with these options.
    """

    text: Text
    departures: tuple[Departure, ...] = ()
    options: Options = field(default_factory=dict)
    equals: Options = field(default_factory=dict)
    digits: float = MOST_DIGITS
    share: float = 0.0
    sure: str = PART
    run: Run | None = None
    other: bool = False

    @property
    def name(self) -> str:
        """What it is called: its departures, and other options."""
        parts = [departure.name for departure in self.departures]
        parts += [f"{name}={value!r}" for name, value in self.options.items()]
        if self.other:
            return self.optimizer.__name__ + (f" with {', '.join(parts)}" if parts else "")
        return " and ".join(parts)

    @property
    def optimizer(self) -> type[ok.Optimizer]:
        """Whose rule it is."""
        return self.text.optimizer

    @property
    def rounds(self) -> bool:
        """Whether it is a matter of rounding alone."""
        known = all(x.kind == ROUNDING for x in self.departures)
        return known and not self.options and not self.other

    @property
    def changes(self) -> list[Change]:
        """The lines of the rule that are changed."""
        return self.text.changes(Text.of(self.text.optimizer))

    def as_dict(self) -> dict[str, Any]:
        """The same for machines."""
        departures = [{"name": x.name, "meaning": x.meaning} for x in self.departures]
        return {
            "name": self.name,
            "departures": departures,
            "options": self.options,
            "optimizer": self.optimizer.__name__,
            "equals": self.equals,
            "sure": self.sure,
            "share": self.share,
            "lines": [vars(change) for change in self.changes],
        }

    @property
    def rank(self) -> tuple[int, int, int]:
        """Names that people know come before slips, and one change before two."""
        kinds = [RANK[departure.kind] for departure in self.departures]
        return len(kinds) + len(self.options), sum(kinds), len(self.options)
