"""The pages where rules run: the script of a page gives the bits of the eager engine."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from decimal import Decimal, localcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

import optimkit as ok
from optimkit.backends.trace import NotTraceable
from optimkit.validation.reference.cases import cases_of
from optimkit.validation.reference.problems import PROBLEMS

pytest.importorskip("py_mini_racer", reason="optimkit[docs] is not installed")

from generate import playground_engine as engine
from generate.playground_controls import controls
from generate.playground_problems import LANDSCAPES, noise
from generate.playground_rule import adjustable, flat, record
from generate.playground_walks import walk

from optimkit.validation.explain.subjects import optimizers

STEPS = 40


def recorded() -> dict[str, dict[str, Any]]:
    found = {}
    for name, cls in optimizers().items():
        try:
            found[name] = record(cls)
        except NotTraceable:
            continue
    return found


RULES = recorded()


def power(x: float, y: float) -> float:
    """Rounded correctly, which C's need not be."""
    with localcontext(prec=60):
        return float(Decimal(x) ** Decimal(y))


class Exact(float):
    """A number whose powers are rounded correctly; what is computed from it is one too."""

    def __pow__(self, other: Any) -> Any:
        return Exact(power(self, other))

    def __rpow__(self, other: Any) -> Any:
        return Exact(power(other, self))


def _closed(name: str) -> Callable[[Exact, Any], Any]:
    plain = getattr(float, name)

    def operator(self: Exact, other: Any) -> Any:
        known = isinstance(other, int | float)
        return Exact(plain(self, other)) if known else NotImplemented

    return operator


for _name in ("add", "sub", "mul", "truediv"):
    setattr(Exact, f"__{_name}__", _closed(f"__{_name}__"))
    setattr(Exact, f"__r{_name}__", _closed(f"__r{_name}__"))


def exact(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(map(exact, value))
    return Exact(value) if isinstance(value, float) else value


def exactly(cls: type[ok.Optimizer]) -> type[ok.Optimizer]:
    """The rule, with options whose powers are rounded correctly."""

    class Exactly(cls):  # type: ignore[valid-type,misc]
        @staticmethod
        def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
            numbers = SimpleNamespace(**{key: exact(x) for key, x in vars(hyper).items()})
            return cls.update(xp, param, grad, state, numbers, step)

    return Exactly


def settings(name: str) -> list[dict[str, Any]]:
    """Options of the table of cases, and where sliders may be."""
    cls, draw = optimizers()[name], random.Random(0)
    known = adjustable(cls)
    found = [{}, *({k: v for k, v in c.options.items() if k in known} for c in cases_of(name))]
    for _ in range(4):
        options = dict(known)
        for control in controls(cls):
            option, _, place = control["name"].partition(".")
            if control["kind"] == "switch":
                value: Any = draw.random() < 0.5
            elif control["kind"] == "fraction":
                value = 1 - 10 ** -draw.uniform(0.02, 3)
            else:
                ratio = control["high"] / control["low"]
                value = control["low"] * ratio ** draw.random()
                value = value if draw.random() < 0.7 else known[option]
            if place and not isinstance(value, tuple):
                parts = list(options[option])
                parts[int(place)] = value
                value = tuple(parts)
            options[option] = value
        try:
            cls.bind(**options)
        except ValueError:
            continue
        found.append(options)
    return found


@pytest.mark.parametrize("name", RULES)
def test_the_script_gives_the_bits_of_the_eager_engine(name: str) -> None:
    """0 ULP in float64, with powers rounded correctly on both sides."""
    cls, compared = optimizers()[name], 0
    for i, options in enumerate(settings(name)):
        for land in LANDSCAPES if i < 2 else (LANDSCAPES[i % len(LANDSCAPES)],):
            given = flat(adjustable(cls) | options)
            points, _ = engine.run(RULES[name], given, land, land.start, STEPS)
            eager = walk(exactly(cls), adjustable(cls) | options, land, steps=STEPS)
            for ours, theirs in zip(points, eager.points, strict=False):
                if None in ours:  # infinities and NaN are no JSON
                    assert not np.isfinite(theirs).all()
                    break
                assert ours == list(theirs), (land.name, options)
                compared += 1
    assert compared > 5 * STEPS


@pytest.mark.parametrize("name", RULES)
def test_sliders_stay_within_the_limits(name: str) -> None:
    cls = optimizers()[name]
    listed = controls(cls)
    assert [control["name"] for control in listed] == list(flat(adjustable(cls)))
    for control in listed:
        if control["kind"] != "switch":
            assert control["low"] < control["high"]
            lowest = 0.0 if control["zero"] else control["low"]
            assert lowest <= control["value"] <= control["high"]
            option, _, place = control["name"].partition(".")
            for value in (control["low"], control["high"]):
                whole: Any = value
                if place:
                    parts = list(adjustable(cls)[option])
                    parts[int(place)] = value
                    whole = tuple(parts)
                assert option not in cls.limits or cls.limits[option](whole)


def test_every_rule_without_sums_is_recorded() -> None:
    beside = {"Adafactor", "LBFGS", "Muon", "NonlinearCG", "SparseAdam"}
    assert set(RULES) == set(optimizers()) - beside


def test_powers_are_rounded_correctly() -> None:
    draw = random.Random(1)
    pairs = [(draw.uniform(0.01, 1), draw.randint(1, 100)) for _ in range(1000)]
    pairs += [(1 - 10 ** draw.uniform(-5, 0), draw.randint(1, 400)) for _ in range(1000)]
    pairs += [(0.96, draw.uniform(0, 5)) for _ in range(500)]
    pairs += [(draw.uniform(1, 3), draw.uniform(-1, 1)) for _ in range(500)]
    pairs += [(draw.uniform(0, 2), 0.5) for _ in range(500)]
    for x, y in pairs:
        if power(x, y) > 1e-290:
            assert engine.call("power", x, y) == power(x, y), (x, y)


@pytest.mark.parametrize(("x", "y"), [(0.0, 3), (0.5, 0), (1.0, 7), (0.0, 0), (1e-300, 0.5)])
def test_powers_at_the_edges(x: float, y: float) -> None:
    assert engine.call("power", x, y) == pytest.approx(x**y, rel=1e-15)


def test_options_that_contradict_one_another_are_named() -> None:
    """In the words of the optimizer itself."""
    options = {"lr": 0.1, "momentum": 0.5, "dampening": 0.25, "nesterov": True}
    with pytest.raises(ValueError, match="Nesterov") as error:
        ok.SGD.bind(**options)
    given = flat(adjustable(ok.SGD) | options)
    assert engine.call("complaint", RULES["SGD"], given) == str(error.value)
    assert engine.call("complaint", RULES["SGD"], given | {"dampening": 0}) == ""


@pytest.mark.parametrize("land", LANDSCAPES, ids=lambda land: land.name)
def test_the_gradient_is_that_of_the_value(land: Any) -> None:
    draw = random.Random(2)
    for _ in range(20):
        x, y = draw.uniform(*land.window[:2]), draw.uniform(*land.window[2:])
        _, gradient = land.function(x, y, 0.0, 0.0)
        by_complex_step = (land.at(x + 1e-30j, y).imag / 1e-30, land.at(x, y + 1e-30j).imag / 1e-30)
        assert gradient == pytest.approx(by_complex_step, rel=1e-9, abs=1e-9)
        found = engine.call("evaluate", land.recorded(), [x, y], noise()[0])
        assert found == [land.at(x, y), list(land.function(x, y, *noise()[0])[1])]
    for minimum in land.minima:
        assert land.at(*minimum) == pytest.approx(land.lowest, abs=1e-15)
        assert land.function(*minimum, 0.0, 0.0)[1] == pytest.approx((0, 0), abs=1e-12)


@pytest.mark.parametrize("name", ["rosenbrock", "beale"])
def test_landscapes_are_the_problems_of_that_name(name: str) -> None:
    land = next(land for land in LANDSCAPES if land.name == name)
    value, gradient = PROBLEMS[name].evaluate(np.array([0.3, -0.7]))
    found = land.function(0.3, -0.7, 0.0, 0.0)
    assert found[0] == pytest.approx(value, rel=1e-13)
    assert found[1] == pytest.approx(tuple(gradient), rel=1e-13)


def test_the_scripts_are_small() -> None:
    scripts = sorted((ROOT / "docs" / "_static").glob("playground*.js"))
    assert len(scripts) == 2
    assert sum(script.stat().st_size for script in scripts) < 20_000


@pytest.mark.parametrize("name", ["playground.js", "playground_rule.js", "optimizer.js"])
def test_a_script_is_javascript(name: str) -> None:
    text = (ROOT / "docs" / "_static" / name).read_text(encoding="utf-8")
    assert engine.parses(text)
    assert not engine.parses(text + "}")


def test_a_rule_with_too_many_ways_is_refused() -> None:
    class Maze(ok.Optimizer):
        def __init__(self, params: Any, lr: float = 0.1) -> None:
            super().__init__(params, dict(lr=lr))

        @staticmethod
        def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
            for i in range(20):
                param = param - grad * (hyper.lr if step > i + 2 * hyper.lr else i)
            return param, {}

    with pytest.raises(NotTraceable, match="ways through the rule"):
        record(Maze)


def test_a_condition_follows_the_options() -> None:
    """Of a rule that was never seen: Python's `if`, `max` and a state that comes later."""

    class Late(ok.Optimizer):
        def __init__(self, params: Any, lr: float = 0.1, wait: float = 3.0) -> None:
            super().__init__(params, dict(lr=lr, wait=wait))

        @staticmethod
        def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
            if step <= hyper.wait:
                return param - hyper.lr * grad, {}
            mean = grad if "mean" not in state else 0.9 * state["mean"] + 0.1 * grad
            return param - max(hyper.lr, 1 / step) * mean, {"mean": mean}

    rule, land = record(Late), LANDSCAPES[3]
    for options in ({"lr": 0.1, "wait": 3.0}, {"lr": 0.02, "wait": 0.0}, {"lr": 0.3, "wait": 50.0}):
        points, _ = engine.run(json.loads(json.dumps(rule)), options, land, land.start, 30)
        eager = walk(Late, options, land, steps=30)
        assert points == [list(point) for point in eager.points]
