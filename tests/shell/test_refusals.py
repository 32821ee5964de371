"""What is refused, with its reason, and that nothing has changed then."""

from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np
import pytest
import torch
from conftest import array, assert_same_bits
from forms import frozen, tensor
from libraries import LIBRARIES

import optimkit as ok

BAD_PARAMS = [
    ("a bare array", lambda: array(1.0), TypeError, "ndarray"),
    ("a bare tensor", lambda: tensor(1.0), TypeError, "Parameter|Tensor"),
    ("a bare Parameter", lambda: ok.Parameter(array(1.0)), TypeError, "Parameter"),
    ("a string", lambda: "weights", TypeError, "str"),
    ("a number", lambda: 3, TypeError, "int"),
    ("None", lambda: None, TypeError, "NoneType"),
    ("nothing", list, ValueError, "empty parameter list"),
    ("an exhausted generator", lambda: iter(()), ValueError, "empty parameter list"),
    ("a set", lambda: {tensor(1.0)}, TypeError, "set"),
    ("a group with a set", lambda: [{"params": {tensor(1.0)}}], TypeError, "set"),
    ("numbers", lambda: [array(1.0), 2.0], TypeError, r"parameter 1.*float"),
    ("a list of numbers", lambda: [[1.0, 2.0]], TypeError, r"parameter 0.0: .*float"),
    ("integers", lambda: [array(1, dtype="int64")], TypeError, r"parameter 0.*int64"),
    ("named integers", lambda: {"w": array(1, dtype="int64")}, TypeError, r"parameter w.*int64"),
    ("booleans", lambda: [array(1.0), np.array([True])], TypeError, r"parameter 1.*bool"),
    ("objects", lambda: [np.array([None])], TypeError, r"parameter 0.*object"),
    ("integer tensors", lambda: [torch.ones(2, dtype=torch.int32)], TypeError, "0.*int32"),
    ("a masked array", lambda: [np.ma.array([1.0])], TypeError, r"parameter 0|Masked"),
    ("a NumPy scalar", lambda: [np.float64(1.0)], TypeError, r"parameter 0.*float64"),
    ("a read-only array", lambda: [np.broadcast_to(1.0, 3)], ValueError, r"parameter 0.*read-only"),
    ("an overlapping array", lambda: [overlapping()], ValueError, r"parameter 0.*overlap"),
    ("a non-leaf", lambda: [tensor(1.0) * 2], ValueError, r"parameter 0.*non-leaf"),
    ("expanded", lambda: [torch.ones(1).expand(3)], ValueError, r"parameter 0.*overlap"),
    ("a conjugate", lambda: [torch.ones(1, dtype=torch.cfloat).conj()], ValueError, "conjugat"),
    ("a negation", lambda: [negated()], ValueError, "negat"),
    ("meta", lambda: [torch.ones(2, device="meta")], TypeError, r"parameter 0.*meta"),
    ("sparse", lambda: [torch.ones(2).to_sparse()], TypeError, r"parameter 0.*sparse"),
    ("twice", lambda: [X, X], ValueError, r"parameters? 0.*1"),
    ("in two groups", lambda: [{"params": X}, {"params": X}], ValueError, r"parameters? 0.*1"),
    ("sharing memory", lambda: [X, X[:1]], ValueError, r"parameters 0 and 1 share memory"),
    ("an array and a tensor on it", lambda: [X, torch.from_numpy(X)], ValueError, "share memory"),
    ("a tensor and an array on it", lambda: [torch.from_numpy(X), X], ValueError, "share memory"),
    ("group without params", lambda: [{"lr": 1.0}], KeyError, "params"),
    ("a mix", lambda: [{"params": [array(1.0)]}, array(1.0)], TypeError, "mixes|dict"),
    ("some names", lambda: [("a", array(1.0)), array(2.0)], ValueError, "names"),
    ("equal names", lambda: [("a", array(1.0)), ("a", array(2.0))], ValueError, r"\['a', 'a'\]"),
    (
        "names in one group alone",
        lambda: [{"params": {"a": array(1.0)}}, {"params": [array(2.0)]}],
        ValueError,
        "with/without names",
    ),
    ("a bad option in a group", lambda: [{"params": X, "lr": -3.0}], ValueError, r"-3\.0"),
]

X = np.ones(3)


def overlapping() -> np.ndarray:
    return np.lib.stride_tricks.as_strided(np.ones(4), (3, 2), (8, 8))


def negated() -> torch.Tensor:
    imag: torch.Tensor = torch.ones(2, dtype=torch.cfloat).conj().imag
    assert imag.is_neg()
    return imag


@pytest.mark.parametrize(
    ("make", "error", "message"), [b[1:] for b in BAD_PARAMS], ids=[b[0] for b in BAD_PARAMS]
)
def test_parameters_that_are_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        ok.SGD(make())
    assert type(caught.value) is error


BAD_OPTIONS = [
    ("SGD", dict(lr=-1.0), ValueError, r"lr.*-1\.0"),
    ("SGD", dict(lr=float("nan")), ValueError, "lr.*nan"),
    ("SGD", dict(lr="fast"), TypeError, "lr.*'fast'"),
    ("SGD", dict(lr=np.ones(2)), ValueError, "one number"),
    ("SGD", dict(momentum=-0.5), ValueError, r"momentum.*-0\.5"),
    ("SGD", dict(weight_decay=-0.5), ValueError, r"weight_decay.*-0\.5"),
    ("SGD", dict(nesterov=True), ValueError, "[Nn]esterov momentum requires a momentum"),
    ("SGD", dict(nesterov=True, momentum=0.9, dampening=0.1), ValueError, "dampening"),
    ("Adam", dict(lr=-1.0), ValueError, r"lr.*-1\.0"),
    ("Adam", dict(betas=(1.0, 0.9)), ValueError, r"betas.*\(1\.0, 0\.9\)"),
    ("Adam", dict(betas=(0.9, -0.1)), ValueError, r"betas.*\(0\.9, -0\.1\)"),
    ("Adam", dict(eps=-1e-8), ValueError, "eps.*-1e-08"),
    ("Adam", dict(weight_decay=-1), ValueError, "weight_decay.*-1"),
    ("Adam", dict(fused=True, foreach=True), RuntimeError, "cannot be `True` together"),
    ("AdamW", dict(betas=(1.0, 0.9)), ValueError, r"betas.*\(1\.0, 0\.9\)"),
    ("AdamW", dict(lr=-1), ValueError, "lr.*-1"),
    ("Adam", dict(betas=0.9), TypeError, r"betas.*0\.9"),
    ("Adam", dict(betas=(0.9,)), ValueError, r"betas.*\(0\.9,\)"),
    ("SGD", dict(differentiable=True), TypeError, "differentiable=True takes torch tensors"),
]


OURS_ALONE = {
    "lr.*nan": "torch takes NaN for a learning rate",
    r"betas.*\(0\.9,\)": "torch's IndexError is an accident",
    "differentiable=True takes torch tensors": "torch has only tensors",
}


@pytest.mark.parametrize(("name", "options", "error", "message"), BAD_OPTIONS)
def test_options_that_are_refused(
    name: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        getattr(ok, name)([array(1.0)], **options)
    assert type(caught.value) is error


@pytest.mark.parametrize(("name", "options", "error", "message"), BAD_OPTIONS)
def test_torch_refuses_the_same_options(
    name: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    if message in OURS_ALONE:
        pytest.skip(OURS_ALONE[message])
    with pytest.raises(error):
        getattr(torch.optim, name)([tensor(1.0)], **options)


BAD_GROUPS = [
    ("not a dict", [array(1.0)], TypeError, "list"),
    ("no params", {"lr": 1.0}, KeyError, "params"),
    ("a number", {"params": [3]}, TypeError, "parameter 1: .*int"),
    ("the second of two", {"params": [array(1.0), array(1, dtype="int8")]}, TypeError, "2: .*int8"),
    ("an option", {"params": [array(1.0)], "lr": -1.0}, ValueError, r"-1\.0"),
    ("nesterov", {"params": [array(1.0)], "nesterov": True, "momentum": 0}, ValueError, "ester"),
    ("names", {"params": {"w": array(1.0)}}, ValueError, "with/without names"),
]


@pytest.mark.parametrize("lib", [ok, torch.optim])
@pytest.mark.parametrize("params", [None, [{"params": [tensor(1.0)], "lr": 0.5}]])
def test_options_are_looked_at_before_parameters(lib: Any, params: Any) -> None:
    for name in ("SGD", "Adam", "LBFGS"):
        with pytest.raises(ValueError, match=r"(?i)invalid l"):
            getattr(lib, name)(params, lr=-1.0)


@pytest.mark.parametrize(
    ("group", "error", "message"), [b[1:] for b in BAD_GROUPS], ids=[b[0] for b in BAD_GROUPS]
)
def test_groups_that_are_refused(group: Any, error: type[Exception], message: str) -> None:
    x = array(1.0)
    opt = ok.SGD([x], momentum=0.9)
    opt.step(grads=[array(1.0)])
    before = frozen(opt)
    with pytest.raises(error, match=message):
        opt.add_param_group(group)
    assert frozen(opt) == before
    with pytest.raises(ValueError, match="more than once"):
        opt.add_param_group({"params": x})
    assert frozen(opt) == before
    opt.step(grads=[array(1.0)])


C = torch.complex64

BAD_GRADS = [  # what stands at the second place of two, and why it may not
    ("shape", "numpy", lambda: np.ones(3, np.float32), ValueError, r"\(3,\).*\(2,\)"),
    ("dtype", "numpy", lambda: np.ones(2), TypeError, "float64.*float32"),
    ("a list", "numpy", lambda: [1.0, 1.0], TypeError, "list"),
    ("a number", "numpy", lambda: 1.0, TypeError, "float"),
    ("a string", "numpy", lambda: "up", TypeError, "str"),
    ("a tensor", "numpy", lambda: torch.ones(2), TypeError, "Tensor"),
    ("a masked array", "numpy", lambda: np.ma.array([1, 1], "f4", mask=[0, 1]), TypeError, "ask"),
    ("a strict array", "numpy", lambda: array_api_strict.ones(2), TypeError, "Array"),
    ("an array", "torch", lambda: np.ones(2, np.float32), TypeError, "ndarray"),
    ("shape", "torch", lambda: torch.ones(3), ValueError, r"\(3,\).*\(2,\)"),
    ("dtype", "torch", lambda: torch.ones(2).double(), TypeError, "float64.*float32"),
    ("device", "torch", lambda: torch.ones(2, device="meta"), RuntimeError, "meta.*cpu"),
    ("sparse", "torch", lambda: torch.ones(2).to_sparse(), RuntimeError, "sparse"),
    ("a list", "torch", lambda: [1.0, 1.0], TypeError, "list"),
    ("an array", "array-api-strict", lambda: np.ones(2, np.float32), TypeError, "ndarray"),
    ("dtype", "array-api-strict", lambda: array_api_strict.ones(2), TypeError, "float64.*float32"),
]


@pytest.mark.parametrize("named", [False, True], ids=["index", "name"])
@pytest.mark.parametrize("warm", [0, 2], ids=["first step", "later"])
@pytest.mark.parametrize(
    ("kind", "bad", "error", "message"),
    [b[1:] for b in BAD_GRADS],
    ids=[f"{b[1]}: {b[0]}" for b in BAD_GRADS],
)
def test_gradients_that_are_refused(
    kind: str, bad: Any, error: type[Exception], message: str, warm: int, named: bool
) -> None:
    library = LIBRARIES[kind]
    a, b = library.param(array(1.0, 2.0)), library.param(array(3.0, 4.0))
    good = library.array(array(1.0, 1.0)), library.array(array(2.0, 2.0))
    opt = ok.Adam({"a": a, "b": b} if named else [a, b])
    for _ in range(warm):
        opt.step(grads=good)
    before = frozen(opt)
    with pytest.raises(error, match=rf"Adam: parameter {'b' if named else 1}: .*{message}") as e:
        opt.step(grads=[good[0], bad()])
    assert type(e.value) is error
    assert frozen(opt) == before
    opt.step(grads=good)  # and it goes on as if nothing had been
    assert opt.state[a]["step"] == warm + 1


def test_a_bad_gradient_in_the_last_group_stops_the_first_one_too() -> None:
    a, b = array(1.0), array(1.0)
    opt = ok.SGD([{"params": [a]}, {"params": [b]}], momentum=0.9)
    opt.step(grads=[array(1.0), array(1.0)])
    before = frozen(opt)
    with pytest.raises(TypeError, match="parameter 1"):
        opt.step(grads=[array(1.0), array(1.0, dtype="float64")])
    assert frozen(opt) == before


BAD_STEPS = [
    ("too few", dict(grads=[array(1.0)]), ValueError, "1 gradients for 2 parameters"),
    ("too many", dict(grads=[array(1.0)] * 3), ValueError, "3 gradients for 2 parameters"),
    ("one array", dict(grads=np.ones((2, 1), "f4")), TypeError, "sequence.*ndarray"),
    ("one tensor", dict(grads=torch.ones(2, 1)), TypeError, "sequence.*Tensor"),
    ("no .grad", {}, TypeError, r"ndarray has no \.grad"),
    ("a number", dict(grads=3.0), TypeError, "float|iterable"),
    ("names without names", dict(grads={"a": array(1.0)}), KeyError, "names"),
    ("both", dict(closure=lambda: 1.0, grads=[]), TypeError, "not both"),
]


@pytest.mark.parametrize(
    ("arguments", "error", "message"), [b[1:] for b in BAD_STEPS], ids=[b[0] for b in BAD_STEPS]
)
def test_steps_that_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    opt = ok.Adam([array(1.0), array(2.0)])
    before = frozen(opt)
    with pytest.raises(error, match=message):
        opt.step(**arguments)
    assert frozen(opt) == before


@pytest.mark.parametrize(
    ("grads", "message"),
    [
        ({"a": array(1.0)}, r"missing.*'b'"),
        ({"a": array(1.0), "b": array(1.0), "c": array(1.0)}, r"unknown.*'c'"),
    ],
)
def test_gradients_by_a_wrong_name_are_refused(grads: Any, message: str) -> None:
    opt = ok.SGD({"a": array(1.0), "b": array(2.0)})
    before = frozen(opt)
    with pytest.raises(KeyError, match=message):
        opt.step(grads=grads)
    assert frozen(opt) == before


def test_a_parameter_that_has_become_read_only_is_refused(engine: str) -> None:
    a, b = array(1.0), array(2.0)
    opt = ok.SGD([a, b], lr=1.0)
    opt.step(grads=[array(1.0), array(1.0)])
    b.flags.writeable = False
    before = frozen(opt)
    with pytest.raises(ValueError, match=r"parameter 1.*read-only"):
        opt.step(grads=[array(1.0), array(1.0)])
    assert frozen(opt) == before


def test_fused_true_says_why_not(engine: str) -> None:
    x = np.ones(4, ">f4")  # another machine's order of bytes
    opt = ok.SGD([x], fused=True)
    with pytest.raises(RuntimeError, match=r"do not lie alike|eager engine was asked for"):
        opt.step(grads=[np.ones(4, ">f4")])
    assert_same_bits(x, np.ones(4, ">f4"))


def test_the_foundation_class_says_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match="update"):
        ok.Optimizer([array(1.0)], {}).step(grads=[array(1.0)])
