"""Candidates of every kind, as people write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from momentum import InPlace

import optimkit as ok
from optimkit.validation import compare
from optimkit.validation.comparison.candidates import Unusable

torch = pytest.importorskip("torch")


def function(
    param: Any, grad: Any, state: Any, step: int, lr: float = 0.01, momentum: float = 0.9
) -> Any:
    buffer = momentum * state["buffer"] + grad
    return param - lr * buffer, {"buffer": buffer}


def function_of_none(param: Any, grad: Any, state: Any, step: int) -> Any:
    buffer = grad if state is None else 0.9 * state + grad
    return param - 0.01 * buffer, buffer


def function_of_tensors(param: Any, grad: Any, state: Any, step: int) -> Any:
    buffer = torch.clone(state["b"]).mul_(0.9).add_(grad) if "b" in state else grad
    return torch.sub(param, buffer, alpha=0.01), {"b": buffer}


class KeepsItsOwn(InPlace):
    def __init__(self, params: Any, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(list(params), lr, momentum)

    def step(self, grads: Any) -> None:
        for i, grad in enumerate(grads):
            self.v[i] = self.momentum * self.v[i] + grad
            self.params[i] = self.params[i] - self.lr * self.v[i]


class ByName:
    """As in textbooks that keep parameters in a mapping."""

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        self.lr, self.momentum, self.v = lr, momentum, None

    def update(self, params: Any, grads: Any) -> None:
        if self.v is None:
            self.v = {key: np.zeros_like(value) for key, value in params.items()}
        for key in params:
            self.v[key] = self.momentum * self.v[key] + grads[key]
            params[key] -= self.lr * self.v[key]


class Returns(ByName):
    def update(self, params: Any, grads: Any) -> Any:
        self.v = self.v or [0 * g for g in grads]
        self.v = [self.momentum * v + g for v, g in zip(self.v, grads, strict=True)]
        return [p - self.lr * v for p, v in zip(params, self.v, strict=True)]


class OneArray:
    def __init__(self, learning_rate: float = 0.01, momentum: float = 0.9) -> None:
        self.learning_rate, self.momentum, self.v = learning_rate, momentum, None

    def update(self, w: Any, dw: Any) -> Any:
        self.v = self.momentum * self.v + dw if self.v is not None else dw
        return w - self.learning_rate * self.v


class ReadsGrad:
    def __init__(self, params: Any, lr: float = 0.01, momentum: float = 0.9) -> None:
        self.held, self.lr, self.momentum = list(params), lr, momentum
        self.v = [0 * p for p in self.held] if torch.is_tensor(self.held[0]) else None

    def step(self) -> None:
        self.v = self.v or [0 * p.grad for p in self.held]
        for i, param in enumerate(self.held):
            self.v[i] = self.momentum * self.v[i] + param.grad
            param.data -= self.lr * self.v[i]


class Subclass(torch.optim.Optimizer):
    def __init__(self, params: Any, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    buffer = self.state[param].setdefault("b", torch.zeros_like(param.data))
                    buffer.mul_(group["momentum"]).add_(param.grad)
                    param.data.sub_(buffer, alpha=group["lr"])


class Ours(ok.Optimizer):
    def __init__(self, params: Any, lr: float = 0.01, momentum: float = 0.9, **rest: Any) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, **rest})

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {"v": xp.zeros_like(param)}

    @staticmethod
    def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
        v = hyper.momentum * state["v"] + grad
        return param - hyper.lr * v, {"v": v}


GOOD = {
    "function": function,
    "function of None": function_of_none,
    "function of tensors": function_of_tensors,
    "in place": InPlace,
    "keeps its own": KeepsItsOwn,
    "by name": ByName,
    "returns": Returns,
    "one array": OneArray,
    "reads .grad": ReadsGrad,
    "subclass": Subclass,
    "ours": Ours,
    "torch's": torch.optim.SGD,
    "factory of torch's": lambda params: torch.optim.SGD(params, lr=0.01, momentum=0.9),
    "factory of ours": lambda params: ok.SGD(params, lr=0.01, momentum=0.9),
    "factory of an object": lambda: ByName(),
}


@pytest.mark.parametrize("name", GOOD)
def test_momentum_in_every_form_is_the_rule(name: str) -> None:
    found = compare(GOOD[name], "SGD", quick=True, lr=0.01, momentum=0.9)
    assert found.same, [(x.circumstance, x.verdict) for x in found.findings]
    assert found.departure is None
    assert sum(finding.tried for finding in found.findings) >= 6


@pytest.mark.parametrize("name", ["function", "in place", "by name", "subclass", "torch's"])
def test_momentum_that_began_at_another_rate_is_told(name: str) -> None:
    found = compare(GOOD[name], "SGD", quick=True, lr=0.02, momentum=0.8)
    assert found.same
    other = compare(GOOD[name], "SGD", quick=True, nesterov=True, lr=0.01, momentum=0.9)
    assert other.same is (name == "torch's")
    if name != "torch's":
        assert other.departure == "no look-ahead"
        assert other.unheard == ["nesterov"]


def test_a_function_of_jax_arrays_is_tried_in_both_precisions() -> None:
    jnp = pytest.importorskip("jax.numpy")

    def rmsprop(param: Any, grad: Any, state: Any, step: int, learning_rate: float = 0.01) -> Any:
        v = 0.99 * state.get("v", 0) + (1 - 0.99) * jnp.square(grad)
        return param - learning_rate * grad / (jnp.sqrt(v) + 1e-8), {"v": v}

    found = compare(rmsprop, "RMSprop", quick=True)
    assert found.same
    assert all(finding.tried for finding in found.findings)


def test_what_a_factory_decides_is_read_from_its_groups() -> None:
    found = compare(lambda p: torch.optim.Adam(p, lr=0.03, eps=1e-6), "Adam", quick=True)
    assert found.same
    assert found.adopted == {"lr": 0.03, "eps": 1e-6}


def test_what_was_asked_for_and_is_otherwise_is_found() -> None:
    found = compare(lambda p: torch.optim.Adam(p, lr=0.03), "Adam", quick=True, lr=0.01)
    assert found.unheard == ["lr"]
    assert found.departure == "lr=0.03"


def test_adamw_is_not_adam() -> None:
    found = compare(torch.optim.AdamW, "Adam", quick=True, weight_decay=0.1)
    assert found.departure == "decoupled decay in place of coupled"
    assert found.explanations[0].equals == {"decoupled_weight_decay": True}
    assert {x.quantity for x in found.findings[0].differences} >= {"param", "exp_avg"}


def test_the_first_difference_is_where_it_is() -> None:
    def eps_inside(param: Any, grad: Any, state: Any, step: int) -> Any:
        m = 0.9 * state["m"] + 0.1 * grad
        v = 0.999 * state["v"] + 0.001 * grad * grad
        root = np.sqrt(v / (1 - 0.999**step) + 1e-8)
        return param - 0.001 * m / (1 - 0.9**step) / root, {"m": m, "v": v}

    found = compare(eps_inside, "Adam", quick=True)
    assert found.departure == "eps inside the root"
    first = found.findings[0].differences[0]
    assert (first.quantity, first.step) == ("param", 1)
    assert abs(first.gradient) < 1e-4
    assert first.relative > 0.5
    assert max(first.growth) >= 10
    assert all(f.explained for f in found.findings if f.verdict == "different")


def test_what_differs_only_in_one_circumstance_is_told_so() -> None:
    class Forgets(ok.SGD):
        def load_state_dict(self, state_dict: Any) -> None:
            super().load_state_dict({**state_dict, "state": {}})

    found = compare(Forgets, "SGD", quick=True, momentum=0.9)
    assert found.rule_holds
    assert not found.same
    assert {f.circumstance for f in found.findings if f.verdict == "different"} == {"resume"}


def test_a_candidate_that_moves_without_a_gradient() -> None:
    class Decays(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            for group in self.param_groups:
                for param in group["params"]:
                    param.grad = torch.zeros_like(param) if param.grad is None else param.grad
            super().step(closure)

    found = compare(Decays, "SGD", quick=True, momentum=0.9)
    apart = {f.circumstance for f in found.findings if f.verdict == "different"}
    assert apart == {"absent gradients"}


def raising(param: Any, grad: Any, state: Any, step: int) -> Any:
    if step == 3:
        raise RuntimeError("no third step")
    return param, state


class NoMethod:
    pass


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (3, "it is a int"),
        (torch.optim.SGD([torch.ones(2)]), "it is a SGD; give an optimizer's class"),
        (lambda x, y: x, "a function of (x, y) is neither one step"),
        (lambda param, grad, state, step: param, "it should return (param, state)"),
        (lambda param, grad, state, step: (param.sum(), state), "became one of ()"),
        (raising, "at step 3 it raised RuntimeError: no third step"),
        (NoMethod, "it has no method of step, update"),
        (lambda: 1 / 0, "calling it raised ZeroDivisionError"),
    ],
)
def test_what_cannot_be_held_against_a_rule_is_refused(candidate: Any, message: str) -> None:
    with pytest.raises(Unusable) as caught:
        compare(candidate, "SGD", quick=True)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Adamm", "there is no optimizer called 'Adamm'; did you mean Adam"),
        ("LBFGS", "a rule that evaluates the loss is held against the class of a torch optimizer"),
    ],
)
def test_rules_that_cannot_be_compared_with(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"no optimizer|is held against") as caught:
        compare(function, name)
    assert message in str(caught.value)


def test_a_wrong_option_is_found_before_the_candidate_is_called() -> None:
    def never(param: Any, grad: Any, state: Any, step: int) -> Any:
        raise AssertionError("called")

    with pytest.raises(ValueError, match="invalid lr"):
        compare(never, "SGD", lr=-1)
    with pytest.raises(TypeError, match="lrr"):
        compare(never, "SGD", lrr=1)
