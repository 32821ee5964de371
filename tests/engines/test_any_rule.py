"""Rules of any kind: what they may call their state, and do with it."""

from __future__ import annotations

import keyword
from typing import Any

import numpy as np
import pytest
from trials import after, random

import optimkit as ok


class Anything(ok.Optimizer):
    """A rule given as a function of the parameter, the gradient and the state."""

    def __init__(self, params: Any, rule: Any, start: Any = None, **options: Any) -> None:
        super().__init__(params, dict(rule=rule, start=start, **options))

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {} if hyper.start is None else hyper.start(xp, param)

    @staticmethod
    def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
        return hyper.rule(xp, param, grad, state)


UGLY = ["i", "size", "table", "tensor", "start", "stop", "slots", "one", "zero", "np", "abs", "s0"]
UGLY += [
    "v4",
    "v12",
    "x3",
    "param_",
    "a_",
    "a",
    "carray",
    "prefetch",
    "first",
    "exp avg",
    "ünïcode",
    "",
    "0",
]
UGLY += [*keyword.kwlist, "print", "range", "prange", "types", "block", "__name__", "self"]


def test_state_may_have_any_name(engine: str) -> None:
    x = np.ones(3)
    opt = Anything(
        [x],
        lambda xp, p, g, state: (
            sum(state.values(), start=p),
            {name: value + (i + 1) * g for i, (name, value) in enumerate(state.items())},
        ),
        start=lambda xp, p: {name: xp.zeros_like(p) for name in UGLY},
    )
    for _ in range(2):
        opt.step(grads=[np.ones(3)])
    total = len(UGLY) * (len(UGLY) + 1) / 2
    assert x.tolist() == [1.0 + total] * 3
    assert [opt.state[x][name][0] for name in UGLY] == [2.0 * (i + 1) for i in range(len(UGLY))]


CASES: dict[str, tuple[Any, Any]] = {
    "nothing changes": (lambda xp, p, g, s: (p, {}), None),
    "the gradient itself": (lambda xp, p, g, s: (g, {}), None),
    "state exchanged": (
        lambda xp, p, g, s: (p, {"a": s["b"], "b": s["a"]}),
        lambda xp, p: {"a": p + 1.0, "b": p + 2.0},
    ),
    "a ring": (
        lambda xp, p, g, s: (s["b"], {"a": p, "b": s["a"]}),
        lambda xp, p: {"a": p + 1.0, "b": p + 2.0},
    ),
    "the old parameter kept": (
        lambda xp, p, g, s: (p - g, {"old": p}),
        lambda xp, p: {"old": xp.zeros_like(p)},
    ),
    "one value twice": (
        lambda xp, p, g, s: (lambda q: (q, {"a": q, "b": q}))(p - g),
        lambda xp, p: {"a": p * 0.0, "b": p * 0.0},
    ),
    "the gradient remembered": (lambda xp, p, g, s: (p - s.get("last", g), {"last": g}), None),
    "only state": (
        lambda xp, p, g, s: (p, {"a": s["a"] + g}),
        lambda xp, p: {"a": xp.zeros_like(p)},
    ),
    "a constant": (lambda xp, p, g, s: (xp.full_like(p, 0.1), {}), None),
    "a reduction": (lambda xp, p, g, s: (p - g / (1.0 + xp.sum(g * g)), {}), None),
    "state of another shape": (
        lambda xp, p, g, s: (p - g * s["scale"], {"scale": s["scale"] * 0.5}),
        lambda xp, p: {"scale": xp.ones((), dtype=p.dtype)},
    ),
    "a counter": (
        lambda xp, p, g, s: (p - s["n"] * g, {"n": s["n"] + 1}),
        lambda xp, p: {"n": 1},
    ),
    "a float that follows": (
        lambda xp, p, g, s: (p - s["rate"] * g, {"rate": s["rate"] * 0.7}),
        lambda xp, p: {"rate": 0.1},
    ),
    "a branch on the state": (
        lambda xp, p, g, s: (p - g if s["n"] % 2 else p + 0.5 * g, {"n": s["n"] + 1}),
        lambda xp, p: {"n": 1},
    ),
    "state that comes later": (
        lambda xp, p, g, s: (p - g, {"n": s["n"] + 1, **({"late": g} if s["n"] > 1 else {})}),
        lambda xp, p: {"n": 1},
    ),
    "a power": (lambda xp, p, g, s: (p - abs(g) ** 0.5, {}), None),
}


@pytest.mark.parametrize("case", CASES)
def test_rules_of_any_shape(case: str) -> None:
    rule, start = CASES[case]
    results = {}
    for name in ok.available_engines():
        params = [random("float32", 0, (5,)), random("float32", 1, (70_000,)), np.float32([[3]])]
        grads = [[np.asarray(x * k, "float32") for x in params] for k in (0.5, -1.5, 2.5, 0.1)]
        results[name] = after(name, lambda p: Anything(p, rule, start), params, grads)
    assert len(set(results.values())) == 1
    assert results["eager"]


def test_state_that_is_its_own_gradient(engine: str) -> None:
    x = np.array([1.0, 2.0])
    opt = ok.SGD([x], lr=1.0, momentum=0.5)
    opt.step(grads=[np.array([1.0, 1.0])])
    opt.step(grads=[opt.state[x]["momentum_buffer"]])
    assert x.tolist() == [-1.5, -0.5]
    assert opt.state[x]["momentum_buffer"].tolist() == [1.5, 1.5]


def test_a_new_state_is_not_the_users_gradient(engine: str) -> None:
    x, grad = np.array([1.0]), np.array([2.0])
    opt = ok.SGD([x], lr=1.0, momentum=0.5)
    opt.step(grads=[grad])
    grad[...] = 100.0
    assert opt.state[x]["momentum_buffer"].item() == 2.0


def test_a_rule_that_is_not_elementwise_says_so_under_fused_true() -> None:
    x = np.ones(3)
    opt = Anything([x], lambda xp, p, g, s: (p - xp.mean(g), {}), fused=True)
    with pytest.raises(RuntimeError, match=r"not elementwise.*xp\.mean"):
        opt.step(grads=[np.ones(3)])
    assert x.tolist() == [1.0] * 3
    assert len(opt.state) == 0
