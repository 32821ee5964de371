"""Loading is in place: whoever holds the groups, or the state, holds what was loaded."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import array, assert_same_bits
from forms import frozen
from libraries import STEPPING, Library

import optimkit as ok


def two_groups(library: Library, lr: float = 0.1) -> tuple[ok.Optimizer, list[Any]]:
    params = [library.param(array(1.0, 2.0)), library.param(array(3.0))]
    groups = [{"params": params[:1]}, {"params": params[1:], "lr": 0.5}]
    return ok.Adam(groups, lr=lr), params


GRADS = [array(1.0, -1.0), array(2.0)]


on_every_library = pytest.mark.parametrize("library", STEPPING, indirect=True)


def checkpoint(library: Library, **options: Any) -> dict[str, Any]:
    opt, _ = two_groups(library)
    for group in opt.param_groups:
        group.update(options)
    library.step(opt, GRADS)
    saved: dict[str, Any] = copy.deepcopy(opt.state_dict())
    return saved


@on_every_library
@pytest.mark.parametrize("warm", [0, 2])
def test_what_others_hold_shows_what_was_loaded(library: Library, warm: int) -> None:
    opt, params = two_groups(library)
    for _ in range(warm):
        library.step(opt, GRADS)
    groups, state = opt.param_groups, opt.state
    first, second = groups
    lists = first["params"], second["params"]
    opt.load_state_dict(checkpoint(library, lr=0.25, weight_decay=0.5))
    assert opt.param_groups is groups
    assert opt.state is state
    assert groups[0] is first
    assert groups[1] is second
    assert (first["lr"], second["lr"], second["weight_decay"]) == (0.25, 0.25, 0.5)
    assert [id(p) for p in (*first["params"], *second["params"])] == list(map(id, params))
    assert [id(p) for held in lists for p in held] == list(map(id, params))
    assert [state[param]["step"] for param in params] == [1, 1]


@on_every_library
def test_options_that_the_checkpoint_lacks_are_gone_as_in_torch(library: Library) -> None:
    opt, _ = two_groups(library)
    first = opt.param_groups[0]
    first["tag"] = "mine"
    opt.load_state_dict(checkpoint(library))
    assert "tag" not in opt.param_groups[0]
    assert "tag" not in first


@on_every_library
def test_a_group_held_from_before_the_load_still_sets_the_rate(
    engine: str, library: Library
) -> None:
    opt, params = two_groups(library)
    held = opt.param_groups[0]
    library.step(opt, GRADS)
    opt.load_state_dict(checkpoint(library))
    held["lr"] = 0.0
    before = library.to_numpy(params[0]).copy()
    library.step(opt, GRADS)
    assert_same_bits(params[0], before)


@on_every_library
def test_a_scheduler_from_before_the_load_drives_the_loaded_groups(library: Library) -> None:
    opt, _ = two_groups(library)
    held = list(opt.param_groups)
    scheduler = ok.lr_scheduler.StepLR(opt, step_size=1, gamma=0.5)
    opt.load_state_dict(checkpoint(library, lr=0.25))
    library.step(opt, GRADS)
    scheduler.step()
    assert [group["lr"] for group in opt.param_groups] == [0.125, 0.125]
    assert [group["lr"] for group in held] == [0.125, 0.125]


@on_every_library
def test_going_back_to_an_earlier_step_is_bit_for_bit(engine: str, library: Library) -> None:
    opt, params = two_groups(library)
    library.step(opt, GRADS)
    saved = copy.deepcopy(opt.state_dict())
    start = [library.to_numpy(param).copy() for param in params]
    for _ in range(2):
        library.step(opt, GRADS)
    expected = [library.to_numpy(param).copy() for param in params]
    library.step(opt, GRADS)
    for param, x in zip(params, start, strict=True):
        (param.data if hasattr(param, "grad") else param)[...] = library.array(x)
    opt.load_state_dict(saved)
    for _ in range(2):
        library.step(opt, GRADS)
    for param, same in zip(params, expected, strict=True):
        assert_same_bits(param, same)


@on_every_library
def test_loading_ones_own_state_dict_changes_nothing(library: Library) -> None:
    """Its arrays are those of the optimizer, not copies: nothing may be emptied before it is read.

    The same holds for a dict that holds the optimizer's own groups.
    """
    opt, _ = two_groups(library)
    library.step(opt, GRADS)
    before = frozen(opt)
    opt.load_state_dict(opt.state_dict())
    assert frozen(opt) == before
    own = [{**group, "params": [i]} for i, group in enumerate(opt.param_groups)]
    opt.load_state_dict({"state": opt.state_dict()["state"], "param_groups": own})
    assert frozen(opt) == before


def wrong_shape(saved: dict[str, Any]) -> None:
    saved["state"][1]["exp_avg"] = np.ones(7, "float32")


def wrong_step(saved: dict[str, Any]) -> None:
    saved["state"][1]["step"] = "soon"


def wrong_sizes(saved: dict[str, Any]) -> None:
    saved["param_groups"][1]["params"] = [1, 2]


def wrong_option(saved: dict[str, Any]) -> None:
    saved["param_groups"][1]["lr"] = np.ones(2)


def no_groups(saved: dict[str, Any]) -> None:
    del saved["param_groups"]


@on_every_library
@pytest.mark.parametrize("spoil", [wrong_shape, wrong_step, wrong_sizes, wrong_option, no_groups])
def test_a_load_that_fails_leaves_all_as_it_was(
    library: Library, spoil: Callable[[dict[str, Any]], None]
) -> None:
    (opt, params), (twin, expected) = two_groups(library), two_groups(library)
    for each in (opt, twin):
        library.step(each, GRADS)
    saved = checkpoint(library, lr=0.25)
    spoil(saved)
    groups, state, held = opt.param_groups, opt.state, list(opt.param_groups)
    dicts = [id(state[param]) for param in params]
    before = frozen(opt)
    with pytest.raises((KeyError, TypeError, ValueError)):
        opt.load_state_dict(saved)
    assert frozen(opt) == before
    assert opt.param_groups is groups
    assert opt.state is state
    assert [id(group) for group in opt.param_groups] == list(map(id, held))
    assert [id(state[param]) for param in params] == dicts
    for each in (opt, twin):
        library.step(each, GRADS)
    for param, same in zip(params, expected, strict=True):
        assert_same_bits(param, same)
