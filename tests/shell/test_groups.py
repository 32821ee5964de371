"""Groups of parameters and their options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from conftest import array
from forms import BOTH, tensor

import optimkit as ok


def test_groups_take_the_defaults_for_what_they_do_not_say() -> None:
    a, b = tensor(1.0), tensor(2.0)
    for lib in BOTH:
        opt = lib.SGD([{"params": [a], "lr": 0.5, "tag": "mine"}, {"params": [b]}], lr=0.25)
        assert [g["lr"] for g in opt.param_groups] == [0.5, 0.25]
        assert opt.param_groups[0]["tag"] == "mine"
        assert opt.defaults["lr"] == 0.25
    opt = ok.SGD([{"params": [a], "lr": 0.5}, {"params": [b]}], lr=0.25)
    opt.step(grads=[torch.ones(1), torch.ones(1)])
    assert (a.item(), b.item()) == (0.5, 1.75)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_group_keys_and_defaults_are_torchs(name: str) -> None:
    ours = getattr(ok, name)([tensor(1.0)])
    theirs = getattr(torch.optim, name)([tensor(1.0)])
    assert ours.param_groups[0].keys() == theirs.param_groups[0].keys()
    assert ours.defaults == theirs.defaults
    assert {k: v for k, v in ours.param_groups[0].items() if k != "params"} == {
        k: v for k, v in theirs.param_groups[0].items() if k != "params"
    }


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_repr_is_torchs(name: str) -> None:
    groups = [{"params": [tensor(1.0)]}, {"params": [tensor(2.0)], "lr": 0.5}]
    assert repr(getattr(ok, name)(groups)) == repr(getattr(torch.optim, name)(groups))


def test_options_change_between_steps() -> None:
    x = array(0.0)
    opt = ok.SGD([x], lr=1.0)
    opt.step(grads=[array(-1.0)])
    opt.param_groups[0]["lr"] = 0.25
    opt.step(grads=[array(-1.0)])
    assert x.item() == 1.25


@pytest.mark.parametrize("lr", [0.5, np.float32(0.5), np.array(0.5), torch.tensor(0.5)])
def test_a_learning_rate_in_any_guise(lr: Any) -> None:
    x = array(1.0)
    ok.SGD([x], lr=lr).step(grads=[array(1.0)])
    assert x.item() == 0.5


def test_add_param_group() -> None:
    a, b = array(1.0), array(1.0)
    opt = ok.Adam([a], lr=0.5, eps=0.0)
    opt.step(grads=[array(3.0)])
    given = {"params": [b], "lr": 0.25}
    opt.add_param_group(given)
    assert given == {"params": [b], "lr": 0.25}
    opt.step(grads=[array(3.0), array(3.0)])
    assert [opt.state[p]["step"] for p in (a, b)] == [2, 1]
    assert b.item() == 0.75


def test_add_param_group_of_names() -> None:
    opt = ok.SGD({"a": array(1.0)})
    opt.add_param_group({"params": {"b": array(1.0)}})
    assert [g["param_names"] for g in opt.param_groups] == [["a"], ["b"]]
