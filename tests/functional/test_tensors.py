"""Rules as functions under torch.func and autograd."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from optimkit import functional  # noqa: E402
from optimkit.functional import schedules  # noqa: E402

MEMBERS, STEPS = 3, 4
RULES = sorted(set(dir(functional)) - {"Transformation", "of", "schedules", "muon"})
OPTIONS = {"sgd": {"momentum": 0.9}, "rmsprop": {"momentum": 0.9, "centered": True}}


def ensemble() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    make = torch.Generator().manual_seed(0)
    params = {
        "w": torch.randn(MEMBERS, 2, 3, generator=make),
        "b": torch.randn(MEMBERS, 3, generator=make),
    }
    grads = [
        {k: torch.randn(v.shape, generator=make) for k, v in params.items()} for _ in range(STEPS)
    ]
    return params, grads


def of_member(tree: dict[str, Any], member: int) -> dict[str, Any]:
    return {name: x[member] for name, x in tree.items()}


@pytest.mark.parametrize("name", RULES)
def test_an_ensemble_has_the_bits_of_its_members(name: str) -> None:
    """Adafactor's sums, too: each member's own."""
    tx = getattr(functional, name)(**OPTIONS.get(name, {}))
    params, grads = ensemble()
    batch, state = params, torch.func.vmap(tx.init)(params)
    for row in grads:
        batch, state = torch.func.vmap(tx.step)(batch, row, state)
    assert state["step"].tolist() == [STEPS] * MEMBERS
    for member in range(MEMBERS):
        alone = of_member(params, member)
        own = tx.init(alone)
        for row in grads:
            alone, own = tx.step(alone, of_member(row, member), own)
        for key, x in alone.items():
            assert torch.equal(batch[key][member], x), (name, key)


def test_muon_in_an_ensemble() -> None:
    """Products of a batch are summed in another order, and rounded to bfloat16 five times over."""
    params, grads = ensemble()
    tx = functional.muon(lr=1.0)
    w, g = params["w"], grads[0]["w"]
    batch, _ = torch.func.vmap(tx.step)(w, g, torch.func.vmap(tx.init)(w))
    for member in range(MEMBERS):
        alone, _ = tx.step(w[member], g[member], tx.init(w[member]))
        torch.testing.assert_close(batch[member], alone, rtol=0, atol=6e-2)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own
@pytest.mark.parametrize("name", [x for x in RULES if x != "rprop"])
def test_derivatives_by_the_learning_rate(name: str) -> None:
    params, grads = ensemble()
    start = of_member(params, 0)
    start = {key: x.double() for key, x in start.items()}

    def loss(lr: Any) -> Any:
        tx = getattr(functional, name)(lr=lr, **OPTIONS.get(name, {}))
        x, state = start, tx.init(start)
        for row in grads:
            x, state = tx.step(x, {k: v[0].double() for k, v in row.items()}, state)
        return sum((v**2).sum() for v in x.values())

    lr, h = torch.tensor(0.05, dtype=torch.float64), 1e-6
    want = float(loss(0.05 + h) - loss(0.05 - h)) / (2 * h)
    slope = torch.func.grad(loss)(lr)
    # ASGD's eta is of float32, and so is the difference
    assert float(slope) == pytest.approx(want, rel=1e-2 if name == "asgd" else 1e-4)
    leaf = lr.clone().requires_grad_()
    loss(leaf).backward()
    assert float(leaf.grad) == pytest.approx(float(slope), rel=1e-6)
    if name != "adafactor":  # whose product in place torch refuses where one side is a batch
        both = torch.func.vmap(torch.func.grad(loss))(torch.stack([lr, 2 * lr]))
        assert float(both[0]) == pytest.approx(float(slope), rel=1e-6)
    _, change = torch.func.jvp(loss, (lr,), (torch.ones_like(lr),))
    assert float(change) == pytest.approx(float(slope), rel=1e-6)


def test_gradients_flow_through_a_step_unless_switched_off() -> None:
    x = torch.tensor([1.0, 0.0], requires_grad=True)
    tx = functional.adam(lr=0.1)
    after, _ = tx.step(x, 2 * x, tx.init(x))
    (slope,) = torch.autograd.grad(after.sum(), x)
    assert torch.isfinite(slope).all()  # the root of a moment that is zero included
    with torch.no_grad():
        quiet, _ = tx.step(x, 2 * x.detach(), tx.init(x))
    assert not quiet.requires_grad
    assert torch.equal(quiet, after)


def test_complex_tensors_and_what_they_are_copied_from() -> None:
    x = torch.tensor([1 + 2j, -1j])
    tx = functional.sgd(lr=0.5, momentum=0.9)
    grad = torch.ones(2, dtype=x.dtype)
    after, state = torch.func.vmap(tx.step)(x[None], grad[None], torch.func.vmap(tx.init)(x[None]))
    assert torch.equal(after[0], x - 0.5)
    plain, state = tx.step(x, grad, tx.init(x))
    assert torch.equal(plain, after[0])
    grad.zero_()
    assert torch.equal(state["momentum_buffer"], torch.ones_like(x))


def test_schedules_of_tensors() -> None:
    rate = schedules.cosine(0.1, T_max=10)
    steps = torch.arange(10)
    want = [rate(t) for t in range(10)]
    assert rate(steps).tolist() == pytest.approx(want, rel=1e-12)
    assert torch.func.vmap(rate)(steps).tolist() == pytest.approx(want, rel=1e-12)
    assert rate(steps[3]) == want[3]
