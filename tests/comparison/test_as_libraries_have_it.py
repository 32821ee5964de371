"""Stand-ins of what libraries compute, from their formulas, by the names that are told of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import optimkit as ok
from optimkit.validation import compare
from optimkit.validation.comparison import document as words
from optimkit.validation.comparison.reading import read_candidate

IN_DOUBLE: Any = {"quick": True, "dtypes": ("float64",)}


def orthogonal(x: Any, eps: float = 1e-7) -> Any:
    """The iteration of Newton and Schulz in the precision of the array."""
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (np.sqrt((x * x).sum()) + eps)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T if tall else x


def muon_of_keras(
    param: Any,
    grad: Any,
    state: Any,
    step: int,
    lr: float = 1e-3,
    weight_decay: float = 0.1,
    momentum: float = 0.95,
) -> Any:
    buffer = momentum * state.get("m", 0) + grad
    direction = orthogonal(grad + momentum * buffer)
    param = param * (1 - lr * weight_decay)
    return param - lr * 0.2 * max(param.shape) ** 0.5 * direction, {"m": buffer}


def muon_of_optax(
    param: Any,
    grad: Any,
    state: Any,
    step: int,
    lr: float = 1e-3,
    weight_decay: float = 0.1,
    beta: float = 0.95,
) -> Any:
    mu = beta * state.get("mu", 0) + (1 - beta) * grad
    ahead = beta * mu / (1 - beta ** (step + 1)) + (1 - beta) * grad / (1 - beta**step)
    rows, columns = param.shape
    scale = max(1, columns / rows) ** 0.5
    param = param * (1 - lr * weight_decay)
    return param - lr * scale * orthogonal(ahead), {"mu": mu}


@pytest.mark.parametrize(
    ("candidate", "name"), [(muon_of_keras, "as in Keras"), (muon_of_optax, "as in optax")]
)
def test_muon(candidate: Any, name: str) -> None:
    found = compare(candidate, "Muon", **IN_DOUBLE)
    assert found.departure == name
    assert found.unexplained == []


def test_an_optimizer_with_a_rate_of_its_own() -> None:
    torch = pytest.importorskip("torch")

    class OwnRate(torch.optim.Optimizer):
        """As transformers' Adafactor is by default: `lr` of None stands for one by the step."""

        def __init__(self, params: Any, lr: float | None = None) -> None:
            super().__init__(params, {"lr": lr})

        def step(self) -> None:  # type: ignore[override]
            for group in self.param_groups:
                for param in group["params"]:
                    if param.grad is not None:
                        rate = 1e-3 if group["lr"] is None else group["lr"]
                        param.data -= rate * param.grad

    found = compare(OwnRate, "SGD", **IN_DOUBLE)
    assert found.same
    groups = next(f for f in found.findings if f.circumstance == "several groups")
    assert not groups.tried
    assert words.tried(found).notes == ["not tried: several groups: its groups have no lr"]
    assert {*found.judge.probe.rates} == {1.0}  # type: ignore[union-attr]
    given = compare(OwnRate, "SGD", **IN_DOUBLE, lr=0.01)
    assert given.same
    assert all(f.tried for f in given.findings)
    assert 0.5 in given.judge.probe.rates  # type: ignore[union-attr]


def test_a_number_for_a_rule_that_takes_a_pair() -> None:
    def clipped(param: Any, grad: Any, state: Any, step: int, lr: float = 1e-2,
                eps: float = 1e-20) -> Any:  # fmt: skip
        return param - lr * grad, state

    found = read_candidate(clipped, ok.Adafactor, {})
    assert found.adopted["eps"] == (1e-20, 1e-3)
    pair = read_candidate(lambda param, grad, state, step, lr=1e-2, eps1=1e-20, eps2=1e-4: (
        param - lr * grad, state), ok.Adafactor, {})  # fmt: skip
    assert pair.adopted["eps"] == (1e-20, 1e-4)


def test_a_look_ahead_that_needs_the_momentum_is_adopted_with_it() -> None:
    def sgd(param: Any, grad: Any, state: Any, step: int, lr: float = 1e-3,
            momentum: float = 0.9, nesterov: bool = True) -> Any:  # fmt: skip
        velocity = momentum * state.get("velocity", 0) + grad
        return param - lr * momentum * velocity, {"velocity": velocity}

    found = compare(sgd, "SGD", **IN_DOUBLE)
    assert found.adopted == {"momentum": 0.9, "nesterov": True}
    assert found.departure == "look-ahead without the gradient"
