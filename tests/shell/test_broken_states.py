"""A state that no step can go on from is refused, by parameter and entry, and nothing has moved."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from conftest import array, assert_same_bits
from forms import frozen
from libraries import LIBRARIES, STEPPING, Library

import optimkit as ok

COUNTING = ["Adam", "AdamW", "Adamax", "NAdam", "RAdam", "Adagrad", "Adadelta", "RMSprop", "Rprop"]
COUNTING += ["ASGD", "Adafactor"]
FIRST_ENTRY = {
    "Adamax": "exp_inf",
    "Adagrad": "sum",
    "Adadelta": "acc_delta",
    "RMSprop": "square_avg",
    "Rprop": "prev",
    "ASGD": "ax",
    "Adafactor": "row_var",
}
SHAPE = (2, 3)


def ones(value: float = 1.0) -> np.ndarray:
    return np.full(SHAPE, value, np.float32)


def made(name: str, library: Library, steps: int = 2) -> tuple[ok.Optimizer, Any, Any]:
    a, b = library.param(ones()), library.param(ones(2.0))
    opt = getattr(ok, name)({"a": a, "b": b})
    for _ in range(steps):
        library.step(opt, [gradient(name), gradient(name)])
    return opt, a, b


def gradient(name: str) -> Any:
    if name == "SparseAdam":
        return ok.RowSparse(np.array([1]), np.ones((1, 3), np.float32), SHAPE)
    return ones(0.5)


def refused(opt: ok.Optimizer, library: Library, name: str, error: Any, message: str) -> None:
    before = frozen(opt)
    for _ in range(2):
        with pytest.raises(error, match=message):
            library.step(opt, [gradient(name), gradient(name)])
        assert frozen(opt) == before


@pytest.mark.parametrize("library", STEPPING, indirect=True)
@pytest.mark.parametrize("name", COUNTING)
def test_an_entry_that_is_gone(engine: str, name: str, library: Library) -> None:
    if library.name == "array-api-strict" and engine != "eager":
        pytest.skip("its arrays are run by the eager engine alone")
    opt, _, b = made(name, library)
    kept = opt.state[b].pop(FIRST_ENTRY.get(name, "exp_avg"))
    missing = FIRST_ENTRY.get(name, "exp_avg")
    refused(opt, library, name, KeyError, rf"{name}: parameter b: its state has no {missing}")
    opt.state[b][missing] = kept
    library.step(opt, [gradient(name), gradient(name)])


@pytest.mark.parametrize("name", [*COUNTING, "SparseAdam"])
def test_a_step_count_that_is_gone(engine: str, name: str) -> None:
    opt, _, b = made(name, LIBRARIES["numpy"])
    del opt.state[b]["step"]
    refused(opt, LIBRARIES["numpy"], name, KeyError, "parameter b: its state has no step")


NO_COUNTS = [-5, -1, 2.5, None, 10**400, "x", float("nan"), float("inf"), np.ones(2)]
IDS = ["-5", "-1", "2.5", "None", "huge", "x", "nan", "inf", "two"]


@pytest.mark.parametrize("value", NO_COUNTS, ids=IDS)
@pytest.mark.parametrize("name", [*COUNTING, "SparseAdam"])
def test_a_step_count_that_is_none(engine: str, name: str, value: Any) -> None:
    opt, _, b = made(name, LIBRARIES["numpy"])
    opt.state[b]["step"] = value
    refused(opt, LIBRARIES["numpy"], name, ValueError, r"parameter b: its state step: .* no count")
    opt.state[b]["step"] = 2
    opt.step(grads=[gradient(name), gradient(name)])


@pytest.mark.parametrize(
    "value", [3, 3.0, True, np.int64(3), np.array(3.0), torch.tensor(3.0), 2**60]
)
def test_a_step_count_in_another_guise(value: Any) -> None:
    opt, _, b = made("Adam", LIBRARIES["numpy"])
    opt.state[b]["step"] = value
    opt.step(grads=[ones(), ones()])
    assert opt.state[b]["step"] == int(value) + 1


@pytest.mark.parametrize("value", NO_COUNTS, ids=IDS)
@pytest.mark.parametrize("name", [*COUNTING, "SparseAdam"])
def test_a_step_count_that_is_none_is_not_loaded(name: str, value: Any) -> None:
    opt, _, _ = made(name, LIBRARIES["numpy"])
    saved = copy.deepcopy(opt.state_dict())
    saved["state"][1]["step"] = value
    before = frozen(opt)
    with pytest.raises(ValueError, match=r"parameter b: loaded step: .* no count"):
        opt.load_state_dict(saved)
    assert frozen(opt) == before


STRANGE: list[tuple[str, Callable[[], Any], type[Exception]]] = [
    ("text", lambda: np.array([["a", "b", "c"]] * 2), TypeError),
    ("numbers as text", lambda: np.array([["1", "2", "3"]] * 2), TypeError),
    ("objects", lambda: np.array([[None, 1, 2]] * 2), TypeError),
    ("dates", lambda: np.zeros(SHAPE, "M8[s]"), TypeError),
    ("complex", lambda: ones() * 1j, TypeError),
    ("a word", lambda: "abc", TypeError),
    ("a list", lambda: [1.0, 2.0], TypeError),
    ("another shape", lambda: np.ones(3), ValueError),
]


@pytest.mark.parametrize(("make", "error"), [x[1:] for x in STRANGE], ids=[x[0] for x in STRANGE])
@pytest.mark.parametrize("library", STEPPING, indirect=True)
def test_what_cannot_be_state_is_not_loaded(make: Any, error: Any, library: Library) -> None:
    opt, _, _ = made("Adam", library)
    saved = copy.deepcopy(opt.state_dict())
    saved["state"][1]["exp_avg"] = make()
    before = frozen(opt)
    with pytest.raises(error, match=r"parameter b: loaded exp_avg"):
        opt.load_state_dict(saved)
    assert frozen(opt) == before


@pytest.mark.parametrize(
    ("loading", "saved", "message"),
    [
        ("Adam", "SGD", "no exp_avg"),
        ("SGD", "Adam", "a step count, which SGD does not keep"),
        ("Adam", "RMSprop", "no exp_avg"),
        ("RMSprop", "Adam", "no square_avg"),
        ("Adamax", "Adam", "no exp_inf"),
        ("Muon", "Adam", "step count|no momentum_buffer"),
        ("ASGD", "Adagrad", "no eta, mu, ax"),
    ],
)
def test_the_state_of_another_optimizer_is_not_loaded(
    loading: str, saved: str, message: str
) -> None:
    library = LIBRARIES["numpy"]
    theirs, _, _ = made(saved, library)
    if saved == "SGD":
        theirs = ok.SGD({"a": ones(), "b": ones()}, momentum=0.9)
        theirs.step(grads=[ones(), ones()])
    opt, _, _ = made(loading, library)
    before = frozen(opt)
    with pytest.raises(ValueError, match=f"parameter a: .*({message})"):
        opt.load_state_dict(theirs.state_dict())
    assert frozen(opt) == before


@pytest.mark.parametrize("name", COUNTING)
def test_a_parameter_of_another_dtype_than_its_state(engine: str, name: str) -> None:
    a, b = ok.Parameter(ones()), ok.Parameter(ones())
    opt = getattr(ok, name)([a, b])
    LIBRARIES["Parameter"].step(opt, [ones(), ones()])
    b.data = np.ones(SHAPE)
    a.grad, b.grad = ones(), np.ones(SHAPE)
    before = frozen(opt)
    with pytest.raises(TypeError, match=r"parameter 1: its state \w+ has dtype float32; float64"):
        opt.step()
    assert frozen(opt) == before


def test_a_state_of_another_library(engine: str) -> None:
    opt, _, b = made("Adam", LIBRARIES["numpy"])
    opt.state[b]["exp_avg"] = torch.ones(SHAPE)
    refused(opt, LIBRARIES["numpy"], "Adam", TypeError, r"parameter b: its state exp_avg .*Tensor")


class Turned(ok.Optimizer):
    """State of a complex parameter whose last axis is not the one that lies together."""

    def __init__(self, params: Any, lr: float = 0.5) -> None:
        super().__init__(params, dict(lr=lr))

    @staticmethod
    def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
        axes = tuple(reversed(range(len(grad.shape))))
        turned = xp.permute_dims(xp.asarray(xp.permute_dims(grad, axes), copy=True), axes)
        return param - hyper.lr * turned, {"turned": turned}


@pytest.mark.parametrize("library", STEPPING, indirect=True)
def test_complex_state_that_is_not_contiguous(library: Library) -> None:
    start = np.arange(6).reshape(SHAPE) * (1 + 1j)
    w = library.param(start)
    opt = Turned([w])
    for _ in range(2):
        library.step(opt, [start])
    assert_same_bits(opt.state[w]["turned"], start)
    assert_same_bits(w, start - 0.5 * start - 0.5 * start)


# ---------------------------------------------------------------- what a step is given


@pytest.mark.parametrize("given", [[array(1.0)], {"w": array(1.0)}, array(1.0), 3.0])
@pytest.mark.parametrize("name", ["SGD", "Muon", "LBFGS", "NonlinearCG", "SparseAdam"])
def test_gradients_in_the_place_of_a_closure(name: str, given: Any) -> None:
    opt = getattr(ok, name)({"w": np.ones(SHAPE)})
    before = frozen(opt)
    with pytest.raises(TypeError, match=r"takes a closure, not a \w+; .*step\(grads=\.\.\.\)"):
        opt.step(given)
    assert frozen(opt) == before


@pytest.mark.parametrize("name", ["LBFGS", "NonlinearCG"])
def test_a_line_search_over_nothing(name: str) -> None:
    opt = getattr(ok, name)([np.zeros(0), np.zeros((0, 3))])
    for _ in range(2):
        assert opt.step(lambda: (3.0, [np.zeros(0), np.zeros((0, 3))])) == 3.0
