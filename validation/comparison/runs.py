"""What rules do on a probe, as they are written and with noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.backends.memory import is_array
from optimkit.validation.comparison.noise import (
    SAMPLES,
    Noise,
    ScalarNoise,
)
from optimkit.validation.comparison.probes import Array, Probe

Rule = Callable[..., Any]
LONG = 100  # steps of whole arrays


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
        """From the values after each step; a value that is not there at all steps is left out.

        Raises
        ------
        ArithmeticError
            If the parameter changes its shape on the way, as under a rule that makes no sense.
        """
        names = [name for name in steps[0] if all(name in step for step in steps)]
        alike = [n for n in names if len({step[n].shape for step in steps}) == 1]
        if "param" not in alike:
            raise ArithmeticError("a step changes the shape of the parameter")
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
    few = probe.losses or probe.steps > LONG  # which take long: half of each kind
    for sample in range(0, SAMPLES, 2 if few else 1):
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
                number = self.probe.numbers[t] if self.probe.numbers else t + 1
                param, state = self.rule(np, param, given(gradients[t]), state, hyper, number)
                if self.probe.own and not self.probe.own[t]:
                    param = before["param"]
                    continue
                if self.probe.touched is not None:
                    param = _where(self.probe.touched[t], param, before["param"])
                    state = {
                        k: _where(self.probe.touched[t], v, before[k]) for k, v in state.items()
                    }
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
