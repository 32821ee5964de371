"""Optimizers of libraries, each by the protocol that it has."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest

from optimkit.validation import compare
from optimkit.validation.comparison.candidates import Unusable
from optimkit.validation.comparison.protocols import registry
from optimkit.validation.comparison.protocols.signatures import parameters_of


def sgd_loop(grad: Any, x0: Any, num_iters: int = 100, step_size: float = 0.1) -> Any:
    x = np.array(x0)
    for i in range(num_iters):
        x = x - step_size * grad(x, i)
    return x


def forgets(grad: Any, x0: Any, num_iters: int = 100, step_size: float = 0.1) -> Any:
    return sgd_loop(grad, x0, 3, step_size)


def fails(grad: Any, x0: Any, num_iters: int = 100, step_size: float = 0.1) -> Any:
    raise ArithmeticError("no loop today")


def test_a_loop_over_a_gradient() -> None:
    found = compare(sgd_loop, "SGD", quick=True)
    assert found.kind == "a loop over a gradient"
    assert found.same
    assert found.adopted == {"lr": 0.1}
    assert compare(sgd_loop, "SGD", quick=True, lr=0.5).same


@pytest.mark.parametrize(
    ("loop", "message"), [(forgets, "the loop ended before"), (fails, "no loop today")]
)
def test_a_loop_that_ends_too_soon_or_fails_says_so(loop: Any, message: str) -> None:
    with pytest.raises(Unusable, match=message):
        compare(loop, "SGD", quick=True)


def test_loops_leave_no_threads_behind() -> None:
    before = threading.active_count()
    compare(sgd_loop, "SGD", quick=True)
    gc.collect()
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and thread.daemon:
            thread.join(timeout=2)
    assert threading.active_count() <= before


TRIPLES = [
    ("momentum", "SGD", {"momentum": 0.9}, None),
    ("rmsprop", "RMSprop", {}, "eps inside the root"),
    ("adamax", "Adamax", {}, "eps outside the maximum"),
]


@pytest.mark.parametrize(("name", "rule", "options", "departure"), TRIPLES)
def test_triples_of_jax(name: str, rule: str, options: Any, departure: str | None) -> None:
    optimizers = pytest.importorskip("jax.example_libraries.optimizers")
    found = compare(getattr(optimizers, name), rule, quick=True, lr=0.01, **options)
    assert found.kind == "a triple of JAX functions"
    assert found.departure == departure
    assert found.same is (departure is None)
    assert any(f.circumstance == "resume" and f.tried for f in found.findings)


def test_a_triple_that_has_been_made() -> None:
    optimizers = pytest.importorskip("jax.example_libraries.optimizers")
    assert compare(optimizers.sgd(0.01), "SGD", quick=True, lr=0.01).same


SCIKIT_LEARN = [
    ("AdamOptimizer", "Adam", {}, "eps-hat"),
    ("SGDOptimizer", "SGD", {"momentum": 0.9, "nesterov": True}, "lr before the momentum"),
    ("SGDOptimizer", "SGD", {"momentum": 0.9, "nesterov": False}, "lr before the momentum"),
]


@pytest.mark.parametrize(("name", "rule", "options", "departure"), SCIKIT_LEARN)
def test_scikit_learn(name: str, rule: str, options: Any, departure: str) -> None:
    module = pytest.importorskip("sklearn.neural_network._stochastic_optimizers")
    found = compare(getattr(module, name), rule, quick=True, **options)
    assert found.departure == departure
    assert all(f.explained for f in found.findings if f.verdict == "different")


def test_a_library_is_known_by_where_a_class_is_from() -> None:
    made = {"__module__": "keras.src.optimizers.adam"}
    theirs = type("Adam", (), made)
    of_theirs = type("Mine", (theirs,), {"__module__": "mine"})
    another = type("Adam", (), {"__module__": "keras_of_mine"})
    for library in registry.LIBRARIES:
        assert library.has(of_theirs) is (library.home == "keras")
    assert registry.of_library(theirs) is registry.of_library(of_theirs)
    assert registry.of_library(another) is None
    assert registry.of_form((1, 2, 3)) is None


def test_the_arguments_of_what_is_decorated() -> None:
    def plain(optimize: Any) -> Any:
        def wrapped(grad: Any, x0: Any, *args: Any, **rest: Any) -> Any:
            return optimize(grad, x0, *args, **rest)

        return wrapped

    assert "num_iters" in parameters_of(plain(sgd_loop))
    assert parameters_of(3) == {}
    assert compare(plain(sgd_loop), "SGD", quick=True).same


def test_a_function_of_two_is_told_what_there_is() -> None:
    with pytest.raises(Unusable, match="nor a loop, \\(grad, x0, num_iters\\)"):
        compare(lambda x, y: x, "SGD")
