"""The circumstances in which a candidate is tried, and what it does there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.comparison import searches
from optimkit.validation.comparison.candidates import (
    ABSENT,
    GROUPS,
    RATES,
    RESUME,
    SPARSE,
    Candidate,
)
from optimkit.validation.comparison.kinds import (
    ELEMENTWISE,
    SEARCH,
    SHAPES,
    TOUCHED,
    WHOLE,
    accepted,
    kind_of,
)
from optimkit.validation.comparison.probes import (
    RATE_CHANGES,
    Array,
    Loss,
    Probe,
    joined,
    scales,
)

SIZES, SCALAR = "sizes 1e-30 to 1e30", "0-d"
LOSSES, EMPTY, TWO = "losses", "empty gradients", "two parameters"
LONG_STEPS, QUICK_STEPS = 1000, 100
SIZED = 8  # steps on tensors
SEARCHED, LONG_SEARCHED = 2, 4  # of up to 20 iterations, as they are by default


@dataclass(frozen=True)
class Circumstance:
    """What a candidate is tried on.

    Attributes
    ----------
    name : str
    starts : tuple of array
        The parameters.
    gradients : tuple of (array, RowSparse or None)
        For each step, those of the parameters.
    rates : tuple of float
        For each step, what the learning rate is multiplied by.
    groups : tuple of tuple of int
    resumed : int
        After this step the run goes on in a new optimizer; 0 for never.
    needs : str
        What the candidate must allow.
    losses : tuple of callables
        Of the parameters, each of which is searched for by itself; then there are no gradients.
    whole : bool
        Whether the rule works on whole parameters.
    judging : bool
        Whether a diagnosis goes by this, which takes all parameters together.
    """

    name: str
    starts: tuple[Array, ...]
    gradients: tuple[tuple[Any, ...], ...]
    rates: tuple[float, ...]
    groups: tuple[tuple[int, ...], ...] = ((0,),)
    resumed: int = 0
    needs: str = ""
    losses: tuple[Loss, ...] = ()
    whole: bool = False
    judging: bool = False

    def probes(self) -> list[Probe]:
        """What a rule is tried on to do the same: for every parameter, or for all together."""
        each = [self._probe(i, start) for i, start in enumerate(self.starts)]
        return [joined(each)] if self.judging and self.whole else each

    def _probe(self, i: int, start: Array) -> Probe:
        whole = (start.shape,) if self.whole else ()
        if self.losses:
            unknown = np.full((len(self.rates), start.size), np.nan, start.dtype)
            return Probe(start, unknown, self.rates, whole, losses=(self.losses[i],))
        steps = [t for t, row in enumerate(self.gradients) if row[i] is not None]
        given = [self.gradients[t][i] for t in steps]
        factor = next(k + 1 for k, group in enumerate(self.groups) if i in group)
        rates = tuple(self.rates[t] * factor for t in steps)
        rows = np.array([flat(dense(g)) for g in given])
        touched = None
        if isinstance(given[0], ok.RowSparse):
            touched = np.array([flat(dense(_marks(g))) != 0 for g in given])
        return Probe(flat(start), rows, rates, whole, touched)


def flat(array: Array) -> Array:
    """All numbers of an array in a row, those of a complex one as pairs."""
    array = np.ravel(array)
    return array.view(array.real.dtype) if array.dtype.kind == "c" else array


def dense(gradient: Any) -> Array:
    """A gradient as an array."""
    if not isinstance(gradient, ok.RowSparse):
        return np.asarray(gradient)
    result = np.zeros(gradient.shape, gradient.values.dtype)
    np.add.at(result, gradient.indices, gradient.values)
    return result


def _marks(gradient: Any) -> Any:
    return ok.RowSparse(gradient.indices, np.ones_like(gradient.values), gradient.shape)


def of_probe(name: str, probe: Probe, **others: Any) -> Circumstance:
    """A probe as the circumstance of one parameter."""
    rows = tuple((g,) for g in probe.gradients)
    return Circumstance(name, (probe.start,), rows, probe.rates, **others)


def circumstances(
    dtype: str, candidate: Candidate, rule: type[ok.Optimizer], options: Any, quick: bool
) -> Iterator[Circumstance]:
    """Everything that candidates are tried on; the first is what a diagnosis goes by."""
    kind = kind_of(rule, options)
    if kind == SEARCH:
        yield from _searches(dtype, quick)
        return
    if kind == TOUCHED and SPARSE not in candidate.can:  # every element has a gradient then
        kind = ELEMENTWISE
    real = np.empty(0, dtype).real.dtype.name
    changes, steps = RATES in candidate.can, QUICK_STEPS if quick else LONG_STEPS
    if kind == WHOLE:
        named = [SHAPES[name] for name in accepted(rule, options)]
        yield _tensors(SIZES, dtype, named, SIZED, changes, judging=True)
        shapes = sorted(named, key=len)[:: max(1, len(named) - 1)][:2]
        for circumstance in _shapes(dtype, [x for x in ((), (2, 2, 3, 2)) if x in named]):
            yield replace(circumstance, whole=True)
    else:
        shapes = [(), (2, 3)]
        if kind == TOUCHED:
            shapes = [(4, 1), (3, 2)]
        yield _elements(SIZES, scales(real, changes), kind, dtype, judging=True)
    if kind == ELEMENTWISE:
        yield from _shapes(dtype, [()])
    yield from _bookkeeping(dtype, shapes, kind)
    if kind == WHOLE:
        tensors = _tensors(f"{steps:,} steps", dtype, named, steps)
        few = slice(len(tensors.starts) - 2, None)
        rows = tuple(row[few] for row in tensors.gradients)
        yield replace(tensors, starts=tensors.starts[few], gradients=rows, groups=((0, 1),))
        return
    whole = scales(real, False, seed=1, steps=steps)
    tame = np.arange(len(whole.start)) % 11 == 0
    part = Probe(whole.start[tame], whole.gradients[:, tame], whole.rates)
    yield _elements(f"{steps:,} steps", part, kind, dtype)


def _elements(
    name: str, probe: Probe, kind: str, dtype: str, judging: bool = False
) -> Circumstance:
    """A probe whose every element is a case of its own; two of them are a complex one."""
    if np.dtype(dtype).kind == "c":
        even = slice(len(probe.start) // 2 * 2)
        pairs = np.ascontiguousarray(probe.gradients[:, even]).view(dtype)
        probe = replace(probe, start=probe.start[even].view(dtype), gradients=pairs)
    if kind != TOUCHED:
        return of_probe(name, probe, judging=judging)
    count = len(probe.start) // 2
    start = probe.start[: 2 * count].reshape(count, 2)
    random = np.random.default_rng(5)
    rows = []
    for gradient in probe.gradients:
        there = random.random(count) < 0.7
        rows.append((sparse(gradient[: 2 * count].reshape(count, 2), there),))
    return Circumstance(name, (start,), tuple(rows), probe.rates, judging=judging)


def sparse(gradient: Array, there: Array) -> Any:
    """Rows of a gradient, some of which come twice, as halves."""
    (places,) = np.nonzero(there)
    values = gradient[places]
    twice = np.arange(len(places)) % 3 == 1
    values[twice] /= 2
    places, values = np.append(places, places[twice]), np.append(values, values[twice], 0)
    return ok.RowSparse(places, values, gradient.shape)


def _shapes(dtype: str, shapes: list[tuple[int, ...]]) -> Iterator[Circumstance]:
    random = np.random.default_rng(11)
    for shape in shapes:
        name = SCALAR if shape == () else f"{len(shape)}-D"
        rows = tuple((x,) for x in _drawn(random, shape, dtype))
        yield Circumstance(name, (np.full(shape, 0.5, dtype),), rows, (1.0,) * len(rows))


def _drawn(
    random: np.random.Generator, shape: tuple[int, ...], dtype: str, steps: int = 12
) -> list[Array]:
    scale = 10.0 ** random.integers(-6, 3, shape) * (1 - 0.5j if np.dtype(dtype).kind == "c" else 1)
    return [np.asarray(scale * random.normal(0, 1, shape), dtype) for _ in range(steps)]


def _bookkeeping(dtype: str, shapes: list[tuple[int, ...]], kind: str) -> Iterator[Circumstance]:
    """Several groups, absent gradients, and a run that goes on elsewhere, with two parameters."""
    random = np.random.default_rng(7)
    starts = tuple(
        np.linspace(-1, 1, math.prod(shape), dtype=dtype).reshape(shape) / 2
        + np.asarray(0.5, dtype)
        for shape in shapes
    )
    rows = [*zip(*(_drawn(random, shape, dtype) for shape in shapes), strict=True)]
    if kind == TOUCHED:
        rows = [tuple(sparse(g, random.random(len(g)) < 0.7) for g in row) for row in rows]
    ones, alone = (1.0,) * len(rows), tuple((i,) for i in range(len(shapes)))
    together = (tuple(range(len(shapes))),)
    again = [_drawn(random, shapes[-1], dtype) for _ in range(2)]  # alike, as keys may be
    pair = [*zip(*again, strict=True)]
    if kind == TOUCHED:
        pair = [tuple(sparse(g, random.random(len(g)) < 0.7) for g in row) for row in pair]
    yield Circumstance(
        TWO, (starts[-1], starts[-1] / 2), tuple(pair), ones, ((0, 1),), whole=kind == WHOLE
    )
    both = Circumstance(GROUPS, starts, tuple(rows), ones, alone, needs=GROUPS, whole=kind == WHOLE)
    yield both
    missing = tuple(
        tuple(None if t in ((0, 3, 4), (6,))[i] else x for i, x in enumerate(row))
        for t, row in enumerate(rows)
    )
    yield replace(both, name=ABSENT, gradients=missing, groups=together, needs=ABSENT)
    yield replace(both, name=RESUME, groups=together, resumed=5, needs=RESUME)
    if kind == TOUCHED:
        hollow = tuple(
            tuple(
                sparse(dense(g), np.zeros(len(dense(g)), bool)) if t in (0, 4) else g for g in row
            )
            for t, row in enumerate(rows)
        )
        yield replace(both, name=EMPTY, gradients=hollow, groups=together, needs=ABSENT)


def _tensors(
    name: str,
    dtype: str,
    shapes: list[tuple[int, ...]],
    steps: int,
    changes: bool = False,
    judging: bool = False,
) -> Circumstance:
    """Parameters of several shapes; gradients of many sizes, in some of them of one size each."""
    random = np.random.default_rng(len(name))
    cases: list[tuple[Any, Any]] = [
        (shapes[i % len(shapes)], 10.0**k) for i, k in enumerate((-30, -9, -4, 0, 4, 30))
    ]
    cases += [(shape, None) for shape in shapes]
    starts, columns = [], []
    for i, (shape, size) in enumerate(cases):
        starts.append(np.asarray((0.03, 2.0)[i % 2] * random.normal(0, 1, shape), dtype))
        scale = 10.0 ** random.uniform(-3, 1, shape) if size is None else size
        columns.append(
            [np.asarray(scale * random.normal(0, 1, shape), dtype) for _ in range(steps)]
        )
    rates = tuple(0.5 if changes and t >= RATE_CHANGES else 1.0 for t in range(steps))
    rows = tuple(zip(*columns, strict=True))
    groups = (tuple(range(len(starts))),)
    return Circumstance(name, tuple(starts), rows, rates, groups, whole=True, judging=judging)


def _searches(dtype: str, quick: bool) -> Iterator[Circumstance]:
    def searched(name: str, steps: int, **others: Any) -> Circumstance:
        starts, losses = searches.starts(dtype), searches.losses()
        ones = (1.0,) * steps
        return Circumstance(name, starts, (), ones, losses=losses, whole=True, **others)

    yield searched(LOSSES, SEARCHED, judging=True)
    yield searched(RESUME, SEARCHED, resumed=1, needs=RESUME)
    steps = SEARCHED + 1 if quick else LONG_SEARCHED
    yield searched(f"{steps:,} steps", steps)
