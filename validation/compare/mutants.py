"""Candidates made by chance, to see how often a diagnosis is right.

A mutant is a rule with one departure or two at a place drawn at random, for options drawn at random,
whose operations are then done in another order, also drawn at random. A mutant that does what the
rule does on inputs of its own is none, and is drawn again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.compare.departures import (
    DEPARTURES,
    ORDERS,
    ROUNDING,
    ROUNDINGS,
    Departure,
)
from optimkit.validation.compare.diagnosis import Diagnosis, Explanation
from optimkit.validation.compare.fitting import Options
from optimkit.validation.compare.texts import Text
from optimkit.validation.compare.trials import Trial, run, scales
from optimkit.validation.reference.cases import cases_of

RULES = "SGD Adam AdamW Adamax NAdam RAdam Adagrad Adadelta RMSprop Rprop ASGD".split()
HELD_OUT = 977  # the seed of the inputs on which what was named is checked


@dataclass
class Mutant:
    """A candidate whose departure is known.

    Attributes
    ----------
    optimizer, options, dtype
        What it should be.
    departures : tuple of Departure
        What was changed; none, if only the order was.
    changed : Text
        With these changes.
    text : Text
        The same in another order of operations, which is what it computes.
    """

    optimizer: type[ok.Optimizer]
    options: Options
    dtype: str
    departures: tuple[Departure, ...]
    changed: Text
    text: Text

    def diagnosed(self, trial: Trial) -> tuple[Diagnosis, list[Explanation]]:
        """What is said of it."""
        own = Diagnosis(self.optimizer, self.options, trial, trial.gradients)
        values = own.run(self.text, {}).param
        found = Diagnosis(self.optimizer, self.options, trial, values)
        return found, found.explain()


def _circumstances(random: np.random.Generator) -> tuple[type[ok.Optimizer], Options, str]:
    name = str(random.choice(RULES))
    cases = [case for case in cases_of(name) if case.dtypes[0].startswith("float")]
    options = dict(cases[int(random.integers(len(cases)))].options)
    return getattr(ok, name), options, str(random.choice(["float32", "float64"]))


def _changed(text: Text, table: Any, random: np.random.Generator) -> tuple[Departure, Text] | None:
    """One entry of the table at one place, each applicable entry and place as likely."""
    found = [(entry, new) for entry in table for new in entry.applied(text)]
    return found[int(random.integers(len(found)))] if found else None


def reordered(text: Text, random: np.random.Generator) -> Text:
    """The text with operations in another order, at up to three places."""
    for _ in range(int(random.integers(1, 4))):
        drawn = _changed(text, ORDERS + ROUNDINGS, random)
        text = drawn[1] if drawn else text
    return text


def mutants(seed: int, departures: int) -> Iterator[Mutant]:
    """Draw mutants with so many departures, without end."""
    random = np.random.default_rng(seed)
    while True:
        optimizer, options, dtype = _circumstances(random)
        text, entries = Text.of(optimizer), []
        for _ in range(departures):
            drawn = _changed(text, DEPARTURES, random)
            if drawn is not None:
                entries.append(drawn[0])
                text = drawn[1]
        mutant = Mutant(optimizer, options, dtype, tuple(entries), text, reordered(text, random))
        if len(entries) == departures and (not departures or _is_one(mutant)):
            yield mutant


def _is_one(mutant: Mutant) -> bool:
    """Whether every departure of a mutant changes something, and none makes it fail."""
    trial = scales(mutant.dtype, seed=HELD_OUT)
    known = Diagnosis(mutant.optimizer, mutant.options, trial, trial.gradients)
    try:
        changed = known.run(mutant.changed, {})
        written = known.run(mutant.text, {})
    except (ArithmeticError, TypeError, KeyError, NameError, ValueError):
        return False
    kept = changed.param.dtype == trial.start.dtype and np.isfinite(written.param).mean() > 0.5
    return kept and not same(known, changed.param)


def same(
    known: Diagnosis, values: Any, text: Text | None = None, options: Options | None = None
) -> bool:
    """Whether values are those of a rule but for rounding."""
    text = text or known.text
    made = known.run(text, options or {})
    held = Diagnosis.__new__(Diagnosis)
    vars(held).update(vars(known) | {"values": values})
    own = held._spread(text, options or {}, made)
    away = ~(own.edge | known.spread.edge)
    with np.errstate(all="ignore"):
        return bool((held._distance(made) <= own.operations)[:, away].all())


def right(mutant: Mutant, named: Explanation) -> bool:
    """Whether a departure was named that is the mutant's, or that does the same on other inputs."""
    if sorted(x.name for x in named.departures) == sorted(x.name for x in mutant.departures):
        if not named.options:
            return True
    trial = scales(mutant.dtype, seed=HELD_OUT)
    known = Diagnosis(mutant.optimizer, mutant.options, trial, trial.gradients)
    return same(known, known.run(mutant.changed, {}).param, named.text, named.options)
