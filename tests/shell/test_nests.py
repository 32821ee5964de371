"""Models that are nested: gradients, clipping, and layers that come in later."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from conftest import assert_same_bits
from forms import tensor

import optimkit as ok
from optimkit.groups import leaves, refilled


def layer(size: int = 2, start: float = 1.0) -> dict[str, Any]:
    return {
        "w": np.arange(size * size, dtype=float).reshape(size, size) + start,
        "b": np.ones(size),
    }


class Affine(NamedTuple):
    w: Any
    b: Any


def flat(nest: Any) -> list[Any]:
    return [x for _, x in leaves(nest)]


NESTS: dict[str, Any] = {
    "a list of layers": [layer(), layer(3)],
    "a dict of layers": {"in": layer(), "out": [np.ones(3), np.full(1, -2.0)]},
    "tuples": ((np.ones(2), np.ones(1)), (np.ones(3),)),
    "pairs in a dict": {"in": [("w", np.ones(2)), ("b", np.ones(1))]},
    "named tuples": {
        "in": Affine(np.ones((2, 2)), np.ones(2)),
        "out": Affine(np.ones(1), np.ones(1)),
    },
    "deep": {"net": [{"conv": (np.ones(1), [np.full(2, 3.0)])}]},
    "an array beside a layer": [np.ones(2), layer()],
}


# ---------------------------------------------------------------- norms and clipping


@pytest.mark.parametrize("name", NESTS)
@pytest.mark.parametrize("order", [2.0, 1.0, 0.0, "inf"])
def test_the_norm_of_a_nest_is_that_of_its_arrays(name: str, order: Any) -> None:
    nest = NESTS[name]
    assert ok.get_total_norm(nest, order) == ok.get_total_norm(flat(nest), order)


@pytest.mark.parametrize("name", NESTS)
def test_a_nest_is_clipped_in_place(name: str) -> None:
    nest, wanted = copy.deepcopy(NESTS[name]), copy.deepcopy(flat(NESTS[name]))
    arrays = flat(nest)
    assert ok.clip_grad_norm_(nest, 0.5) == ok.clip_grad_norm_(wanted, 0.5)
    assert ok.clip_grad_value_(nest, 0.125) is ok.clip_grad_value_(wanted, 0.125) is None
    for now, array, other in zip(flat(nest), arrays, wanted, strict=True):
        assert now is array
        assert_same_bits(array, other)


def test_what_is_none_is_passed_over() -> None:
    nest = [None, {"w": np.array([3.0, 4.0]), "b": None}, {}]
    assert ok.get_total_norm(nest) == 5
    assert ok.clip_grad_norm_(nest, 1e9) == 5
    assert ok.get_total_norm([None, {"b": None}]) == 0
    assert ok.get_total_norm({"a": [{}]}) == 0


def test_tensors_and_parameters_in_a_nest() -> None:
    held = ok.Parameter(np.ones(1))
    held.grad = np.array([3.0])
    p = torch.nn.Parameter(torch.ones(1))
    p.grad = torch.tensor([4.0])
    assert float(ok.clip_grad_norm_({"a": {"w": held}, "b": [p, torch.ones(1)]}, 10.0)) == 5
    assert float(ok.get_total_norm({"a": [tensor(3.0)], "b": [tensor(4.0)]})) == 5
    module = torch.nn.Linear(2, 1)
    module(torch.ones(2)).sum().backward()
    assert float(ok.get_total_norm({"a": module.weight.grad})) == pytest.approx(2**0.5)
    ok.clip_grad_norm_(list(module.named_parameters()), 0.1)
    assert float(ok.clip_grad_norm_(module.named_parameters(), 1.0)) == pytest.approx(0.1)
    with pytest.raises(TypeError, match="generator"):
        ok.get_total_norm({"a": {"w": module.parameters()}})


@pytest.mark.parametrize(
    ("nest", "error", "message"),
    [
        ({"layers": [{"w": "x"}]}, TypeError, r"gradient layers\.0\.w: a builtins\.str"),
        ([{"w": np.ones(2)}, {"w": 3.0}], TypeError, r"gradient 1\.w: a builtins\.float"),
        ({"a": {"w": np.ones(2, int)}}, TypeError, r"gradient a\.w: its dtype is int"),
        ([None, np.ones(2), [1.0]], TypeError, r"gradient 2\.0: a builtins\.float"),
        ({"w": [1.0, 2.0]}, TypeError, r"gradient w\.0: a builtins\.float"),
    ],
)
def test_a_leaf_that_is_no_gradient_is_named_by_its_path(
    nest: Any, error: type[Exception], message: str
) -> None:
    for call in (ok.get_total_norm, lambda x: ok.clip_grad_norm_(x, 0.1)):
        with pytest.raises(error, match=message):
            call(nest)
    with pytest.raises(error, match=message):
        ok.clip_grad_value_(nest, 0.1)


def test_what_cannot_be_changed_is_named_and_nothing_has_changed() -> None:
    shut = np.ones(2)
    shut.flags.writeable = False
    nest = {"a": None, "b": [np.ones(2), shut]}
    for clip in (ok.clip_grad_norm_, ok.clip_grad_value_):
        with pytest.raises(ValueError, match=r"gradient b\.1: .*read-only"):
            clip(nest, 0.1)
        with pytest.raises(ValueError, match=r"gradient 2: .*read-only"):
            clip([None, np.ones(2), shut], 0.1)
    assert nest["b"][0].tolist() == [1, 1]
    with pytest.raises(NotImplementedError, match=r"gradient a\.w: complex"):
        ok.clip_grad_value_({"b": None, "a": {"w": np.ones(2, complex)}}, 1.0)


@pytest.mark.parametrize("name", NESTS)
def test_a_nest_is_refilled_as_it_was(name: str) -> None:
    nest = NESTS[name]
    again = refilled(nest, iter(flat(nest)))
    assert [path for path, _ in leaves(again)] == [path for path, _ in leaves(nest)]
    assert all(x is y for x, y in zip(flat(again), flat(nest), strict=True))
    if name != "pairs in a dict":
        assert type(again) is type(nest)
    if name == "named tuples":
        assert again["in"].b is nest["in"].b


# ---------------------------------------------------------------- gradients of a part


@pytest.mark.parametrize(
    "grads",
    [
        [None, layer()],
        {"0": None, "1": layer()},
        {"0": None, "1.w": layer()["w"], "1.b": np.ones(2)},
        {"0.w": None, "0.b": None, "1": layer()},
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_none_for_a_nest_leaves_all_in_it_alone(grads: Any, wrapped: bool) -> None:
    net = [layer(), layer()]
    before = copy.deepcopy(net)
    optimizer = ok.Adam(net, lr=0.1)
    (ok.skip_nonfinite(optimizer) if wrapped else optimizer).step(grads=grads)
    for name in ("w", "b"):
        assert_same_bits(net[0][name], before[0][name])
        assert (net[1][name] != before[1][name]).all()
    assert len(optimizer.state) == 2


def test_none_for_everything_and_for_what_is_not_there() -> None:
    net = [layer(), layer()]
    optimizer = ok.Adam(net)
    optimizer.step(grads=[None, None])
    optimizer.step(grads={"0": None, "1": None})
    assert len(optimizer.state) == 0
    with pytest.raises(ValueError, match=r"got 5 gradients for 4 parameters; unknown: \['2'\]"):
        optimizer.step(grads=[layer(), None, None])
    with pytest.raises(KeyError, match=r"unknown: \['2'\], missing: \['1\.b', '1\.w'\]"):
        optimizer.step(grads={"0": layer(), "2": None})


@pytest.mark.parametrize(
    ("grads", "error", "message"),
    [
        ({"0": layer()}, KeyError, r"missing: \['1\.b', '1\.w'\]; give None for a parameter"),
        ({"0": layer(), "1": layer(), "c": np.ones(1)}, KeyError, r"unknown: \['c'\]; give"),
        ([layer(), {"w": np.ones((2, 2))}], ValueError, r"got 3 .* for 4 .*missing: \['1\.b'\]"),
        ([layer()], ValueError, r"got 2 .* for 4 .*missing: .*give None for a parameter that is"),
    ],
)
def test_names_that_are_missing_or_unknown(
    grads: Any, error: type[Exception], message: str
) -> None:
    net = [layer(), layer()]
    before = copy.deepcopy(net)
    optimizer = ok.Adam(net)
    with pytest.raises(error, match=message):
        optimizer.step(grads=grads)
    assert_same_bits(net[0]["w"], before[0]["w"])
    assert optimizer.step_count == 0


# ---------------------------------------------------------------- a layer that comes later


def test_a_name_that_is_there_already_is_refused() -> None:
    net = [layer(), layer()]
    optimizer = ok.Adam(net)
    optimizer.step(grads=copy.deepcopy(net))
    late = layer()
    message = r"'0\.w' is in group 0 and in group 1; name what is in a group, as in \{\"params\""
    for params in ([late], {"0.w": late["w"]}, {"0": late}):
        with pytest.raises(ValueError, match=message):
            optimizer.add_param_group({"params": params})
        assert len(optimizer.param_groups) == 1
    optimizer.step(grads=copy.deepcopy(net))
    optimizer.add_param_group({"params": {"2": late}})
    optimizer.step(grads=[layer(), layer(), layer()])
    optimizer.step(grads=[None, None, layer()])
    assert len(optimizer.state) == 6
    with pytest.raises(ValueError, match=r"'0\.w' is in group 0 and in group 1"):
        ok.Adam([{"params": [layer()]}, {"params": [layer()]}])


def test_tensors_may_have_names_twice_as_in_torch() -> None:
    def named() -> Any:
        return torch.nn.Linear(2, 1).named_parameters()

    for library in (torch.optim, ok):
        optimizer = library.SGD([{"params": named()}, {"params": named()}], lr=0.1)
        optimizer.add_param_group({"params": named()})
        for group in optimizer.param_groups:
            assert group["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueError, match="'w' is in group 0 and in group 1"):
        ok.SGD([{"params": {"w": tensor(1.0)}}, {"params": {"w": np.ones(1)}}], lr=0.1)
