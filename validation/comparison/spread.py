"""How far apart correct implementations of a rule may be, which is measured."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

from optimkit import rounding
from optimkit.validation.comparison.departure import Departure
from optimkit.validation.comparison.noise import NoisyArray, ScalarNoise, noisy
from optimkit.validation.comparison.probes import Array, Probe
from optimkit.validation.comparison.roundings import COMPUTED, SCALARS, UNROUNDED
from optimkit.validation.comparison.runs import Run, run, sampled
from optimkit.validation.comparison.texts import Text

MARGIN = 8  # a correct implementation may be this much farther off than the samples
# A search amplifies rounding from step to step, by a factor that samples tell but roughly.
SEARCH_MARGIN = 64
LASTING = 0.25  # of the most that any element is moved by: products of matrices carry it on
SCALAR_SAMPLES = 8


class Spread:
    """How far apart correct implementations of a rule may be, for every value of a probe.

    Attributes
    ----------
    operations, scalars : array of steps × n
        By the order of operations; by float32 in place of float64 for numbers that are no arrays.
    edge : array of n
        Where the order decides, since something comes near the ends of the range.
    """

    def __init__(self, text: Text, hyper: SimpleNamespace, probe: Probe, reference: Run) -> None:
        self.text, self.hyper, self.probe, self.reference = text, hyper, probe, reference

    @cached_property
    def _sampled(self) -> tuple[dict[str, Array], Array]:
        function = self.text.function(**_exact(self.text))
        runs, edge = sampled(function, self.text.optimizer, self.hyper, self.probe)
        unrounded = [*UNROUNDED.applied(self.text)]
        for text in unrounded:  # how far bfloat16 moves it, at least
            runs.append(run(text.function(), text.optimizer, self.hyper, self.probe))
        if self.probe.start.dtype == np.float64:  # in which numbers round as arrays do
            runs += self._moved(COMPUTED, 2.0**-52, 1 if self.probe.losses else 3)
        spreads = {}
        with np.errstate(all="ignore"):
            for name, reference in self.reference.values.items():
                values = [made.values[name] for made in runs if name in made.values]
                far = farthest(values, reference)
                if unrounded and name == "param":  # what it was once moved by stays
                    inside = far[:, ~edge & np.isfinite(far).all(0)]
                    most = np.maximum.accumulate(inside.max(1, initial=0.0))
                    far = np.maximum(far, LASTING * most[:, None])
                margin = SEARCH_MARGIN if self.probe.losses else MARGIN
                spreads[name] = margin * (far + np.abs(np.spacing(reference)))
        return spreads, edge

    def _moved(self, numbers: Departure, unit: float, samples: int) -> Iterator[Run]:
        """Runs whose numbers are moved by so much; those that fail, where nothing can be said."""
        moved = next(iter(numbers.applied(self.text)), None)
        for seed in range(samples if moved else 0):
            assert moved is not None
            source = ScalarNoise(seed, unit)
            function = moved.function(scalar32=source)
            try:
                yield run(function, moved.optimizer, self.hyper, self.probe, source)
            except ArithmeticError:  # what it divides by is nothing but rounding
                nothing = {n: np.full_like(x, np.inf) for n, x in self.reference.values.items()}
                yield Run(nothing)

    @property
    def operations(self) -> Array:
        return self._sampled[0]["param"]

    def of(self, name: str) -> Array:
        """By the order of operations, of the parameter or of an array of its state."""
        return self._sampled[0][name]

    @property
    def edge(self) -> Array:
        return self._sampled[1]

    @cached_property
    def scalars(self) -> Array:
        values = [made.param for made in self._moved(SCALARS, 2.0**-24, SCALAR_SAMPLES)]
        if not values:
            return self.operations
        with np.errstate(all="ignore"):
            far = farthest(values, self.reference.param)
        result: Array = self.operations + MARGIN * far
        return result


def _exact(text: Text) -> dict[str, Any]:
    """What rounds to bfloat16, without noise: its results are farther apart than that."""

    def quiet(function: Any) -> Any:
        def exactly(*arguments: Any) -> Any:
            noise = next((x.noise for x in arguments if isinstance(x, NoisyArray)), None)
            plain = [np.array(x) if isinstance(x, NoisyArray) else x for x in arguments]
            result = function(*plain)
            return result if noise is None else noisy(result, noise)

        return exactly

    known = {name: getattr(rounding, name) for name in ("bfloat16", "rounded", "add_product")}
    return {name: quiet(x) for name, x in known.items() if text.uses(x)}


def farthest(values: list[Array], reference: Array) -> Array:
    """How far values are from a reference at most; infinitely where one of them is no number."""
    values_, unknown = np.array(values), np.isnan(reference)
    far = np.abs(values_ - reference)
    far[np.isnan(far)] = np.inf
    far[(values_ == reference) | (np.isnan(values_) & unknown)] = 0
    result: Array = far.max(0)
    return result
