"""Parameters in every form and of every kind, and what an array is after a step."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from conftest import array, assert_same_bits
from forms import BOTH, tensor
from libraries import STEPPING, Library

import optimkit as ok

FORMS: dict[str, Callable[[Any, Any], Any]] = {
    "list": lambda a, b: [a, b],
    "tuple": lambda a, b: (a, b),
    "generator": lambda a, b: (x for x in (a, b)),
    "pairs": lambda a, b: [("a", a), ("b", b)],
    "mapping": lambda a, b: {"a": a, "b": b},
    "ordered mapping": lambda a, b: OrderedDict([("a", a), ("b", b)]),
    "dict values": lambda a, b: {"a": a, "b": b}.values(),
    "dict items": lambda a, b: {"a": a, "b": b}.items(),
    "one group": lambda a, b: [{"params": [a, b]}],
    "two groups": lambda a, b: [{"params": [a]}, {"params": [b]}],
    "group of one bare": lambda a, b: [{"params": a}, {"params": b}],
    "group of pairs": lambda a, b: [{"params": [("a", a), ("b", b)]}],
    "group of a mapping": lambda a, b: [{"params": {"a": a, "b": b}}],
    "group of a generator": lambda a, b: [{"params": (x for x in (a, b))}],
}


@pytest.mark.parametrize("library", STEPPING, indirect=True)
@pytest.mark.parametrize("form", FORMS)
def test_parameters_in_every_form(form: str, library: Library) -> None:
    a, b = library.param(array(1.0, 2.0)), library.param(array(3.0))
    opt = ok.SGD(FORMS[form](a, b), lr=0.5)
    held = [p for group in opt.param_groups for p in group["params"]]
    assert [id(p) for p in held] == [id(a), id(b)]
    library.step(opt, [array(1.0, 1.0), array(2.0)])
    assert_same_bits(a, array(0.5, 1.5))
    assert_same_bits(b, array(2.0))


def test_the_array_itself_is_updated() -> None:
    base = np.zeros((4, 4), np.float32)
    opt = ok.SGD([base[1:3, ::2]], lr=1.0)
    opt.step(grads=[np.full((2, 2), -1, np.float32)])
    expected = np.zeros((4, 4), np.float32)
    expected[1:3, ::2] = 1
    assert_same_bits(base, expected)


def test_parameter_holds_the_array_and_not_a_copy() -> None:
    data = array(1.0)
    param = ok.Parameter(data, name="w")
    assert param.data is data
    assert param.grad is None
    assert (param.name, param.shape, param.dtype) == ("w", (1,), np.float32)
    assert repr(param) == f"Parameter({data!r}, name='w')"
    assert repr(ok.Parameter(data)) == f"Parameter({data!r})"


def test_names_are_kept_in_the_group_as_torch_keeps_them() -> None:
    a, b = tensor(1.0), tensor(2.0)
    for lib in BOTH:
        opt = lib.SGD([("a", a), ("b", b)])
        assert opt.param_groups[0]["param_names"] == ["a", "b"]
        assert "param_names" in opt.state_dict()["param_groups"][0]
    module = torch.nn.Linear(2, 3)
    opt = ok.SGD(module.named_parameters())
    assert opt.param_groups[0]["param_names"] == ["weight", "bias"]
    assert opt.param_groups[0]["params"][0] is module.weight


def test_parameters_bring_their_own_names() -> None:
    a, b = ok.Parameter(array(1.0), name="a"), ok.Parameter(array(2.0), name="b")
    opt = ok.SGD([a, b], lr=1.0)
    opt.step(grads={"b": array(2.0), "a": array(1.0)})
    assert (a.data.item(), b.data.item()) == (0.0, 0.0)


def test_zero_dimensional_and_empty_parameters(engine: str) -> None:
    scalar, empty = np.array(1.0), np.empty((0, 3))
    opt = ok.Adam([scalar, empty], lr=0.5, eps=0.0)
    opt.step(grads=[np.array(4.0), np.empty((0, 3))])
    assert scalar.shape == ()
    assert scalar == 0.5
    assert opt.state[scalar]["exp_avg"].shape == ()
    assert opt.state[empty]["step"] == 1


def test_a_numpy_scalar_is_a_gradient_of_a_zero_dimensional_parameter(engine: str) -> None:
    x = np.array(1.0)
    opt = ok.SGD([x], lr=0.125)
    for _ in range(4):
        opt.step(grads=[np.float64(2.0)])
    assert x == 0.0
