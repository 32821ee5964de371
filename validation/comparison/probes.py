"""What rules are tried on, and the runs of a rule there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.backends.memory import is_array
from optimkit.validation.comparison.departures import SCALARS
from optimkit.validation.comparison.noise import SAMPLES, Noise, ScalarNoise, noisy
from optimkit.validation.comparison.texts import Text

Array = np.ndarray[Any, Any]

DECADES = range(-30, 31, 3)
PATTERNS = ("steady", "varied", "alternating", "now and then", "once")
STARTS = (0.0, 1.0, -0.03)
STEPS = 16
RATE_CHANGES = 6  # after this step the learning rate is another, where it can be changed


@dataclass(frozen=True)
class Probe:
    """One parameter, where it begins and its gradient at every step.

    Attributes
    ----------
    start : array of n
    gradients : array of steps × n
    rates : array of steps
        What the learning rate is multiplied by at each step.
    """

    start: Array
    gradients: Array
    rates: tuple[float, ...]

    @property
    def steps(self) -> int:
        return len(self.gradients)


@lru_cache(maxsize=8)
def scales(dtype: str, scheduled: bool = True, seed: int = 0, steps: int = STEPS) -> Probe:
    """Gradients of every size from 1e-30 to 1e30, in several patterns, and denormal ones."""
    random = np.random.default_rng(seed)
    columns = [
        (10.0**decade, kind, start) for decade in DECADES for kind in PATTERNS for start in STARTS
    ]
    denormal = float(np.finfo(dtype).smallest_subnormal)
    columns += [(denormal * 1000, kind, 0.0) for kind in PATTERNS]
    shape = (steps, len(columns))
    size = np.array([size for size, _, _ in columns])
    kinds = np.array([PATTERNS.index(kind) for _, kind, _ in columns])
    varied = np.exp(random.normal(0, 1, shape)) * np.where(random.random(shape) < 0.3, -1, 1)
    turns = np.where(np.arange(steps) % 2, -1.0, 1.0)[:, None] * random.uniform(0.5, 2, shape)
    seldom = np.where(random.random(shape) < 0.4, random.normal(0, 1, shape), 0.0)
    once = np.where(np.arange(steps) == 0, 1.0, 0.0)[:, None] * random.uniform(0.5, 2, shape)
    steady = random.uniform(0.9, 1.1, shape)
    factor = np.select([kinds == i for i in range(5)], [steady, varied, turns, seldom, once])
    with np.errstate(over="ignore", under="ignore"):
        gradients = (size * factor).astype(dtype)
    start = np.array([start for _, _, start in columns], dtype)
    rates = tuple(0.5 if scheduled and t >= RATE_CHANGES else 1.0 for t in range(steps))
    return Probe(start, gradients, rates)


@dataclass
class Run:
    """What came of a probe.

    Attributes
    ----------
    values : dict
        The parameter, called ``"param"``, and each array of its state: steps × n.
    """

    values: dict[str, Array] = field(default_factory=dict)

    @property
    def param(self) -> Array:
        return self.values["param"]

    @classmethod
    def of(cls, steps: list[dict[str, Array]]) -> Run:
        """From the values after each step; a value that is not there at all steps is left out."""
        names = [name for name in steps[0] if all(name in step for step in steps)]
        return cls({name: np.array([step[name] for step in steps]) for name in names})


def run(
    update: Callable[..., Any],
    optimizer: type[ok.Optimizer],
    hyper: SimpleNamespace,
    probe: Probe,
    noise: Noise | None = None,
    scalars: ScalarNoise | None = None,
) -> Run:
    """Run a rule.

    Raises
    ------
    ArithmeticError
        If one of its numbers overflows or divides by zero.
    """
    param: Any = probe.start
    if noise:
        param = noisy(np.repeat(param[None], SAMPLES, 0), noise)
    done = []
    with np.errstate(all="ignore"):
        hyper = SimpleNamespace(**vars(hyper))
        rate = hyper.lr
        hyper.lr = rate * probe.rates[0]
        state = optimizer.init(np, param, hyper)
        for t in range(probe.steps):
            if noise:
                noise.begin(t)
            if scalars:
                scalars.begin(t)
            hyper.lr = rate * probe.rates[t]
            grad: Any = probe.gradients[t]
            if noise:
                grad = noisy(np.repeat(grad[None], SAMPLES, 0), noise)
            param, state = update(np, param, grad, state, hyper, t + 1)
            arrays = {k: np.asarray(v) for k, v in state.items() if is_array(v)}
            done.append({"param": np.asarray(param)} | arrays)
    return Run.of(done)


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
        noise = Noise(self.probe.start.shape, self.probe.start.dtype)
        function = self.text.function()
        samples = run(function, self.text.optimizer, self.hyper, self.probe, noise).values
        others = [samples[name].swapaxes(0, 1) for name in samples]
        farthest = {name: list(x) for name, x in zip(samples, others, strict=True)}
        if self.probe.start.dtype == np.float64:  # in which numbers round as arrays do
            for made in self._moved(2.0**-52, 3):
                for name, value in made.values.items():
                    farthest[name].append(value)
        spreads = {}
        with np.errstate(all="ignore"):
            for name, reference in self.reference.values.items():
                far = np.abs(np.array(farthest[name]) - reference).max(0)
                spreads[name] = MARGIN * (far + np.abs(np.spacing(reference)))
        return spreads, noise.edge

    def _moved(self, unit: float, samples: int) -> Iterator[Run]:
        """Runs whose numbers are moved by so much; those that fail, where nothing can be said."""
        moved = next(iter(SCALARS.applied(self.text)))
        for seed in range(samples):
            source = ScalarNoise(seed, unit)
            function = moved.function(scalar32=source)
            try:
                yield run(function, moved.optimizer, self.hyper, self.probe, scalars=source)
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
        farthest = np.zeros_like(self.operations)
        for made in self._moved(2.0**-24, SCALAR_SAMPLES):
            with np.errstate(all="ignore"):
                farthest = np.fmax(farthest, np.abs(made.param - self.reference.param))
        result: Array = self.operations + MARGIN * farthest
        return result
