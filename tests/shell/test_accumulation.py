"""A step of n micro-batches has the bits of one with their mean, however it is interrupted."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import array, assert_same_bits, bits
from forms import frozen, tensor
from libraries import LIBRARIES, STEPPING, Library, TorchParameter
from windows import batch, give, starts, total

import optimkit as ok

N = 3
KINDS = ["numpy", "Parameter", "torch", "nn.Parameter"]


def pair(library: Library, rule: Any = ok.AdamW, n: int = N, **options: Any) -> tuple[Any, Any]:
    """An accumulating optimizer, and the one to compare it with."""
    ours, reference = ([library.param(x) for x in starts()] for _ in range(2))
    return ok.accumulate(rule(ours), n, **options), rule(reference)


def params_of(optimizer: Any) -> list[Any]:
    return [param for group in optimizer.param_groups for param in group["params"]]


def assert_equal(library: Library, optimizer: Any, reference: Any) -> None:
    for ours, expected in zip(params_of(optimizer), params_of(reference), strict=True):
        assert_same_bits(library.to_numpy(ours), library.to_numpy(expected))
        state, wanted = optimizer.state[ours], reference.state[expected]
        assert state.keys() == wanted.keys()
        for name, value in wanted.items():
            if hasattr(value, "shape"):
                assert_same_bits(state[name], value, name)
            else:
                assert state[name] == value


# ---------------------------------------------------------------- what a step is taken with


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("library", STEPPING, indirect=True)
def test_a_window_is_one_step_with_the_mean(library: Library, reduction: str) -> None:
    ours, reference = pair(library, reduction=reduction)
    for window in range(4):
        rows = [batch(N * window + k) for k in range(N)]
        for k, row in enumerate(rows):
            assert ours.pending == k
            assert ours.will_step == (k == N - 1)
            give(library, ours, row)
            assert ours.stepped == (k == N - 1)
        library.step(reference, total(rows, reduction == "mean"))
        assert_equal(library, ours, reference)
    assert ours.step_count == 4


@pytest.mark.parametrize("dtype", ["float64", "float16", "complex64", "complex128"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_dtypes(engine: str, dtype: str, reduction: str) -> None:
    params, twins = starts(dtype), starts(dtype)
    ours = ok.accumulate(ok.SGD(params, lr=0.1, momentum=0.9), N, reduction=reduction)
    reference = ok.SGD(twins, lr=0.1, momentum=0.9)
    for window in range(4):
        rows = [batch(N * window + k, dtype) for k in range(N)]
        for row in rows:
            ours.step(grads=row)
        reference.step(grads=total(rows, reduction == "mean"))
        for x, y in zip(params, twins, strict=True):
            assert_same_bits(x, y)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_gradients_that_tensors_keep_are_divided(dtype: str, device: str) -> None:
    """Not multiplied with a reciprocal, as torch does on a device."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device here")
    kept = batch(0, dtype)[0]
    param = torch.nn.Parameter(torch.zeros(5, dtype=getattr(torch, dtype), device=device))
    ours = ok.accumulate(ok.SGD([param], lr=1.0), N)
    for k in range(1, N + 1):
        param.grad = k * torch.from_numpy(kept).to(device)
        ours.step()
    assert_same_bits((-param).detach().cpu().numpy(), total([[3 * kept], [None], [None]])[0])


def test_half_precision_is_added_up_in_full(engine: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="NumPy's bfloat16")
    for dtype in (np.float16, ml_dtypes.bfloat16):
        x = np.zeros(4, dtype)
        ours = ok.accumulate(ok.SGD([x], lr=1.0), 64)
        for _ in range(64):
            ours.step(grads=[np.full(4, 0.001, dtype)])
        assert_same_bits((-x).view(np.uint16), np.full(4, 0.001, dtype).view(np.uint16))
    half = torch.zeros(4, dtype=torch.bfloat16)
    ours = ok.accumulate(ok.SGD([half], lr=1.0), 64)
    for _ in range(64):
        ours.step(grads=[torch.full((4,), 0.001, dtype=torch.bfloat16)])
    assert_same_bits(-half, torch.full((4,), 0.001, dtype=torch.bfloat16))


def test_gradients_that_lie_otherwise_in_memory() -> None:
    x, y = np.zeros((3, 4)), np.zeros((3, 4))
    rows = [np.random.default_rng(i).standard_normal((4, 3)).T for i in range(N)]
    ours = ok.accumulate(ok.SGD([x]), N)
    for row in rows:
        ours.step(grads=[row])
    ok.SGD([y]).step(grads=total([[row] for row in rows]))
    assert_same_bits(x, y)


def test_the_sign_of_zero() -> None:
    seen: list[Any] = []
    ours = ok.accumulate(ok.SGD([array(1.0), array(1.0)]), 3)
    ours.register_step_pre_hook(lambda _, args, kwargs: seen.extend(map(bits, kwargs["grads"])))
    for grads in ([array(-0.0), array(-0.0)], [array(-0.0), None], [None, array(0.0)]):
        ours.step(grads=grads)
    assert seen == [bits(array(-0.0)), bits(array(0.0))]


def test_one_micro_batch_is_an_ordinary_step() -> None:
    seen: list[Any] = []
    x, grad = array(1.0), array(2.0)
    ours = ok.accumulate(ok.SGD([x], lr=0.5), 1)
    ours.register_step_pre_hook(lambda _, args, kwargs: seen.append(kwargs["grads"][0]))
    ours.step(grads=[grad])
    assert seen[0] is grad
    assert x == 0.0
    assert ours.stepped


def test_memory_of_gradients_may_be_used_again() -> None:
    x, grad = array(0.0), array(0.0)
    held = ok.Parameter(array(0.0))
    ours, beside = (ok.accumulate(ok.SGD([p], lr=1.0), 2) for p in (x, held))
    for value in (1.0, 3.0):
        grad[...] = value
        ours.step(grads=[grad])
        held.grad = grad
        beside.step()
    assert x == held.data == -2.0


def test_a_parameter_may_add_up_itself() -> None:
    """As a hand-written backward pass does, in place or not."""
    w = ok.Parameter(array(0.0))
    ours = ok.accumulate(ok.SGD([w], lr=1.0), 3)
    for value in (1.0, 2.0, 6.0):
        ours.zero_grad()  # may be called or not
        for part in (value / 2, value / 2):
            w.grad = array(part) if w.grad is None else w.grad + array(part)
        ours.step()
        assert (w.grad is None) == (not ours.stepped)
    assert w.data == -3.0
    assert w.grad == 3.0  # what the step was taken with


@pytest.mark.parametrize("zero_each_time", [True, False])
@pytest.mark.parametrize("lib", [ok, torch.optim], ids=["optimkit", "torch"])
def test_tensors_are_added_up_by_autograd(lib: Any, zero_each_time: bool) -> None:
    w, v = tensor(1.0, -2.0), tensor(1.0, -2.0)
    data = torch.arange(8.0).reshape(4, 2)
    ours = ok.accumulate(lib.Adam([w], lr=0.1), 2)
    reference = lib.Adam([v], lr=0.1)
    for i in range(4):
        if zero_each_time:
            ours.zero_grad()
        (w * data[i]).pow(2).sum().backward()
        ours.step()
        if ours.stepped and not zero_each_time:
            ours.zero_grad()
    for i in (0, 2):
        reference.zero_grad()
        for j in (i, i + 1):
            (v * data[j]).pow(2).sum().backward()
        assert v.grad is not None
        v.grad /= 2
        reference.step()
    assert_same_bits(w, v)


def test_closures() -> None:
    w = tensor(1.0)
    ours = ok.accumulate(ok.SGD([w], lr=1.0), 2, reduction="sum")

    def closure() -> float:
        ours.zero_grad()
        loss = (3 * w).sum()
        loss.backward()
        return loss.item()

    assert ours.step(closure) == 3.0
    assert ours.step(closure) == 3.0
    assert w.item() == -5.0
    x = array(1.0)
    plain = ok.accumulate(ok.SGD([x], lr=1.0), 2)
    assert [plain.step(lambda: ("loss", [array(2.0)])) for _ in range(2)] == ["loss"] * 2
    assert x == -1.0


def test_names_and_nested_containers() -> None:
    x, y = array(1.0), array(2.0)
    ours = ok.accumulate(ok.SGD({"a": x, "b": y}, lr=1.0), 2)
    ours.step(grads={"b": array(1.0), "a": None})
    ours.step(grads={"a": array(4.0), "b": array(1.0)})
    assert (x, y) == (-1.0, 1.0)
    nested = ok.accumulate(ok.SGD([[x, y]], lr=1.0), 2)
    for _ in range(2):
        nested.step(grads=[[array(1.0), array(1.0)]])
    assert (x, y) == (-2.0, 0.0)


def test_sparse_gradients_of_tensors() -> None:
    table, twin = (torch.nn.Embedding(5, 2, sparse=True) for _ in range(2))
    twin.load_state_dict(table.state_dict())
    ours = ok.accumulate(ok.SparseAdam(table.parameters()), 2)
    reference = ok.SparseAdam(twin.parameters())
    for rows in ([0, 3, 3], [3, 4]):
        table(torch.tensor(rows)).sum().backward()
        ours.step()
    twin(torch.tensor([0, 3, 3])).sum().backward()  # and with a checkpoint in the middle
    middle = ok.accumulate(ok.SparseAdam(twin.parameters()), 2)
    middle.step()
    saved = middle.state_dict()
    twin.weight.grad = None
    middle.load_state_dict(saved)
    assert twin.weight.grad is not saved["accumulate"]["sums"][0]
    twin(torch.tensor([3, 4])).sum().backward()
    assert twin.weight.grad is not None
    twin.weight.grad = twin.weight.grad / 2
    reference.step()
    assert_same_bits(table.weight, twin.weight)


@pytest.mark.parametrize("kind", ["complex", "bfloat16", "channels", "expanded", "one for two"])
def test_what_autograd_has_added_up_is_divided(kind: str) -> None:
    def grad(i: int) -> torch.Tensor:
        x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(i))
        if kind == "complex":
            return torch.complex(x, 2 * x)
        if kind == "bfloat16":
            return x.bfloat16()
        return x[:, :1].expand(2, 3, 4, 4) if kind == "expanded" else x

    params, twins = (
        [torch.nn.Parameter(torch.zeros_like(grad(0)).contiguous()) for _ in range(2)]
        for _ in range(2)
    )
    ours, reference = ok.accumulate(ok.SGD(params), 3), ok.SGD(twins)
    for i in range(3):
        for param in params:
            param.grad = grad(i) if param.grad is None else param.grad + grad(i)
        if i == 2:
            whole = params[0].grad
            assert whole is not None
            if kind == "channels":
                whole = whole.to(memory_format=torch.channels_last)
            if kind == "expanded":
                whole = whole[:, :1].expand(2, 3, 4, 4)
            params[0].grad = whole
            params[1].grad = whole if kind == "one for two" else whole.clone()
        ours.step()
    for twin in twins:
        twin.grad = (grad(0) + grad(1) + grad(2)) / 3
    reference.step()
    for param, twin in zip(params, twins, strict=True):
        assert_same_bits(param, twin)


def test_groups_that_come_and_go() -> None:
    x, y = array(0.0), array(0.0)
    ours = ok.accumulate(ok.SGD([x], lr=1.0), 3, reduction="sum")
    ours.step(grads=[array(1.0)])
    ours.add_param_group({"params": [y], "lr": 0.5})
    ours.step(grads=[array(1.0), array(2.0)])
    ours.step(grads=[array(1.0), array(2.0)])
    assert (x, y) == (-3.0, -2.0)


def test_options_between_windows() -> None:
    x = array(0.0)
    ours = ok.accumulate(ok.SGD([x], lr=1.0), 4)
    ours.step(grads=[array(2.0)])
    ours.n = 2
    assert ours.will_step
    ours.step(grads=[array(4.0)])
    assert x == -3.0
    ours.n = 4
    for value in (1.0, 2.0):
        ours.step(grads=[array(value)])
    ours.n = 2  # of which there are as many already
    assert ours.will_step
    ours.step(grads=[array(6.0)])
    assert x == -6.0
    ours.reduction = "sum"
    with pytest.raises(ValueError, match="invalid reduction: 'max'"):
        ours.reduction = "max"
    for _ in range(2):
        ours.step(grads=[array(1.0)])
    assert x == -8.0


@pytest.mark.parametrize("kind", KINDS)
def test_an_incomplete_window_is_flushed(kind: str) -> None:
    library = LIBRARIES[kind]
    ours, reference = pair(library, n=5)
    for row in (rows := [batch(4), batch(5)]):
        give(library, ours, row)
    ours.flush()
    assert ours.stepped
    assert ours.pending == 0
    library.step(reference, total(rows))
    ours.flush()
    assert not ours.stepped
    assert_equal(library, ours, reference)
    ours.zero_grad()
    rows = [batch(k) for k in range(5)]
    for row in rows:
        give(library, ours, row)
    library.step(reference, total(rows))
    assert_equal(library, ours, reference)


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_is_discarded(kind: str) -> None:
    library = LIBRARIES[kind]
    ours, reference = pair(library)
    give(library, ours, batch(9))
    ours.discard()
    assert ours.pending == 0
    for row in (rows := [batch(k) for k in range(N)]):
        give(library, ours, row)
    library.step(reference, total(rows))
    assert_equal(library, ours, reference)


# ---------------------------------------------------------------- going on


def through_state_dict(ours: Any, library: Library, path: Path) -> Any:
    saved = copy.deepcopy(ours.state_dict())
    return loaded_into_new(ours, library, saved)


def through_a_file(ours: Any, library: Library, path: Path) -> Any:
    pytest.importorskip("safetensors", reason="files")
    ok.save({"optimizer": ours}, path / "it.safetensors")
    return loaded_into_new(ours, library, ok.load(path / "it.safetensors")["optimizer"])


def loaded_into_new(ours: Any, library: Library, saved: Any) -> Any:
    params = [library.param(library.to_numpy(p).copy()) for p in params_of(ours)]
    new = ok.accumulate(ok.AdamW(params), N)
    new.step(grads=[library.grad(x) for x in batch(9)])  # what is pending is replaced
    new.load_state_dict(saved)
    return new


def through_pickle(ours: Any, library: Library, path: Path) -> Any:
    return pickle.loads(pickle.dumps(ours))


def through_a_copy(ours: Any, library: Library, path: Path) -> Any:
    return copy.deepcopy(ours)


WAYS = [through_state_dict, through_a_file, through_pickle, through_a_copy]


@pytest.mark.parametrize("at", [1, 2, 3, 5])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_resuming_is_exact(
    kind: str, way: Callable[..., Any], at: int, tmp_path: Path, request: Any
) -> None:
    library = LIBRARIES[kind]
    ours, reference = pair(library)
    rows = [batch(3 + k) for k in range(3 * N)]
    for k, row in enumerate(rows):
        if k == at:
            before = ours
            ours = way(ours, library, tmp_path)
            assert ours.pending == before.pending
            assert not set(map(id, params_of(ours))) & set(map(id, params_of(before)))
        give(library, ours, row)
        if k % N == N - 1:
            library.step(reference, total(rows[k - N + 1 : k + 1]))
    assert_equal(library, ours, reference)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sums_of_half_precision_are_saved_in_full(dtype: torch.dtype) -> None:
    def new() -> tuple[Any, Any]:
        x = torch.zeros(4, dtype=dtype)
        return x, ok.accumulate(ok.SGD([x], lr=1.0), 64)

    _, ours = new()
    y, other = new()
    for k in range(64):
        grads = [torch.full((4,), 0.001, dtype=dtype)]
        if k < 40:
            ours.step(grads=grads)
        elif k == 40:
            other.load_state_dict(copy.deepcopy(ours.state_dict()))
            assert other.state_dict()["accumulate"]["sums"][0].dtype == torch.float32
        if k >= 40:
            other.step(grads=grads)
    assert_same_bits(-y, torch.full((4,), 0.001, dtype=dtype))


def test_checkpoints_of_optimizers_without_it() -> None:
    x = array(1.0)
    plain = ok.Adam([x])
    plain.step(grads=[array(1.0)])
    ours = ok.accumulate(ok.Adam([array(1.0)]), 2)
    ours.step(grads=[array(1.0)])
    ours.load_state_dict(plain.state_dict())
    assert ours.pending == 0
    assert ours.state[params_of(ours)[0]]["step"] == 1
    ours.step(grads=[array(1.0)])
    ok.Adam([x]).load_state_dict(ours.state_dict())
    w = tensor(1.0)
    w.grad = torch.ones(1)
    held = ok.accumulate(ok.Adam([w]), 1)
    held.step()
    theirs = torch.optim.Adam([tensor(1.0)])
    theirs.load_state_dict(held.state_dict())
    held.load_state_dict(theirs.state_dict())
    assert held.state[w]["step"] == 1


def test_names_decide_whose_a_sum_is() -> None:
    first = ok.accumulate(ok.SGD({"a": array(0.0), "b": array(0.0)}, lr=1.0), 2)
    first.step(grads={"a": array(1.0), "b": array(2.0)})
    a, b = array(0.0), array(0.0)
    second = ok.accumulate(ok.SGD({"b": b, "a": a}, lr=1.0), 2, reduction="sum")
    second.load_state_dict(first.state_dict())
    second.step(grads={"a": array(10.0), "b": array(20.0)})
    assert (a, b) == (-11.0, -22.0)
    second.load_state_dict(first.state_dict(), by_position=True)
    second.step(grads={"a": array(0.0), "b": array(0.0)})
    assert (a, b) == (-13.0, -23.0)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"accumulate": 3}, TypeError, "accumulate must be a mapping"),
        ({"pending": -1}, ValueError, "pending: -1 is no count"),
        ({"pending": "two"}, ValueError, "pending: 'two' is no count"),
        ({"given": "yes"}, TypeError, "bools"),
        ({"sums": [1]}, TypeError, "mapping"),
        ({"sums": {0: 1.0}}, TypeError, "parameter 0: loaded sum is a builtins.float"),
        ({"sums": {0: np.ones(3)}}, ValueError, r"parameter 0: loaded sum has shape \(3,\)"),
        ({"sums": {0: np.ones(2) * 1j}}, TypeError, "complex"),
        ({"sums": {7: np.ones(2)}}, ValueError, r"no parameters \[7\]"),
        ({"param_groups": []}, ValueError, "number of parameter groups"),
        ({"param_groups": None}, TypeError, "must be a list"),
        ({"state": {0: {"step": 1}}}, ValueError, "has no exp_avg"),
    ],
)
def test_a_checkpoint_that_does_not_fit_changes_nothing(
    change: dict[str, Any], error: type[Exception], words: str
) -> None:
    x = array(1.0, 2.0)
    ours = ok.accumulate(ok.AdamW([x]), 2)
    ours.step(grads=[array(1.0, 1.0)])
    saved = copy.deepcopy(ours.state_dict())
    for key, value in change.items():
        (saved if key in ("accumulate", "param_groups", "state") else saved["accumulate"])[key] = (
            value
        )
    before = frozen(ours)
    with pytest.raises(error, match=words):
        ours.load_state_dict(saved)
    assert frozen(ours) == before
    assert ours.pending == 1
    twin = array(1.0, 2.0)
    ours.step(grads=[array(3.0, 3.0)])
    ok.AdamW([twin]).step(grads=[array(2.0, 2.0)])
    assert_same_bits(x, twin)


# ---------------------------------------------------------------- what goes with it


def test_hooks_see_steps_alone() -> None:
    x, seen = array(0.0), []
    inner = ok.SGD([x], lr=1.0)
    ours = ok.accumulate(inner, 2)
    ours.register_step_pre_hook(lambda o, args, kwargs: seen.append((o, kwargs["grads"][0].item())))
    inner.register_step_post_hook(lambda o, *_: seen.append("after"))
    everywhere = ok.optimizer.register_optimizer_step_post_hook(lambda o, *_: seen.append(o))
    with everywhere:
        for value in (1.0, 5.0):
            ours.step(grads=[array(value)])
    assert seen == [(inner, 3.0), "after", inner]


@pytest.mark.parametrize("kind", ["numpy", "Parameter", "nn.Parameter"])
def test_clipping_belongs_before_the_real_step(kind: str) -> None:
    library = LIBRARIES[kind]
    ours, reference = pair(library, ok.SGD)
    norms = []

    def clip(optimizer: Any, args: Any, kwargs: Any) -> None:
        norms.append(float(ok.clip_grad_norm_(kwargs.get("grads", optimizer), 0.1)))

    ours.register_step_pre_hook(clip)
    for row in (rows := [batch(k) for k in range(N)]):
        give(library, ours, row)
    clipped = [None if x is None else x.copy() for x in total(rows)]
    norm = ok.clip_grad_norm_(clipped, 0.1)
    library.step(reference, clipped)
    assert_equal(library, ours, reference)
    assert norms == [pytest.approx(norm, rel=1e-7)]  # a tensor's is in its own precision


@pytest.mark.parametrize("around", [True, False])
def test_schedulers_follow_real_steps(around: bool) -> None:
    x = array(0.0)
    inner = ok.SGD([x], lr=1.0)
    ours = ok.accumulate(inner, 2)
    scheduler = ok.lr_scheduler.StepLR(ours if around else inner, 1, 0.5)
    rates = []
    for _ in range(6):
        ours.step(grads=[array(0.0)])
        if ours.stepped:
            scheduler.step()
        rates.append(ours.param_groups[0]["lr"])
    assert rates == [1.0, 0.5, 0.5, 0.25, 0.25, 0.125]
    early = ok.lr_scheduler.StepLR(ours if around else inner, 1, 0.5)
    ours.step(grads=[array(0.0)])
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        early.step()


def test_schedulers_on_a_wrapped_torch_optimizer_count_real_steps() -> None:
    w = tensor(1.0)
    w.grad = torch.ones(1)
    ours = ok.accumulate(torch.optim.SGD([w], lr=1.0), 2)
    late, early = (ok.lr_scheduler.StepLR(ours, 1, 0.5) for _ in range(2))
    ours.step()
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        early.step()
    ours.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        late.step()


def test_loss_scaling() -> None:
    def run(bad: int) -> tuple[float, list[bool], float]:
        w = tensor(1.0)
        ours = ok.accumulate(ok.SGD([w], lr=1.0), 2)
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=1000)
        stepped = []
        for k in range(6):
            factor = float("inf") if k == bad else 1.0
            scaler.scale((w * factor).sum()).backward()
            if ours.will_step:
                scaler.step(ours)
                scaler.update()
                if not ours.stepped:
                    ours.discard()
                ours.zero_grad()
            else:
                ours.step()
            stepped.append(ours.stepped)
        return w.item(), stepped, scaler.get_scale()

    assert run(-1) == (-2.0, [False, True] * 3, 8.0)
    assert run(3) == (-1.0, [False, True, False, False, False, True], 4.0)
    assert run(2) == run(3)


def test_it_is_the_optimizer_inside_but_for_when_it_steps() -> None:
    x = array(1.0)
    inner = ok.Adam([x], lr=0.25)
    ours = ok.accumulate(inner, 2)
    assert ours.param_groups is inner.param_groups
    assert ours.state is inner.state
    assert ours.defaults is inner.defaults
    assert repr(ours) == f"accumulate(n=2, reduction='mean') of {inner!r}"
    ours.state = {}
    assert ours.state is inner.state
    groups = ours.param_groups[:]
    ours.param_groups = groups
    assert inner.param_groups is groups
    with pytest.raises(AttributeError, match="no_such"):
        _ = ours.no_such
    average = ok.swa_utils.AveragedModel(ours)
    average.update_parameters(ours)
    assert [p.tolist() for p in average.parameters()] == [[1.0]]


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("at", range(N))
def test_a_wrong_gradient_is_not_counted(kind: str, at: int) -> None:
    library = LIBRARIES[kind]
    ours, reference = pair(library)
    for k, row in enumerate(rows := [batch(k) for k in range(N)]):
        if k == at:
            wrong = [*row[:1], np.ones((3, 2), np.float32), *row[2:]]
            before = frozen(ours), ours.pending
            with pytest.raises(ValueError, match=r"parameter 1: its gradient has shape \(3, 2\)"):
                give(library, ours, wrong)
            assert (frozen(ours), ours.pending) == before
            assert not ours.stepped
        give(library, ours, row)
    library.step(reference, total(rows))
    assert_equal(library, ours, reference)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first_in_last", [True, False])
def test_a_step_that_fails_can_be_tried_again(kind: str, first_in_last: bool) -> None:
    library = LIBRARIES[kind]
    ours, reference = pair(library)
    for row in (rows := [batch(10 + k) for k in range(N)]):  # what is left of these does not matter
        give(library, ours, row)
    library.step(reference, total(rows))
    rows = [batch(k) for k in range(N)]
    if first_in_last:
        rows[0][1] = rows[1][1] = None
    for row in rows[:-1]:
        give(library, ours, row)
    ours.param_groups[0]["lr"] = "fast"
    before = frozen(ours), ours.pending
    with pytest.raises(TypeError, match="lr"):
        give(library, ours, rows[-1])
    assert (frozen(ours), ours.pending) == before
    ours.param_groups[0]["lr"] = 1e-3
    if isinstance(library, TorchParameter):  # the gradient is in .grad already
        with pytest.raises(RuntimeError, match=r"flush\(\) tries again"):
            ours.step()
        again = copy.deepcopy(ours)
        again.flush()
        ours.flush()
        assert_equal(library, again, ours)
    else:
        give(library, ours, rows[-1])
    assert ours.stepped
    assert ours.pending == 0
    library.step(reference, total(rows))
    assert_equal(library, ours, reference)


def test_a_failed_step_of_tensors_beside_parameters() -> None:
    w, v = tensor(0.0), ok.Parameter(array(0.0))
    ours = ok.accumulate(ok.SGD([w, v], lr=1.0), 2)
    for value in (1.0, 3.0):
        (value * w).sum().backward()
        v.grad = array(value)
        if value == 3.0:
            ours.param_groups[0]["lr"] = "fast"
            with pytest.raises(TypeError, match="lr"):
                ours.step()
        else:
            ours.step()
    ours.param_groups[0]["lr"] = 1.0
    ours.flush()
    assert (w.item(), v.data) == (-2.0, -2.0)


def test_a_hook_after_the_step_may_raise() -> None:
    x = array(0.0)
    ours = ok.accumulate(ok.SGD([x], lr=1.0), 2)

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    with ours.register_step_post_hook(fail):
        ours.step(grads=[array(1.0)])
        with pytest.raises(KeyboardInterrupt):
            ours.step(grads=[array(1.0)])
    assert x == -1.0
    assert ours.pending == 0
    for _ in range(2):
        ours.step(grads=[array(1.0)])
    assert x == -2.0


def test_gradients_of_a_window_come_one_way() -> None:
    w = tensor(1.0)
    ours = ok.accumulate(ok.SGD([w], lr=1.0), 3)
    w.grad = torch.ones(1)
    ours.step()
    with pytest.raises(RuntimeError, match=r"all from .grad or all from step\(grads"):
        ours.step(grads=[torch.ones(1)])
    assert ours.pending == 1


def test_tensors_beside_parameters() -> None:
    w, v = tensor(0.0), ok.Parameter(array(0.0))
    ours = ok.accumulate(ok.SGD([w, v], lr=1.0), 2)
    for value in (1.0, 3.0):
        w.grad = torch.full((1,), value) if w.grad is None else w.grad + value
        v.grad = array(value)
        ours.step()
    assert (w.item(), v.data) == (-2.0, -2.0)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (dict(n=0), ValueError, "invalid n: 0; it must be at least 1"),
        (dict(n=True), ValueError, "invalid n: True"),
        (dict(n=2.5), TypeError, "n must be a whole number, not 2.5"),
        (dict(n=2, reduction="max"), ValueError, "invalid reduction: 'max'"),
        (dict(n=2, optimizer=[1]), TypeError, "builtins.list is not an optimizer"),
        (dict(n=2, optimizer=SimpleNamespace(param_groups=[])), TypeError, "not an optimizer"),
        (dict(n=2, optimizer=ok.LBFGS([array(1.0)])), TypeError, "LBFGS evaluates the closure"),
        (dict(n=2, optimizer=torch.optim.LBFGS([tensor(1.0)])), TypeError, "evaluates the closure"),
    ],
)
def test_refusals(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    optimizer = arguments.pop("optimizer", ok.SGD([array(1.0)]))
    with pytest.raises(error, match=f"accumulate: .*{words}"):
        ok.accumulate(optimizer, **arguments)


def test_refused_calls() -> None:
    theirs = ok.accumulate(torch.optim.SGD([tensor(1.0)]), 2)
    with pytest.raises(TypeError, match=r"the step of SGD takes no grads: set \.grad"):
        theirs.step(grads=[torch.ones(1)])
    bare = ok.accumulate(ok.SGD([array(1.0)]), 2)
    with pytest.raises(TypeError, match=r"has no \.grad"):
        bare.step()
    with pytest.raises(TypeError, match="closure or grads, not both"):
        bare.step(lambda: 1.0, grads=[array(1.0)])
    with pytest.raises(TypeError, match=r"not a list; gradients are given as step\(grads="):
        bare.step([array(1.0)])
    with pytest.raises(TypeError, match="state dict must be a mapping, not a list"):
        bare.load_state_dict([])
    with pytest.raises(ValueError, match="got 2 gradients for 1 parameters"):
        bare.step(grads=[array(1.0), array(1.0)])
    assert bare.pending == 0
    assert bits(params_of(bare)[0]) == bits(array(1.0))
