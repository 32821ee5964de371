"""What a user of differentiable steps meets beside derivatives: errors, state, hooks, memory."""

from __future__ import annotations

import copy
import gc
import io
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from recorded import REFUSED, RULES

import optimkit as ok

F64 = torch.float64


def leaf(*values: float, dtype: torch.dtype = F64) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype, requires_grad=True)


def inner_gradient(p: torch.Tensor) -> torch.Tensor:
    """Of the sum of fourth powers, as part of the graph; at a copy, since the step changes `p`."""
    q = p.clone()
    (grad,) = torch.autograd.grad((q**4).sum(), q, create_graph=True)
    return grad


def content(optimizer: ok.Optimizer) -> Any:
    """Everything that a refused step must leave alone."""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    states = [dict(optimizer.state.get(p) or {}) for p in params]
    return [(p.detach().clone(), p.grad_fn) for p in params], states


def assert_unchanged(optimizer: ok.Optimizer, before: Any) -> None:
    params, states = content(optimizer)
    for (x, history), (y, other) in zip(params, before[0], strict=True):
        assert torch.equal(x, y)
        assert history is other
    assert [list(state) for state in states] == [list(state) for state in before[1]]
    for state, old in zip(states, before[1], strict=True):
        assert all(state[name] is old[name] for name in state)


# ---------------------------------------------------------------- derivatives of many steps


@pytest.mark.parametrize("name", RULES)
def test_six_steps_from_the_start_and_the_rate(name: str) -> None:
    """As a difference quotient has it, to eight digits or so."""

    def outcome(start: torch.Tensor, lr: torch.Tensor) -> torch.Tensor:
        p = start.clone()
        optimizer = getattr(ok, name)([p], lr=lr, differentiable=True)
        for _ in range(6):
            optimizer.step(grads=[inner_gradient(p)])
        return (p**2).sum()

    start, lr = leaf(1.0, -0.7, 0.4), leaf(0.05)[0]
    found = torch.autograd.grad(outcome(start, lr), [start, lr], materialize_grads=True)
    way = torch.tensor([0.3, 1.0, -0.5], dtype=F64)
    for x, (y, derivative) in zip(
        (lambda h: (start + h * way, lr), lambda h: (start, lr + h)),
        (("start", (found[0] * way).sum()), ("lr", found[1])),
        strict=True,
    ):
        h = 1e-6
        quotient = (outcome(*x(h)) - outcome(*x(-h))) / (2 * h)
        torch.testing.assert_close(derivative, quotient, rtol=1e-6, atol=1e-7, msg=y)


def test_the_momentum_of_the_first_step_is_differentiated() -> None:
    """torch detaches it, and loses the curvature."""
    outcomes = []
    for library in (ok, torch.optim):
        start = leaf(1.0, 2.0)
        p = start.clone()
        optimizer = library.SGD([p], lr=0.1, momentum=0.9, differentiable=True)
        p.grad = 3 * start  # of 1.5 x², whose curvature is 3
        optimizer.step()
        outcomes.append(torch.autograd.grad(p.sum(), start)[0].tolist())
    assert outcomes[0] == [1 - 0.1 * 3] * 2
    assert outcomes[1] == [1.0] * 2  # the day this fails, the page has to change


ROOTS = ["Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "Adagrad"]


@pytest.mark.parametrize("name", ROOTS)
def test_a_gradient_of_zero_has_a_finite_derivative(name: str) -> None:
    """The root of a square is not differentiable at zero; x / (sqrt(x²) + eps) is, with 1 / eps."""
    grad = leaf(0.0, 0.5)
    p = torch.zeros(2, dtype=F64)
    optimizer = getattr(ok, name)([p], lr=1.0, eps=0.25, differentiable=True)
    for _ in range(7 if name == "RAdam" else 1):  # RAdam divides from the sixth step on
        optimizer.step(grads=[grad])
    (found,) = torch.autograd.grad(p.sum(), grad)
    assert found.isfinite().all()

    def shift(x: float) -> float:
        q = torch.zeros(1, dtype=F64)
        other = getattr(ok, name)([q], lr=1.0, eps=0.25)
        for _ in range(7 if name == "RAdam" else 1):
            other.step(grads=[torch.full((1,), x, dtype=F64)])
        return q.item()

    assert found[0].item() == pytest.approx((shift(1e-7) - shift(-1e-7)) / 2e-7, rel=1e-5)


def test_torch_has_no_derivative_at_a_gradient_of_zero() -> None:
    grad, p = leaf(0.0, 0.5), torch.zeros(2, dtype=F64)
    optimizer = torch.optim.Adam([p], lr=1.0, eps=0.25, differentiable=True)
    p.grad = grad
    optimizer.step()
    (found,) = torch.autograd.grad(p.sum(), grad)
    assert found[0].isnan()  # the day this fails, the page has to change


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("SGD", "weight_decay"),
        ("SGD", "momentum"),
        ("Adam", "weight_decay"),
        ("AdamW", "weight_decay"),
        ("RMSprop", "momentum"),
        ("ASGD", "lambd"),
        ("Adagrad", "lr_decay"),
        ("Adagrad", "initial_accumulator_value"),
    ],
)
def test_an_option_that_is_zero_has_a_derivative(name: str, option: str) -> None:
    def outcome(value: torch.Tensor) -> torch.Tensor:
        p = leaf(1.0, -0.7).clone()
        optimizer = getattr(ok, name)([p], lr=0.05, **{option: value}, differentiable=True)
        for _ in range(3):
            optimizer.step(grads=[inner_gradient(p)])
        return p.sum()

    zero = torch.tensor(0.0, dtype=F64, requires_grad=True)
    (found,) = torch.autograd.grad(outcome(zero), zero)
    h = 1e-7
    quotient = (outcome(zero + h) - outcome(zero)) / h
    assert found.item() == pytest.approx(quotient.item(), rel=1e-4)
    assert found.item() != 0


def test_options_stay_the_tensors_that_they_are() -> None:
    raw = leaf(-2.0)[0]
    lr = raw.exp()
    betas = leaf(0.9)[0], leaf(0.99)[0]
    p = leaf(1.0).clone()
    optimizer = ok.Adam([p], lr=lr, betas=betas, differentiable=True)
    optimizer.step(grads=[inner_gradient(p)])
    group = optimizer.param_groups[0]
    assert group["lr"] is lr
    assert group["betas"][0] is betas[0]
    assert torch.autograd.grad(p.sum(), raw)[0].item() != 0
    assert all(
        isinstance(x, torch.Tensor) for x in optimizer.state_dict()["param_groups"][0]["betas"]
    )


@pytest.mark.parametrize("options", [{"capturable": True}, {}, {"differentiable": True}])
def test_a_rate_that_is_a_tensor_stays_it(options: dict[str, Any]) -> None:
    for lr in (torch.tensor(0.1), torch.tensor(0.1, requires_grad=True)):
        optimizer = ok.Adam([p := torch.ones(2)], lr=lr, **options)
        for _ in range(2):
            optimizer.step(grads=[torch.ones(2)])
            assert optimizer.param_groups[0]["lr"] is lr
            p.detach_()


def test_a_tensor_that_is_written_to_after_the_step_spoils_no_derivative() -> None:
    lr, start = leaf(0.5), leaf(2.0)
    p = start.clone()
    ok.SGD([p], lr=lr, differentiable=True).step(grads=[3 * start])
    with torch.no_grad():
        lr.mul_(0)
    assert torch.autograd.grad(p.sum(), [start, lr])[0].item() == 1 - 0.5 * 3


def test_options_of_any_shape_and_dtype_that_hold_one_number() -> None:
    for lr in (leaf(0.1), leaf(0.1, dtype=torch.float32), leaf(0.1).reshape(1, 1)):
        for shape in ((), (3,), (0,), (2, 3)):
            p = torch.ones(shape, requires_grad=True).clone()
            optimizer = ok.Adam([p], lr=lr, weight_decay=leaf(0.1)[0], differentiable=True)
            optimizer.step(grads=[p.clone()])
            assert p.shape == shape
            assert p.dtype == torch.float32
            (found,) = torch.autograd.grad(p.sum(), lr)
            assert found.shape == lr.shape
            assert bool((found != 0).all()) == (p.numel() > 0)


def test_an_option_out_of_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lr.*-1"):
        ok.SGD([leaf(1.0).clone()], lr=leaf(-1.0)[0], differentiable=True)
    with pytest.raises(ValueError, match="one number"):
        ok.SGD([leaf(1.0).clone()], lr=leaf(1.0, 2.0), differentiable=True)


def test_a_rule_that_makes_an_option_a_float_says_so() -> None:
    import math

    class Rooted(ok.Optimizer):
        def __init__(self, params: Any, lr: Any, **options: Any) -> None:
            super().__init__(params, dict(lr=lr, **options))

        @staticmethod
        def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
            return param - math.sqrt(hyper.lr) * grad, {}

    p = leaf(1.0).clone()
    optimizer = Rooted([p], lr=leaf(0.25)[0], differentiable=True)
    before = content(optimizer)
    with pytest.raises(TypeError, match=r"0\.25.*carries derivatives.*not by math"):
        optimizer.step(grads=[p.clone()])
    assert_unchanged(optimizer, before)
    Rooted([p], lr=0.25, differentiable=True).step(grads=[p.clone()])
    assert p.item() == 0.5


# ---------------------------------------------------------------- what is refused


REFUSALS: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("a leaf", lambda: leaf(1.0), RuntimeError, r"a leaf that requires grad.*param\.clone\(\)"),
    ("a view of one", lambda: leaf(1.0, 2.0)[:1], RuntimeError, "a view of a leaf"),
    ("one of many views", lambda: leaf(1.0).clone().unbind()[0].reshape(1), RuntimeError, "view"),
]


@pytest.mark.parametrize(
    ("make", "error", "message"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS]
)
def test_what_autograd_does_not_let_change(
    make: Callable[[], Any], error: type[Exception], message: str
) -> None:
    start = leaf(3.0)
    first, second = start.clone(), make()
    optimizer = ok.SGD([first, second], lr=0.1, momentum=0.9, differentiable=True)
    with pytest.raises(error, match=f"SGD: parameter 1: .*{message}"):
        optimizer.step(grads=[torch.ones(1, dtype=F64)] * 2)
    assert first.item() == 3.0
    assert len(optimizer.state) == 0
    assert torch.autograd.grad(first, start)[0].item() == 1.0


def test_arrays_are_refused_with_the_way_that_works() -> None:
    for make in (np.ones, lambda n: ok.Parameter(np.ones(n))):
        with pytest.raises(
            TypeError, match=r"0: differentiable=True.*ndarray.*optimkit\.functional"
        ):
            ok.Adam([make(2)], differentiable=True)
    jnp = pytest.importorskip("jax.numpy")
    with pytest.raises(TypeError, match=r"jax|ArrayImpl"):
        ok.Adam([jnp.ones(2)], differentiable=True)


@pytest.mark.parametrize("name", REFUSED)
def test_rules_that_are_refused_as_torch_does(name: str) -> None:
    params = [torch.ones(2, 2)]
    with pytest.raises(TypeError, match="differentiable"):
        getattr(ok, name)(params, differentiable=True)
    with pytest.raises(RuntimeError, match=f"{name} does not support `differentiable`"):
        getattr(ok, name)([{"params": params, "differentiable": True}])


@pytest.mark.parametrize("flag", ["fused", "capturable"])
def test_contradictions(flag: str) -> None:
    with pytest.raises(RuntimeError, match=f"`{flag}` does not support `differentiable`"):
        ok.Adam([leaf(1.0).clone()], differentiable=True, **{flag: True})


def test_foreach_chooses_nothing_here_either() -> None:
    for foreach in (True, False, None):
        p = leaf(1.0).clone()
        ok.SGD([p], foreach=foreach, differentiable=True).step(grads=[p.clone()])
        assert p.grad_fn is not None


BAD_GRADS = [
    ("sparse", lambda: torch.ones(2, dtype=F64).to_sparse(), RuntimeError, r"sparse.*to_dense\(\)"),
    ("shape", lambda: torch.ones(3, dtype=F64), ValueError, r"\(3,\).*\(2,\)"),
    ("dtype", lambda: torch.ones(2), TypeError, "float32.*float64"),
    ("an array", lambda: np.ones(2), TypeError, "ndarray"),
]


@pytest.mark.parametrize(
    ("make", "error", "message"), [b[1:] for b in BAD_GRADS], ids=[b[0] for b in BAD_GRADS]
)
@pytest.mark.parametrize("warm", [0, 2])
def test_bad_gradients_change_nothing(
    make: Callable[[], Any], error: type[Exception], message: str, warm: int
) -> None:
    params = [leaf(1.0, 2.0).clone() for _ in range(2)]
    optimizer = ok.Adam(params, differentiable=True)
    for _ in range(warm):
        optimizer.step(grads=[p.clone() for p in params])
    before = content(optimizer)
    with pytest.raises(error, match=f"Adam: parameter 1: .*{message}"):
        optimizer.step(grads=[params[0].clone(), make()])
    assert_unchanged(optimizer, before)
    optimizer.step(grads=[p.clone() for p in params])
    assert optimizer.state[params[1]]["step"] == warm + 1


def test_a_rule_that_raises_for_the_last_parameter_changes_none() -> None:
    class Fussy(ok.Optimizer):
        def __init__(self, params: Any, **options: Any) -> None:
            super().__init__(params, options)

        @staticmethod
        def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
            return {"seen": xp.zeros_like(param)}

        @staticmethod
        def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
            if param.shape == (2,):
                raise ZeroDivisionError("not this one")
            return param - grad, {"seen": grad}

    params = [leaf(1.0).clone(), leaf(1.0, 2.0).clone()]
    optimizer = Fussy(params, differentiable=True)
    before = content(optimizer)
    with pytest.raises(ZeroDivisionError):
        optimizer.step(grads=[p.clone() for p in params])
    assert_unchanged(optimizer, before)


def test_broken_states_are_named() -> None:
    p = leaf(1.0, 2.0).clone()
    optimizer = ok.Adam([p], differentiable=True)
    optimizer.step(grads=[p.clone()])
    good = dict(optimizer.state[p])
    for entries, error, message in (
        ({"exp_avg": torch.ones(3, dtype=F64)}, ValueError, r"state exp_avg has shape \(3,\)"),
        ({"exp_avg": 1.0}, TypeError, "state exp_avg"),
        ({"step": -1}, ValueError, "state step"),
        ({"step": torch.tensor(1.0, requires_grad=True)}, RuntimeError, "`requires_grad`.*`step`"),
    ):
        optimizer.state[p].update(good | entries)
        with pytest.raises(error, match=f"Adam: parameter 0: .*{message}"):
            optimizer.step(grads=[p.clone()])
    del optimizer.state[p]["exp_avg"]
    optimizer.state[p]["step"] = 1
    with pytest.raises(KeyError, match="exp_avg"):
        optimizer.step(grads=[p.clone()])
    optimizer.state[p].update(good)
    optimizer.step(grads=[p.clone()])


def test_groups_must_agree() -> None:
    groups = [{"params": [leaf(1.0).clone()], "differentiable": True}, {"params": [torch.ones(1)]}]
    optimizer = ok.SGD(groups)
    with pytest.raises(ValueError, match=r"one for all groups, not \[True, False\]"):
        optimizer.step(grads=[torch.ones(1, dtype=F64), torch.ones(1)])


def test_tensors_without_elements_to_compute_with_are_refused() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = torch.ones(2)
    for x in (fake, torch.ones(2, device="meta")):
        with pytest.raises(TypeError, match=r"parameter 0: .*meta, fake or wrapper"):
            ok.SGD([x], differentiable=True)
    for x, message in (
        (torch.ones(2, dtype=torch.int64), "dtype"),
        (torch.ones(1).expand(2), "over"),
    ):
        with pytest.raises((TypeError, ValueError), match=f"parameter 0: .*{message}"):
            ok.SGD([x], differentiable=True)


def test_parameters_that_have_become_one_are_refused() -> None:
    base = leaf(1.0, 2.0, 3.0).clone()
    for other in (base, base[1:]):
        optimizer = ok.SGD([base, leaf(1.0).clone()], differentiable=True)
        optimizer.param_groups[0]["params"][1] = other
        with pytest.raises(ValueError, match="parameters 0 and 1"):
            optimizer.step(grads=[base.clone(), other.clone()])
    w, b = base[:2], base[2:]  # beside one another
    ok.SGD([w, b], lr=1.0, differentiable=True).step(grads=[w.clone(), b.clone()])
    assert base.tolist() == [0.0, 0.0, 0.0]


def test_inference_mode_is_refused() -> None:
    with torch.inference_mode(), pytest.raises(RuntimeError, match="inference_mode"):
        ok.SGD([torch.ones(1)], differentiable=True).step(grads=[torch.ones(1)])


# ---------------------------------------------------------------- groups, closures, hooks


def test_groups_with_other_options_and_missing_gradients() -> None:
    rates, starts = [leaf(0.1)[0], leaf(0.1)[0]], [leaf(1.0), leaf(2.0), leaf(3.0)]
    params = [x.clone() for x in starts]
    optimizer = ok.SGD(
        [{"params": params[:1], "lr": rates[0]}, {"params": params[1:], "lr": rates[1]}],
        maximize=True,
        differentiable=True,
    )
    history = params[1].grad_fn
    optimizer.step(grads=[params[0].clone(), None, params[2].clone()])
    assert params[1].grad_fn is history
    assert params[1] not in optimizer.state
    # of equal value, and still each its own group's
    assert [x.item() for x in torch.autograd.grad(sum(params), rates)] == [1.0, 3.0]


def test_by_name_and_by_parameter() -> None:
    w = leaf(1.0)
    held, named = ok.Parameter(w.clone()), w.clone()
    held.grad = 3 * w
    ok.SGD([held], lr=1.0, differentiable=True).step()
    ok.SGD({"w": named}, lr=1.0, differentiable=True).step(grads={"w": 3 * w})
    assert torch.autograd.grad(held.data + named, w)[0].item() == -4.0


def test_gradients_that_backward_left() -> None:
    start = leaf(1.0, 2.0)
    p = start.clone()
    p.retain_grad()
    optimizer = ok.SGD([p], lr=0.1, differentiable=True)
    for _ in range(2):
        optimizer.zero_grad()
        p.grad = inner_gradient(p)
        optimizer.step()
    optimizer.zero_grad()
    assert p.grad is None
    assert torch.autograd.grad(p.sum(), start)[0].isfinite().all()


def test_a_closure_hooks_and_no_grad() -> None:
    start = leaf(2.0)
    p, calls = start.clone(), []
    optimizer = ok.SGD([p], lr=0.1, differentiable=True)
    optimizer.register_step_pre_hook(lambda *_: calls.append(p.item()))
    optimizer.register_step_post_hook(lambda *_: calls.append(p.item()))

    def closure() -> Any:
        q = p.clone()
        loss = (q**2).sum()
        return loss, torch.autograd.grad(loss, [q], create_graph=True)

    with torch.no_grad():
        loss = optimizer.step(lambda: (closure()[0], list(closure()[1])))
    assert loss.item() == 4.0
    assert calls == [2.0, pytest.approx(1.6)]
    assert optimizer.step_count == 1
    assert torch.autograd.grad(p, start)[0].item() == pytest.approx(0.8)


def test_without_anything_that_requires_grad_nothing_is_recorded() -> None:
    p = torch.ones(2)
    optimizer = ok.Adam([p], differentiable=True)
    optimizer.step(grads=[torch.ones(2)])
    assert p.is_leaf
    assert not any(getattr(x, "requires_grad", False) for x in optimizer.state[p].values())


def test_where_grad_is_off_a_step_is_recorded_all_the_same() -> None:
    lr, eps, p = leaf(0.1)[0], leaf(0.5)[0], leaf(1.0).clone()
    optimizer = ok.Adam([p], lr=lr, eps=eps, differentiable=True)
    with torch.no_grad():
        for _ in range(2):
            optimizer.step(grads=[torch.ones(1, dtype=F64)])
        assert not torch.is_grad_enabled()
    assert all(found.item() != 0 for found in torch.autograd.grad(p, [lr, eps]))


def test_a_tensor_without_history_gets_one() -> None:
    lr, p = leaf(0.1)[0], torch.ones(2, dtype=F64)
    ok.SGD([p], lr=lr, differentiable=True).step(grads=[torch.ones(2, dtype=F64)])
    assert torch.autograd.grad(p.sum(), lr)[0].item() == -2.0


def test_layouts_and_complex_numbers() -> None:
    for base in (torch.randn(6, 4, dtype=F64), torch.randn(6, 4, dtype=torch.complex128)):
        for view in (lambda x: x[:, ::2], lambda x: x.T, lambda x: x[0, 0], lambda x: x[:0]):
            start = base.clone().requires_grad_()
            p = view(start.clone())
            optimizer = ok.Adam([p], lr=0.1, amsgrad=not base.is_complex(), differentiable=True)
            optimizer.step(grads=[view(start) * 2])
            assert optimizer.state[p]["exp_avg"].dtype == p.dtype
            assert optimizer.state[p]["exp_avg"].shape == p.shape
            (found,) = torch.autograd.grad(p.abs().sum(), start)
            assert found.isfinite().all()


def test_the_state_is_replaced_and_the_users_tensors_are_not_touched() -> None:
    p, buffer, grad = leaf(1.0, 2.0).clone(), leaf(0.5, 0.5), leaf(1.0, 1.0)
    optimizer = ok.SGD([p], lr=0.1, momentum=0.5, differentiable=True)
    state = optimizer.state[p]
    state["momentum_buffer"] = buffer
    optimizer.step(grads=[grad])
    assert optimizer.state[p] is state
    assert state["momentum_buffer"] is not buffer
    assert buffer.tolist() == [0.5, 0.5]
    assert torch.autograd.grad(p.sum(), buffer)[0].tolist() == [-0.05] * 2
    fresh = ok.SGD([q := leaf(1.0, 2.0).clone()], momentum=0.5, differentiable=True)
    fresh.step(grads=[grad])
    assert fresh.state[q]["momentum_buffer"] is not grad


# ---------------------------------------------------------------- checkpoints, copies, memory


def stepped(**options: Any) -> tuple[ok.Optimizer, torch.Tensor]:
    p = leaf(1.0, 2.0).clone()
    optimizer = ok.NAdam([p], differentiable=True, **options)
    for _ in range(2):
        optimizer.step(grads=[inner_gradient(p)])
    return optimizer, p


def test_a_checkpoint_has_the_values_and_goes_on_with_the_same_bits() -> None:
    optimizer, p = stepped()
    saved = io.BytesIO()
    torch.save(optimizer.state_dict(), saved)
    saved.seek(0)
    q = p.detach().clone()
    for kind in (True, False):  # into one that is differentiable, and one that is not
        other = ok.NAdam([r := q.clone()], differentiable=kind)
        other.load_state_dict(torch.load(saved))
        saved.seek(0)
        assert other.param_groups[0]["differentiable"] is kind
        assert not other.state[r]["exp_avg"].requires_grad
        twin = ok.NAdam([s := q.clone()])
        twin.load_state_dict(optimizer.state_dict())
        for each, x in ((other, r), (twin, s)):
            with ok.use_engine("eager"):
                each.step(grads=[x.detach().clone()])
        assert torch.equal(r, s)


def test_loading_ones_own_state_lets_go_of_the_history() -> None:
    raw = leaf(-3.0)[0]
    optimizer, p = stepped(lr=raw.exp(), betas=(leaf(0.8)[0], leaf(0.9)[0].clone()))
    assert optimizer.state[p]["exp_avg"].grad_fn is not None
    assert optimizer.state[p]["mu_product"].grad_fn is not None
    optimizer.load_state_dict(optimizer.state_dict())
    assert not optimizer.state[p]["exp_avg"].requires_grad
    assert isinstance(optimizer.state[p]["mu_product"], float)
    optimizer.step(grads=[p.detach()])


def test_truncated() -> None:
    """The page's way to go on from the values alone."""
    lr = leaf(0.1)[0]
    p = leaf(1.0, 2.0).clone()
    optimizer = ok.NAdam([p], lr=lr, betas=(leaf(0.8)[0], leaf(0.9)[0]), differentiable=True)
    optimizer.step(grads=[inner_gradient(p)])
    p.detach_()
    for entries in optimizer.state.values():
        entries.update({k: x.detach() for k, x in entries.items() if isinstance(x, torch.Tensor)})
    twin = p.clone()
    other = ok.NAdam([twin], lr=lr, betas=optimizer.param_groups[0]["betas"], differentiable=True)
    other.state[twin].update(optimizer.state[p])
    for each, x in ((optimizer, p), (other, twin)):
        each.step(grads=[2 * x.clone()])
    found, wanted = (torch.autograd.grad(x.sum(), lr)[0] for x in (p, twin))
    assert found == wanted != 0


def test_saved_without_pickle(tmp_path: Any) -> None:
    pytest.importorskip("safetensors")
    optimizer, p = stepped()
    ok.save(optimizer, tmp_path / "run.safetensors")
    saved = ok.load(tmp_path / "run.safetensors")
    assert torch.equal(saved["state"][0]["exp_avg"], optimizer.state[p]["exp_avg"].detach())


def test_copies() -> None:
    optimizer = ok.Adam([torch.ones(2)], differentiable=True)
    assert copy.deepcopy(optimizer).param_groups[0]["differentiable"] is True
    with pytest.raises(RuntimeError, match="graph leaves"):  # torch copies no history
        copy.deepcopy(stepped()[0])


@pytest.fixture
def _without_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_without_collection")
@pytest.mark.parametrize("name", RULES)
def test_the_graph_goes_when_the_user_lets_go(name: str) -> None:
    start, lr, kept = leaf(1.0, 2.0), leaf(0.1)[0], []

    def episode() -> torch.Tensor:
        p = start.clone()
        optimizer = getattr(ok, name)([p], lr=lr, differentiable=True)
        for _ in range(3):
            grad = inner_gradient(p)
            optimizer.step(grads=[grad])
            kept.append(weakref.ref(grad))
        kept.extend(map(weakref.ref, (p, optimizer)))
        kept.extend(weakref.ref(x) for x in optimizer.state[p].values() if hasattr(x, "shape"))
        return (p**2).sum()

    loss = episode()
    loss.backward()
    del loss
    assert len(kept) > 4
    assert [each() for each in kept] == [None] * len(kept)


def test_a_user_rule() -> None:
    class Lion(ok.Optimizer):
        def __init__(self, params: Any, lr: Any = 1e-2, beta: Any = 0.9, **options: Any) -> None:
            super().__init__(params, dict(lr=lr, beta=beta, **options))

        @staticmethod
        def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
            return {"mean": xp.zeros_like(param), "scale": 1.0}

        @staticmethod
        def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
            mean = hyper.beta * state["mean"] + (1 - hyper.beta) * grad
            size = xp.sqrt(xp.sum(grad * grad))
            bounded = xp.clip(mean, -hyper.lr, hyper.lr)
            largest = xp.maximum(abs(mean), hyper.lr)
            return param - bounded / largest * size, {
                "mean": mean,
                "scale": state["scale"] * hyper.lr,
            }

    def outcome(start: Any, lr: Any, beta: Any) -> Any:
        p = start.clone()
        optimizer = Lion([p], lr, beta, differentiable=True)
        for _ in range(3):
            optimizer.step(grads=[p.clone()])
        return p, optimizer.state[p]["mean"], optimizer.state[p]["scale"]

    assert torch.autograd.gradcheck(outcome, (leaf(0.05, -2.0, 0.7), leaf(0.03)[0], leaf(0.9)[0]))


# ---------------------------------------------------------------- schedules


def rates(x: torch.Tensor) -> Any:
    return ok.SGD([torch.zeros(2)], lr=x, differentiable=True)


@pytest.mark.parametrize("kind", ["ExponentialLR", "ReduceLROnPlateau", "OneCycleLR", "CyclicLR"])
def test_a_scheduler_refuses_a_rate_that_requires_grad(kind: str) -> None:
    """It would write a number into the tensor, of which derivatives know nothing."""
    options: dict[str, dict[str, Any]] = {
        "ExponentialLR": {"gamma": 0.5},
        "ReduceLROnPlateau": {},
        "OneCycleLR": {"max_lr": 0.1, "total_steps": 5, "cycle_momentum": False},
        "CyclicLR": {"base_lr": 0.1, "max_lr": 0.2, "cycle_momentum": False},
    }
    for lr in (torch.tensor(0.1, requires_grad=True), 2 * torch.tensor(0.1, requires_grad=True)):
        optimizer = rates(lr)
        before = dict(optimizer.param_groups[0])
        with pytest.raises(RuntimeError, match=r"the lr is tensor.* lr \* factor"):
            getattr(ok.lr_scheduler, kind)(optimizer, **options[kind])
        assert optimizer.param_groups[0] == before


def test_a_rate_that_requires_grad_once_there_is_a_scheduler() -> None:
    optimizer = rates(torch.tensor(0.1))
    scheduler = ok.lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step(grads=[torch.ones(2)])
    optimizer.param_groups[0]["lr"] = lr = torch.tensor(0.25, requires_grad=True)
    with pytest.raises(RuntimeError, match="lose its derivatives"):
        scheduler.step()
    assert lr.item() == 0.25
    assert scheduler.last_epoch == 0


def test_a_rate_by_hand() -> None:
    params, lr = torch.zeros(2), torch.tensor(0.5, requires_grad=True)
    optimizer = ok.SGD([params], lr=lr, differentiable=True)
    for k in range(3):
        optimizer.param_groups[0]["lr"] = lr * 0.5**k
        optimizer.step(grads=[torch.ones(2)])
    assert torch.autograd.grad(params.sum(), lr)[0].item() == -2 * (1 + 0.5 + 0.25)
