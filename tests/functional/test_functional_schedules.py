"""Schedules as functions of a step that may be an array, or traced."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import optimkit as ok
from optimkit.functional import schedules

STEPS = 50
OPTIONS: dict[str, dict[str, Any]] = {
    "step_decay": {"step_size": 3},
    "multi_step": {"milestones": [3, 5, 5, 20, 30, 31, 40, 41]},
    "constant": {},
    "linear": {"total_iters": 7},
    "exponential": {"gamma": 0.9},
    "polynomial": {"total_iters": 9, "power": 2.0},
    "cosine": {"T_max": 20, "eta_min": 0.01},
    "cosine_warm_restarts": {"T_0": 4, "T_mult": 2},
    "cyclic": {"max_lr": 1.0, "step_size_up": 5, "mode": "triangular2"},
    "one_cycle": {"max_lr": 1.0, "total_steps": STEPS, "three_phase": True},
}


def made(name: str) -> Any:
    base = {} if name == "one_cycle" else {"base_lr": 0.1}
    return getattr(schedules, name)(**base, **OPTIONS[name])


@pytest.mark.parametrize("name", OPTIONS)
def test_values(name: str) -> None:
    rate, scheduler = made(name), getattr(ok.lr_scheduler, schedules.SCHEDULERS[name])
    options = OPTIONS[name] | ({"base_lr": 0.1} if name == "cyclic" else {})
    options |= {"cycle_momentum": False} if name in ("cyclic", "one_cycle") else {}
    same = scheduler(SimpleNamespace(param_groups=[{"lr": 0.1}]), **options)
    want = [rate(step) for step in range(STEPS)]
    assert want == [same.lr_at(step)[0] for step in range(STEPS)]
    assert all(type(x) is float for x in want)
    assert rate(np.int64(3)) == rate(np.asarray(3)) == want[3]
    found = rate(np.arange(STEPS))
    assert found.dtype == np.float64
    # powers of arrays are not Python's to the last bit
    np.testing.assert_allclose(found, want, rtol=4e-16)
    assert repr(rate).startswith(f"{name}(")


@pytest.mark.parametrize("name", OPTIONS)
def test_traced_steps(name: str) -> None:
    """In double precision inside, so that float32 holds Python's number, rounded."""
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    rate = made(name)
    want = np.array([rate(step) for step in range(STEPS)], "float32")
    found = np.asarray(jax.jit(jax.vmap(rate))(jax.numpy.arange(STEPS)))
    assert found.dtype == np.float32
    assert (found == want).all()
    assert rate(jax.numpy.asarray(3)) == rate(3)


def test_one_after_another() -> None:
    warmup, rest = schedules.linear(1.0, start_factor=0.5, total_iters=2), lambda t: 1 / (1 + t)
    rate = schedules.sequential([warmup, rest, schedules.constant(0.5)], [2, 4])
    want = [0.5, 0.75, 1.0, 0.5, 0.5 / 3, 0.5 / 3]
    assert [rate(t) for t in range(6)] == want
    np.testing.assert_allclose(rate(np.arange(6)), want, rtol=1e-15)
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    np.testing.assert_allclose(jax.vmap(rate)(jax.numpy.arange(6)), want, rtol=1e-7)
    with pytest.raises(ValueError, match="2 schedules need 1 milestones that do not fall"):
        schedules.sequential([warmup, rest], [1, 2])


def test_a_rule_takes_one_where_its_step_is_traced() -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    for name in ("cosine_warm_restarts", "one_cycle", "step_decay"):
        rate = made(name)
        tx, x = ok.functional.sgd(lr=rate), jax.numpy.ones(3)
        state, step = tx.init(x), jax.jit(tx.step)
        for t in range(12):
            after, state = step(x, x, state)
            np.testing.assert_allclose(x - after, rate(t), atol=2e-7)


def test_a_loop_without_an_end_is_an_error() -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")

    def endless(lr: Any) -> Any:
        class Halving(ok.Optimizer):
            def __init__(self, params: Any, lr: float) -> None:
                super().__init__(params, {"lr": lr})

            @staticmethod
            def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
                size = hyper.lr
                while size > 1:
                    size = size / 2
                return param - size * grad, {}

        tx, x = ok.functional.of(Halving, lr=lr), jax.numpy.ones(3)
        return tx.step(x, x, tx.init(x))

    assert endless(4.0)[0].tolist() == [0.0] * 3
    with pytest.raises(ValueError, match="a loop that may have no end"):
        jax.jit(endless)(4.0)


def test_a_rule_takes_one_for_any_number() -> None:
    rate = schedules.exponential(0.4, gamma=0.5)
    tx = ok.functional.adamw(lr=rate, weight_decay=lambda t: 0.1 * t, betas=lambda t: (0.9, 0.99))
    param, x = np.ones(3), np.ones(3)
    optimizer, state = ok.AdamW([param], betas=(0.9, 0.99)), tx.init(x)
    for t in range(5):
        optimizer.param_groups[0].update(lr=rate(t), weight_decay=0.1 * t)
        optimizer.step(grads=[param.copy()])
        x, state = tx.step(x, x, state)
        assert (x == param).all()
    assert "lr=exponential(base_lr=0.4, gamma=0.5)" in repr(tx)


def test_what_is_wrong_is_what_the_scheduler_says() -> None:
    with pytest.raises(ValueError, match="invalid T_max: 0; it must be a number of at least 1"):
        schedules.cosine(0.1, T_max=0)
    with pytest.raises(ValueError, match="mode 'square' is unknown"):
        schedules.cyclic(0.1, 1.0, mode="square")
    with pytest.raises(TypeError, match="step_decay: missing a required argument: 'step_size'"):
        schedules.step_decay(0.1)
