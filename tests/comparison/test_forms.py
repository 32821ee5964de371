"""The forms in which people write a step, the names of its arguments and of its options."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from optimkit.validation import cli, compare
from optimkit.validation.comparison.candidates import Unusable
from optimkit.validation.comparison.reading import ALIASES, PAIRS

IN_DOUBLE: Any = {"quick": True, "dtypes": ("float64",)}
PAGE = (ROOT / "docs" / "guides" / "compare.md").read_text("utf-8")


def lists(params: Any, grads: Any, state: Any, lr: float = 0.1, momentum: float = 0.9) -> Any:
    v = state.setdefault("v", [0 * p for p in params])
    for i, grad in enumerate(grads):
        v[i] = momentum * v[i] + grad
        params[i] = params[i] - lr * v[i]
    return params, state


def lists_of_none(grads: Any, params: Any, state: Any, lr: float = 0.1) -> Any:
    state = [0 * p for p in params] if state is None else state
    state = [0.9 * v + g for v, g in zip(state, grads, strict=True)]
    return [p - lr * v for p, v in zip(params, state, strict=True)], state


def mappings(params: Any, grads: Any, state: Any, lr: float = 0.1) -> Any:
    new = {}
    for name in grads:
        state[name] = 0.9 * state.get(name, 0) + grads[name]
        new[name] = params[name] - lr * state[name]
    return {**params, **new}, state


def counted(params: Any, grads: Any, state: Any, step: int, lr: float = 0.1) -> Any:
    held = [0 * p for p in params] if step == 1 else state
    held = [0.9 * v + g for v, g in zip(held, grads, strict=True)]
    return [p - lr * v for p, v in zip(params, held, strict=True)], held


def alone(param: Any, grad: Any, state: Any, lr: float = 0.1) -> Any:
    v = 0.9 * state.get("v", 0) + grad
    return param - lr * v, {"v": v}


def other_order(grad: Any, param: Any, state: Any, step: int, lr: float = 0.1) -> Any:
    return alone(param, grad, state, lr)


def generator(params: Any, lr: float = 0.1) -> Any:
    v = [0 * p for p in params]
    while True:
        grads = yield params
        v = [0.9 * old + g for old, g in zip(v, grads, strict=True)]
        params = [p - lr * new for p, new in zip(params, v, strict=True)]


def closure(lr: float = 0.1) -> Any:
    kept: dict[int, Any] = {}

    def step(params: Any, grads: Any) -> None:
        for i, grad in enumerate(grads):
            kept[i] = 0.9 * kept.get(i, 0) + grad
            params[i] = params[i] - lr * kept[i]

    return step


class Flat:
    def __init__(self, n: int, lr: float = 0.1) -> None:
        self.lr, self.v = lr, [0.0] * n

    def update(self, x: Any, g: Any) -> Any:
        assert x.ndim == 1
        self.v = 0.9 * np.asarray(self.v, x.dtype) + g
        return x - self.lr * self.v


class Numbered:
    v: Any = 0

    def __init__(self, lr: float = 0.1) -> None:
        self.lr = lr

    def update(self, t: int, w: Any, dw: Any) -> Any:
        self.v = 0.9 * self.v + dw if t > 1 else dw
        return w - self.lr * self.v


def of_course(w: Any, dw: Any, config: Any = None) -> Any:
    config = {} if config is None else config
    config.setdefault("learning_rate", 0.1)
    config.setdefault("momentum", 0.9)
    v = config["momentum"] * config.get("velocity", 0) + dw
    config["velocity"] = v
    return w - config["learning_rate"] * v, config


FORMS = {
    lists: "a function (params, grads, state) of lists",
    lists_of_none: "a function (grads, params, state) of lists",
    mappings: "a function (params, grads, state) of mappings by name",
    counted: "a function (params, grads, state, step) of lists",
    alone: "a function of one step",
    other_order: "a function of one step",
    generator: "a generator that is sent gradients",
    closure: "a function that makes a step",
    Flat: "a class with a step",
    Numbered: "a class with a step",
    of_course: "a function (w, dw, config)",
}


@pytest.mark.parametrize("candidate", FORMS, ids=lambda x: x.__name__)
def test_momentum_in_this_form(candidate: Any) -> None:
    found = compare(candidate, "SGD", **IN_DOUBLE, momentum=0.9)
    assert found.same, [(x.circumstance, x.verdict) for x in found.findings]
    assert found.kind == FORMS[candidate]
    assert found.options["lr"] == 0.1
    assert sum(finding.tried for finding in found.findings) >= 4


def test_a_step_without_state() -> None:
    def in_place(params: Any, grads: Any, lr: float = 0.1) -> None:
        for param, grad in zip(params, grads, strict=True):
            param -= lr * grad

    def returned(w: Any, g: Any, lr: float = 0.1) -> Any:
        return w - lr * g

    for candidate in (in_place, returned):
        assert compare(candidate, "SGD", **IN_DOUBLE).same


def test_options_in_a_config_are_understood() -> None:
    def rmsprop(w: Any, dw: Any, config: Any = None) -> Any:
        for name, value in {"learning_rate": 0.02, "decay_rate": 0.9, "epsilon": 1e-6}.items():
            config.setdefault(name, value)
        config["cache"] = config["decay_rate"] * config.get("cache", 0)
        config["cache"] += (1 - config["decay_rate"]) * dw**2
        root = np.sqrt(config["cache"]) + config["epsilon"]
        return w - config["learning_rate"] * dw / root, config

    found = compare(rmsprop, "RMSprop", **IN_DOUBLE)
    assert found.same
    assert found.adopted == {"lr": 0.02, "alpha": 0.9, "eps": 1e-6}
    groups = next(f for f in found.findings if f.circumstance == "several groups")
    assert groups.tried
    assert compare(rmsprop, "RMSprop", **IN_DOUBLE, alpha=0.5).same


def test_absent_gradients_are_left_out_of_mappings() -> None:
    class Skips:
        def __init__(self, lr: float = 0.1) -> None:
            self.lr = lr

        def update(self, params: Any, grads: Any) -> None:
            for name in grads:
                params[name] -= self.lr * grads[name]

    found = compare(Skips, "SGD", **IN_DOUBLE)
    assert next(f for f in found.findings if f.circumstance == "absent gradients").tried


def test_names_that_are_not_known_are_called_in_order_and_that_is_said() -> None:
    def unknown(a: Any, b: Any, c: Any, d: Any, lr: float = 0.1) -> Any:
        return a - lr * b, c

    found = compare(unknown, "SGD", **IN_DOUBLE)
    assert found.same
    assert "called with (param, grad, state, step) as its (a, b, c, d)" in found.kind
    with pytest.raises(Unusable, match=r"it was called with \(param, grad, state, step\) as its"):
        compare(lambda params, grads, m, v: m["x"], "SGD")


# ---------------------------------------------------------------- what is said of what fails


class Needs:
    def __init__(self, params: Any, n_steps: int, lr: float = 0.1) -> None:
        self.params = params

    def step(self, grads: Any) -> None:
        raise AttributeError("nothing here")


def test_a_missing_argument_comes_with_advice() -> None:
    with pytest.raises(Unusable, match=r"def made\(params, lr\): return Needs\(params, 100, lr\)"):
        compare(Needs, "SGD")


def test_an_error_has_its_file_and_line() -> None:
    with pytest.raises(Unusable, match=r"AttributeError: nothing here \(test_forms.py, line \d+"):
        compare(lambda params, lr=0.1: Needs(params, 100, lr), "SGD")

    def third(param: Any, grad: Any, state: Any, step: int) -> Any:
        return {1: param, 2: param}[step], state

    with pytest.raises(Unusable, match=r"at step 3 it raised KeyError: 3 \(test_forms.py, line"):
        compare(third, "SGD")


def test_a_compiled_function_is_told_of_its_state() -> None:
    jax = pytest.importorskip("jax")
    compiled = jax.jit(lambda param, grad, state, step, lr=0.1: (param - lr * grad, state["m"]))
    with pytest.raises(Unusable, match=r"around a function that is compiled, step\(param, grad, s"):
        compare(compiled, "SGD")


@pytest.mark.parametrize(
    ("option", "answer"),
    [
        ("l2=0.1", "Adam calls it weight_decay; give --option weight_decay=0.1"),
        ("learning_rate=0.1", "Adam calls it lr; give --option lr=0.1"),
        ("beta_1=0.5", "Adam calls it betas; give --option betas=A,B"),
        ("lrr=0.1", "no NAME=VALUE of Adam; did you mean lr?"),
    ],
)
def test_the_name_that_a_rule_has_for_an_option(
    option: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["compare", f"{__file__}:alone", "Adam", "--option", option]) == 2
    assert f"--option {option}: {answer}" in capsys.readouterr().err


# ---------------------------------------------------------------- the page


def test_the_page_has_every_name_of_an_option() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (`.+`) \|$", PAGE, re.MULTILINE))
    names = {own: {*others} for own, others in ALIASES.items()}
    for own, pairs in PAIRS.items():
        names[own] = names.get(own, set()) | {" and ".join(pair) for pair in pairs}
    written = {own: {x.strip("`") for x in text.split(", ")} for own, text in rows.items()}
    assert {own: {y.replace("`", "") for y in x} for own, x in written.items()} == names
