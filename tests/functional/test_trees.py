"""What parameters may be nested in, and what is said of those that are not as they should be."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest

import optimkit as ok
from optimkit import functional
from optimkit.functional.trees import tree_of


class Layer(NamedTuple):
    weight: Any
    bias: Any = None


class Empty(NamedTuple):
    pass


def ones(*shape: int, dtype: str = "float64") -> Any:
    return np.ones(shape, dtype)


def test_containers_are_as_they_were() -> None:
    params = {
        "layers": [Layer(ones(2, 3), ones(3)), Layer(ones(3))],
        "pair": (ones(), Empty()),
        "ordered": OrderedDict(b=ones(1), a=ones(2)),
        "default": defaultdict(list, x=ones(1)),
        "nothing": None,
        3: [],
    }
    tx = functional.adam(lr=0.5)
    state = tx.init(params)
    after, new = tx.step(params, params, state)
    for tree in (after, new["exp_avg"], state["exp_avg"]):
        assert isinstance(tree["layers"][0], Layer)
        assert tree["layers"][1].bias is None
        assert tree["pair"][1] == Empty()
        assert list(tree["ordered"]) == ["b", "a"]
        assert isinstance(tree["ordered"], OrderedDict)
        assert tree["default"].default_factory is list
        assert tree["nothing"] is None
        assert tree[3] == []
    assert tree_of(params).paths == [
        "layers.0.weight", "layers.0.bias", "layers.1.weight", "pair.0",
        "ordered.b", "ordered.a", "default.x",
    ]  # fmt: skip
    assert np.allclose(after["layers"][0].weight, 0.5)
    assert after["pair"][0].shape == ()
    assert new["step"] == 1
    assert state["step"] == 0


def test_an_array_alone_and_no_array_at_all() -> None:
    tx = functional.sgd(lr=0.5)
    after, _ = tx.step(ones(2), ones(2), tx.init(ones(2)))
    assert after.tolist() == [0.5, 0.5]
    assert tx.step({}, {}, tx.init({})) == ({}, {"step": 1})


def test_updates_are_differences() -> None:
    params = {"scalar": np.asarray(1.0), "w": np.linspace(-1, 1, 5)}
    tx = functional.adamw(lr=0.3)
    state = tx.init(params)
    after, new = tx.step(params, params, state)
    updates, same = tx.update(params, state, params)
    for name, x in params.items():
        assert isinstance(updates[name], np.ndarray)
        assert (updates[name] == after[name] - x).all()
        assert (same["exp_avg"][name] == new["exp_avg"][name]).all()


def test_containers_that_jax_knows() -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")

    @jax.tree_util.register_pytree_with_keys_class
    class Module:
        def __init__(self, scale: Any, shift: Any) -> None:
            self.scale, self.shift = scale, shift

        def tree_flatten_with_keys(self) -> Any:
            key = jax.tree_util.GetAttrKey
            return ((key("scale"), self.scale), (key("shift"), self.shift)), None

        @classmethod
        def tree_unflatten(cls, aux: Any, children: Any) -> Any:
            return cls(*children)

    params = [Module(ones(2), {"x": ones(3)})]
    assert tree_of(params).paths == ["0.scale", "0.shift.x"]
    tx = functional.sgd(lr=0.5)
    after, _ = tx.step(params, params, tx.init(params))
    assert isinstance(after[0], Module)
    assert (after[0].shift["x"] == 0.5).all()
    with pytest.raises(TypeError, match=r"gradients at 0: a numpy.ndarray in the place of"):
        tx.step(params, [ones(2)], tx.init(params))


def test_mappings_that_are_no_dicts() -> None:
    params = MappingProxyType({"x": ones(2)})
    after, _ = functional.sgd(lr=0.5).step(params, params, functional.sgd().init(params))
    assert list(after) == ["x"]


def test_gradients_that_are_missing() -> None:
    """They leave a parameter alone, and its count with it, as for the class."""
    params = {"a": ones(2), "b": ones(2)}
    held = [ones(2), ones(2)]
    optimizer = ok.Adam(held, lr=0.1)
    tx = functional.adam(lr=0.1)
    state = tx.init(params)
    for grads in ((1.0, None), (0.5, 1.0), (None, None), (2.0, -1.0)):
        row = [None if g is None else g * ones(2) for g in grads]
        optimizer.step(grads=row)
        params, state = tx.step(params, {"b": row[1], "a": row[0]}, state)
    assert state["step"] == {"a": 3, "b": 2}
    for mine, theirs in zip(params.values(), held, strict=True):
        assert (mine == theirs).all()
    updates, again = tx.update({"a": None, "b": ones(2)}, state, params)
    assert updates["a"] is None
    assert again["step"] == {"a": 3, "b": 3}


def test_nothing_that_is_given_changes_and_nothing_is_shared() -> None:
    for name in ("sgd", "asgd", "adagrad", "rprop"):
        options = {"momentum": 0.9} if name == "sgd" else {}
        tx = getattr(functional, name)(**options)
        params, grads = {"x": ones(3), "none": ones(0)}, {"x": ones(3), "none": ones(0)}
        state = tx.init(params)
        held = copy.deepcopy((params, grads, state))
        after, new = tx.step(params, grads, state)
        second, newer = tx.step(after, grads, new)
        for x, y in zip(_arrays((params, grads, state)), _arrays(held), strict=True):
            assert (x == y).all()
        given, made = _arrays((params, grads, state)), _arrays((after, new))
        assert not any(np.shares_memory(x, y) for x in given for y in made)
        assert not any(np.shares_memory(x, y) for x in made for y in _arrays((second, newer)))


def _arrays(trees: Any) -> list[Any]:
    return [x for x in tree_of(list(trees)).leaves if hasattr(x, "shape")]


def test_kept_and_sent_elsewhere() -> None:
    tx = functional.nadam(lr=0.1)
    for other in (copy.deepcopy(tx), pickle.loads(pickle.dumps(tx))):
        one, two = (x.step(ones(2), ones(2), x.init(ones(2)))[0] for x in (tx, other))
        assert (one == two).all()
    assert repr(tx).startswith("NAdam as functions (lr=0.1, betas=(0.9, 0.999)")


TX = functional.adam(lr=0.1)
PARAMS = {"layer": {"w": ones(2, 3), "b": ones(3)}}
STATE = TX.init(PARAMS)
SPARSE = ok.RowSparse(np.array([0]), ones(1, 2), (3, 2))
WRONG_STATE = {**STATE, "exp_avg": {"layer": {"w": ones(2, 3), "b": ones(4)}}}
WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a gradient too few": (
        lambda: TX.step(PARAMS, {"layer": {"w": ones(2, 3)}}, STATE),
        ValueError,
        r"Adam: gradients at layer must be nested as the parameters are; missing: layer\.b",
    ),
    "a gradient too many": (
        lambda: TX.step(PARAMS, {"layer": {"w": ones(2, 3), "b": ones(3), "c": 1}}, STATE),
        ValueError,
        r"unknown: layer\.c",
    ),
    "a list for a dict": (
        lambda: TX.step(PARAMS, {"layer": [ones(2, 3), ones(3)]}, STATE),
        TypeError,
        "Adam: gradients at layer: a list in the place of a dict",
    ),
    "a dict for an array": (
        lambda: TX.step(PARAMS, {"layer": {"w": {"x": ones(2)}, "b": ones(3)}}, STATE),
        TypeError,
        r"gradients at layer\.w: a dict in the place of an array",
    ),
    "an array for a dict": (
        lambda: TX.step(PARAMS, {"layer": ones(2)}, STATE),
        TypeError,
        "gradients at layer: a numpy.ndarray in the place of a dict",
    ),
    "another shape": (
        lambda: TX.step(PARAMS, {"layer": {"w": ones(3, 2), "b": ones(3)}}, STATE),
        ValueError,
        r"Adam: parameter layer\.w: its gradient has shape \(3, 2\); \(2, 3\) is needed",
    ),
    "another dtype": (
        lambda: TX.step(PARAMS, {"layer": {"w": ones(2, 3, dtype="f4"), "b": ones(3)}}, STATE),
        TypeError,
        r"parameter layer\.w: its gradient has dtype float32; float64 is needed",
    ),
    "another kind": (
        lambda: TX.step(PARAMS, {"layer": {"w": "abc", "b": ones(3)}}, STATE),
        TypeError,
        r"parameter layer\.w: its gradient is a builtins.str; a numpy.ndarray is needed",
    ),
    "a sparse one": (
        lambda: TX.step(
            ones(3, 2), ok.RowSparse(np.array([0]), ones(1, 2), (3, 2)), TX.init(ones(3, 2))
        ),
        RuntimeError,
        "Adam: the parameter: its gradient is sparse; a dense array is needed",
    ),
    "a number for a parameter": (
        lambda: TX.init({"a": {"b": 1.5}}),
        TypeError,
        r"Adam: parameter a\.b: a builtins.float is no array or tensor",
    ),
    "whole numbers": (
        lambda: TX.init([ones(2), np.ones(2, int)]),
        TypeError,
        "Adam: parameter 1: its dtype is int64; a real or complex floating dtype is needed",
    ),
    "no matrix for Muon": (
        lambda: functional.muon().init({"w": ones(2, 2), "b": ones(2)}),
        ValueError,
        r"Muon: parameter b: only matrices can be optimized, not an array of shape \(2,\)",
    ),
    "a state of something else": (
        lambda: TX.step(PARAMS, PARAMS, (1, 2)),
        TypeError,
        r"Adam: a state is what init\(params\) returns, not a builtins.tuple",
    ),
    "a state of another rule": (
        lambda: TX.step(PARAMS, PARAMS, functional.sgd().init(PARAMS)),
        KeyError,
        r"Adam: parameter layer\.w: its state has no exp_avg",
    ),
    "a state of other parameters": (
        lambda: TX.step(PARAMS, PARAMS, TX.init({"layer": {"w": ones(2, 3)}})),
        ValueError,
        r"Adam: state exp_avg at layer must be nested as the parameters are; missing: layer\.b",
    ),
    "a state of another shape": (
        lambda: TX.step(PARAMS, PARAMS, WRONG_STATE),
        ValueError,
        r"Adam: parameter layer\.b: its state exp_avg has shape \(4,\); \(3,\) is needed",
    ),
    "no parameters for update": (
        lambda: TX.update(PARAMS, STATE),
        ValueError,
        r"Adam: update\(grads, state, params\) needs the parameters",
    ),
    "an option out of range": (
        lambda: functional.adam(lr=-1.0),
        ValueError,
        "Adam: invalid lr: -1.0; it must be a number of at least 0",
    ),
    "an option of no kind": (
        lambda: functional.adam(lr="fast"),
        TypeError,
        "Adam: invalid lr: 'fast'",
    ),
    "options that contradict": (
        lambda: functional.sgd(nesterov=True),
        ValueError,
        "SGD: Nesterov momentum requires a momentum",
    ),
    "an unknown option": (
        lambda: functional.adam(learning_rate=1.0),
        TypeError,
        "adam: got an unexpected keyword argument 'learning_rate'",
    ),
    "an option of classes": (
        lambda: functional.of(ok.Adam, fused=True),
        TypeError,
        "Adam: fused chooses how an optimizer of arrays steps",
    ),
    "a schedule that is no rate": (
        lambda: functional.adam(lr=lambda step: "fast"),
        TypeError,
        "Adam: invalid lr: 'fast'",
    ),
    "an optimizer for a class": (
        lambda: functional.of(ok.Adam([ones(2)])),  # type: ignore[arg-type]
        TypeError,
        "of takes the class of an optimizer",
    ),
    "a rule that searches": (
        lambda: functional.of(ok.LBFGS),
        TypeError,
        r"LBFGS is no function of gradients: its step evaluates the loss again",
    ),
    "a rule for sparse gradients": (
        lambda: functional.sparseadam,
        AttributeError,
        "SparseAdam is no function of gradients: its gradients are sparse",
    ),
    "a rule by that name": (lambda: functional.nothing, AttributeError, "no attribute 'nothing'"),
    "the base": (lambda: functional.of(ok.Optimizer), TypeError, "it defines no update"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_wrong_is_named(fault: str) -> None:
    call, kind, message = WRONG[fault]
    with pytest.raises(kind, match=message):
        call()


def test_a_rule_of_the_users() -> None:
    class Counted(ok.Optimizer):
        """Its state grows at the first step, and has a number."""

        def __init__(self, params: Any, lr: float = 0.5, **options: Any) -> None:
            super().__init__(params, {"lr": lr, **options})

        @staticmethod
        def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
            return {"anchor": param * 1, "total": 0.0}

        @staticmethod
        def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
            mean = state.get("mean", grad)
            new = {"mean": (mean + grad) / 2, "total": state["total"] + hyper.lr}
            return param - hyper.lr * mean + 0 * state["anchor"], new

    param, x = ones(2), ones(2)
    optimizer, tx = Counted([param]), functional.of(Counted)
    state = tx.init(x)
    assert set(state) == {"step", "anchor", "total", "mean"}
    assert state["anchor"] is not x
    for k in (1.0, 2.0, 3.0):
        optimizer.step(grads=[k * ones(2)])
        x, state = tx.step(x, k * ones(2), state)
    assert (x == param).all()
    assert (state["mean"] == optimizer.state[param]["mean"]).all()
    assert state["total"] == 1.5
    scheduled = functional.of(Counted, lr=lambda step: 1.0 / (1 + step))
    state = scheduled.init(ones(2))
    x, state = scheduled.step(ones(2), ones(2), state)
    x, state = scheduled.step(x, ones(2), state)
    assert x.tolist() == [-0.5, -0.5]

    class Doubled(Counted):
        def __init__(self, params: Any, lr: float = 0.5) -> None:
            super().__init__(params, 2 * lr)

    assert functional.of(Doubled, lr=0.5).step(x, x, functional.of(Doubled).init(x)) is not None
    with pytest.raises(TypeError, match="lr cannot be a function of the step"):
        functional.of(Doubled, lr=lambda step: 0.5)
