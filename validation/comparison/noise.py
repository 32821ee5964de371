"""How far rounding alone can move a rule: its operations, each moved by a bit at random.

A correct implementation may do its operations in another order, and every order rounds in its own
way. So a rule is run on arrays that move each result to a neighbouring number, now and then; what
these runs spread over is what rounding can do, however the rule amplifies it. In half of the runs
the direction is the same at every step, as that of a rounded number is; in the others it changes.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from optimkit.rounding import float32

SAMPLES = 8
PERIOD = 4  # steps after which changing directions come again
# What IEEE 754 computes without rounding.
_EXACT = {np.negative, np.absolute, np.sign, np.maximum, np.minimum, np.positive, np.isnan}
_SPAN = 2.0**20  # near the ends of the range by this factor, the order decides what is lost
_HALF_SPAN = 2.0**4  # of float16, whose range is no wider than 2^40


class Noise:
    """Where noisy arrays have their noise from; `begin` says which step it is for.

    Parameters
    ----------
    shape : tuple of int
        Of the parameter.
    seed : int
    sample : int, optional
        Which of `SAMPLES` this is, of a rule that works on whole arrays; else all of them are
        computed at once, along a first axis.
    """

    def __init__(self, shape: tuple[int, ...], seed: int = 0, sample: int | None = None) -> None:
        self.sample = sample
        self.generator = np.random.default_rng(seed)
        self.drawn: list[Any] = []
        self.begin(0)
        self.edge = np.zeros(shape, bool)  # where a result was near the ends of the range

    def given(self, array: Any) -> NoisyArray:
        """What a rule is given: an array whose arithmetic is noisy."""
        alone = self.sample is not None
        return noisy(np.array(array) if alone else np.repeat(array[None], SAMPLES, 0), self)

    def begin(self, step: int) -> None:
        """Begin a step."""
        self.count, self.phase = 0, step % PERIOD

    def next(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Factors of 1 and its neighbours, for the next operation of a step."""
        if self.count == len(self.drawn):
            self.drawn.append(None)
        drawn = self.drawn[self.count]
        if drawn is None or drawn.shape[1:] != shape or drawn.dtype != dtype:
            units = self.generator.integers(-1, 2, (PERIOD, *shape)).astype(dtype)
            steady: Any = slice(SAMPLES // 2)  # samples, of which this may be one
            if self.sample is None:
                units[:, steady] = units[0, steady]
            elif self.sample < SAMPLES // 2:
                units[:] = units[0]
            drawn = self.drawn[self.count] = 1 + units * limits(dtype).eps
        self.count += 1
        return drawn[self.phase]

    def vanished(self, factors: list[Any]) -> None:
        """Factors of which a number is 0: where another is large, the square of that one is not a
        number in another order."""
        for x in factors:
            if isinstance(x, np.ndarray) and (large := ~(np.abs(x) <= limits(x.dtype).root)).any():
                self._mark(large)

    def _mark(self, odd: Any) -> None:
        alike = odd.shape[odd.ndim - self.edge.ndim :] == self.edge.shape
        self.edge |= odd.reshape(-1, *self.edge.shape).any(0) if alike else True

    def moved(self, result: Any) -> Any:
        """A result, moved."""
        if self.sample:  # the first sample has told where the ends of the range are near
            return result * self.next(result.shape, result.dtype)
        size, ends = np.abs(result), limits(result.dtype)
        odd = ((size < ends.low) & (size > 0)) | ~(size <= ends.high)
        if odd.any():
            self._mark(odd)
        return result * self.next(result.shape, result.dtype)


@cache
def limits(dtype: Any) -> SimpleNamespace:
    """The machine epsilon of a dtype, and where its range begins to end."""
    found = np.finfo(dtype)
    span = _HALF_SPAN if found.bits == 16 else _SPAN
    low, high = float(found.tiny) * span, float(found.max) / span
    return SimpleNamespace(eps=found.eps, low=low, high=high, root=high**0.5)


class NoisyArray(np.ndarray[Any, Any]):
    """An array whose arithmetic is noisy; all samples are computed at once."""

    noise: Noise

    def __array_finalize__(self, other: Any) -> None:
        if other is not None:
            self.noise = getattr(other, "noise", None)  # type: ignore[assignment]

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain: list[Any] = []
        for x in inputs:
            if type(x) is NoisyArray:
                noise, x = x.noise, x.view(np.ndarray)
            plain.append(x)
        out = kwargs.pop("out", None)
        result = getattr(ufunc, method)(*plain, **kwargs)
        if ufunc is np.multiply and any(isinstance(x, float) and x == 0 for x in plain):
            noise.vanished(plain)
        if result.dtype.kind == "f" and ufunc not in _EXACT:
            result = noise.moved(result)
        if out is not None:
            out[0].view(np.ndarray)[...] = result
            return out[0]
        return noisy(result, noise)


def noisy(array: Any, noise: Noise) -> NoisyArray:
    """An array as one whose arithmetic is noisy."""
    result = np.asarray(array).view(NoisyArray)
    result.noise = noise
    return result


class ScalarNoise:
    """Moves numbers by a part of their size, each at random.

    Without more, by that of float32, in which some numbers are what they are, and stay so.
    """

    def __init__(self, seed: int, unit: float = 2.0**-24) -> None:
        self.unit = unit
        self.generator, self.steady = np.random.default_rng(seed), seed % 2 == 0
        self.drawn: list[Any] = []
        self.begin(0)

    def begin(self, step: int) -> None:
        """Begin a step."""
        self.count, self.phase = 0, 0 if self.steady else step % PERIOD

    def __call__(self, x: Any) -> Any:
        """A number moved, and those of a tuple; an array as it is."""
        if type(x) is tuple:
            return tuple(map(self, x))
        if type(x) is not float or (self.unit > 2.0**-30 and x == float32(x)):
            return x
        if self.count == len(self.drawn):
            self.drawn.append((1 + self.generator.choice((-1, 1), PERIOD) * self.unit).tolist())
        self.count += 1
        return x * self.drawn[self.count - 1][self.phase]
