"""Names of parameters: from nested containers, for gradients, and in checkpoints."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from conftest import array, assert_same_bits
from forms import tensor

import optimkit as ok


def layer(*names: str) -> dict[str, np.ndarray]:
    return {name: np.ones((2, 2)) if name == "W" else np.ones(2) for name in names}


NESTED: dict[str, tuple[Any, list[str]]] = {
    "pairs of arrays": (lambda: [tuple(layer("W", "b").values())], ["0.0", "0.1"]),
    "lists": (lambda: [[np.ones(2)], [np.ones(2), np.ones(3)]], ["0.0", "1.0", "1.1"]),
    "a list of layers": (lambda: [layer("W", "b"), layer("b")], ["0.W", "0.b", "1.b"]),
    "a dict of layers": (
        lambda: {"in": layer("W", "b"), "out": layer("b")},
        ["in.W", "in.b", "out.b"],
    ),
    "deep": (
        lambda: {"net": [{"conv": (np.ones(1), np.ones(2))}]},
        ["net.0.conv.0", "net.0.conv.1"],
    ),
    "numbered": (lambda: {0: np.ones(1), 1: np.ones(2)}, ["0", "1"]),
    "a group": (lambda: [{"params": layer("W", "b")}], ["W", "b"]),
    "a group of layers": (lambda: [{"params": [layer("W"), np.ones(1)]}], ["0.W", "1"]),
    "pairs in a dict": (lambda: {"in": [("W", np.ones(2)), ("b", np.ones(1))]}, ["in.W", "in.b"]),
    "Parameters": (lambda: {"in": {"W": ok.Parameter(np.ones(2))}}, ["in.W"]),
    "tensors": (lambda: [(torch.ones(2, 2), torch.ones(2))], ["0.0", "0.1"]),
}


@pytest.mark.parametrize(("make", "names"), NESTED.values(), ids=NESTED)
def test_nested_containers_name_parameters_by_their_path(make: Any, names: list[str]) -> None:
    group = ok.SGD(make(), lr=0.5).param_groups[0]
    assert group["param_names"] == names
    assert len(group["params"]) == len(names)


def test_gradients_may_be_nested_as_the_parameters_are() -> None:
    params = {"in": layer("W", "b"), "out": [np.ones(3), np.ones(1)]}
    grads = copy.deepcopy(params) | {"out": [np.ones(3), None]}
    opt = ok.SGD(params, lr=0.5)
    opt.step(grads=grads)
    opt.step(grads={"in.W": None, "in.b": np.ones(2), "out.0": None, "out.1": np.ones(1)})
    assert params["in"]["W"].max() == params["out"][1].item() == 0.5
    assert params["in"]["b"].tolist() == [0.0, 0.0]
    pairs = [tuple(layer("W", "b").values()) for _ in range(2)]
    opt = ok.SGD(pairs, lr=0.5)
    opt.step(grads=copy.deepcopy(pairs))
    opt.step(grads=[x for pair in copy.deepcopy(pairs) for x in pair])
    assert all((x == 0.25).all() for pair in pairs for x in pair)
    before = copy.deepcopy(pairs)
    for wrong in ([(np.ones((2, 2)),)], [pairs[0], (np.ones((2, 2)), [1.0, 1.0])]):
        with pytest.raises(ValueError, match="gradients for 4 parameters"):
            opt.step(grads=wrong)
    for pair, same in zip(pairs, before, strict=True):
        assert_same_bits(pair[0], same[0])


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ([(3, np.ones(2))], TypeError, r"parameter 0\.0: a builtins\.int"),
        ({"a.b": np.ones(1), "a": {"b": np.ones(1)}}, ValueError, "names must differ"),
        ([layer("W"), {"params": np.ones(1)}], TypeError, "mixes"),
        ([{"lr": 0.5, "W": np.ones(1)}], KeyError, "params"),
    ],
)
def test_nests_that_are_refused(params: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ok.SGD(params)


# ---------------------------------------------------------------- checkpoints

RULES = ["SGD", "Adam", "NAdam", "Rprop", "ASGD", "Adafactor"]


def options(name: str) -> dict[str, Any]:
    return {"momentum": 0.9} if name == "SGD" else {}


@pytest.mark.parametrize("grouped", [False, True], ids=["one group", "two groups"])
@pytest.mark.parametrize("name", RULES)
def test_state_is_loaded_by_name(name: str, grouped: bool) -> None:
    def made(names: str) -> tuple[ok.Optimizer, dict[str, Any]]:
        arrays = {key: array(*range(1, 2 + "xyz".index(key))) for key in names}
        groups = [{"params": {k: arrays[k]}, "lr": 0.25} for k in "z"] if grouped else []
        rest = {k: x for k, x in arrays.items() if not (grouped and k == "z")}
        return getattr(ok, name)([{"params": rest}, *groups], lr=0.5, **options(name)), arrays

    opt, arrays = made("xyz")
    other, moved = made("zyx")
    for _ in range(2):
        opt.step(grads={key: x.copy() for key, x in arrays.items()})
    for key, x in arrays.items():
        moved[key][...] = x
    other.load_state_dict(opt.state_dict())
    for each, held in ((opt, arrays), (other, moved)):
        each.step(grads={key: np.full_like(x, 0.5) for key, x in held.items()})
    for key, x in arrays.items():
        assert_same_bits(moved[key], x, key)
    names = [name for group in other.param_groups for name in group["param_names"]]
    assert names == (["y", "x", "z"] if grouped else ["z", "y", "x"])


@pytest.mark.parametrize("name", [*RULES, "LBFGS", "NonlinearCG"])
def test_names_that_do_not_match_are_refused_unless_asked_for(name: str) -> None:
    x, y = array(1.0), array(2.0)
    opt = getattr(ok, name)({"x": x, "y": y}, **options(name))
    other = getattr(ok, name)({"p": x, "q": y}, lr=0.5, **options(name))
    with pytest.raises(ValueError, match=r"group 0: .*no parameters \['p', 'q'\], but \['x', 'y'"):
        other.load_state_dict(opt.state_dict())
    assert other.param_groups[0]["lr"] == 0.5
    other.load_state_dict(opt.state_dict(), by_position=True)
    assert other.param_groups[0]["lr"] != 0.5
    assert other.param_groups[0]["param_names"] == ["p", "q"]


@pytest.mark.parametrize("name", ["LBFGS", "NonlinearCG"])
def test_a_state_of_all_parameters_together_keeps_their_order(name: str) -> None:
    x, y = array(1.0), array(2.0)
    saved = getattr(ok, name)({"x": x, "y": y}).state_dict()
    other = getattr(ok, name)({"y": y, "x": x})
    with pytest.raises(ValueError, match="all parameters together"):
        other.load_state_dict(saved)
    other.load_state_dict(saved, by_position=True)
    assert other.param_groups[0]["param_names"] == ["y", "x"]


def test_a_hook_of_torch_may_rename_before_loading() -> None:
    w = tensor(1.0)
    opt = ok.Adam([("new", w)])
    saved = torch.optim.Adam([("old", tensor(1.0))]).state_dict()

    def rename(optimizer: Any, state: dict[str, Any]) -> dict[str, Any]:
        groups = [{**group, "param_names": ["new"]} for group in state["param_groups"]]
        return {**state, "param_groups": groups}

    opt.register_load_state_dict_pre_hook(rename)
    opt.load_state_dict(saved)
    assert opt.param_groups[0]["param_names"] == ["new"]
