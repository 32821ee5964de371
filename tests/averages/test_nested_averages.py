"""Averages of nested models, and of models that grow."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from conftest import assert_same_bits

import optimkit as ok
from optimkit.groups import leaves
from optimkit.swa_utils import AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn

RULES: dict[str, Any] = {
    "swa": {},
    "ema": {"avg_fn": get_ema_avg_fn(0.9)},
    "ema multi": {"multi_avg_fn": get_ema_multi_avg_fn(0.9)},
    "mine": {"avg_fn": lambda a, w, n: a + (w - a) / 4},
}


def layer(start: float = 1.0, dtype: str = "float64") -> dict[str, Any]:
    return {"w": np.arange(6, dtype=dtype).reshape(2, 3) + start, "b": np.ones(3, "float32")}


def nest() -> Any:
    return {"embed": np.ones(4), "layers": [layer(), layer(2.0, "float32")], "out": (np.ones(1),)}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "make", [nest, lambda: [layer(), layer()], lambda: {"a": {"b": np.ones(2)}}]
)
def test_a_nest_is_averaged_as_its_arrays_are(rule: str, make: Any) -> None:
    model = make()
    arrays = [x for _, x in leaves(model)]
    ours, flat = AveragedModel(model, **RULES[rule]), AveragedModel(arrays, **RULES[rule])
    assert [path for path, _ in leaves(ours.module)] == [path for path, _ in leaves(model)]
    assert type(ours.module) is type(model)
    for step in range(3):
        for x in arrays:
            x += step
        ours.update_parameters(model)
        flat.update_parameters(arrays)
    found = [x for _, x in leaves(ours.module)]
    assert all(x is not y for x, y in zip(found, arrays, strict=True))
    assert len(found) == len(flat.module) == len(list(ours.parameters()))
    for x, y, z in zip(found, flat.module, ours.parameters(), strict=True):
        assert_same_bits(x, y)
        assert x is z


def test_the_structure_serves_as_the_model_does() -> None:
    def predict(model: Any) -> Any:
        return model["embed"].sum() * model["layers"][1]["w"].sum() + model["out"][0]

    model = nest()
    average = AveragedModel(model)
    average.update_parameters(model)
    assert predict(average.module) == predict(model)


def test_states_have_paths_and_go_on() -> None:
    model = nest()
    average = AveragedModel(model)
    average.update_parameters(model)
    saved = average.state_dict()
    paths = [f"module.{path}" for path, _ in leaves(model)]
    assert list(saved) == ["n_averaged", *paths]
    assert "module.layers.1.w" in paths
    model["layers"][0]["w"] += 1
    other = AveragedModel(nest())
    other.load_state_dict(copy.deepcopy(saved))
    for way in (other, copy.deepcopy(average), pickle.loads(pickle.dumps(average))):
        way.update_parameters(model)
        for (_, x), (_, y) in zip(leaves(way.module), leaves(other.module), strict=True):
            assert_same_bits(x, y)
    assert other.n_averaged == 2


def test_a_nest_is_matched_by_path_or_in_order() -> None:
    model = {"a": layer(1.0), "b": layer(5.0)}
    average = AveragedModel(model)
    average.update_parameters({"b": model["b"], "a": model["a"]})
    assert average.module["a"]["w"][0, 0] == 1
    optimizer = ok.SGD(model, lr=0.1)
    average.update_parameters(optimizer)
    average.update_parameters([x for _, x in leaves(model)])
    assert average.module["b"]["w"][0, 0] == 5
    with pytest.raises(KeyError, match=r"unknown: \['c\.b', 'c\.w'\], missing: \['b\.b', 'b\.w'\]"):
        average.update_parameters({"a": model["a"], "c": model["b"]})
    assert average.n_averaged == 3


def test_tensors_and_parameters_in_a_nest() -> None:
    model = {"a": [ok.Parameter(np.ones(2))], "b": (torch.ones(2, requires_grad=True),)}
    average = AveragedModel(model)
    average.update_parameters(model)
    assert type(average.module["a"][0]) is np.ndarray
    assert torch.is_tensor(average.module["b"][0])


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ([{"w": "x"}], TypeError, r"AveragedModel: parameter 0\.w: a builtins\.str is no array"),
        ({"a": {"w": [1.0]}}, TypeError, r"parameter a\.w\.0: a builtins\.float"),
        ({"a.b": np.ones(1), "a": {"b": np.ones(1)}}, ValueError, "names must differ"),
        ({"a": {"w": None}}, TypeError, r"parameter a\.w: a builtins\.NoneType"),
    ],
)
def test_leaves_that_are_refused(model: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        AveragedModel(model)


@pytest.mark.parametrize("rule", ["swa", "ema multi"])
def test_a_model_that_has_grown(rule: str) -> None:
    net = [layer()]
    old, other = (AveragedModel(net, **RULES[rule]) for _ in range(2))
    for average in (old, other):
        average.update_parameters(net)
    net[0]["w"] += 1
    net.append(layer(7.0))
    with pytest.raises(KeyError, match=r"unknown: \['1\.b', '1\.w'\]; of a model that has grown"):
        old.update_parameters(net)
    new = AveragedModel(net, **RULES[rule])
    with pytest.raises(KeyError, match=r"loaded averages .*missing: \['1\.b', '1\.w'\]"):
        new.load_state_dict(old.state_dict())
    new.load_state_dict(new.state_dict() | old.state_dict())
    assert new.n_averaged == 1
    assert_same_bits(new.module[1]["w"], net[1]["w"])
    new.update_parameters(net)
    other.update_parameters(net[:1])
    assert_same_bits(new.module[0]["w"], other.module[0]["w"])
