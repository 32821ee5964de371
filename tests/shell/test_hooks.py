"""Hooks do what torch's do."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import array
from forms import tensor

import optimkit as ok


def recorded(lib: Any, drive: Callable[[Any, list[Any]], None]) -> list[Any]:
    """What happened to an optimizer of `lib` during `drive`, in words that both can say."""
    w = tensor(1.0)
    w.grad = torch.ones(1)
    opt, log = lib.SGD([w], lr=0.5), []
    drive(opt, log)
    return [*log, w.item()]


def steps(opt: Any, log: list[Any]) -> None:
    def before(o: Any, args: Any, kwargs: Any) -> None:
        assert o is opt
        assert args[0] is opt
        log.append(("before", len(args), sorted(kwargs), o.param_groups[0]["params"][0].item()))

    def after(o: Any, args: Any, kwargs: Any) -> None:
        log.append(("after", len(args), sorted(kwargs), o.param_groups[0]["params"][0].item()))

    handles = [
        opt.register_step_pre_hook(before),
        opt.register_step_pre_hook(lambda *_: log.append("second")),
        opt.register_step_post_hook(after),
    ]
    opt.step()
    opt.step(lambda: log.append("closure"))
    for handle in handles:
        handle.remove()
        handle.remove()
    opt.step()


def replaced_arguments(opt: Any, log: list[Any]) -> None:
    def closure() -> str:
        log.append("the hook's closure")
        return "its loss"

    opt.register_step_pre_hook(lambda o, args, kwargs: ((o, closure), {}))
    log.append(opt.step())


def hook_as_context(opt: Any, log: list[Any]) -> None:
    with opt.register_step_pre_hook(lambda *_: log.append("inside")):
        opt.step()
    opt.step()


def registered_twice(opt: Any, log: list[Any]) -> None:
    def hook(*_: Any) -> None:
        log.append("hook")

    first = opt.register_step_pre_hook(hook)
    opt.register_step_pre_hook(hook)
    opt.step()
    first.remove()
    opt.step()


def wrong_return(opt: Any, log: list[Any]) -> None:
    opt.register_step_pre_hook(lambda *_: "nonsense")
    with pytest.raises(RuntimeError, match=r"None or a tuple of \(new_args, new_kwargs\).*nons"):
        opt.step()


def failing(opt: Any, log: list[Any]) -> None:
    def hook(*_: Any) -> None:
        raise ZeroDivisionError

    opt.register_step_pre_hook(hook)
    opt.register_step_post_hook(lambda *_: log.append("not reached"))
    with pytest.raises(ZeroDivisionError):
        opt.step()


def state_dicts(opt: Any, log: list[Any]) -> None:
    opt.register_state_dict_pre_hook(lambda o: log.append("pre"))
    opt.register_state_dict_pre_hook(lambda o: log.append("first"), prepend=True)
    opt.register_state_dict_post_hook(lambda o, d: d.update(extra=1))
    opt.register_state_dict_post_hook(lambda o, d: log.append(sorted(d)))
    opt.register_state_dict_post_hook(lambda o, d: {"replaced": sorted(d)})
    opt.register_state_dict_post_hook(lambda o, d: log.append("earliest"), prepend=True)
    log.append(opt.state_dict())


def loading(opt: Any, log: list[Any]) -> None:
    saved = copy.deepcopy(opt.state_dict())
    saved["param_groups"][0]["lr"] = 0.125

    def pre(o: Any, d: dict[str, Any]) -> None:
        assert d is not saved
        d["seen"] = True
        log.append(o.param_groups[0]["lr"])

    def replace(o: Any, d: dict[str, Any]) -> dict[str, Any]:
        log.append(d["seen"])
        groups = copy.deepcopy(d["param_groups"])
        groups[0]["lr"] = 0.0625
        return {**d, "param_groups": groups}

    opt.register_load_state_dict_pre_hook(replace)
    opt.register_load_state_dict_pre_hook(pre, prepend=True)
    opt.register_load_state_dict_post_hook(lambda o: log.append(o.param_groups[0]["lr"]))
    opt.register_load_state_dict_post_hook(lambda o: log.append("early"), prepend=True)
    log.append(opt.load_state_dict(saved))
    assert "seen" not in saved
    opt.step()


SCENES = [
    steps,
    replaced_arguments,
    hook_as_context,
    registered_twice,
    wrong_return,
    failing,
    state_dicts,
    loading,
]


@pytest.mark.parametrize("scene", SCENES)
def test_hooks_do_what_torchs_do(scene: Callable[[Any, list[Any]], None]) -> None:
    assert recorded(ok, scene) == recorded(torch.optim, scene)


def test_hooks_see_grads_and_may_replace_them() -> None:
    x = array(1.0)
    opt = ok.SGD([x], lr=1.0)

    def double(o: Any, args: Any, kwargs: Any) -> Any:
        assert args == (opt,)
        return args, {"grads": [2 * g for g in kwargs["grads"]]}

    opt.register_step_pre_hook(double)
    opt.step(grads=[array(1.0)])
    assert x.item() == -1.0


def test_a_hook_must_be_callable() -> None:
    with pytest.raises(TypeError, match="'nonsense'"):
        ok.SGD([array(1.0)]).register_step_pre_hook("nonsense")
