"""Parameters of several groups, step counts and scalar states that take one step together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import assert_same_bits

import optimkit as ok

RULES: dict[str, list[dict[str, Any]]] = {
    "AdamW": [{"lr": 0.1}, {"lr": 0.01, "betas": (0.8, 0.9)}, {"lr": 0.1}, {"eps": 1e-3}],
    "SGD": [{"lr": 0.1, "momentum": 0.9}, {"lr": 0.2, "momentum": 0.5}],
    "NAdam": [{"lr": 0.1}, {"lr": 0.1, "momentum_decay": 0.1}],  # numbers in its state
    "RAdam": [{"lr": 0.1}, {"lr": 0.3}],  # another program from the sixth step on
    "ASGD": [{"lr": 0.1}, {"lr": 0.1, "lambd": 0.1}],
    "Rprop": [{"lr": 0.1}, {"lr": 0.2, "step_sizes": (1e-3, 1.0)}],
}


def missing(step: int, i: int) -> bool:
    """Steps without a gradient, others for each parameter: their counts go apart."""
    return i > 0 and step % (i + 1) == 0 and step < 9


@pytest.mark.parametrize("name", RULES)
def test_together_they_have_the_bits_of_each_alone(name: str, engine: str) -> None:
    random = np.random.default_rng(0)
    groups = RULES[name]
    starts = random.standard_normal((len(groups), 7)).astype("float32")
    own, alone = [x.copy() for x in starts], [x.copy() for x in starts]
    kind = getattr(ok, name)
    together = kind([{"params": [x], **options} for x, options in zip(own, groups, strict=True)])
    apart = [kind([x], **options) for x, options in zip(alone, groups, strict=True)]
    for step in range(1, 15):
        grads: list[Any] = list(random.standard_normal(starts.shape).astype("float32"))
        grads = [None if missing(step, i) else grad for i, grad in enumerate(grads)]
        together.step(grads=grads)
        for optimizer, grad in zip(apart, grads, strict=True):
            optimizer.step(grads=[grad])
        for i, (x, y, optimizer) in enumerate(zip(own, alone, apart, strict=True)):
            assert_same_bits(x, y, f"step {step}, parameter {i}")
            for entry, value in optimizer.state.get(y, {}).items():
                assert_same_bits(together.state[x][entry], value, f"step {step}, {i}: {entry}")


def test_they_are_one_bucket_where_one_program_does_for_all() -> None:
    params = [np.ones(3) for _ in range(50)]
    groups = [{"params": [x], "lr": 0.1 / (i + 1)} for i, x in enumerate(params)]
    optimizer = ok.AdamW(groups)
    for missing_one in (None, 7, None):
        grads = [None if i == missing_one else np.ones(3) for i in range(50)]
        optimizer.step(grads=grads)
        assert len(optimizer._stepper.buckets) == 1
    assert len(optimizer._stepper.buckets[0].units) == 50


def test_a_rule_of_several_programs_is_divided_and_goes_on() -> None:
    params = [np.ones(3), np.ones(3)]
    optimizer = ok.RAdam(params)
    for step in range(12):
        optimizer.step(grads=[np.ones(3), np.ones(3) if step % 2 else None])
    assert [optimizer.state[x]["step"] for x in params] == [12, 6]


def test_equal_options_are_one_unit() -> None:
    params = [np.ones(3) for _ in range(20)]
    optimizer = ok.Adam([{"params": [x]} for x in params])
    optimizer.step(grads=[np.ones(3)] * 20)
    assert len(optimizer._stepper.buckets[0].units) == 1
    optimizer.param_groups[3]["lr"] = 0.5
    optimizer.step(grads=[np.ones(3)] * 20)
    assert len(optimizer._stepper.buckets[0].units) == 2
