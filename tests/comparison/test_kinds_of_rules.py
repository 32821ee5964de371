"""Rules that are not elementwise: of whole arrays, of sparse gradients, and searches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import optimkit as ok
from optimkit.validation import compare
from optimkit.validation.comparison.departures import DEPARTURES
from optimkit.validation.comparison.kinds import (
    ELEMENTWISE,
    SEARCH,
    TOUCHED,
    WHOLE,
    accepted,
    kind_of,
)
from optimkit.validation.comparison.texts import Text

torch = pytest.importorskip("torch")
IN_DOUBLE: Any = {"quick": True, "dtypes": ("float64",)}


class Normed(ok.Optimizer):
    """A rule of one's own, with a sum."""

    def __init__(self, params: Any, lr: float = 0.01, eps: float = 1e-8, **others: Any) -> None:
        super().__init__(params, {"lr": lr, "eps": eps, **others})

    @staticmethod
    def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
        norm = xp.sqrt(xp.sum(grad * grad)) + hyper.eps
        return param - hyper.lr * grad / norm, {}


def normed(
    param: Any, grad: Any, state: Any, step: int, lr: float = 0.01, eps: float = 1e-8
) -> Any:
    return param - lr * (grad / (np.linalg.norm(grad.ravel()) + eps)).astype(param.dtype), state


def normed_inside(
    param: Any, grad: Any, state: Any, step: int, lr: float = 0.01, eps: float = 1e-8
) -> Any:
    return param - lr * grad / np.sqrt((grad * grad).sum() + eps), state


def departed(optimizer: type[ok.Optimizer], name: str) -> type[ok.Optimizer]:
    """An optimizer that has a departure of the table."""
    texts = (text for x in DEPARTURES if x.name == name for text in x.applied(Text.of(optimizer)))
    return type("Departed", (optimizer,), {"update": staticmethod(next(texts).function())})


@pytest.mark.parametrize(
    ("optimizer", "kind"),
    [
        (ok.Adam, ELEMENTWISE),
        (ok.Adafactor, WHOLE),
        (ok.Muon, WHOLE),
        (Normed, WHOLE),
        (ok.SparseAdam, TOUCHED),
        (ok.LBFGS, SEARCH),
        (ok.NonlinearCG, SEARCH),
    ],
)
def test_what_a_rule_works_on(optimizer: type[ok.Optimizer], kind: str) -> None:
    assert kind_of(optimizer, {}) == kind


def test_the_shapes_that_a_rule_takes() -> None:
    assert accepted(ok.Muon, {}) == ["a matrix", "a wide one", "a tall one"]
    assert {"a vector", "0-d", "4-D"} <= {*accepted(ok.Adafactor, {})}


@pytest.mark.parametrize("name", ["Adafactor", "Muon", "SparseAdam", "LBFGS"])
def test_torchs_own_are_the_rule(name: str) -> None:
    found = compare(getattr(torch.optim, name), name, **IN_DOUBLE)
    assert found.same, [(x.circumstance, x.verdict) for x in found.findings]
    assert all(finding.tried for finding in found.findings)
    assert len(found.findings) >= 3


def test_the_rule_itself_in_every_bit() -> None:
    for optimizer in (ok.Adafactor, ok.NonlinearCG):
        assert compare(optimizer, optimizer, **IN_DOUBLE).verdict == "equal in bits"


@pytest.mark.parametrize(
    ("optimizer", "departure", "options"),
    [
        (ok.Adafactor, "second moment not factored", {}),
        (ok.Muon, "no look-ahead", {}),
        (ok.SparseAdam, "eps after the correction", {}),
    ],
    ids=lambda x: getattr(x, "__name__", str(x)),
)
def test_departures_are_named(
    optimizer: type[ok.Optimizer], departure: str, options: dict[str, Any]
) -> None:
    found = compare(departed(optimizer, departure), optimizer, **IN_DOUBLE, **options)
    assert found.departure == departure
    assert found.explanations[0].changes


def test_a_flag_that_is_a_word_is_found() -> None:
    found = compare(
        lambda params: ok.NonlinearCG(params, variant="fletcher_reeves"), "NonlinearCG", **IN_DOUBLE
    )
    assert found.departure == "variant='fletcher_reeves'"


def test_a_rule_of_ones_own() -> None:
    assert compare(normed, Normed, **IN_DOUBLE).same
    found = compare(normed_inside, Normed, **IN_DOUBLE)
    assert found.departure == "eps inside the root"
    (change,) = found.explanations[0].changes
    assert change.before == "norm = xp.sqrt(xp.sum(grad * grad)) + hyper.eps"


def test_a_rule_whose_source_cannot_be_read_is_compared_all_the_same() -> None:
    typed: dict[str, Any] = {}
    exec(  # as at a prompt
        "def update(xp, param, grad, state, hyper, step):\n"
        "    return param - hyper.lr * grad, {}\n",
        typed,
    )
    rule = type("Typed", (Normed,), {"update": staticmethod(typed["update"])})
    assert Text.of(rule).tree.body == []
    assert compare(torch.optim.SGD, rule, lr=0.01, **IN_DOUBLE).same
    other = compare(
        lambda params: torch.optim.SGD(params, lr=0.01, momentum=0.5), rule, lr=0.01, **IN_DOUBLE
    )
    assert not other.same


def test_what_cannot_search_is_told_so() -> None:
    with pytest.raises(ValueError, match="a rule that evaluates the loss is held against"):
        compare(normed, "LBFGS", quick=True)


def test_a_function_is_sparse_adam_where_every_element_has_a_gradient() -> None:
    def sparse_adam(param: Any, grad: Any, state: Any, step: int, lr: float = 0.001) -> Any:
        m = 0.9 * state["m"] + 0.1 * grad
        v = 0.999 * state["v"] + 0.001 * grad * grad
        rate = lr * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step)
        return param - rate * m / (np.sqrt(v) + 1e-8), {"m": m, "v": v}

    assert compare(sparse_adam, "SparseAdam", **IN_DOUBLE).same


def test_dense_adam_is_not_sparse_adam() -> None:
    class Dense(torch.optim.Adam):
        def step(self) -> None:  # type: ignore[override]
            for group in self.param_groups:
                for param in group["params"]:
                    param.grad = param.grad.to_dense() if param.grad is not None else None
            super().step()

    found = compare(Dense, "SparseAdam", **IN_DOUBLE)
    assert found.departure == "Adam"


def test_dtypes() -> None:
    assert compare(torch.optim.SGD, "SGD", quick=True, dtypes=("complex64",)).same
    found = compare(torch.optim.Adagrad, "Adagrad", quick=True, dtypes=("complex128",))
    assert found.same
    assert {x.dtype for x in found.findings} == {"complex128"}
    assert compare(torch.optim.SGD, "SGD", quick=True, dtypes=("float16",), momentum=0.9).same
    with pytest.raises(ValueError, match="no dtype bfloat16 to compare in; there are float64"):
        compare(torch.optim.SGD, "SGD", dtypes=("bfloat16",))
    with pytest.raises(ValueError, match="Muon does not support complex"):
        compare(torch.optim.Muon, "Muon", dtypes=("complex64",))
    # a rule that float16 has no room for: nothing is claimed of it
    with pytest.raises(ValueError, match="at the ends of the range of float16"):
        compare(torch.optim.Adam, "Adam", quick=True, dtypes=("float16",))
