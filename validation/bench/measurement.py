"""One optimizer on one workload: who can be held at once, whether they do the same, their turns."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from optimkit.validation.bench import roofline
from optimkit.validation.bench.implementations import (
    Implementation,
    Stepping,
    engines,
    reference_of,
)
from optimkit.validation.bench.measure import LOTS, Step, Timings, Turn, endless_turns
from optimkit.validation.bench.workloads import Array, Given, Workloads

AGAIN = " again"  # the reference beside itself: what differs there is the machine
CHECKED = 2  # steps before the parameters are held against one another
FEW = 5  # turns that are taken however long they last
SMALL = 2_000_000  # elements up to which several sets of arrays are stepped
SHARE = 0.6  # of the memory that is free
SOON = 2.0  # seconds of measuring before progress is shown again

Unit = tuple[str, Callable[[], None]]


@dataclass(frozen=True)
class Effort:
    """How long to measure: at most so many turns, and so many seconds if there are a few turns."""

    rounds: int = 21
    seconds: float = 8.0
    few: int = FEW
    lots: int = LOTS


@dataclass
class Troubles:
    """What went wrong, and who was left out for it."""

    failures: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def raised(self, where: str, name: str, error: Exception) -> None:
        said = " ".join(str(error).split())[:200]
        self.failures.append(f"{where}: {name} is left out: {type(error).__name__}: {said}")


def free_memory() -> int:
    """Bytes that can be had, or as good as all where nobody says."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable"):
                return int(line.split()[1]) * 1024
    except OSError:  # no Linux
        pass
    return 1 << 62


def disagreement(found: list[Array], expected: list[Array], starts: list[Array]) -> str:
    """How parameters differ from what they should be; empty if they agree.

    The tolerance is a thousandth of the largest change of a parameter, and four units in the last
    place of the parameter. Implementations add in other orders, and put ε elsewhere, which with
    gradients of size 1 changes at most 3e-7 of a change; a decay that is left out or a rate that is
    another shows.
    """
    for i, (own, right, start) in enumerate(zip(found, expected, starts, strict=True)):
        if own.shape != right.shape:
            return f"parameter {i} has the shape {own.shape}, not {right.shape}"
        if not right.size:
            continue
        change = float(np.abs(right - start).max())
        allowed = 1e-3 * change + 4 * np.spacing(np.abs(right))
        off = np.abs(own.astype(np.float64) - right)
        if not (off <= allowed).all():
            return f"parameter {i} is {np.nanmax(off):.1e} off, of a change of {change:.1e}"
    return ""


class Measurement:
    """One optimizer on one workload, in units of a few seconds; what is done so far can be used."""

    def __init__(
        self,
        timings: Timings,
        workload: str,
        sizes: list[int],
        chosen: list[Implementation],
        effort: Effort,
        troubles: Troubles,
        memory: int,
    ) -> None:
        self.timings, self.workload, self.given = timings, workload, Given(sizes)
        self.chosen = {one.name: one for one in chosen}
        self.effort, self.troubles = effort, troubles
        self.where = f"{timings.optimizer}, {workload}"
        self.left_out: set[str] = set()
        self.lots: dict[int, dict[str, Step]] = {}
        self.going: dict[int, Iterator[Turn]] = {}
        self.expected: list[Array] = []
        self.plan = self._planned(sum(sizes), memory)

    def _planned(self, total: int, memory: int) -> list[list[str]]:
        """Who is held at once: all, in several sets of arrays if they are small; else what fits."""
        # A parameter, its state, and what a step takes meanwhile; gradients and starts are shared.
        each = 4 * total * (roofline.written(self.timings.optimizer) + 2)
        fit = int((SHARE * memory - 12 * total) // each) - 3  # beside the reference, twice; traffic
        others = [name for name in self.chosen if name != self.timings.reference]
        if fit < min(1, len(others)):
            need = (each * 4 + 12 * total) / SHARE
            self.troubles.words.append(
                f"{self.where} is left out: it takes {need / 1e9:.1f} GB of free memory, and there "
                f"are {memory / 1e9:.1f}"
            )
            return []
        if fit >= len(others):
            small = total <= SMALL and fit >= self.effort.lots * len(self.chosen)
            return [others] * (self.effort.lots if small else 1)
        parts = -(-len(others) // fit)
        return [others[part::parts] for part in range(parts)]

    @property
    def in_parts(self) -> bool:
        """Whether memory holds only some of them at once."""
        return len(self.plan) > 1 and self.plan[0] != self.plan[1]

    def units(self) -> list[Unit]:
        """What is to be done, in pieces of about two seconds."""
        making = [partial(self._make, i) for i in range(len(self.plan))]
        going: list[list[Callable[[], None]]] = []
        for i in range(len(self.plan)):
            seconds = self.effort.seconds / len(self.plan)
            pieces = max(1, min(round(seconds / SOON), self.effort.rounds)) if seconds < 1e6 else 4
            going.append([partial(self._go, i, piece, pieces) for piece in range(pieces)])
        work: list[Callable[[], None]] = []
        if self.in_parts:
            for i, pieces_of_lot in enumerate(going):
                work += [making[i], *pieces_of_lot, partial(self._drop, i)]
        else:
            work = [*making, *[piece for lot in going for piece in lot]]
        work.append(self._end)
        return [(self.where, unit) for unit in work]

    # ------------------------------------------------------------ making

    def _make(self, lot: int) -> None:
        steps: dict[str, Step] = {}
        reference = self.timings.reference
        for name in (reference, *self.plan[lot], reference + AGAIN):
            if name.removesuffix(AGAIN) not in self.left_out:
                stepping = self._made(name.removesuffix(AGAIN))
                if stepping is not None:
                    steps[name] = stepping.step
        if reference in steps:
            steps[roofline.NAME] = roofline.traffic(self.timings.optimizer, self.given.sizes)
        self.lots[lot] = steps
        self.going[lot] = self._turns(lot)

    def _made(self, name: str) -> Stepping | None:
        """An implementation that has taken two steps, and was found to take the right ones."""
        try:
            made = self.chosen[name].make(self.timings.optimizer, self.given)
            for _ in range(CHECKED):
                made.step()
            wrong = disagreement(made.params(), self._right(), self.given.starts)
        except Exception as error:  # whatever a peer raises, the others go on
            self._leave_out(name, error)
            return None
        if wrong:
            self._leave_out(name, ValueError(f"it takes another step: {wrong}"))
            return None
        return made

    def _right(self) -> list[Array]:
        """What the reference of all engines makes of the parameters."""
        if not self.expected:
            eager = next(one for one in engines() if one.name == "eager")
            made = eager.make(self.timings.optimizer, self.given)
            for _ in range(CHECKED):
                made.step()
            self.expected = made.params()
        return self.expected

    def _leave_out(self, name: str, error: Exception) -> None:
        self.left_out.add(name)
        self.troubles.raised(self.where, name, error)

    # ------------------------------------------------------------ turns

    def _go(self, lot: int, piece: int, pieces: int) -> None:
        """A piece of the turns of a lot."""
        parts = pieces * (1 if self.in_parts else len(self.plan))
        place = piece + (0 if self.in_parts else lot * pieces)
        rounds, few = (
            whole * (place + 1) // parts - whole * place // parts
            for whole in (self.effort.rounds, self.effort.few)
        )
        taken = self.timings.turns.setdefault(self.workload, [])
        deadline = time.perf_counter() + self.effort.seconds / parts
        for count, turn in enumerate(islice(self.going[lot], rounds), 1):
            taken.append(turn)
            if count >= few and time.perf_counter() > deadline:
                return

    def _turns(self, lot: int) -> Iterator[Turn]:
        """Turns without end; whoever raises is left out, and the others begin anew."""
        while self.timings.reference in self.lots[lot]:
            steps = {name: self._watched(name, step) for name, step in self.lots[lot].items()}
            try:
                yield from endless_turns(steps)
            except _Raised as raised:
                name = raised.name.removesuffix(AGAIN)
                self._leave_out(name, raised.error)
                for steps in self.lots.values():
                    for gone in (name, name + AGAIN):
                        steps.pop(gone, None)
        self.troubles.words.append(
            f"{self.where}: without {self.timings.reference} nothing is timed"
        )

    def _watched(self, name: str, step: Step) -> Step:
        def run() -> None:
            try:
                step()
            except Exception as error:
                raise _Raised(name, error) from error

        return run

    def _drop(self, lot: int) -> None:
        self.lots[lot] = {}
        self.going.pop(lot)
        gc.collect()

    def _end(self) -> None:
        self.lots.clear()
        self.going.clear()
        self.expected = []
        del self.given
        gc.collect()


class _Raised(Exception):
    """Whose step raised what."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(name)
        self.name, self.error = name, error


def measurements(
    optimizers: list[str],
    workloads: Workloads,
    chosen: list[Implementation],
    effort: Effort,
    troubles: Troubles,
    where: str,
) -> tuple[list[Timings], list[Unit]]:
    """The tables, empty yet, and what fills them."""
    tables, units = [], list[Unit]()
    for optimizer in optimizers:
        able = [one for one in chosen if not one.lack(optimizer)]
        table = Timings(optimizer, reference_of(able), where, sizes=workloads)
        tables.append(table)
        for workload, sizes in workloads.items():
            run = Measurement(table, workload, sizes, able, effort, troubles, free_memory())
            units += run.units() if run.plan else []
    return tables, units
