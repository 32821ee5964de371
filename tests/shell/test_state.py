"""The state: a mapping by identity that a user may change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import array

import optimkit as ok


def test_state_under_a_name_of_the_rule_s_own_is_left_alone(engine: str) -> None:
    x, other = np.ones(3), np.full(3, 7.0)
    opt = ok.SGD([x], lr=0.5, momentum=0.5)
    for _ in range(3):
        opt.step(grads=[np.ones(3)])
        opt.state[x]["grad"] = other
    assert x.tolist() == [1 - 0.5 * (1 + 1.5 + 1.75)] * 3
    assert other.tolist() == [7.0] * 3


def test_state_is_a_mapping_by_identity() -> None:
    a, b = array(1.0), array(1.0)
    opt = ok.SGD([a, b], momentum=0.9)
    assert len(opt.state) == 0
    assert a not in opt.state
    opt.step(grads=[array(1.0), None])
    assert a in opt.state
    assert b not in opt.state
    assert a.copy() not in opt.state
    assert [x is a for x in opt.state] == [True]
    opt.state[a]["momentum_buffer"][...] = 0.0
    opt.step(grads=[array(0.0), None])
    assert a.item() == array(1.0 - 1e-3).item()
    del opt.state[a]
    assert len(opt.state) == 0
    with pytest.raises(KeyError):
        del opt.state[a]
    assert opt.state[b] == {}


def test_state_replaced_between_steps_is_used(engine: str) -> None:
    a = array(1.0)
    opt = ok.SGD([a], lr=1.0, momentum=0.5)
    for _ in range(2):
        opt.step(grads=[array(0.0)])
    opt.state[a]["momentum_buffer"] = array(2.0)
    opt.step(grads=[array(0.0)])
    assert a.item() == 0.0
    opt.state[a] = {"momentum_buffer": array(4.0)}
    opt.step(grads=[array(0.0)])
    assert a.item() == -2.0


def test_state_may_not_be_called_what_the_rule_is_given() -> None:
    class Difference(ok.Optimizer):
        def __init__(self, params: Any, **options: Any) -> None:
            super().__init__(params, options)

        @staticmethod
        def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
            return {"grad": xp.zeros_like(param)}

        @staticmethod
        def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
            return param + state["grad"], {"grad": grad}

    opt = Difference([array(1.0)])
    with pytest.raises(ValueError, match="'grad'"):
        opt.step(grads=[array(1.0)])
