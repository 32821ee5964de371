"""Rules as functions in optax's place and beside it: what their page says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed")
optax = pytest.importorskip("optax", reason="optax is not installed")

from optimkit import functional as of  # noqa: E402
from optimkit.functional import schedules  # noqa: E402

STEPS = 50
jnp = jax.numpy
random = np.random.default_rng(7)
PARAMS = {"w": random.standard_normal((3, 4)), "b": [random.standard_normal(4)]}
PARAMS = jax.tree.map(lambda x: jnp.asarray(x, "float32"), PARAMS)
TARGET = jax.tree.map(lambda x: jnp.asarray(0.3 * x + 0.1), PARAMS)


def loss(params: Any) -> Any:
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(TARGET), strict=True)
    return sum(((x - y) ** 2).sum() for x, y in pairs)


def trained(transformation: Any, steps: int = STEPS) -> Any:
    """The parameters after steps as a user of optax takes them."""

    @jax.jit
    def step(params: Any, state: Any) -> Any:
        updates, state = transformation.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    params, state = PARAMS, transformation.init(PARAMS)
    for _ in range(steps):
        params, state = step(params, state)
    return params


def distance(x: Any, y: Any) -> float:
    pairs = zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True)
    return max(float(abs(np.asarray(a, float) - np.asarray(b, float)).max()) for a, b in pairs)


SGD = {"momentum": 0.9, "nesterov": True}
ADAGRAD = {"initial_accumulator_value": 0.1, "eps": 1e-7}
# The learning rate, both rules, and the largest difference of a parameter after 50 steps, in
# learning rates: roundings, for Adam's relatives mostly those of optax's bias corrections, which
# are made in float32.
SAME: dict[str, tuple[float, Any, Any, float]] = {
    "sgd": (0.1, of.sgd, optax.sgd, 1e-5),
    "sgd, Nesterov": (0.01, lambda lr: of.sgd(lr, **SGD), lambda lr: optax.sgd(lr, **SGD), 1e-5),
    "adam": (0.01, of.adam, optax.adam, 1e-3),
    "adamw": (0.01, of.adamw, lambda lr: optax.adamw(lr, weight_decay=0.01), 1e-3),
    "adamax": (0.01, of.adamax, optax.adamax, 1e-4),
    "radam": (0.01, of.radam, optax.radam, 1e-2),
    "adagrad": (
        0.1,
        lambda lr: of.adagrad(lr, **ADAGRAD),
        lambda lr: optax.adagrad(lr, **ADAGRAD),
        1e-5,
    ),
    "adadelta": (1.0, of.adadelta, lambda lr: optax.adadelta(lr, eps=1e-6), 1e-5),
    "rmsprop": (
        0.01,
        lambda lr: of.rmsprop(lr, alpha=0.9),
        lambda lr: optax.rmsprop(lr, decay=0.9, eps_in_sqrt=False),
        1e-4,
    ),
}
# Rules of one name that are two, as the page explains.
OTHERS: dict[str, tuple[float, Any, Any]] = {
    "adam with AMSGrad": (0.01, lambda lr: of.adam(lr, amsgrad=True), optax.amsgrad),
    "adagrad, by default": (0.1, of.adagrad, optax.adagrad),
    "nadam": (0.01, of.nadam, optax.nadam),
    "rmsprop, by default": (0.01, of.rmsprop, optax.rmsprop),
    "rprop": (0.01, of.rprop, optax.rprop),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_rule_as_in_optax(name: str) -> None:
    lr, ours, theirs, bound = SAME[name]
    assert distance(trained(ours(lr)), trained(theirs(lr))) <= bound * lr


@pytest.mark.parametrize("name", OTHERS)
def test_another_rule_of_the_same_name(name: str) -> None:
    lr, ours, theirs = OTHERS[name]
    assert distance(trained(ours(lr), 5), trained(theirs(lr), 5)) > 0.1 * lr


def test_a_rule_of_the_users_beside_optax() -> None:
    import optimkit as ok

    class Lion(ok.Optimizer):
        def __init__(self, params: Any, lr: float = 1e-4, betas: Any = (0.9, 0.99)) -> None:
            super().__init__(params, {"lr": lr, "betas": betas})

        @staticmethod
        def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
            return {"exp_avg": xp.zeros_like(param)}

        @staticmethod
        def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
            beta1, beta2 = hyper.betas
            m = state["exp_avg"]
            direction = xp.sign(beta1 * m + (1 - beta1) * grad)
            return param - hyper.lr * direction, {"exp_avg": beta2 * m + (1 - beta2) * grad}

    theirs = optax.lion(0.01, weight_decay=0.0)
    assert distance(trained(of.of(Lion, lr=0.01)), trained(theirs)) <= 1e-4 * 0.01


def test_wrappers_of_optax_take_a_rule() -> None:
    ours, theirs = of.adam(lr=0.01), optax.adam(0.01)
    wrappers = {
        "chain": lambda tx: optax.chain(optax.clip_by_global_norm(0.5), tx),
        "MultiSteps": lambda tx: optax.MultiSteps(tx, 3),
        "apply_if_finite": lambda tx: optax.apply_if_finite(tx, 3),
        "masked": lambda tx: optax.masked(tx, {"w": True, "b": False}),
        "partition": lambda tx: optax.partition(
            {"ours": tx, "frozen": optax.set_to_zero()}, {"w": "ours", "b": ["frozen"]}
        ),
        "named_chain": lambda tx: optax.named_chain(("rule", tx)),
    }
    for name, wrapper in wrappers.items():
        found = trained(wrapper(ours), 12)
        assert distance(found, trained(wrapper(theirs), 12)) <= 1e-3 * 0.01, name
        assert distance(found, PARAMS) > 0.01, name


def test_hyperparameters_are_injected() -> None:
    def make(rule: Any) -> Any:
        return lambda lr: optax.inject_hyperparams(rule)(lr)

    for rule in (of.adamw, of.radam, of.nadam, of.asgd):
        state = make(rule)(0.5).init(PARAMS)
        assert float(state.hyperparams["lr"]) == 0.5
        injected, fixed = trained(make(rule)(0.01), 20), trained(rule(lr=0.01), 20)
        # The rate is one of float32 here, and options that are traced meet in another order.
        assert distance(injected, fixed) <= 1e-4 * 0.01, rule.__name__


def test_schedules_go_both_ways() -> None:
    ours, theirs = schedules.cosine(0.01, T_max=50), optax.cosine_decay_schedule(0.01, 50)
    want = trained(optax.adam(theirs))
    for transformation in (of.adam(lr=ours), of.adam(lr=theirs), optax.adam(ours)):
        assert distance(trained(transformation), want) <= 1e-3 * 0.01


def test_the_pair_that_optax_unpacks() -> None:
    transformation = of.sgd(lr=0.1)
    init, update = transformation
    updates, state = update(jax.grad(loss)(PARAMS), init(PARAMS), PARAMS)
    assert int(state["step"]) == 1
    assert jax.tree.structure(updates) == jax.tree.structure(PARAMS)
    with pytest.raises(ValueError, match="needs the parameters"):
        update(jax.grad(loss)(PARAMS), init(PARAMS))
