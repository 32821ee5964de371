"""An optimizer whose parameters are torch tensors is a torch.optim.Optimizer as well."""

from __future__ import annotations

import abc
import collections
import copy
import doctest
import gc
import io
import pickle
import subprocess
import sys
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, array, assert_same_bits
from forms import BOTH, IDS, frozen, tensor
from torch.optim import lr_scheduler
from torch.optim import optimizer as torchs
from torch.utils.hooks import RemovableHandle

import optimkit as ok
import optimkit.torch

RULES = [
    name
    for name in ok.__all__
    if isinstance(kind := getattr(ok, name), type) and issubclass(kind, ok.Optimizer)
]
CLASSES = [name for name in RULES if name != "Optimizer"]


def matrix(*shape: int) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.arange(6.0).reshape(*(shape or (2, 3))))


class Mine(ok.AdamW):
    """A user's, with a step of its own."""

    def step(self, closure: Any = None, **given: Any) -> Any:  # type: ignore[override]
        self.calls = getattr(self, "calls", 0) + 1
        return super().step(closure, **given)


def trained(opt: Any, steps: int = 1) -> Any:
    for _ in range(steps):
        for group in opt.param_groups:
            for param in group["params"]:
                param.grad = torch.ones_like(param)
        opt.step(lambda: torch.tensor(1.0))
    return opt


# ---------------------------------------------------------------- which are


@pytest.mark.parametrize("name", CLASSES)
def test_with_tensors_it_is_one(name: str) -> None:
    kind = getattr(ok, name)
    opt = kind(params=[matrix()])
    assert isinstance(opt, torch.optim.Optimizer)
    assert isinstance(opt, kind)
    assert type(opt).__name__ == type(opt).__qualname__ == name
    assert type(opt) is type(kind([matrix()])) is getattr(optimkit.torch, name)
    assert str(type(opt)) == f"<class 'optimkit.torch.{name}'>"
    assert pickle.loads(pickle.dumps(type(opt))) is type(opt)
    assert repr(opt).startswith(f"{name} (\nParameter Group 0\n")


@pytest.mark.parametrize("name", CLASSES)
def test_with_arrays_it_is_none(name: str) -> None:
    opt = getattr(ok, name)([np.ones((2, 3))])
    assert type(opt) is getattr(ok, name)
    assert not isinstance(opt, torch.optim.Optimizer)
    assert "torch" not in repr(opt)


@pytest.mark.parametrize(
    "other", [lambda: array(1.0), lambda: ok.Parameter(torch.ones(2))], ids=["array", "Parameter"]
)
def test_with_tensors_and_others_it_works_and_says_what_it_is(other: Any) -> None:
    w, x = tensor(1.0), other()
    opt = ok.SGD([{"params": [w]}, {"params": [x]}], lr=0.5)
    w.grad = torch.ones(1)
    opt.step(grads=[w.grad, None])
    assert w.item() == 0.5
    assert not isinstance(opt, torch.optim.Optimizer)
    assert "No torch.optim.Optimizer, which holds torch tensors alone: one of its" in repr(opt)
    with pytest.raises(TypeError, match="SGD is not an Optimizer"):  # torch's, hence the above
        lr_scheduler.StepLR(opt, 1)
    opt.add_param_group({"params": [tensor(2.0)]})


@pytest.mark.parametrize("other", [array(1.0), ok.Parameter(torch.ones(2))])
def test_it_takes_no_group_of_others(other: Any) -> None:
    opt = ok.Adam([tensor(1.0)])
    before = frozen(opt)
    with pytest.raises(TypeError, match=r"Adam: parameter 1 is a .*tensors alone.*optimkit.Adam"):
        opt.add_param_group({"params": [other]})
    with pytest.raises(TypeError, match="parameter b is a"):
        ok.Adam({"a": tensor(1.0)}).add_param_group({"params": {"b": other}})
    assert frozen(opt) == before


def test_it_says_what_is_for_jax_arrays() -> None:
    jnp = pytest.importorskip("jax.numpy", reason="JAX is not installed")
    for opt in (ok.Adam([tensor(1.0)]), ok.Adam([array(1.0)])):
        with pytest.raises(TypeError, match=r"parameter 1: JAX arrays .* optimkit\.functional"):
            opt.add_param_group({"params": [jnp.ones(2)]})
    assert callable(ok.functional.adam)


def test_it_takes_groups_of_tensors() -> None:
    opt = ok.SGD([tensor(1.0)])
    opt.add_param_group({"params": [tensor(1.0)], "lr": 1.0})
    trained(opt)
    assert opt.param_groups[1]["params"][0].item() == 0.0


def test_what_the_first_parameters_are_decides_for_one_that_began_without() -> None:
    opt, arrays = ok.SGD([{"params": []}]), ok.SGD([{"params": []}])
    called = []
    opt.register_step_post_hook(lambda *_: called.append(0))
    arrays.add_param_group({"params": [array(1.0)]})
    assert not isinstance(opt, torch.optim.Optimizer)
    opt.add_param_group({"params": [tensor(1.0)]})
    assert isinstance(opt, torch.optim.Optimizer)
    assert not isinstance(arrays, torch.optim.Optimizer)
    opt.register_step_post_hook(lambda *_: called.append(1))
    trained(opt)
    assert called == [0, 1]


def test_constructing_one_takes_as_many_looks_as_there_are_parameters() -> None:
    looks = 0

    class Counted(torch.nn.Parameter):
        def __getattribute__(self, name: str) -> Any:
            nonlocal looks
            looks += name == "shape"
            return super().__getattribute__(name)

    def looks_for(count: int) -> int:
        nonlocal looks
        looks = 0
        ok.SGD([{"params": [Counted(torch.ones(2))]} for _ in range(count)])
        return looks

    assert looks_for(40) == 4 * looks_for(10)


# ---------------------------------------------------------------- classes


@pytest.mark.parametrize("name", CLASSES)
def test_the_classes_of_torch_alone(name: str) -> None:
    kind = getattr(optimkit.torch, name)
    assert issubclass(kind, torch.optim.Optimizer)
    assert kind.__doc__ == getattr(ok, name).__doc__
    assert type(kind([matrix()])) is kind
    with pytest.raises(
        TypeError, match=rf"{name}: parameter 0 is a numpy.ndarray.*optimkit.{name}"
    ):
        kind([np.ones((2, 3))])


def test_the_module_of_classes() -> None:
    assert sorted(dir(optimkit.torch)) == sorted([*RULES, "of"])
    assert optimkit.torch.of(Mine) is type(Mine([matrix()]))
    assert optimkit.torch.of(optimkit.torch.AdamW) is optimkit.torch.AdamW
    for wrong in (ok.Parameter, torch.optim.SGD, ok.SGD([array(1.0)])):
        with pytest.raises(TypeError, match="takes a class of optimizers"):
            optimkit.torch.of(wrong)
    for name in ("Parameter", "nothing", "load", "__path__"):
        with pytest.raises(AttributeError, match="has no attribute"):
            getattr(optimkit.torch, name)


def test_the_examples_of_the_module() -> None:
    results = doctest.testmod(optimkit.torch)
    assert results.attempted > 2
    assert results.failed == 0


class Sub(optimkit.torch.SGD):  # type: ignore[misc, name-defined, valid-type]
    def __init__(self, params: Any, scale: float = 2.0) -> None:
        super().__init__(params, lr=0.25)
        self.scale = scale


def test_a_subclass_of_one() -> None:
    opt = trained(Sub([tensor(1.0)]))
    assert type(opt) is Sub
    assert opt.param_groups[0]["params"][0].item() == 0.75
    again = pickle.loads(pickle.dumps(opt))
    assert (type(again), again.scale) == (Sub, 2.0)


def test_a_users_class() -> None:
    seen = []

    class Base(ok.SGD, abc.ABC):
        __slots__ = ("slot",)

        def __init_subclass__(cls, *, tag: str) -> None:
            super().__init_subclass__()
            seen.append((cls.__name__, tag))

    class Tagged(Base, tag="a"):
        def __init__(self, params: Any) -> None:
            super().__init__(params, lr=0.5)
            self.slot, self.isone = 1, isinstance(self, torch.optim.Optimizer)

    opt = trained(Tagged([tensor(1.0)]))
    assert opt.isone
    assert opt.slot == 1
    assert seen == [("Tagged", "a")]
    assert type(opt).__module__ == Tagged.__module__


def test_a_users_class_is_not_kept_for_ever() -> None:
    def make() -> Any:
        class Passing(ok.SGD):
            pass

        Passing([tensor(1.0)])
        return weakref.ref(Passing)

    kind = make()
    gc.collect()
    assert kind() is None


def test_a_class_that_is_of_both_kinds() -> None:
    class Hybrid(ok.SGD, torch.optim.Optimizer):
        pass

    opt = Hybrid([tensor(1.0)])
    assert isinstance(opt.register_step_pre_hook(lambda *_: None), RemovableHandle)


# ---------------------------------------------------------------- copies and files

WAYS = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "pickle 0": lambda x: pickle.loads(pickle.dumps(x, 0)),
    "torch.save": lambda x: saved_and_loaded(x),
}


def saved_and_loaded(x: Any) -> Any:
    file = io.BytesIO()
    torch.save(x, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [ok.AdamW, ok.LBFGS, Mine, Sub])
def test_the_whole_is_copied_and_saved(kind: Any, way: str) -> None:
    opt = trained(kind([tensor(1.0, 2.0)]), 2)
    again = WAYS[way](opt)
    assert type(again) is type(opt)
    (w,), (twin,) = opt.param_groups[0]["params"], again.param_groups[0]["params"]
    assert w is not twin
    trained(opt)
    trained(again)
    assert_same_bits(w, twin)
    again.register_step_pre_hook(lambda *_: None).remove()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_one_without_state_is_pickled(protocol: int) -> None:
    for param in (tensor(1.0), array(1.0)):
        opt = pickle.loads(pickle.dumps(ok.SGD([param]), protocol))
        assert len(opt.state) == 0


def test_a_shallow_copy_has_the_same_parameters() -> None:
    opt = trained(ok.AdamW([tensor(1.0)]))
    twin = copy.copy(opt)
    assert type(twin) is type(opt)
    assert twin.param_groups[0]["params"][0] is opt.param_groups[0]["params"][0]


@pytest.mark.filterwarnings("ignore:Seems like")  # what torch's says of a copy of torch's, too
@pytest.mark.parametrize("home", [lr_scheduler, ok.lr_scheduler], ids=["torch", "optimkit"])
def test_it_is_copied_together_with_a_scheduler(home: Any) -> None:
    opt = ok.SGD([tensor(1.0)], lr=0.5)
    scheduler = home.StepLR(opt, 1, gamma=0.5)
    trained(opt)
    twin, its = copy.deepcopy((opt, scheduler))
    assert its.optimizer is twin
    trained(twin)
    its.step()
    assert (opt.step_count, twin.step_count) == (1, 1)
    assert (opt.param_groups[0]["lr"], twin.param_groups[0]["lr"]) == (0.5, 0.25)


def test_a_reduction_of_the_users_own_is_left_alone() -> None:
    opt = Reduced([tensor(1.0)], 3)
    assert pickle.loads(pickle.dumps(opt)).n == 3
    with pytest.raises(ZeroDivisionError):
        pickle.dumps(Reduced([tensor(1.0)], 0))


class Reduced(ok.SGD):
    def __init__(self, params: Any, n: int) -> None:
        super().__init__(params)
        self.n = n

    def __reduce__(self) -> Any:
        return Reduced, (self.param_groups, self.n // 1 or 1 // self.n)


# ---------------------------------------------------------------- hooks


def test_handles_are_torchs_and_hooks_are_where_torch_has_them() -> None:
    for opt in (ok.SGD([tensor(1.0)]), torch.optim.SGD([tensor(1.0)])):
        names = {name for name in vars(opt) if name.startswith("_optimizer_")}
        assert len(names) == 6
        for name in names:
            register = getattr(opt, f"register{name.removeprefix('_optimizer').rstrip('s')}")
            handle = register(print)
            assert type(handle) is RemovableHandle
            hooks = getattr(opt, name)
            assert type(hooks) is collections.OrderedDict
            assert hooks == {handle.id: print}
            handle.remove()
            assert not hooks


@pytest.mark.parametrize("lib", BOTH, ids=IDS)
def test_hooks_put_in_by_hand_are_called(lib: Any) -> None:
    log: list[str] = []
    opt = lib.SGD([tensor(1.0)])
    opt._optimizer_step_pre_hooks[-7] = lambda *_: log.append("before")
    opt._optimizer_step_post_hooks = collections.OrderedDict({1: lambda *_: log.append("after")})
    trained(opt)
    assert log == ["before", "after"]


@pytest.mark.parametrize("kind", [ok.SGD, torch.optim.SGD, Mine])
def test_hooks_of_all_of_torchs_optimizers(kind: Any) -> None:
    log: list[str] = []
    opt = kind([tensor(1.0)])
    homes = (torchs, ok.optimizer) if kind is not torch.optim.SGD else (torchs,)
    handles = [
        register(lambda *_, say=f"{home.__name__[:5]} {moment}": log.append(say))
        for home in homes
        for moment in ("pre", "post")
        for register in (getattr(home, f"register_optimizer_step_{moment}_hook"),)
    ]
    opt.register_step_pre_hook(lambda *_: log.append("own pre"))
    opt.register_step_post_hook(lambda *_: log.append("own post"))
    trained(opt)
    for handle in handles:
        handle.remove()
    ours = kind is not torch.optim.SGD
    before = ["torch pre", *["optim pre"] * ours, "own pre"]
    assert log == [*before, "own post", *["optim post"] * ours, "torch post"]
    log.clear()
    trained(opt)
    assert log == ["own pre", "own post"]


def test_torchs_hooks_are_for_torchs_optimizers_alone() -> None:
    log: list[Any] = []
    with torchs.register_optimizer_step_pre_hook(lambda *_: log.append(0)):
        ok.SGD([array(1.0)]).step(grads=[array(1.0)])
    assert not log


def test_a_part_of_the_state_may_be_set() -> None:
    log: list[Any] = []
    opts = [kind([tensor(1.0, 2.0)], lr=0.1) for kind in (ok.AdamW, torch.optim.AdamW)]
    for opt in opts:
        opt.register_step_pre_hook(lambda *_: log.append(0))
        trained(opt)
        param = opt.param_groups[0]["params"][0]
        opt.__setstate__({"param_groups": [{**opt.param_groups[0], "lr": 0.5}], "note": "mine"})
        trained(opt)
        assert opt.note == "mine"
        opt.__setstate__({"state": collections.defaultdict(dict)})
        trained(opt)
        assert opt.state[param]["step"] == 1
    assert len(log) == 6
    assert opts[0].step_count == 3
    ours, theirs = (opt.param_groups[0]["params"][0] for opt in opts)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)  # the order of two factors


# ---------------------------------------------------------------- what torch code does


@pytest.mark.parametrize("kind", [ok.AdamW, Mine, ok.LBFGS])
def test_the_profiler_names_it(kind: Any) -> None:
    opt = trained(kind([tensor(1.0)]))
    with torch.autograd.profiler.profile() as profile:
        trained(opt)
        opt.zero_grad()
    names = [event.name for event in profile.function_events]
    name = kind.__name__
    assert names.count(f"Optimizer.step#{name}.step") == 1
    assert names.count(f"Optimizer.zero_grad#{name}.zero_grad") == 1
    assert opt.param_groups[0]["params"][0].grad is None


def test_the_profiler_sees_the_state_after_a_step() -> None:
    opt, steps = ok.Adam([tensor(1.0)]), []
    opt._optimizer_step_code = lambda: steps.append(opt.state[opt.param_groups[0]["params"][0]])
    trained(opt)
    assert not steps
    with torch.autograd.profiler.profile():
        trained(opt)
    assert [state["step"] for state in steps] == [2]


def test_groups_and_states_stay_the_objects_that_others_hold() -> None:
    opt = trained(ok.AdamW([tensor(1.0)]))
    (group,), (param,) = opt.param_groups, opt.param_groups[0]["params"]
    groups, state, entries = opt.param_groups, opt.state, opt.state[param]
    opt.load_state_dict(copy.deepcopy(trained(ok.AdamW([tensor(1.0)], lr=0.5), 3).state_dict()))
    trained(opt)
    assert opt.param_groups is groups
    assert groups[0] is group
    assert group["params"][0] is param
    assert group["lr"] == 0.5
    assert opt.state is state
    assert state[param] is entries
    assert entries["step"] == 4


@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize("home", [lr_scheduler, ok.lr_scheduler], ids=["torch", "optimkit"])
def test_a_rate_in_a_tensor_stays_that_tensor(home: Any, capturable: bool) -> None:
    lr, betas = torch.tensor(0.5), (torch.tensor(0.5), torch.tensor(0.75))
    lr.requires_grad_()
    opt = ok.AdamW([tensor(1.0)], lr=lr, betas=betas, capturable=capturable)
    trained(opt)
    scheduler = home.StepLR(opt, 1, gamma=0.5) if home is ok.lr_scheduler else None
    group = opt.param_groups[0]
    saved = copy.deepcopy(opt.state_dict())
    for new in (0.125, torch.tensor(0.25), np.float32(0.75)):
        saved["param_groups"][0].update(lr=new, betas=[0.25, torch.tensor(0.125)])
        opt.load_state_dict(saved)
        assert group["lr"] is lr
        assert lr.item() == float(new)
        assert [beta.item() for beta in group["betas"]] == [0.25, 0.125]
        assert all(a is b for a, b in zip(group["betas"], betas, strict=True))
    if scheduler is None:  # torch's fills it too, but cannot where it needs a gradient
        lr.requires_grad_(False)
        scheduler = home.StepLR(opt, 1, gamma=0.5)
    trained(opt)
    scheduler.step()
    assert group["lr"] is lr
    assert lr.item() == 0.375


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_one_optimizer_for_each_parameter_within_backward() -> None:
    from torch.distributed.optim import _apply_optimizer_in_backward

    results = []
    for kind in (ok.SGD, torch.optim.SGD):
        model = torch.nn.Linear(2, 1, bias=False)
        model.weight.data.fill_(1.0)
        _apply_optimizer_in_backward(kind, model.parameters(), {"lr": 0.25, "momentum": 0.5})
        for _ in range(3):
            model(torch.ones(2)).sum().backward()
        assert model.weight.grad is None
        assert isinstance(model.weight._in_backward_optimizers[0], torch.optim.Optimizer)
        results.append(model.weight)
    assert_same_bits(*results)
    opts: dict[Any, Any] = {}

    def step(param: Any) -> None:
        opts[param].step()
        opts[param].zero_grad()

    model = torch.nn.Linear(2, 1, bias=False)
    model.weight.data.fill_(1.0)
    opts[model.weight] = ok.SGD([model.weight], lr=0.25, momentum=0.5)
    model.weight.register_post_accumulate_grad_hook(step)
    for _ in range(3):
        model(torch.ones(2)).sum().backward()
    assert_same_bits(model.weight, results[0])


@pytest.mark.parametrize("bad", [False, True])
def test_a_grad_scaler(bad: bool) -> None:
    ends = []
    for kind in (ok.SGD, torch.optim.SGD):
        w, scaler = tensor(1.0, 2.0), torch.amp.GradScaler("cpu", init_scale=8.0)
        opt = kind([w], lr=0.25, momentum=0.5)
        for i in range(3):
            opt.zero_grad()
            scaler.scale((w * w).sum() * (np.inf if bad and i == 1 else 1.0)).backward()
            scaler.unscale_(opt)
            torch.nn.utils.clip_grad_norm_([w], 1.0)
            scaler.step(opt)
            scaler.update()
        ends.append((w.detach(), scaler.get_scale()))
        assert getattr(opt, "step_count", 3 - bad) == 3 - bad
    assert_same_bits(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1] == (4.0 if bad else 8.0)


LIGHT = """
import sys, torch, optimkit as ok
w = torch.nn.Parameter(torch.ones(2))
w.grad = torch.ones(2)
ok.AdamW([w]).step()
print("torch._dynamo" in sys.modules)
"""

COMPILED = """
import torch, optimkit as ok
from torch._dynamo.utils import counters
class Own(ok.SGD):
    def step(self, closure=None):
        return super().step(closure)
for kind in (ok.AdamW, Own):
    w = torch.nn.Parameter(torch.ones(2))
    w.grad = torch.ones(2)
    opt = kind([w], lr=0.5, weight_decay=0.0)
    def step():
        opt.step()
        return w + 1
    for run in (torch.compile(step, backend="eager"), torch.compile(opt.step, backend="eager")):
        counters.clear()
        run()
        run()
        print(opt.step_count, sum(counters["graph_break"].values()))
seen = []
def backend(graph, inputs):
    seen.append(graph)
    return graph.forward
model = torch.compile(torch.nn.Linear(2, 1), backend=backend)
opt = ok.LBFGS(model.parameters())
def closure():
    opt.zero_grad()
    loss = model(torch.ones(2)).square().sum()
    loss.backward()
    return loss
opt.step(closure)
print(len(seen))
"""


def output(program: str) -> list[str]:
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.split("\n")[:-1]


def test_making_one_does_not_import_the_compiler() -> None:
    assert output(LIGHT) == ["False"]


def test_the_compiler_runs_a_step_as_it_is_but_for_models_in_its_closure() -> None:
    assert output(COMPILED) == [*["2 1", "4 0"] * 2, "1"]
