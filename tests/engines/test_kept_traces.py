"""A rule that sees the same options is traced once for all steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import ENGINES, assert_same_bits, require_engine

import optimkit as ok
from optimkit.backends.kept_trace import PATIENCE, pure

calls: list[float] = []  # of `watched`, with their learning rates


def watched(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
    calls.append(hyper.lr)
    buffer = state["buffer"] * hyper.momentum + grad
    return param - hyper.lr / (1 + step) * buffer, {"buffer": buffer}


def odd(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
    """The formula of a step without a value would be another one."""
    rate = hyper.lr if isinstance(step, int) else 5 * hyper.lr
    return param - rate / step * grad, {}


def scalar(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
    """A NumPy number makes a float32 array one of float64, so this is not traceable."""
    return param - (np.float64(0.1) * step) * grad, {}


def failing(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
    return param - hyper.lr / (LATE - step) * grad, {}


def turning_complex(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
    return param - hyper.lr * (LATE - 0.5 - step) ** 0.5 * grad, {}


LATE = PATIENCE + 4


def optimizer_of(rule: Callable[..., Any], x: Any, **options: Any) -> ok.Optimizer:
    """An optimizer whose rule says that it depends on its arguments alone."""

    class Rule(ok.Optimizer):
        @staticmethod
        @pure
        def update(*arguments: Any) -> Any:
            return rule(*arguments)

        @staticmethod
        def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
            return {"buffer": xp.zeros_like(param)}

    return Rule([x], {"lr": 0.5, **options})


def test_a_rule_that_sees_the_same_options_is_not_called_again() -> None:
    x, eager, grad = np.zeros(3), np.zeros(3), np.ones(3)
    optimizer = optimizer_of(watched, x, momentum=0.5)
    reference = optimizer_of(watched, eager, momentum=0.5, fused=False)
    for option, value in (("lr", 0.5), ("lr", 0.25), ("momentum", 0.0)):
        optimizer.param_groups[0][option] = reference.param_groups[0][option] = value
        calls.clear()
        for _ in range(PATIENCE + 4):
            optimizer.step(grads=[grad])
        # for each of these steps, for all steps, and not again
        assert calls == [optimizer.param_groups[0]["lr"]] * (PATIENCE + 1)
        for _ in range(PATIENCE + 4):
            reference.step(grads=[grad])
        assert_same_bits(x, eager)


@pytest.mark.parametrize("base", [ok.Optimizer, ok.Adam], ids=["Optimizer", "pure"])
def test_a_rule_that_does_not_say_so_is_called_at_every_step(base: Any) -> None:
    """Not even where it takes the place of one that did."""

    class Rule(base):  # type: ignore[misc]
        update = staticmethod(watched)

        @staticmethod
        def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
            return {"buffer": xp.zeros_like(param)}

    x, grad = np.zeros(3), np.ones(3)
    optimizer = Rule(
        [{"params": [x], "momentum": 0.5}],
        **{"lr": 0.5} if base is ok.Adam else {"defaults": {"lr": 0.5}},
    )
    calls.clear()
    for _ in range(2 * PATIENCE):
        optimizer.step(grads=[grad])
    assert len(calls) == 2 * PATIENCE


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rule", [watched, odd, scalar])
def test_kept_traces_have_the_bits_of_the_rule(engine: str, rule: Callable[..., Any]) -> None:
    require_engine(engine)
    random = np.random.default_rng(0)
    start, grad = random.standard_normal((2, 7)).astype("float32")
    x, y = start.copy(), start.copy()
    optimizer = optimizer_of(rule, x, momentum=0.9)
    reference = optimizer_of(rule, y, momentum=0.9, fused=False)
    for _ in range(3 * PATIENCE):
        with ok.use_engine(engine):
            optimizer.step(grads=[grad])
        reference.step(grads=[grad])
        assert_same_bits(x, y)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_rule_that_fails_late_fails_as_it_does_eagerly(engine: str) -> None:
    require_engine(engine)
    x, y = np.zeros(3), np.zeros(3)
    divided, rooted = optimizer_of(failing, x), optimizer_of(turning_complex, y)
    with ok.use_engine(engine):
        for _ in range(LATE - 1):
            divided.step(grads=[np.ones(3)])
            rooted.step(grads=[np.ones(3)])
        kept, rooted_kept = x.copy(), y.copy()
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                divided.step(grads=[np.ones(3)])
            with pytest.raises((TypeError, np.exceptions.ComplexWarning)):
                rooted.step(grads=[np.ones(3)])
    assert_same_bits(x, kept)
    assert_same_bits(y, rooted_kept)
    assert divided.state[x]["step"] == rooted.state[y]["step"] == LATE - 1
