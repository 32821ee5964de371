"""Candidates made by chance, to see how often a diagnosis is right.

A mutant is a rule with one departure or two at places drawn at random, with options drawn at
random, whose operations are then done in another order, also drawn at random. A mutant that does
what the rule does on inputs of its own is none, and is drawn again.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.comparison.departure import Departure
from optimkit.validation.comparison.departures import DEPARTURES
from optimkit.validation.comparison.diagnosis import Diagnosis
from optimkit.validation.comparison.explanations import Explanation
from optimkit.validation.comparison.fitting import Options
from optimkit.validation.comparison.probes import Probe, scales
from optimkit.validation.comparison.roundings import ORDERS, ROUNDINGS
from optimkit.validation.comparison.texts import Text
from optimkit.validation.explain.subjects import optimizers, why_eager
from optimkit.validation.reference.cases import cases_of

RULES = [
    name
    for name, optimizer in optimizers().items()
    if not optimizer.needs_sparse and why_eager(optimizer, {}) is None
]
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

    def diagnosed(self, probe: Probe) -> tuple[Diagnosis, list[Explanation]]:
        """What is said of it."""
        own = Diagnosis(self.optimizer, self.options, probe, probe.gradients)
        values = own.run(self.text, {}).param
        found = Diagnosis(self.optimizer, self.options, probe, values)
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
        texts, entries = [Text.of(optimizer)], []
        for _ in range(departures):
            drawn = _changed(texts[-1], DEPARTURES, random)
            if drawn is not None:
                entries.append(drawn[0])
                texts.append(drawn[1])
        other = reordered(texts[-1], random)
        mutant = Mutant(optimizer, options, dtype, tuple(entries), texts[-1], other)
        if len(entries) == departures and (not departures or _is_one(mutant, texts)):
            yield mutant


def _is_one(mutant: Mutant, texts: list[Text]) -> bool:
    """Whether every departure of a mutant changes something, and none makes it fail."""
    known = _held_out(mutant)
    try:
        changed, written = known.run(mutant.changed, {}), known.run(mutant.text, {})
        if changed.param.dtype != mutant.dtype or np.isfinite(written.param).mean() < 0.5:
            return False
        alone = [*texts[:-1], *(mutant.departures[-1].applied(texts[0]) if texts[2:] else ())]
        return not any(same(known, changed.param, text) for text in alone)
    except Exception:
        return False


def _held_out(mutant: Mutant) -> Diagnosis:
    """The rule of a mutant on inputs of its own."""
    probe = scales(mutant.dtype, seed=HELD_OUT)
    return Diagnosis(mutant.optimizer, mutant.options, probe, probe.gradients)


def same(known: Diagnosis, values: Any, text: Text, options: Options | None = None) -> bool:
    """Whether values are those of a changed rule but for rounding."""
    judge = Diagnosis(known.optimizer, known.options, known.probe, values)
    return judge.accounts(Explanation(text, options=options or {}))


def right(mutant: Mutant, named: Explanation) -> bool:
    """Whether a departure was named that is the mutant's, or that does the same on other inputs."""
    names = [sorted(x.name for x in y.departures) for y in (named, mutant)]
    if names[0] == names[1] and not named.options:
        return True
    known = _held_out(mutant)
    return same(known, known.run(mutant.changed, {}).param, named.text, named.options)


@dataclass
class Figures:
    """How often a diagnosis was right.

    Attributes
    ----------
    tried, right, named_alike : int
        Mutants; those of which the right departure was named; and those of them where it was named
        as it was made, and not as another that does the same on inputs of its own.
    seconds : list of float
        Of processor time that each took.
    wrong : list of str
        The others, in words.
    """

    tried: int = 0
    right: int = 0
    named_alike: int = 0
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, mutant: Mutant) -> None:
        """Diagnose one more."""
        began = time.process_time()
        _, found = mutant.diagnosed(scales(mutant.dtype))
        self.seconds.append(time.process_time() - began)
        if mutant.departures:
            good = bool(found) and right(mutant, found[0])
            made = sorted(x.name for x in mutant.departures)
            self.named_alike += good and sorted(x.name for x in found[0].departures) == made
        else:
            good = all(x.rounds for x in found)
        self.tried += 1
        self.right += good
        if not good:
            options = ", ".join(f"{k}={v!r}" for k, v in mutant.options.items())
            lines = "; ".join(x.after for x in mutant.text.changes(Text.of(mutant.optimizer)))
            named = found[0].name if found else "nothing"
            self.wrong.append(
                f"{mutant.optimizer.__name__}({options}), {mutant.dtype}: {lines}\n"
                f"    made: {' and '.join(x.name for x in mutant.departures) or 'nothing'}; "
                f"named: {named}"
            )


def figures(seed: int, departures: int, count: int) -> Iterator[Figures]:
    """Diagnose so many mutants, and yield the figures after each."""
    found = Figures()
    for mutant in islice(mutants(seed, departures), count):
        found.add(mutant)
        yield found


def main() -> None:
    """Print how often a diagnosis is right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--singles", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--orders", type=int, default=200, help="other orders of operations alone")
    arguments = parser.parse_args()
    kinds = {
        "orders": "other orders, nothing named",
        "singles": "one departure, named",
        "pairs": "two departures, named",
    }
    for departures, (option, what) in enumerate(kinds.items()):
        found = Figures()
        for found in figures(arguments.seed, departures, getattr(arguments, option)):
            if sys.stdout.isatty():
                print(f"\r{what}: {found.right} of {found.tried}", end="", flush=True)
        if found.tried:
            print(f"\r{what}: {found.right} of {found.tried}", end="")
            alike = f", {found.named_alike} by the same name" if departures else ""
            print(
                f"{alike}; {statistics.median(found.seconds):.1f} s each, "
                f"{max(found.seconds):.1f} s at most"
            )
        for text in found.wrong:
            print(f"  {text}")


if __name__ == "__main__":
    main()
