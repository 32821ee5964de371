"""The shell: parameters in every form, steps, hooks, groups, checkpoints, and refusals."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import array_api_strict
import numpy as np
import pytest
import torch
from conftest import assert_same_bits, bits

import optimkit as ok

BOTH = [ok, torch.optim]  # what is written once is checked against torch by running it there too
IDS = ["optimkit", "torch"]


def array(*values: float, dtype: str = "float32") -> np.ndarray:
    return np.array(values, dtype)


def tensor(*values: float) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor(values))


# ---------------------------------------------------------------- parameters


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
KINDS: dict[str, Callable[..., Any]] = {
    "numpy": array,
    "parameter": lambda *v: ok.Parameter(array(*v)),
    "torch": lambda *v: torch.tensor(v),
    "nn.Parameter": tensor,
    "strict": lambda *v: array_api_strict.asarray(array(*v)),
}


def gradient(param: Any, value: float) -> Any:
    x = param.data if isinstance(param, ok.Parameter) else param
    if isinstance(x, torch.Tensor):
        return torch.full_like(x.detach(), value)
    if isinstance(x, np.ndarray):
        return np.full_like(x, value)
    return array_api_strict.full_like(x, value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_parameters_in_every_form(form: str, kind: str) -> None:
    a, b = KINDS[kind](1.0, 2.0), KINDS[kind](3.0)
    opt = ok.SGD(FORMS[form](a, b), lr=0.5)
    held = [p for group in opt.param_groups for p in group["params"]]
    assert [id(p) for p in held] == [id(a), id(b)]
    opt.step(grads=[gradient(a, 1.0), gradient(b, 2.0)])
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


def test_zero_dimensional_and_empty_parameters(engine: str) -> None:
    scalar, empty = np.array(1.0), np.empty((0, 3))
    opt = ok.Adam([scalar, empty], lr=0.5, eps=0.0)
    opt.step(grads=[np.array(4.0), np.empty((0, 3))])
    assert scalar.shape == ()
    assert scalar == 0.5
    assert opt.state[scalar]["exp_avg"].shape == ()
    assert opt.state[empty]["step"] == 1


def test_state_under_a_name_of_the_rule_s_own_is_left_alone(engine: str) -> None:
    x, other = np.ones(3), np.full(3, 7.0)
    opt = ok.SGD([x], lr=0.5, momentum=0.5)
    for _ in range(3):
        opt.step(grads=[np.ones(3)])
        opt.state[x]["grad"] = other
    assert x.tolist() == [1 - 0.5 * (1 + 1.5 + 1.75)] * 3
    assert other.tolist() == [7.0] * 3


def test_a_numpy_scalar_is_a_gradient_of_a_zero_dimensional_parameter(engine: str) -> None:
    x = np.array(1.0)
    opt = ok.SGD([x], lr=0.125)
    for _ in range(4):
        opt.step(grads=[np.float64(2.0)])
    assert x == 0.0


# ---------------------------------------------------------------- stepping


@pytest.mark.parametrize("kind", ["parameter", "nn.Parameter"])
def test_gradients_from_dot_grad(kind: str) -> None:
    a, b = KINDS[kind](1.0), KINDS[kind](1.0)
    opt = ok.SGD([a, b], lr=1.0, momentum=0.5)
    a.grad = gradient(a, 1.0)
    opt.step()
    assert_same_bits(a, array(0.0))
    assert_same_bits(b, array(1.0))
    assert len(opt.state) == 1
    b.grad = gradient(b, 2.0)
    a.grad = None
    opt.step()
    assert_same_bits(a, array(0.0))
    assert_same_bits(b, array(-1.0))


def test_a_missing_gradient_leaves_the_step_count_alone(engine: str) -> None:
    a, b = array(1.0), array(1.0)
    together, apart = ok.Adam([a, b]), [ok.Adam([array(1.0)]) for _ in range(2)]
    pattern = [(1.0, None), (None, None), (2.0, 3.0), (None, 1.0), (1.0, 1.0)]
    for values in pattern:
        grads = [None if v is None else array(v) for v in values]
        together.step(grads=grads)
        for opt, grad in zip(apart, grads, strict=True):
            opt.step(grads=[grad])
    assert [together.state[p]["step"] for p in (a, b)] == [3, 3]
    for param, opt in zip((a, b), apart, strict=True):
        assert_same_bits(param, opt.param_groups[0]["params"][0])
    together.step(grads=[array(1.0), None])
    assert [together.state[p]["step"] for p in (a, b)] == [4, 3]


def test_missing_gradients_as_in_torch() -> None:
    results = []
    for lib in BOTH:
        a, b = tensor(1.0), tensor(1.0)
        opt = lib.Adam([a, b], lr=0.5)
        for values in [(1.0, None), (2.0, 3.0), (None, 1.0)]:
            for p, v in zip((a, b), values, strict=True):
                p.grad = None if v is None else torch.tensor([v])
            opt.step()
        saved = opt.state_dict()["state"]
        results.append([saved[i]["step"].item() for i in (0, 1)])
    assert results[0] == results[1] == [2.0, 2.0]


def test_gradients_by_name() -> None:
    a, b = array(1.0), array(1.0)
    opt = ok.SGD({"a": a, "b": b}, lr=1.0)
    opt.step(grads={"b": array(2.0), "a": None})
    assert (a.item(), b.item()) == (1.0, -1.0)


def test_gradients_by_name_across_groups() -> None:
    a, b = array(1.0), array(1.0)
    opt = ok.SGD([{"params": {"a": a}}, {"params": {"b": b}, "lr": 0.5}], lr=1.0)
    opt.step(grads={"b": array(2.0), "a": array(1.0)})
    assert (a.item(), b.item()) == (0.0, 0.0)


def test_gradients_from_an_iterator() -> None:
    a, b = array(1.0), array(1.0)
    ok.SGD([a, b], lr=1.0).step(grads=(g for g in (array(1.0), array(2.0))))
    assert (a.item(), b.item()) == (0.0, -1.0)


@pytest.mark.parametrize("lib", BOTH, ids=IDS)
def test_a_closure_that_sets_dot_grad(lib: Any) -> None:
    w = tensor(3.0)
    opt = lib.SGD([w], lr=0.25)

    def closure() -> torch.Tensor:
        opt.zero_grad()
        loss = (w**2).sum()
        loss.backward()
        return loss

    with torch.no_grad():  # the closure runs with gradients enabled whatever is outside
        loss = opt.step(closure)
    assert loss.item() == 9.0
    assert w.item() == 1.5


@pytest.mark.parametrize("as_keyword", [False, True])
def test_a_closure_that_returns_loss_and_gradients(as_keyword: bool) -> None:
    w = array(3.0)
    opt = ok.SGD([w], lr=0.25)

    def closure() -> tuple[float, list[np.ndarray]]:
        return float((w**2).sum()), [2 * w]

    assert (opt.step(closure=closure) if as_keyword else opt.step(closure)) == 9.0
    assert w.item() == 1.5


def test_a_closure_that_returns_gradients_by_name() -> None:
    w = array(3.0)
    opt = ok.SGD({"w": w}, lr=0.25)
    assert opt.step(lambda: (1.0, {"w": 2 * w})) == 1.0
    assert w.item() == 1.5


def test_step_returns_none_without_a_closure() -> None:
    opt = ok.SGD([array(1.0)])
    assert opt.step(grads=[array(1.0)]) is None


@pytest.mark.parametrize("lib", BOTH, ids=IDS)
@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad(lib: Any, set_to_none: bool) -> None:
    w, untouched = tensor(1.0, 2.0), tensor(1.0)
    w.grad = grad = (
        torch.ones(2, requires_grad=True) * 3
    )  # as backward(create_graph=True) leaves it
    assert grad.requires_grad
    lib.SGD([w, untouched]).zero_grad(set_to_none=set_to_none)
    assert untouched.grad is None
    if set_to_none:
        assert w.grad is None
    else:
        assert w.grad is grad
        assert not grad.requires_grad
        assert grad.tolist() == [0.0, 0.0]


def test_zero_grad_of_parameters_and_bare_arrays() -> None:
    p, bare = ok.Parameter(array(1.0)), array(1.0)
    opt = ok.SGD([p, bare])
    p.grad = grad = array(5.0)
    opt.zero_grad(set_to_none=False)
    assert p.grad is grad
    assert grad.item() == 0.0
    opt.zero_grad()
    assert p.grad is None


# ---------------------------------------------------------------- hooks


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


# ---------------------------------------------------------------- groups added later


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


# ---------------------------------------------------------------- checkpoints


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


@pytest.mark.parametrize("kind", ["numpy", "torch", "strict"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "complex64"])
@pytest.mark.parametrize(("name", "options"), CHECKPOINTS)
def test_resuming_is_bit_for_bit_at_any_step(
    name: str, options: dict[str, Any], dtype: str, kind: str
) -> None:
    if options.get("amsgrad") and dtype == "complex64":
        options = {**options, "amsgrad": False}
    if kind == "strict" and dtype == "float16":
        pytest.skip("the standard, and so array-api-strict, has no float16")
    rng = np.random.default_rng(5)

    def random(shape: tuple[int, ...]) -> np.ndarray:
        x = rng.standard_normal(shape)
        if dtype == "complex64":
            x = x + 1j * rng.standard_normal(shape)
        return np.asarray(x, dtype)

    def made(x: np.ndarray) -> Any:
        if kind == "torch":
            return torch.from_numpy(x.copy())
        return x.copy() if kind == "numpy" else array_api_strict.asarray(x.copy())

    shapes = [(3, 4), (), (7,)]
    start = [random(s) for s in shapes]
    grads = [[random(s) for s in shapes] for _ in range(4)]
    straight = [made(x) for x in start]
    opt = getattr(ok, name)(straight, **options)
    checkpoints = []
    for row in grads:
        checkpoints.append((copy.deepcopy(straight), copy.deepcopy(opt.state_dict())))
        opt.step(grads=[made(g) for g in row])
    for at, (params, saved) in enumerate(checkpoints):
        resumed = getattr(ok, name)(params, lr=99.0)
        resumed.load_state_dict(saved)
        for row in grads[at:]:
            resumed.step(grads=[made(g) for g in row])
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
@pytest.mark.parametrize("kind", ["numpy", "parameter", "torch", "nn.Parameter", "strict"])
def test_copies_and_pickles_go_on_alike(how: Callable[[Any], Any], kind: str) -> None:
    a, b = KINDS[kind](1.0, 2.0), KINDS[kind](3.0)
    opt = ok.AdamW([{"params": {"a": a}}, {"params": {"b": b}, "lr": 0.5}], amsgrad=True)
    opt.register_step_pre_hook(print)
    opt.step(grads=[gradient(a, 1.0), gradient(b, 2.0)])
    if kind == "strict" and how is not copy.deepcopy:
        pytest.skip("array-api-strict's arrays cannot be pickled")
    twin = how(opt)
    assert type(twin) is ok.AdamW
    assert twin.defaults == opt.defaults
    first, second = (g["params"][0] for g in twin.param_groups)
    assert first is not a
    for o, params in ((opt, (a, b)), (twin, (first, second))):
        o.step(grads=[gradient(params[0], 3.0), gradient(params[1], -1.0)])
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


def test_state_is_a_mapping_by_identity() -> None:
    a, b = array(1.0), array(1.0)
    opt = ok.SGD([a, b], momentum=0.9)
    assert len(opt.state) == 0
    assert a not in opt.state
    opt.step(grads=[array(1.0), None])
    assert a in opt.state
    assert b not in opt.state
    assert a.copy() not in opt.state
    assert [x is a for x in opt.state] == [True]
    opt.state[a]["momentum_buffer"][...] = 0.0
    opt.step(grads=[array(0.0), None])
    assert a.item() == array(1.0 - 1e-3).item()
    del opt.state[a]
    assert len(opt.state) == 0
    with pytest.raises(KeyError):
        del opt.state[a]
    assert opt.state[b] == {}


def test_state_replaced_between_steps_is_used(engine: str) -> None:
    a = array(1.0)
    opt = ok.SGD([a], lr=1.0, momentum=0.5)
    for _ in range(2):
        opt.step(grads=[array(0.0)])
    opt.state[a]["momentum_buffer"] = array(2.0)
    opt.step(grads=[array(0.0)])
    assert a.item() == 0.0
    opt.state[a] = {"momentum_buffer": array(4.0)}
    opt.step(grads=[array(0.0)])
    assert a.item() == -2.0


# ---------------------------------------------------------------- refusals


def frozen(opt: ok.Optimizer) -> Any:
    """Everything that must be as it was after an error."""
    params = [p for g in opt.param_groups for p in g["params"]]
    state = [
        (k, bits(v) if hasattr(v, "shape") else v)
        for p in params
        if p in opt.state
        for k, v in opt.state[p].items()
    ]
    groups = [{k: v for k, v in g.items() if k != "params"} for g in opt.param_groups]
    return [bits(p) for p in params], state, groups, list(map(id, params)), opt.step_count


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
    ("a list of numbers", lambda: [[1.0, 2.0]], TypeError, r"parameter 0.*list"),
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
    ("SGD", dict(differentiable=True), ValueError, "differentiable=True is not supported"),
]


OURS_ALONE = {
    "lr.*nan": "torch takes NaN for a learning rate",
    r"betas.*\(0\.9,\)": "torch's IndexError is an accident",
    "differentiable=True is not supported": "torch has differentiable steps",
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
    ("an array", "strict", lambda: np.ones(2, np.float32), TypeError, "ndarray"),
    ("dtype", "strict", lambda: array_api_strict.ones(2), TypeError, "float64.*float32"),
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
    a, b = KINDS[kind](1.0, 2.0), KINDS[kind](3.0, 4.0)
    opt = ok.Adam({"a": a, "b": b} if named else [a, b])
    for _ in range(warm):
        opt.step(grads=[gradient(a, 1.0), gradient(b, 2.0)])
    before = frozen(opt)
    with pytest.raises(error, match=rf"Adam: parameter {'b' if named else 1}: .*{message}") as e:
        opt.step(grads=[gradient(a, 1.0), bad()])
    assert type(e.value) is error
    assert frozen(opt) == before
    opt.step(grads=[gradient(a, 1.0), gradient(b, 2.0)])  # and it goes on as if nothing had been
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


def test_state_may_not_be_called_what_the_rule_is_given() -> None:
    class Difference(ok.Optimizer):
        def __init__(self, params: Any, **options: Any) -> None:
            super().__init__(params, options)

        @staticmethod
        def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
            return {"grad": xp.zeros_like(param)}

        @staticmethod
        def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
            return param + state["grad"], {"grad": grad}

    opt = Difference([array(1.0)])
    with pytest.raises(ValueError, match="'grad'"):
        opt.step(grads=[array(1.0)])


def test_fused_true_says_why_not(engine: str) -> None:
    x = np.ones(8, np.float32)[::2]
    opt = ok.SGD([x], fused=True)
    with pytest.raises(RuntimeError, match=r"without gaps|eager engine was asked for"):
        opt.step(grads=[np.ones(4, np.float32)])
    assert_same_bits(x, np.ones(4, np.float32))


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


def test_the_foundation_class_says_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match="update"):
        ok.Optimizer([array(1.0)], {}).step(grads=[array(1.0)])
