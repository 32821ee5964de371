"""What rules do on a probe, and how far apart correct implementations of one may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

import optimkit as ok
from optimkit import rounding
from optimkit.backends.memory import is_array
from optimkit.validation.comparison.departures import (
    COMPUTED,
    SCALARS,
    UNROUNDED,
    Departure,
)
from optimkit.validation.comparison.noise import (
    SAMPLES,
    Noise,
    NoisyArray,
    ScalarNoise,
    noisy,
)
from optimkit.validation.comparison.probes import Array, Probe
from optimkit.validation.comparison.texts import Text

Rule = Callable[..., Any]


@dataclass
class Run:
    """What came of a probe.

    Attributes
    ----------
    values : dict
        The parameter, called ``"param"``, and each array of its state that there is at all steps:
        steps × n.
    """

    values: dict[str, Array] = field(default_factory=dict)

    @property
    def param(self) -> Array:
        return self.values["param"]

    @classmethod
    def of(cls, steps: list[dict[str, Array]]) -> Run:
        """From the values after each step; a value that is not there at all steps is left out."""
        names = [name for name in steps[0] if all(name in step for step in steps)]
        alike = [n for n in names if len({step[n].shape for step in steps}) == 1]
        return cls({name: np.array([step[name] for step in steps]) for name in alike})

    @classmethod
    def joined(cls, parts: list[Run]) -> Run:
        """Those of several parameters as one; each value as one row a step."""
        names = [name for name in parts[0].values if all(name in part.values for part in parts)]
        flat = [{n: part.values[n].reshape(len(part.param), -1) for n in names} for part in parts]
        return cls({name: np.concatenate([part[name] for part in flat], 1) for name in names})


def run(
    rule: Rule,
    optimizer: type[ok.Optimizer],
    hyper: SimpleNamespace,
    probe: Probe,
    scalars: ScalarNoise | None = None,
) -> Run:
    """Run a rule.

    Raises
    ------
    ArithmeticError
        If one of its numbers overflows or divides by zero.
    """
    one = _Parameter(rule, optimizer, hyper, probe, scalars)
    if not probe.shapes:
        return one.run(probe.start, probe.gradients)
    return Run.joined([one.part(i, part, shape) for i, (part, shape) in enumerate(probe.parts())])


def sampled(
    rule: Rule, optimizer: type[ok.Optimizer], hyper: SimpleNamespace, probe: Probe
) -> tuple[list[Run], Array]:
    """Runs of a rule whose results are moved at random, and where order decides what is lost."""
    one = _Parameter(rule, optimizer, hyper, probe)
    if not probe.shapes:
        noise = Noise(probe.start.shape)
        values = one.run(probe.start, probe.gradients, noise).values
        return [Run({n: x[:, i] for n, x in values.items()}) for i in range(SAMPLES)], noise.edge
    runs, edges = [], np.zeros(probe.start.shape, bool)
    for sample in range(0, SAMPLES, 2 if probe.losses else 1):
        done = []
        for i, (part, shape) in enumerate(probe.parts()):
            noise = Noise(shape, seed=sample, sample=sample)
            done.append(one.part(i, part, shape, noise))
            edges[part] |= noise.edge.ravel()
        runs.append(Run.joined(done))
    return runs, edges


@dataclass
class _Parameter:
    """A rule, ready to run on one parameter."""

    rule: Rule
    optimizer: type[ok.Optimizer]
    hyper: SimpleNamespace
    probe: Probe
    scalars: ScalarNoise | None = None

    def part(self, i: int, part: slice, shape: tuple[int, ...], noise: Noise | None = None) -> Run:
        """On one of several."""
        start = self.probe.start[part].reshape(shape)
        if self.probe.losses:
            return self.search(start, self.probe.losses[i], noise)
        return self.run(start, self.probe.gradients[:, part].reshape(-1, *shape), noise)

    def run(self, start: Array, gradients: Array, noise: Noise | None = None) -> Run:
        """With given gradients."""
        given = noise.given if noise else np.array  # of which a rule may use up the memory
        param: Any = given(start)
        done = []
        with np.errstate(all="ignore"):
            hyper = SimpleNamespace(**vars(self.hyper))
            rate = getattr(hyper, "lr", 1.0)
            hyper.lr = rate * self.probe.rates[0]
            state = self.optimizer.init(np, param, hyper)
            for t in range(self.probe.steps):
                self._begin(noise, t)
                hyper.lr = rate * self.probe.rates[t]
                before = {"param": param, **state}
                param, state = self.rule(np, param, given(gradients[t]), state, hyper, t + 1)
                if self.probe.touched is not None:
                    param = _where(self.probe.touched[t], param, before["param"])
                    state = {k: _where(self.probe.touched[t], v, before[k]) for k, v in state.items()}
                arrays = {k: np.array(v) for k, v in state.items() if is_array(v)}
                done.append({"param": np.array(param)} | arrays)
        return Run.of(done)

    def search(self, start: Array, loss: Any, noise: Noise | None = None) -> Run:
        """With a loss that it evaluates."""
        x: Any = noise.given(start) if noise else start
        state: dict[str, Any] = {}
        done = []
        with np.errstate(all="ignore"):
            for t in range(self.probe.steps):
                self._begin(noise, t)
                x, state, _ = self.rule(np, x, loss, state, self.hyper)
                done.append({"param": np.array(x)})
        return Run.of(done)

    def _begin(self, noise: Noise | None, step: int) -> None:
        if noise:
            noise.begin(step)
        if self.scalars:
            self.scalars.begin(step)


def _where(touched: Array, new: Any, old: Any) -> Any:
    """What a step makes of the touched elements, and the others as they were."""
    if not is_array(new):
        return new
    result = old.copy()
    result[..., touched] = new[..., touched]
    return result


MARGIN = 8  # a correct implementation may be this much farther off than the samples
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
        for text in UNROUNDED.applied(self.text):  # how far bfloat16 moves it, at least
            runs.append(run(text.function(), text.optimizer, self.hyper, self.probe))
        if self.probe.start.dtype == np.float64:  # in which numbers round as arrays do
            runs += self._moved(COMPUTED, 2.0**-52, 3)
        spreads = {}
        with np.errstate(all="ignore"):
            for name, reference in self.reference.values.items():
                values = [made.values[name] for made in runs if name in made.values]
                far = farthest(values, reference)
                spreads[name] = MARGIN * (far + np.abs(np.spacing(reference)))
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
