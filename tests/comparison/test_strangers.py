"""Candidates with the faults that people bring: a right answer or an honest one, no false name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from momentum import InPlace

from optimkit.validation import compare

torch = pytest.importorskip("torch")
IN_DOUBLE: Any = {"quick": True, "dtypes": ("float64",)}


def adam(
    *,
    first: int = 1,
    twice: bool = False,
    clip: float = 0.0,
    scale: float = 1.0,
    share: float = 1.0,
    warm: int = 0,
    after: bool = False,
    products: bool = False,
    single: bool = False,
    folded: bool = False,
) -> Any:
    """Adam as a function, with one fault."""

    def step_of(
        param: Any,
        grad: Any,
        state: Any,
        step: int,
        lr: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> Any:
        dtype, t = param.dtype, step - 1 + first
        grad = np.clip(grad, -clip, clip) if clip else grad * scale
        m = beta1 * state["m"] + (1 - beta1) * grad
        v = beta2 * state["v"] + (1 - beta2) * grad * grad
        new = {"m": m, "v": v}
        if products:
            new |= {"b1": state.get("b1", 1.0) * beta1, "b2": state.get("b2", 1.0) * beta2}
            bias1, bias2 = 1 - new["b1"], 1 - new["b2"]
        elif single:
            bias1, bias2 = (float(1 - np.float32(b) ** np.float32(t)) for b in (beta1, beta2))
        else:
            bias1, bias2 = 1 - beta1**t, 1 - beta2**t
        rate = lr * share ** (step - 1) * (min(1.0, step / warm) if warm else 1.0)
        root = np.sqrt(v / bias2 + eps) if twice else np.sqrt(v / bias2)
        root = np.sqrt(v) * bias2**0.5 if folded else root
        param = param - rate * (m / bias1) / (root + eps)
        param = param - lr * weight_decay * param if after else param
        return param.astype(dtype), new

    return step_of


def named(candidate: Any, optimizer: str = "Adam", **options: Any) -> Any:
    return compare(candidate, optimizer, **IN_DOUBLE, **options)


def test_products_of_betas_are_a_way_of_rounding() -> None:
    assert named(adam(products=True)).verdict == "rounding"


def test_counters_of_float32_are_numbers_of_float32() -> None:
    found = named(adam(single=True))
    assert found.verdict == "float32 numbers"
    assert found.explanations[0].sure == "float32 numbers"


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ({"twice": True}, "eps inside and outside the root"),
        ({"scale": 0.25}, "eps=4e-08"),
        ({"folded": True}, "product"),
        (
            {"share": 0.99},
            "a schedule built in: the learning rate goes by a factor of 0.99 a step",
        ),
        ({"warm": 10}, "a schedule built in: the learning rate goes up in 10 steps"),
    ],
    ids=lambda x: str(x),
)
def test_faults_that_have_a_name(fault: Any, name: str) -> None:
    assert named(adam(**fault)).departure == name


def test_decay_after_the_step() -> None:
    assert named(adam(after=True), "AdamW", weight_decay=0.1).departure == "decay after the step"


@pytest.mark.parametrize("fault", [{"first": 0}, {"clip": 1.0}], ids=["from step 0", "clipped"])
def test_faults_that_have_none(fault: Any) -> None:
    found = named(adam(**fault))
    assert not found.same
    assert found.departure is None
    assert found.findings[0].differences


class OneBuffer(InPlace):
    """A buffer for all parameters of a shape."""

    def __init__(self, params: Any, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(params, lr, momentum)
        kept: dict[Any, Any] = {}
        self.v = [kept.setdefault(p.shape, np.zeros_like(p)) for p in params]


class Kept(InPlace):
    """Buffers that the next optimizer goes on with."""

    kept: Any = {}  # the fault

    def __init__(self, params: Any, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(params, lr, momentum)
        self.v = [self.kept.setdefault((p.shape, p.dtype), np.zeros_like(p)) for p in params]


def test_a_state_that_parameters_share() -> None:
    found = compare(OneBuffer, "SGD", **IN_DOUBLE, lr=0.01, momentum=0.9)
    assert not found.same
    assert found.departure is None
    assert [x.circumstance for x in found.findings if x.verdict == "different"] == [
        "two parameters"
    ]
    assert compare(InPlace, "SGD", **IN_DOUBLE, lr=0.01, momentum=0.9).same


def test_a_state_that_is_kept_from_one_optimizer_to_the_next() -> None:
    with pytest.raises(ValueError, match="two runs of it from the same start differ"):
        compare(Kept, "SGD", **IN_DOUBLE, lr=0.01, momentum=0.9)


def test_numbers_drawn_at_random() -> None:
    random = np.random.default_rng()

    def noisy(param: Any, grad: Any, state: Any, step: int, lr: float = 0.01) -> Any:
        return param - lr * grad * (1 + 1e-6 * random.random()), state

    with pytest.raises(ValueError, match="it draws numbers at random"):
        compare(noisy, "SGD", **IN_DOUBLE)


def test_a_gradient_that_is_changed_in_place() -> None:
    def doubled(param: Any, grad: Any, state: Any, step: int, lr: float = 0.01) -> Any:
        grad *= 2
        return param - lr * grad, state

    assert compare(doubled, "SGD", **IN_DOUBLE).departure == "lr=0.02"


def test_a_state_that_grows() -> None:
    def mean(param: Any, grad: Any, state: Any, step: int, lr: float = 0.01) -> Any:
        every = [*state.get("every", []), grad]
        return param - lr * sum(every) / len(every), {"every": every}

    found = compare(mean, "SGD", **IN_DOUBLE)
    assert not found.same
    assert found.departure is None


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (lambda param, state: None, "it returned a NoneType"),
        (lambda param, state: [param, state], "it returned a list; it should return (param"),
        (lambda param, state: (param.tolist(), state), "its first steps failed: AttributeError"),
        (lambda param, state: (param.sum(), state), r"of shape (3,) became one of ()"),
    ],
    ids=["nothing", "a list of both", "a list", "a number"],
)
def test_what_is_returned_wrongly(result: Any, said: str) -> None:
    def step(param: Any, grad: Any, state: Any, step: int) -> Any:
        return result(param, state)

    with pytest.raises(ValueError, match=r"returned|failed|became") as caught:
        compare(step, "SGD", quick=True)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dtype_that_is_lost_is_said() -> None:
    def step(param: Any, grad: Any, state: Any, step: int, lr: float = 0.01) -> Any:
        return param.astype(np.float64) - lr * grad, state

    found = compare(step, "SGD", quick=True, lr=0.01)
    single = [x for x in found.findings if x.dtype == "float32"]
    assert {x.verdict for x in single} == {"a parameter of float32 became float64"}
    assert not any(x.tried for x in single)


# ---------------------------------------------------------------- another optimizer altogether


def test_another_optimizer_with_its_own_options() -> None:
    found = named(lambda params: torch.optim.NAdam(params, lr=0.01))
    assert found.departure == "NAdam with lr=0.01"
    assert found.explanations[0].other
    assert found.explanations[0].optimizer.__name__ == "NAdam"
    assert found.findings[0].explained


def test_another_optimizer_whose_options_are_found() -> None:
    def rmsprop(param: Any, grad: Any, state: Any, step: int) -> Any:
        v = 0.99 * state["v"] + 0.01 * grad * grad
        return param - 0.002 * grad / (np.sqrt(v) + 1e-8), {"v": v}

    found = named(rmsprop, "Adagrad")
    assert found.departure == "RMSprop with lr=0.002"
