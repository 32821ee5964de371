"""What programs written for torch.optim do with an optimizer."""

from __future__ import annotations

import collections
import copy
import pickle
import types
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from conftest import array, assert_same_bits
from forms import BOTH, IDS, tensor
from torch.optim import optimizer as torch_optimizer

import optimkit as ok
from optimkit import lr_scheduler, optimizer

RULES = ["SGD", "Adam", "RMSprop", "Rprop", "Adagrad", "LBFGS"]


def with_gradient(*values: float) -> torch.nn.Parameter:
    param = tensor(*values)
    param.grad = torch.ones_like(param)
    return param


def stepped(lib: Any, name: str, param: torch.nn.Parameter) -> Any:
    opt = getattr(lib, name)([param], **({"momentum": 0.9} if name == "SGD" else {}))
    for _ in range(2):
        opt.step(lambda: 1.0)
    return opt


@pytest.mark.parametrize("reset", [lambda: collections.defaultdict(dict), dict])
@pytest.mark.parametrize("name", [name for name in RULES if name != "LBFGS"])
def test_a_state_that_is_set_anew_begins_anew(name: str, reset: Callable[[], Any]) -> None:
    w, fresh = with_gradient(1.0, 2.0), with_gradient(1.0, 2.0)
    opt = stepped(ok, name, w)
    opt.state = reset()
    with torch.no_grad():
        w.copy_(fresh)
    stepped(ok, name, fresh)
    for _ in range(2):
        opt.step()
    assert_same_bits(w, fresh)
    opt.load_state_dict(opt.state_dict())
    assert len(pickle.loads(pickle.dumps(opt)).state) == 1


def test_a_state_may_be_set_to_one_that_is_full() -> None:
    w = array(1.0)
    opt = ok.SGD([w], lr=1.0, momentum=0.5)
    opt.state = ok.SGD([w]).state
    opt.state[w] = {"momentum_buffer": array(2.0)}
    opt.step(grads=[array(0.0)])
    assert w.item() == 0.0


@pytest.mark.parametrize("lib", BOTH, ids=IDS)
def test_state_under_a_key_of_the_user_s_is_saved(lib: Any) -> None:
    opt = lib.SGD([tensor(1.0)], momentum=0.9)
    opt.state["mine"] = {"x": 1}
    saved = copy.deepcopy(opt.state_dict())
    assert saved["state"] == {"mine": {"x": 1}}
    fresh = lib.SGD([tensor(1.0)])
    fresh.load_state_dict(saved)
    assert fresh.state["mi" + "ne"] == {"x": 1}


def test_looking_for_what_is_no_parameter_inserts_nothing() -> None:
    opt = ok.SGD({"w": array(1.0)})
    for key in ("w", 0, ("w",)):
        with pytest.raises(KeyError):
            opt.state[key]
    assert len(opt.state) == 0


def wrap(opt: ok.Optimizer) -> None:
    """Put a step into the object, as torch's schedulers do."""
    holder, function = weakref.ref(opt), type(opt).step

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return types.MethodType(function, holder())(*args, **kwargs)

    opt.step = wrapper  # type: ignore[method-assign]


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_wrapped_optimizer_steps_itself(how: Callable[[Any], Any]) -> None:
    w = with_gradient(1.0)
    opt = ok.SGD([w], lr=0.5)
    wrap(opt)
    twin = how(opt)
    opt.step()
    assert opt.step_count == 1
    assert twin.step_count == 0
    mine = twin.param_groups[0]["params"][0]
    mine.grad = torch.ones(1)
    twin.step()
    assert twin.step_count == 1
    assert w.item() == (0.5 if how is copy.deepcopy else 0.0)
    pickle.loads(pickle.dumps(opt))


class Own(ok.Optimizer):
    """A step of its own, as torch's guides write one."""

    def __init__(self, params: Any, lr: float = 0.5) -> None:
        super().__init__(params, dict(lr=lr))

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for param in group["params"]:
                param -= group["lr"] * param.grad
        return loss


class OwnOfTorch(torch.optim.Optimizer):
    def __init__(self, params: Any, lr: float = 0.5) -> None:
        super().__init__(params, dict(lr=lr))

    step = Own.__dict__["step"].__wrapped__


class Calls(ok.SGD):
    def step(self, closure: Any = None, **given: Any) -> Any:
        super().step(closure, **given)
        return super().step(closure, **given)


@pytest.mark.parametrize("rule", [Own, OwnOfTorch])
def test_a_step_of_its_own_has_hooks(rule: Any) -> None:
    w, log = with_gradient(1.0), []
    opt = rule([w])
    opt.register_step_pre_hook(lambda o, args, kwargs: log.append((o is opt, len(args), kwargs)))
    opt.register_step_post_hook(lambda o, args, kwargs: log.append(w.item()))
    assert opt.step(lambda: "loss") == "loss"
    assert log == [(True, 2, {}), 0.5]


def test_a_scheduler_knows_of_a_step_of_its_own() -> None:
    opt = Own([with_gradient(1.0)])
    scheduler = lr_scheduler.StepLR(opt, 1)
    opt.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()


def test_a_step_that_calls_its_base_is_one_step() -> None:
    w, log = array(1.0), []
    opt = Calls([w], lr=0.25)
    opt.register_step_pre_hook(lambda *_: log.append("before"))
    opt.register_step_post_hook(lambda *_: log.append("after"))
    opt.step(grads=[array(1.0)])
    assert (w.item(), log, opt.step_count) == (0.5, ["before", "after"], 1)
    with pytest.raises(TypeError):
        opt.step(grads=3.0)
    opt.step(grads=[array(1.0)])
    assert (len(log), opt.step_count) == (5, 2)


@pytest.mark.parametrize("home", [optimizer, torch_optimizer], ids=IDS)
def test_hooks_of_all_optimizers(home: Any) -> None:
    lib, log = BOTH[home is torch_optimizer], []
    before = home.register_optimizer_step_pre_hook(lambda *_: log.append("all before"))
    after = home.register_optimizer_step_post_hook(lambda *_: log.append("all after"))
    opt = lib.SGD([with_gradient(1.0)])
    opt.register_step_pre_hook(lambda *_: log.append("before"))
    opt.register_step_post_hook(lambda *_: log.append("after"))
    opt.step()
    for handle in (before, after):
        handle.remove()
    opt.step()
    assert log == ["all before", "before", "after", "all after", "before", "after"]


@pytest.mark.parametrize("name", ["SGD", "Adam", "Muon", "LBFGS", "SparseAdam"])
def test_what_is_no_option_is_the_user_s(name: str) -> None:
    x = np.ones((3, 2))
    mine = {"mask": np.ones(3), "tags": ["a"], "note": "b", "more": {"c": torch.ones(2)}}
    grad = ok.RowSparse([0], np.ones((1, 2)), x.shape) if name == "SparseAdam" else np.ones((3, 2))
    opt = getattr(ok, name)([{"params": [x], **mine}])
    for _ in range(3):
        opt.step(lambda: (1.0, [grad]))
    assert opt.param_groups[0]["mask"] is mine["mask"]
    opt.load_state_dict(opt.state_dict())
    opt.step(lambda: (1.0, [grad]))


def test_keys_of_the_user_s_do_not_have_options_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.ones(3)
    opt = ok.SGD([{"params": [x], "mask": np.ones(3)}])
    opt.step(grads=[np.ones(3)])
    monkeypatch.setattr(ok.SGD, "check_changed", None)
    opt.step(grads=[np.ones(3)])


def test_under_another_default_device() -> None:
    w = with_gradient(1.0)
    opt = stepped(ok, "Adam", w)
    with torch.device("meta"):
        saved = opt.state_dict()
        opt.load_state_dict(saved)
        opt.step()
        average = ok.swa_utils.AveragedModel([w])
        average.update_parameters([w])
    assert saved["state"][0]["step"].device.type == "cpu"
    assert opt.state[w]["step"] == 3


@pytest.mark.parametrize("grouped", [False, True])
def test_a_parameter_listed_twice_has_torchs_number(grouped: bool) -> None:
    numbers = []
    for lib in BOTH:
        a, b = with_gradient(1.0), with_gradient(2.0)
        opt = lib.SGD([{"params": [a]}, {"params": [b]}], momentum=0.9)
        opt.step()
        opt.param_groups[1]["params"] += [a] if grouped else [b]
        saved = opt.state_dict()
        numbers.append(([group["params"] for group in saved["param_groups"]], set(saved["state"])))
    assert numbers[0] == numbers[1]


@pytest.mark.filterwarnings("ignore:Sparse invariant")
@pytest.mark.parametrize("entries", [0, 1])
@pytest.mark.parametrize("name", ["SparseAdam", "SGD", "Adagrad"])
def test_a_sparse_gradient_of_a_parameter_without_axes(name: str, entries: int) -> None:
    pair = [torch.nn.Parameter(torch.tensor(1.0)) for _ in BOTH]
    for lib, w in zip(BOTH, pair, strict=True):
        opt = getattr(lib, name)([w], lr=0.1)
        for _ in range(3):
            places = torch.zeros(0, entries, dtype=torch.long)
            w.grad = torch.sparse_coo_tensor(places, torch.ones(entries), (), check_invariants=True)
            opt.step()
    assert_same_bits(*pair)
