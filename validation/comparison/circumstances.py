"""The circumstances in which a candidate is tried, and what it does there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from optimkit.validation.comparison import libraries
from optimkit.validation.comparison.candidates import (
    ABSENT,
    GROUPS,
    RATES,
    RESUME,
    Candidate,
    Steps,
    Unusable,
)
from optimkit.validation.comparison.probes import Array, Probe, scales

SIZES, SCALAR = "sizes 1e-30 to 1e30", "0-d"
LONG_STEPS, QUICK_STEPS = 1000, 100


@dataclass(frozen=True)
class Circumstance:
    """What a candidate is tried on.

    Attributes
    ----------
    name : str
    starts : tuple of array
        The parameters.
    gradients : tuple of (array or None)
        For each step, those of the parameters.
    rates : tuple of float
        For each step, what the learning rate is multiplied by.
    groups : tuple of tuple of int
    resumed : int
        After this step the run goes on in a new optimizer; 0 for never.
    needs : str
        What the candidate must allow.
    """

    name: str
    starts: tuple[Array, ...]
    gradients: tuple[tuple[Array | None, ...], ...]
    rates: tuple[float, ...]
    groups: tuple[tuple[int, ...], ...] = ((0,),)
    resumed: int = 0
    needs: str = ""

    def probes(self) -> Iterator[Probe]:
        """What a rule is tried on to do the same, for every parameter."""
        for i, start in enumerate(self.starts):
            steps = [t for t, row in enumerate(self.gradients) if row[i] is not None]
            grads = np.array([np.ravel(self.gradients[t][i]) for t in steps])  # type: ignore[arg-type]
            factor = next(k + 1 for k, group in enumerate(self.groups) if i in group)
            yield Probe(np.ravel(start), grads, tuple(self.rates[t] * factor for t in steps))


def of_probe(name: str, probe: Probe) -> Circumstance:
    """A probe as the circumstance of one parameter."""
    return Circumstance(name, (probe.start,), tuple((g,) for g in probe.gradients), probe.rates)


def circumstances(dtype: str, candidate: Candidate, quick: bool) -> Iterator[Circumstance]:
    """Everything that candidates are tried on; the first is what a diagnosis goes by."""
    changes = RATES in candidate.can
    sizes = scales(dtype, changes)
    yield of_probe(SIZES, sizes)
    random = np.random.default_rng(7)

    def drawn(shape: tuple[int, ...], steps: int = 12) -> list[Array]:
        scale = 10.0 ** random.integers(-6, 3, shape)
        return [np.asarray(scale * random.normal(0, 1, shape), dtype) for _ in range(steps)]

    starts = (np.asarray(0.5, dtype), np.linspace(-1, 1, 6, dtype=dtype).reshape(2, 3))
    rows = list(zip(drawn(()), drawn((2, 3)), strict=True))
    ones = (1.0,) * len(rows)
    scalar = tuple((row[0],) for row in rows)
    yield Circumstance(SCALAR, starts[:1], scalar, ones)
    both = Circumstance(GROUPS, starts, tuple(rows), ones, ((0,), (1,)), needs=GROUPS)
    yield both
    missing = tuple(
        (None if t in (0, 3, 4) else row[0], None if t == 6 else row[1])
        for t, row in enumerate(rows)
    )
    yield replace(both, name=ABSENT, gradients=missing, groups=((0, 1),), needs=ABSENT)
    yield replace(both, name=RESUME, groups=((0, 1),), resumed=5, needs=RESUME)
    steps = QUICK_STEPS if quick else LONG_STEPS
    whole = scales(dtype, False, seed=1, steps=steps)
    tame = np.arange(len(whole.start)) % 11 == 0
    part = Probe(whole.start[tame], whole.gradients[:, tame], whole.rates)
    yield of_probe(f"{steps:,} steps", part)


def observed(candidate: Candidate, circumstance: Circumstance) -> list[Steps]:
    """What a candidate does: for every parameter its values at the steps where it has a gradient.

    Raises
    ------
    Unusable
        If it raises an error, or gives back something of another shape or dtype.
    """
    with np.errstate(all="ignore"):
        return _observed(candidate, circumstance)


def _observed(candidate: Candidate, circumstance: Circumstance) -> list[Steps]:
    groups = [list(group) for group in circumstance.groups]
    rows: list[list[Steps]] = [[] for _ in circumstance.starts]
    step = 0
    try:
        going = candidate.start([np.array(p) for p in circumstance.starts], groups)
        with libraries.in_double(going.library):
            for step, grads in enumerate(circumstance.gradients, 1):
                going.step(list(grads), circumstance.rates[step - 1])
                for row, values, grad in zip(rows, going.values(), grads, strict=True):
                    row += [values] if grad is not None else []
                if step == circumstance.resumed:
                    going = going.resumed()
    except Unusable:
        raise
    except Exception as error:
        where = f"at step {step}" if step else "at its start"
        raise Unusable(f"{where} it raised {type(error).__name__}: {error}") from error
    result = []
    for row, start in zip(rows, circumstance.starts, strict=True):
        for values in row:
            if values["param"].shape != start.shape:
                raise Unusable(
                    f"a parameter of shape {start.shape} became one of {values['param'].shape}"
                )
            if values["param"].dtype != start.dtype:
                raise Unusable(f"a parameter of {start.dtype} became {values['param'].dtype}")
        names = [name for name in row[-1] if all(name in values for values in row)]
        result.append({n: np.array([v[n].ravel() for v in row]) for n in names})
    return result
