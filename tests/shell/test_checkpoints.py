"""Checkpoints, copies and pickles: resuming is bit for bit."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from conftest import array, assert_same_bits
from forms import BOTH, IDS, frozen, tensor
from libraries import STEPPING, Library

import optimkit as ok

CHECKPOINTS = [
    ("SGD", {}),
    ("SGD", dict(momentum=0.9, nesterov=True, weight_decay=0.1)),
    ("Adam", {}),
    ("Adam", dict(amsgrad=True, weight_decay=0.1)),
    ("AdamW", dict(amsgrad=True, betas=(0.8, 0.7))),
]


def torch_gradients(count: int, dtype: torch.dtype) -> list[list[torch.Tensor]]:
    make = torch.Generator().manual_seed(3)
    return [
        [torch.randn(s, generator=make, dtype=dtype) for s in ((3, 4), (), (70,))]
        for _ in range(count)
    ]


def torch_params(dtype: torch.dtype) -> list[torch.nn.Parameter]:
    make = torch.Generator().manual_seed(4)
    return [
        torch.nn.Parameter(torch.randn(s, generator=make, dtype=dtype)) for s in ((3, 4), (), (70,))
    ]


def run(opt: Any, params: list[Any], grads: list[list[torch.Tensor]]) -> None:
    for row in grads:
        for param, grad in zip(params, row, strict=True):
            param.grad = grad.clone()
        opt.step()


def kinds_of(saved: dict[str, Any]) -> Any:
    """The structure of a state dict: keys, types, and of tensors their dtype and shape."""

    def kind(x: Any) -> Any:
        return (type(x), x.dtype, tuple(x.shape)) if isinstance(x, torch.Tensor) else type(x)

    state = {i: {k: kind(v) for k, v in s.items()} for i, s in saved["state"].items()}
    groups = [{k: v for k, v in g.items() if k != "fused"} for g in saved["param_groups"]]
    return state, groups, [set(g) for g in saved["param_groups"]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "options"), CHECKPOINTS)
def test_torch_reads_our_checkpoint_and_we_read_torchs(
    name: str, options: dict[str, Any], dtype: torch.dtype
) -> None:
    grads = torch_gradients(6, dtype)
    ours, theirs = torch_params(dtype), torch_params(dtype)
    mine = getattr(ok, name)(ours, **options)
    other = getattr(torch.optim, name)(theirs, foreach=None, **options)
    run(mine, ours, grads[:3])
    run(other, theirs, grads[:3])
    assert kinds_of(mine.state_dict()) == kinds_of(other.state_dict())

    # ours -> torch: it takes every key, and holds the very numbers
    taken = getattr(torch.optim, name)(torch_params(dtype), **options)
    taken.load_state_dict(mine.state_dict())
    assert kinds_of(taken.state_dict()) == kinds_of(mine.state_dict())
    for number, state in taken.state_dict()["state"].items():
        for key, value in state.items():
            expected = mine.state_dict()["state"][number][key]
            if isinstance(value, torch.Tensor):
                assert_same_bits(value, expected, key)
            else:
                assert value == expected
    run(taken, taken.param_groups[0]["params"], grads[3:])

    # torch -> ours, continuing from torch's own parameters: what an optimkit optimizer with that
    # state and those parameters does, to the bit
    copied = [torch.nn.Parameter(p.detach().clone()) for p in theirs]
    resumed = getattr(ok, name)(copied, lr=99.0)
    resumed.load_state_dict(copy.deepcopy(other.state_dict()))
    assert resumed.param_groups[0]["lr"] == other.param_groups[0]["lr"]
    by_hand = [torch.nn.Parameter(p.detach().clone()) for p in theirs]
    direct = getattr(ok, name)(by_hand, **options)
    for new, old in zip(by_hand, theirs, strict=True):
        for key, value in other.state[old].items():
            direct.state[new][key] = int(value) if key == "step" else copy.deepcopy(value)
    run(resumed, copied, grads[3:])
    run(direct, by_hand, grads[3:])
    for one, two in zip(copied, by_hand, strict=True):
        assert_same_bits(one, two)
    assert not torch.equal(copied[0], theirs[0])


@pytest.mark.parametrize("library", STEPPING, indirect=True)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "complex64"])
@pytest.mark.parametrize(("name", "options"), CHECKPOINTS)
def test_resuming_is_bit_for_bit_at_any_step(
    name: str, options: dict[str, Any], dtype: str, library: Library
) -> None:
    if options.get("amsgrad") and dtype == "complex64":
        options = {**options, "amsgrad": False}
    if not library.can_hold(dtype):
        pytest.skip("the standard, and so array-api-strict, has no float16")
    rng = np.random.default_rng(5)

    def random(shape: tuple[int, ...]) -> np.ndarray:
        x = rng.standard_normal(shape)
        if dtype == "complex64":
            x = x + 1j * rng.standard_normal(shape)
        return np.asarray(x, dtype)

    shapes = [(3, 4), (), (7,)]
    start = [random(s) for s in shapes]
    grads = [[random(s) for s in shapes] for _ in range(4)]
    straight = list(map(library.param, start))
    opt = getattr(ok, name)(straight, **options)
    checkpoints = []
    for row in grads:
        checkpoints.append((copy.deepcopy(straight), copy.deepcopy(opt.state_dict())))
        library.step(opt, row)
    for at, (params, saved) in enumerate(checkpoints):
        resumed = getattr(ok, name)(params, lr=99.0)
        resumed.load_state_dict(saved)
        for row in grads[at:]:
            library.step(resumed, row)
        for one, two in zip(params, straight, strict=True):
            assert_same_bits(one, two, f"resumed at {at}")


def test_a_checkpoint_does_not_share_memory_with_what_it_is_loaded_into() -> None:
    x, y = array(1.0), array(1.0)
    first, second = ok.SGD([x], momentum=0.9), ok.SGD([y], momentum=0.9)
    first.step(grads=[array(1.0)])
    saved = first.state_dict()
    assert saved["state"][0]["momentum_buffer"] is first.state[x]["momentum_buffer"]
    second.load_state_dict(saved)
    second.step(grads=[array(1.0)])
    assert first.state[x]["momentum_buffer"].item() == 1.0
    saved["param_groups"][0]["lr"] = 7.0
    assert first.param_groups[0]["lr"] == second.param_groups[0]["lr"] == 1e-3


def test_a_checkpoint_crosses_libraries_and_dtypes() -> None:
    source = torch.zeros(3, dtype=torch.float32)
    opt = ok.Adam([source])
    opt.step(grads=[torch.tensor([1.0, 2.0, 3.0])])
    target = np.zeros(3, np.float64)
    taken = ok.Adam([target])
    taken.load_state_dict(opt.state_dict())
    assert type(taken.state[target]["exp_avg"]) is np.ndarray
    assert taken.state[target]["exp_avg"].dtype == np.float64
    assert taken.state[target]["step"] == 1
    assert_same_bits(
        taken.state[target]["exp_avg"], opt.state[source]["exp_avg"].numpy().astype(np.float64)
    )
    back = torch.zeros(3)
    returned = ok.Adam([back])
    returned.load_state_dict(taken.state_dict())
    assert_same_bits(returned.state[back]["exp_avg"], opt.state[source]["exp_avg"])


@pytest.mark.parametrize("step", [3, 3.0, torch.tensor(3.0), torch.tensor(3), np.float32(3)])
def test_an_older_checkpoint_may_have_its_step_as_a_number(step: Any) -> None:
    x = torch.zeros(2)
    opt = ok.Adam([x])
    opt.step(grads=[torch.ones(2)])
    saved = opt.state_dict()
    saved["state"][0] = {**saved["state"][0], "step": step}
    opt.load_state_dict(saved)
    assert opt.state[x]["step"] == 3
    assert type(opt.state[x]["step"]) is int


@pytest.mark.parametrize("missing", ["amsgrad", "maximize", "foreach", "fused", "differentiable"])
@pytest.mark.parametrize("lib", BOTH, ids=IDS)
def test_an_older_checkpoint_may_lack_options(lib: Any, missing: str) -> None:
    w = tensor(1.0)
    opt = lib.Adam([w], amsgrad=missing == "lr")
    run(opt, [w], [[torch.ones(1)]])
    saved = copy.deepcopy(opt.state_dict())
    del saved["param_groups"][0][missing]
    fresh = lib.Adam([w])
    fresh.load_state_dict(saved)
    assert not fresh.param_groups[0][missing]
    run(fresh, [w], [[torch.ones(1)]])


@pytest.mark.parametrize("lib", BOTH, ids=IDS)
def test_names_in_checkpoints(lib: Any) -> None:
    named, bare = lib.SGD([("w", tensor(1.0))]), lib.SGD([tensor(1.0)])
    with_names, without = named.state_dict(), bare.state_dict()
    named.load_state_dict(without)
    assert named.param_groups[0]["param_names"] == ["w"]
    bare.load_state_dict(with_names)
    assert bare.param_groups[0]["param_names"] == ["w"]


def test_a_step_count_beyond_what_float32_holds_survives_a_checkpoint() -> None:
    x = torch.zeros(1)
    opt = ok.Adam([x])
    opt.step(grads=[torch.ones(1)])
    opt.state[x]["step"] = 2**24 + 1
    fresh = ok.Adam([x])
    fresh.load_state_dict(copy.deepcopy(opt.state_dict()))
    assert fresh.state[x]["step"] == 2**24 + 1


@pytest.mark.parametrize("how", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("library", STEPPING, indirect=True)
def test_copies_and_pickles_go_on_alike(how: Callable[[Any], Any], library: Library) -> None:
    a, b = library.param(array(1.0, 2.0)), library.param(array(3.0))
    opt = ok.AdamW([{"params": {"a": a}}, {"params": {"b": b}, "lr": 0.5}], amsgrad=True)
    opt.register_step_pre_hook(print)
    library.step(opt, [array(1.0, 1.0), array(2.0)])
    if library.name == "array-api-strict" and how is not copy.deepcopy:
        pytest.skip("array-api-strict's arrays cannot be pickled")
    twin = how(opt)
    assert type(twin) is type(opt)
    assert twin.defaults == opt.defaults
    first, second = (g["params"][0] for g in twin.param_groups)
    assert first is not a
    for o in (opt, twin):
        library.step(o, [array(3.0, 3.0), array(-1.0)])
    for old, new in ((a, first), (b, second)):
        assert_same_bits(old, new)
        assert opt.state[old].keys() == twin.state[new].keys()
        assert_same_bits(opt.state[old]["exp_avg"], twin.state[new]["exp_avg"])
    assert repr(opt) == repr(twin)


def test_a_model_and_its_optimizer_are_copied_together() -> None:
    model = torch.nn.Linear(2, 1)
    opt = ok.Adam(model.parameters(), lr=0.5)
    model2, opt2 = copy.deepcopy((model, opt))
    before = model.weight.detach().clone()
    model2(torch.ones(1, 2)).sum().backward()
    opt2.step()
    assert opt2.param_groups[0]["params"][0] is model2.weight
    assert torch.equal(model.weight, before)
    assert not torch.equal(model2.weight, before)


def good_checkpoint() -> dict[str, Any]:
    opt = ok.Adam([array(1.0), array(1.0, 2.0)])
    opt.step(grads=[array(1.0), array(1.0, 1.0)])
    return copy.deepcopy(opt.state_dict())


def change(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    saved = good_checkpoint()
    inner: Any = saved
    for key in path[:-1]:
        inner = inner[key]
    if value is KeyError:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return saved


BAD_CHECKPOINTS = [
    (lambda: change(("state", 1, "exp_avg"), np.ones(3, "f4")), ValueError, r"1.*exp_avg.*\(3,\)"),
    (lambda: change(("param_groups", 0, "params"), [0]), ValueError, "doesn't match the size"),
    (lambda: change(("param_groups",), []), ValueError, "different number of parameter groups"),
    (lambda: change(("state",), KeyError), KeyError, "state"),
    (lambda: change(("param_groups",), KeyError), KeyError, "param_groups"),
    (lambda: change(("param_groups", 0, "params"), KeyError), KeyError, "params"),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD_CHECKPOINTS)
def test_checkpoints_that_are_refused(make: Any, error: type[Exception], message: str) -> None:
    opt = ok.Adam([array(1.0), array(1.0, 2.0)], lr=0.5)
    opt.step(grads=[array(2.0), array(2.0, 2.0)])
    before = frozen(opt)
    with pytest.raises(error, match=message):
        opt.load_state_dict(make())
    assert frozen(opt) == before
    opt.step(grads=[array(2.0), array(2.0, 2.0)])
