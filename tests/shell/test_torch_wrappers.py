"""A wrapper around a torch.optim.Optimizer is one, for all that ask."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import array, assert_same_bits
from forms import tensor

import optimkit as ok
from optimkit.wrappers import Wrapper

WRAPPED: dict[str, Callable[[Any], Any]] = {
    "accumulate": lambda optimizer: ok.accumulate(optimizer, 2),
    "skip_nonfinite": ok.skip_nonfinite,
    "both": lambda optimizer: ok.accumulate(ok.skip_nonfinite(optimizer), 2),
    "the other way round": lambda optimizer: ok.skip_nonfinite(ok.accumulate(optimizer, 2)),
}


@pytest.fixture(params=WRAPPED)
def wrap(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return WRAPPED[request.param]


@pytest.mark.parametrize("lib", [ok, torch.optim], ids=["optimkit", "torch"])
def test_it_is_one_where_the_one_inside_is(lib: Any, wrap: Callable[[Any], Any]) -> None:
    ours = wrap(lib.SGD([tensor(1.0)]))
    assert isinstance(ours, torch.optim.Optimizer)
    assert isinstance(ours, Wrapper)
    assert type(ours).__name__ in ("Accumulation", "NonfiniteSkip")
    arrays = wrap(ok.SGD([array(1.0)]))
    assert not isinstance(arrays, torch.optim.Optimizer)


@pytest.mark.parametrize("lib", [ok, torch.optim], ids=["optimkit", "torch"])
def test_torchs_schedulers(lib: Any) -> None:
    w = tensor(1.0)
    ours = ok.accumulate(lib.SGD([w], lr=1.0), 2)
    theirs = torch.optim.lr_scheduler.StepLR(ours, 1, 0.5)
    cycle = torch.optim.lr_scheduler.OneCycleLR(ours, 1.0, total_steps=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(4):
            ours.zero_grad()
            w.sum().backward()
            ours.step()
            if ours.stepped:
                theirs.step()
    assert ours.param_groups[0]["lr"] == pytest.approx(0.25 * cycle.get_last_lr()[0])
    assert ours.param_groups is ours.optimizer.param_groups


def test_pickles_and_copies(wrap: Callable[[Any], Any]) -> None:
    w = tensor(1.0, 2.0)
    ours = wrap(ok.AdamW([w]))
    scheduler = torch.optim.lr_scheduler.StepLR(ours, 1, 0.5)
    for _ in range(3):
        w.pow(2).sum().backward()
        ours.step()
        if ours.stepped:
            ours.zero_grad()
    again = pickle.loads(pickle.dumps(ours))
    twin, its_scheduler = copy.deepcopy((ours, scheduler))
    assert its_scheduler.optimizer is twin
    found = []
    for each in (ours, again, twin):
        assert type(each) is type(ours)
        (param,) = each.param_groups[0]["params"]
        param.pow(2).sum().backward()
        each.step()
        assert each.stepped
        found.append(param)
    assert_same_bits(found[1], found[0])
    assert_same_bits(found[2], found[0])


def test_hooks_and_groups_are_those_inside(wrap: Callable[[Any], Any]) -> None:
    w, seen = tensor(1.0), []
    inner = ok.SGD([w], lr=1.0)
    ours = wrap(inner)
    handles = [
        ours.register_step_pre_hook(lambda o, *_: seen.append(o is inner)),
        ours.register_step_post_hook(lambda o, *_: seen.append(o is inner)),
        ours.register_state_dict_pre_hook(lambda o: seen.append("saving")),
        ours.register_load_state_dict_post_hook(lambda o: seen.append("loaded")),
    ]
    for _ in range(2):
        w.sum().backward()
        ours.step()
    steps = ours.step_count
    ours.load_state_dict(ours.state_dict())
    assert seen == [True, True] * steps + ["saving", "loaded"]
    for handle in handles:
        handle.remove()
    with pytest.raises(ValueError, match="one"):
        ours.add_param_group({"params": [w]})
    ours.add_param_group({"params": [tensor(1.0)], "lr": 0.5})
    assert [group["lr"] for group in inner.param_groups] == [1.0, 0.5]
    assert ours.defaults is inner.defaults


def test_no_two_wrappers_of_one_kind() -> None:
    """What one of them keeps would have no place in a state dict."""
    for inner in (ok.accumulate(ok.SGD([array(1.0)]), 2), ok.accumulate(ok.SGD([tensor(1.0)]), 2)):
        with pytest.raises(TypeError, match=r"accumulate\(n=2.* is around the optimizer already"):
            ok.accumulate(inner, 3)
        with pytest.raises(TypeError, match="around the optimizer already"):
            ok.accumulate(ok.skip_nonfinite(inner), 3)
    with pytest.raises(TypeError, match="skip_nonfinite"):
        ok.skip_nonfinite(ok.skip_nonfinite(ok.SGD([array(1.0)])))
