"""Rules as functions under JAX: eager, traced, mapped, differentiated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from libraries import LIBRARIES
from runs import CASES, rule_of, run, transformation

import optimkit as ok
from optimkit import functional
from optimkit.validation.reference.case import Case
from optimkit.validation.reference.inputs import Setting, gradients, parameters

jax = pytest.importorskip("jax", reason="JAX is not installed")
jnp = jax.numpy

STEPS = 12
LAST = {case.optimizer: case for case in CASES if "float32" in case.dtypes}  # all options together
# XLA's processors take denormals for zero, so numbers are ordinary here. What JAX computes eagerly
# has the class's bits but where an array is divided by a number, which XLA makes a product with the
# reciprocal, and in Adafactor's sums; under jit, products and sums are contracted besides.
EXACT = {"SGD", "Adadelta", "Adagrad", "Adamax", "RMSprop", "Rprop", "ASGD", "Muon"}
EAGER, TRACED = 1e-6, 4e-6  # of max(|value|, lr), after 12 steps


def problem(case: Case) -> tuple[list[Any], list[list[Any]], list[Any]]:
    """Parameters, gradients of each step, and where the class gets with them."""
    few = case.optimizer in ("Muon", "Adafactor")  # whose many operations take long to compile
    shapes = (((4, 5), "C"),) if few else (((30,), "C"), ((2, 3), "C"))
    setting = Setting(shapes, tame=True)
    starts, columns = parameters(setting, "float32"), gradients(setting, "float32", STEPS)
    rows = [[column[step] for column in columns] for step in range(STEPS)]
    with ok.use_engine("eager"):
        want = LIBRARIES["numpy"].run(rule_of(case), case.options, starts, rows)
    grads = [list(map(jnp.asarray, row)) for row in rows]
    return list(map(jnp.asarray, starts)), grads, [param for param, _ in want]


def distance(case: Case, found: Any, want: Any) -> float:
    """The largest difference, over the larger of the value and the learning rate."""
    lr = rule_of(case).bind(**case.options).lr
    pairs = zip(found, want, strict=True)
    return max(float((np.abs(x - y) / np.maximum(np.abs(y), lr)).max()) for x, y in pairs)


@pytest.mark.parametrize("case", LAST.values(), ids=lambda case: case.name)
def test_eager_and_traced_steps(case: Case) -> None:
    params, grads, want = problem(case)
    tx = transformation(rule_of(case), case.options)
    eager = [x for x, _ in run(tx, params, grads[:3])]
    with ok.use_engine("eager"):
        rows = [list(map(np.asarray, row)) for row in grads[:3]]
        class_ = LIBRARIES["numpy"].run(
            rule_of(case), case.options, list(map(np.asarray, params)), rows
        )
    found = distance(case, eager, [x for x, _ in class_])
    assert found <= (0 if case.optimizer in EXACT else EAGER)

    def body(carry: Any, row: Any) -> Any:
        return tx.step(carry[0], row, carry[1]), None

    stacked = [jnp.stack(column) for column in zip(*grads, strict=True)]
    (traced, state), _ = jax.lax.scan(body, (params, tx.init(params)), stacked)
    assert distance(case, traced, want) <= TRACED
    assert int(state["step"]) == STEPS


@pytest.mark.parametrize("name", ["adam", "nadam", "radam", "asgd"])
def test_a_traced_step_has_the_classes_numbers(name: str) -> None:
    """Biases in double precision, however small: in float32 a step would be 4e-5 off."""
    tx = getattr(functional, name)(lr=1.0)
    param = np.zeros(3, "float32")
    grad = np.array([1.0, -0.5, 0.25], "float32")
    ours, state = jnp.asarray(param), tx.init(jnp.asarray(param))
    optimizer = getattr(ok, rule_named(name))([param], lr=1.0)
    step = jax.jit(tx.step)
    for _ in range(8):
        optimizer.step(grads=[grad])
        ours, state = step(ours, jnp.asarray(grad), state)
        np.testing.assert_allclose(ours, param, rtol=4e-7)


def rule_named(name: str) -> str:
    return functional.rules()[name].__name__


OPTIONS: dict[str, dict[str, Any]] = {
    "adadelta": {"lr": 1.0, "rho": 0.9, "eps": 1e-3, "weight_decay": 0.1},
    "adagrad": {"lr": 0.1, "lr_decay": 0.1, "eps": 1e-3, "initial_accumulator_value": 0.1},
    "adamax": {"lr": 0.1, "betas": (0.8, 0.99), "eps": 1e-3, "weight_decay": 0.1},
    "adamw": {"lr": 0.1, "betas": (0.8, 0.99), "weight_decay": 0.1},
    "asgd": {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 2.0, "weight_decay": 0.0},
    "nadam": {"lr": 0.1, "betas": (0.8, 0.99), "momentum_decay": 0.1, "weight_decay": 0.1},
    "radam": {"lr": 0.1, "eps": 1e-3, "maximize": True},
    "rmsprop": {"lr": 0.1, "alpha": 0.9, "momentum": 0.9, "centered": True},
    "rprop": {"lr": 0.1, "etas": (0.4, 1.3), "step_sizes": (1e-3, 1.0)},
    "sgd": {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_that_are_traced(name: str) -> None:
    options, rule = OPTIONS[name], getattr(functional, name)
    x = jnp.linspace(-1, 2, 7)

    def trained(options: Any) -> Any:
        tx = rule(**options)
        body = lambda c, k: (tx.step(c[0], jnp.sin(k * c[0]), c[1]), None)  # noqa: E731
        return jax.lax.scan(body, (x, tx.init(x)), jnp.arange(1.0, 7.0))[0][0]

    want = trained(options)
    np.testing.assert_allclose(jax.jit(trained)(options), want, atol=4e-6)
    if name != "radam":
        return
    # over a batch of learning rates, each as if alone
    rates = jnp.asarray([0.5, 1.0, 1.5]) * options["lr"]
    batch = jax.vmap(lambda lr: trained({**options, "lr": lr}))(rates)
    alone = [trained({**options, "lr": float(lr)}) for lr in rates]
    np.testing.assert_allclose(batch, alone, atol=4e-6)


@pytest.mark.parametrize("name", ["radam", "sgd"])
def test_derivatives_by_options(name: str) -> None:
    x = jnp.linspace(0.5, 2, 5)
    rule = getattr(functional, name)
    kept = {"momentum": 0.5} if name == "sgd" else {}

    def loss(lr: Any) -> Any:
        tx = rule(lr=lr, **kept)
        body = lambda c, k: (tx.step(c[0], k * c[0], c[1]), None)  # noqa: E731
        params, _ = jax.lax.scan(body, (x, tx.init(x)), jnp.arange(1.0, 9.0))[0]
        return (params**2).sum()

    slope = float(jax.grad(loss)(0.01))
    h = 2e-4
    want = float(loss(0.01 + h) - loss(0.01 - h)) / (2 * h)
    assert slope == pytest.approx(want, rel=1e-2)
    if name != "radam":  # which takes long to compile
        assert np.isfinite(jax.jit(jax.hessian(loss))(0.01))


def test_derivatives_where_a_root_is_of_zero_and_where_a_path_is_not_taken() -> None:
    for name in ("adam", "radam", "rmsprop"):  # RAdam's factor is no number at its first steps
        tx = getattr(functional, name)(lr=0.1)

        def stepped(x: Any, tx: Any = tx) -> Any:
            state = tx.init(x)
            for _ in range(2):
                x, state = jax.jit(tx.step)(x, x * jnp.asarray([0.0, 1.0]), state)
            return x.sum()

        assert np.isfinite(jax.grad(stepped)(jnp.ones(2))).all(), name


def test_complex_half_and_double() -> None:
    values = np.array([1 + 2j, -0.5j, 3.0], "complex64")
    tx = functional.adam(lr=0.1)
    param = values.copy()
    ok.Adam([param], lr=0.1).step(grads=[values])
    x = jnp.asarray(values)
    for step in (tx.step, jax.jit(tx.step)):
        found, state = step(x, x, tx.init(x))
        assert found.dtype == state["exp_avg"].dtype == np.complex64
        np.testing.assert_allclose(found, param, rtol=1e-6)
    halves = jnp.linspace(-1, 1, 9, dtype=jnp.bfloat16)
    for options in ({}, {"master_dtype": "float32"}):
        tx = functional.adamw(lr=0.1, **options)
        state = tx.init(halves)
        found, state = jax.jit(tx.step)(halves, halves, state)
        assert found.dtype == jnp.bfloat16
        assert state["exp_avg"].dtype == (jnp.float32 if options else jnp.bfloat16)
    with ok.functional.jax_arrays.in_double():  # as a user has it with jax_enable_x64
        x = jnp.linspace(-1, 1, 5)
        assert x.dtype == np.float64
        tx = functional.nadam(lr=0.1)
        found, state = jax.jit(tx.step)(x, x, tx.init(x))
        assert found.dtype == np.float64
        assert state["mu_product"].dtype == np.float64


def test_what_is_wrong_with_a_traced_option_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functional.scalars, "MOST_PATHS", 4)
    x = jnp.ones(3)
    with pytest.raises(TypeError, match="is needed where it is not known"):
        jax.jit(lambda d: functional.adafactor(beta2_decay=d).init(x))(-0.8)
    with pytest.raises(ValueError, match="lr must be one number, not an array of shape"):
        functional.adam(lr=jnp.ones(3))

    def everything(x: Any) -> Any:
        tx = functional.adamw(betas=(x, x), weight_decay=x, amsgrad=x > 0, maximize=x > 0)
        return tx.step(jnp.ones(3), jnp.ones(3), tx.init(jnp.ones(3)))

    with pytest.raises(ValueError, match="ways to compute this"):
        jax.jit(everything)(0.5)


def test_a_class_names_the_way_for_jax() -> None:
    with pytest.raises(TypeError, match=r"optimkit\.functional has the rules as functions"):
        ok.Adam([jnp.ones(3)])
