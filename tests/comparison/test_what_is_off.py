"""What a comparison says beside the numbers: dtypes, state that is shared, options that are off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import optimkit as ok
from optimkit.validation import compare
from optimkit.validation.comparison import document as words

IN_DOUBLE: Any = {"quick": True, "dtypes": ("float64",)}


def said(found: Any) -> str:
    """The heading and all that stands below it."""
    parts = [words.headline(found)[0], *words.remarks(found), *words.explained(found)]
    return "\n".join(map(str, [*parts, *words.branched(found)]))


class Plain:
    """Adam on lists, as people write it, with one fault by name."""

    def __init__(
        self,
        params: Any,
        lr: float = 0.001,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        fault: str = "",
    ) -> None:
        self.params, self.lr, self.betas, self.eps = params, lr, betas, eps
        self.decay, self.fault, self.t = weight_decay, fault, 0
        self.kept: dict[Any, Any] = {}
        self.rate = lr

    def step(self, grads: Any) -> None:
        self.t += self.fault not in ("counter", "both")
        beta1, beta2 = self.betas
        rate = self.rate if self.fault == "deaf" else self.lr
        for i, (param, grad) in enumerate(zip(self.params, grads, strict=True)):
            self.t += self.fault in ("counter", "both")
            at = 0 if self.fault in ("state", "both") else i
            m, v = self.kept.get(at, (0 * param, 0 * param))
            grad = grad + self.decay * param
            m, v = beta1 * m + (1 - beta1) * grad, beta2 * v + (1 - beta2) * grad * grad
            self.kept[at] = m, v
            root: Any = (1 - beta2**self.t) ** 0.5
            if self.fault == "widens":
                root = np.sqrt(1 - beta2**self.t)
            inside = self.eps if self.fault == "inside" else 0.0
            denominator = (v + inside) ** 0.5 / root + self.eps
            self.params[i] = param - rate / (1 - beta1**self.t) * m / denominator


def faulty(fault: str) -> Any:
    def made(params: Any, lr: float = 0.001) -> Plain:
        return Plain(params, lr, fault=fault)

    return made


# ---------------------------------------------------------------- dtypes


def test_a_dtype_that_is_widened_is_another_rule() -> None:
    found = compare(faulty("widens"), "Adam", quick=True)
    assert found.verdict == "rounding"
    assert not found.same
    assert found.widened == {"float32": "float64"}
    assert found.departure == "float32 becomes float64"
    heading, mood = words.headline(found)
    assert heading == "The same rule in float64; float32 becomes float64"
    assert mood == "bad"
    assert "np.sqrt(1 - beta2**t)" in said(found)
    assert "(1 - beta2**t) ** 0.5" in said(found)


def test_a_dtype_that_is_widened_in_all_that_was_asked_for() -> None:
    found = compare(faulty("widens"), "Adam", quick=True, dtypes=("float32",))
    assert not found.same
    assert words.headline(found) == ("Another rule; float32 becomes float64", "bad")


def test_a_dtype_that_cannot_be_tried_stands_in_the_heading() -> None:
    def single(param: Any, grad: Any, state: Any, step: int, lr: float = 0.001) -> Any:
        return (param - lr * grad).astype(np.float32), state

    found = compare(single, "SGD", quick=True, dtypes=("float32", "float64"))
    assert found.same
    heading = "The same rule in float32; float64 could not be tried"
    assert words.headline(found) == (heading, "good")


# ---------------------------------------------------------------- numbers that were fitted


class Signed(ok.Optimizer):
    def __init__(
        self, params: Any, lr: float = 1e-4, betas: Any = (0.9, 0.99), **others: Any
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, **others})

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {"exp_avg": xp.zeros_like(param)}

    @staticmethod
    def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
        beta1, beta2 = hyper.betas
        m = state["exp_avg"]
        direction = xp.sign(beta1 * m + (1 - beta1) * grad)
        return param - hyper.lr * direction, {"exp_avg": beta2 * m + (1 - beta2) * grad}


def momentum_first(
    param: Any, grad: Any, state: Any, step: int, lr: float = 1e-4, betas: Any = (0.9, 0.99)
) -> Any:
    m = betas[1] * state.get("m", 0) + (1 - betas[1]) * grad
    return param - lr * np.sign(betas[0] * m + (1 - betas[0]) * grad), {"m": m}


@pytest.mark.parametrize("quick", [True, False])
def test_a_fitted_value_is_the_one_that_fits_in_the_long_run_too(quick: bool) -> None:
    found = compare(momentum_first, Signed, quick=quick)
    assert found.departure == "betas=(0.891, 0.99)"
    assert found.unexplained == []
    assert "Signed(betas=(0.891, 0.99)) does the same." in said(found)
    assert "--option" not in said(found)


def test_nothing_is_claimed_where_a_row_differs_otherwise_too() -> None:
    class Forgets(ok.SGD):
        def load_state_dict(self, state_dict: Any) -> None:
            super().load_state_dict({**state_dict, "state": {}})

    found = compare(lambda p: Forgets(p, lr=0.02, momentum=0.9), "SGD", lr=0.01, **IN_DOUBLE,
                    momentum=0.9)  # fmt: skip
    assert found.departure == "lr=0.02"
    assert found.unexplained == ["resume"]
    assert "does the same" not in said(found)
    assert "in every bit on sizes 1e-30 to 1e30, and not on resume" in said(found)


# ---------------------------------------------------------------- beside the step


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("counter", "one counter for all parameters"),
        ("state", "one state for all parameters"),
        ("both", "one state and one counter for all parameters"),
    ],
)
def test_what_parameters_share_is_named(fault: str, name: str) -> None:
    found = compare(faulty(fault), "Adam", quick=True)
    assert not found.same
    assert found.cause is not None
    assert found.cause.name == name
    assert words.headline(found) == (f"Another rule with two parameters: {name}", "bad")
    assert found.as_dict()["cause"] == name
    apart = [f for f in found.findings if f.verdict == "different"]
    assert {f.circumstance for f in apart} == {"two parameters"}
    first = next(x for x in apart[0].differences if x.quantity == "param")
    assert (first.step, first.parameter) == (1, 2)
    assert "as named" in str(words.tried(found).rows)
    assert "param of the 2nd" in str(words.differences(apart[0]))
    assert "This reproduces it in every bit" not in said(found)


def test_a_learning_rate_that_is_not_heard() -> None:
    found = compare(faulty("deaf"), "Adam", **IN_DOUBLE)
    assert found.findings[0].differences[0].step == 7
    assert words.headline(found)[0] == "Another rule: a new learning rate is not heard"
    assert found.findings[0].cause is not None


def test_steps_that_are_counted_without_a_gradient() -> None:
    torch = pytest.importorskip("torch")

    class OfTheGroup(torch.optim.Optimizer):
        """Adam with a count of steps that the group has."""

        def __init__(self, params: Any, lr: float = 0.001, betas: Any = (0.9, 0.999)) -> None:
            super().__init__(params, {"lr": lr, "betas": betas, "taken": 0})

        def step(self) -> None:  # type: ignore[override]
            for group in self.param_groups:
                group["taken"] += 1
                t, (beta1, beta2) = group["taken"], group["betas"]
                for param in group["params"]:
                    if param.grad is None:
                        continue
                    state = self.state[param]
                    m = beta1 * state.get("m", 0) + (1 - beta1) * param.grad
                    v = beta2 * state.get("v", 0) + (1 - beta2) * param.grad**2
                    self.state[param].update(m=m, v=v)
                    root = v.sqrt() / (1 - beta2**t) ** 0.5 + 1e-8
                    param.data -= group["lr"] / (1 - beta1**t) * m / root

    found = compare(OfTheGroup, "Adam", **IN_DOUBLE)
    apart = [f for f in found.findings if f.verdict == "different"]
    assert [f.circumstance for f in apart] == ["absent gradients"]
    assert not found.same
    assert found.cause is not None
    assert found.cause.name == "absent gradients are counted"
    assert words.headline(found)[0].startswith("The same rule, but for absent gradients: absent")


# ---------------------------------------------------------------- options that are off


def came_to(found: Any) -> dict[str, tuple[str, str]]:
    return {next(iter(x.options)): (x.came_to, x.name) for x in found.branches}


def test_a_decay_that_is_off_is_tried() -> None:
    found = compare(Plain, "AdamW", **IN_DOUBLE)
    assert found.same
    assert found.adopted == {"weight_decay": 0.0}
    assert came_to(found)["weight_decay"] == ("another", "coupled decay in place of decoupled")
    assert words.headline(found) == (
        "The same rule with weight_decay=0.0, amsgrad=False; another with weight_decay=0.1: "
        "coupled decay in place of decoupled; it ignores amsgrad=True",
        "bad",
    )
    assert "weight_decay=0.0 (the rule's: 0.01)" in said(found)
    assert "--option weight_decay=0.1" in said(found)
    assert "does not take them: maximize" in said(found)


def test_a_flag_that_is_ignored_is_found() -> None:
    found = compare(Plain, "Adam", **IN_DOUBLE)
    assert came_to(found) == {
        "weight_decay": ("same", ""),
        "amsgrad": ("ignored", ""),
        "maximize": ("not taken", ""),
    }


def test_options_that_were_asked_for_are_not_tried_again() -> None:
    found = compare(Plain, "Adam", **IN_DOUBLE, weight_decay=0.0, amsgrad=False)
    assert [*came_to(found)] == ["maximize"]
    assert words.headline(found)[1] == "good"


def test_the_rule_itself_holds_with_all_options() -> None:
    for rule in (ok.SGD, ok.RMSprop, ok.Adafactor, ok.SparseAdam):
        found = compare(rule, rule, **IN_DOUBLE)
        assert {x.came_to for x in found.branches} <= {"same"}, rule.__name__
        assert bool(found.branches) is (rule is not ok.SparseAdam)
    assert {*came_to(compare(ok.SGD, ok.SGD, **IN_DOUBLE))} == {
        "momentum",
        "dampening",
        "weight_decay",
        "nesterov",
        "maximize",
    }


# ---------------------------------------------------------------- what no number shows


def test_gradients_that_are_changed_are_remarked() -> None:
    def scaled(param: Any, grad: Any, state: Any, step: int, lr: float = 0.001) -> Any:
        grad *= lr
        return param - grad, state

    class InPlaceGradient:
        def __init__(self, params: Any, lr: float = 0.001) -> None:
            self.params, self.lr = params, lr

        def step(self, grads: Any) -> None:
            for param, grad in zip(self.params, grads, strict=True):
                grad *= self.lr
                param -= grad

    for candidate in (scaled, InPlaceGradient):
        found = compare(candidate, "SGD", **IN_DOUBLE)
        assert found.same
        assert "It changes the gradients that it is given" in said(found)
    assert "gradients that it is given" not in said(compare(ok.SGD, "SGD", **IN_DOUBLE))


def test_torch_optimizers_that_change_gradients_are_remarked() -> None:
    torch = pytest.importorskip("torch")
    options = {"momentum": 0.9, "nesterov": True, "lr": 0.01}
    for foreach in (True, False):
        found = compare(lambda p, f=foreach: torch.optim.SGD(p, foreach=f, **options), "SGD",
                        **IN_DOUBLE)  # fmt: skip
        assert found.same
        assert bool(found.remarks) is foreach


def test_arrays_that_are_copied_are_remarked() -> None:
    class Copies:
        def __init__(self, params: Any, lr: float = 0.001) -> None:
            self.params, self.lr = [p.copy() for p in params], lr

        def step(self, grads: Any) -> None:
            for param, grad in zip(self.params, grads, strict=True):
                param -= self.lr * grad

    found = compare(Copies, "SGD", **IN_DOUBLE)
    assert found.same
    assert "read from its attribute params; the arrays that it was given were not" in said(found)
    assert compare(faulty(""), "Adam", **IN_DOUBLE).remarks == []


def test_the_table_says_what_its_numbers_are() -> None:
    table = words.tried(compare(faulty("inside"), "Adam", **IN_DOUBLE))
    assert table.notes[0].startswith("off: at most, relative to how far the parameter has gone")
    assert "several groups: it has no groups" in table.notes[-1]

    def no_rate(param: Any, grad: Any, state: Any, step: int) -> Any:
        return param - 0.001 * grad, state

    notes = words.tried(compare(no_rate, "SGD", **IN_DOUBLE)).notes
    assert notes == ["not tried: several groups: it takes no lr"]
