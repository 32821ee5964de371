"""What a user may do between two steps, and what a rule may return: nothing stale, nothing lost."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import array_api_strict as strict
import numpy as np
import pytest
import torch

import optimkit as ok


def stepped(count: int = 1 << 16) -> tuple[Any, Any]:
    param = torch.ones(count, requires_grad=True)
    optimizer = ok.Adam([param], lr=0.1)
    param.grad = torch.ones(count)
    optimizer.step()
    return param, optimizer


@pytest.mark.parametrize("move", ["share_memory_", "data", "set_"])
def test_state_whose_memory_moves_is_found_again(move: str) -> None:
    param, optimizer = stepped()
    moment = optimizer.state[param]["exp_avg"]
    if move == "share_memory_":
        moment.share_memory_()
    elif move == "data":
        moment.data = moment.clone()
    else:
        moment.set_(moment.clone())
    optimizer.step()
    same, untouched = stepped()
    untouched.step()
    assert torch.equal(param, same)
    assert torch.equal(moment, untouched.state[same]["exp_avg"])


@pytest.mark.parametrize("engine", ok.available_engines())
def test_gradients_are_not_kept_alive(engine: str) -> None:
    param = torch.ones(1000, requires_grad=True)
    optimizer = ok.Adam([param])
    param.grad = torch.ones(1000)
    alive = weakref.ref(param.grad)
    with ok.use_engine(engine):
        optimizer.step()
    optimizer.zero_grad()
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("shape", [(0,), (0, 3)])
def test_empty_complex_tensors(shape: tuple[int, ...]) -> None:
    empty = torch.ones(shape, dtype=torch.complex64, requires_grad=True)
    other = torch.ones(2, requires_grad=True)
    empty.grad, other.grad = torch.zeros_like(empty), torch.ones(2)
    optimizer = ok.SGD([other, empty], lr=0.5, momentum=0.5)
    optimizer.step()
    optimizer.step()
    assert other.tolist() == [-0.25, -0.25]


@pytest.mark.parametrize("fused", [None, False])
def test_an_option_of_the_wrong_kind_between_steps(fused: bool | None) -> None:
    a, b = np.ones(2), np.ones(2)
    optimizer = ok.SGD([{"params": [a]}, {"params": [b]}], lr=0.1, fused=fused)
    optimizer.param_groups[1]["lr"] = "x"
    with pytest.raises(TypeError, match="invalid lr: 'x'"):
        optimizer.step(grads=[np.ones(2)] * 2)
    del optimizer.param_groups[1]["lr"]
    with pytest.raises(KeyError, match="'lr'"):
        optimizer.step(grads=[np.ones(2)] * 2)
    assert a.tolist() == b.tolist() == [1, 1]


def test_a_learning_rate_just_below_zero_is_let_through() -> None:
    weights = np.ones(2)
    optimizer = ok.SGD([weights], lr=0.1)
    optimizer.param_groups[0]["lr"] = -1e-18  # where a schedule may end
    optimizer.step(grads=[np.ones(2)])


def test_state_of_the_wrong_shape() -> None:
    a, b = ok.Parameter(np.ones(2)), ok.Parameter(np.ones(2))
    optimizer = ok.Adam([a, b], lr=0.1)
    a.grad = b.grad = np.ones(2)
    optimizer.step()
    before = a.data.copy()
    b.data = b.grad = np.ones(3)
    with pytest.raises(ValueError, match=r"parameter 1: its state exp_avg has shape \(2,\)"):
        optimizer.step()
    assert a.data.tolist() == before.tolist()


def test_an_entry_of_ones_own_in_the_state() -> None:
    weights = np.ones(2)
    optimizer = ok.Adam([weights], lr=0.1)
    optimizer.step(grads=[np.ones(2)])
    optimizer.state[weights] |= {"seen": 3, "name": "w", "mask": np.ones(2)}
    optimizer.step(grads=[np.ones(2)])
    assert optimizer.state[weights]["seen"] == 3
    optimizer.state[weights]["mine"] = np.ones(5)
    expected = (
        r"its state mine has shape \(5,\); \(2,\) is needed; an entry of your own may be a number"
    )
    with pytest.raises(ValueError, match=expected):
        optimizer.step(grads=[np.ones(2)])


@pytest.mark.parametrize("fused", [None, False])
def test_state_that_cannot_be_written(fused: bool | None) -> None:
    a, b = np.ones(2), np.ones(2)
    optimizer = ok.Adam([a, b], lr=0.1, fused=fused)
    optimizer.step(grads=[np.ones(2)] * 2)
    before, moment = a.copy(), np.ones(2)
    moment.flags.writeable = False
    optimizer.state[b]["exp_avg"] = moment
    with pytest.raises(ValueError, match="parameter 1: its state exp_avg: it is read-only"):
        optimizer.step(grads=[np.ones(2)] * 2)
    assert a.tolist() == before.tolist()


@pytest.mark.parametrize("make", [np.ones, torch.ones])
def test_a_momentum_buffer_of_none(make: Any) -> None:
    param, same = make(3), make(3)
    optimizer, reference = (ok.SGD([x], lr=0.5, momentum=0.5) for x in (param, same))
    checkpoint = optimizer.state_dict() | {"state": {0: {"momentum_buffer": None}}}
    optimizer.load_state_dict(checkpoint)
    for run in (optimizer, reference):
        run.step(grads=[make(3)])
        run.step(grads=[make(3)])
    optimizer.state[param]["momentum_buffer"] = None
    reference.state[same].clear()
    for run in (optimizer, reference):
        run.step(grads=[make(3)])
        run.step(grads=[make(3)])
    assert param.tolist() == same.tolist()


def test_step_counts_that_a_user_has_set() -> None:
    weights = [np.ones(2) for _ in range(3)]
    optimizer = ok.Adam(weights, lr=0.1)
    optimizer.step(grads=[np.ones(2)] * 3)
    for w, count in zip(weights, (np.int64(50), torch.tensor(3.0), 3), strict=True):
        optimizer.state[w]["step"] = count
    optimizer.step(grads=[-np.ones(2)] * 3)
    assert [optimizer.state[w]["step"] for w in weights] == [51, 4, 4]
    assert weights[1].tolist() == weights[2].tolist() != weights[0].tolist()


def test_complex_parts_stay_apart_in_the_standard_adapter() -> None:
    values = np.array([complex(-0.0, 1), complex(1, np.inf)])
    array = strict.asarray(values.copy())
    ok.SGD([array], lr=0.0).step(grads=[strict.asarray(np.zeros(2, complex))])
    assert np.asarray(array).tobytes() == values.tobytes()


@pytest.mark.parametrize("fused", [None, False])
@pytest.mark.parametrize(
    ("returned", "error"),
    [
        (lambda param: (param, {"grad": param}), "may not be called"),
        (lambda param: (param, {"step": 3}), "may not be called"),
        (lambda param: param, "must return"),
        (lambda param: (param, param), "must return"),
    ],
)
def test_what_a_rule_returns_is_checked(returned: Any, error: str, fused: bool | None) -> None:
    class Rule(ok.Optimizer):
        def __init__(self, params: Any, **options: Any) -> None:
            super().__init__(params, options)

        @staticmethod
        def update(
            xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
        ) -> tuple[Any, dict[str, Any]]:
            result: tuple[Any, dict[str, Any]] = returned(param - grad)
            return result

    weights, grad = np.ones(2), np.ones(2)
    with pytest.raises((TypeError, ValueError), match=error):
        Rule([weights], fused=fused).step(grads=[grad])
    assert weights.tolist() == grad.tolist() == [1, 1]


def test_a_subclass_of_parameter() -> None:
    class Weight(ok.Parameter):
        pass

    weight = Weight(np.ones(2), name="w")
    weight.grad = np.ones(2)
    ok.SGD([weight], lr=0.5).step()
    assert weight.data.tolist() == [0.5, 0.5]


def test_options_in_other_guises() -> None:
    for lr in (strict.asarray(0.5), np.float32(0.5), np.array(0.5), torch.tensor([0.5])):
        weights = np.ones(2)
        ok.SGD([weights], lr=lr).step(grads=[np.ones(2)])
        assert weights.tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="lr must be one number"):
        ok.SGD([np.ones(2)], lr=np.ones(2))


def test_betas_of_tensors_filled_in_place() -> None:
    beta = torch.tensor(0.5, dtype=torch.float64)
    a, b = np.ones(2), np.ones(2)
    changing = ok.Adam([a], lr=0.1, betas=(beta, torch.tensor(0.75, dtype=torch.float64)))
    plain = ok.Adam([b], lr=0.1, betas=(0.5, 0.75))
    for value in (0.5, 0.25):
        beta.fill_(value)
        plain.param_groups[0]["betas"] = (value, 0.75)
        changing.step(grads=[np.ones(2)])
        plain.step(grads=[np.ones(2)])
    assert a.tolist() == b.tolist()


def test_memory_that_two_parameters_come_to_share() -> None:
    shared = np.ones(2)
    p, q = ok.Parameter(np.ones(2)), ok.Parameter(shared)
    optimizer = ok.SGD([p, q], lr=0.1)
    p.data = shared
    p.grad = q.grad = np.ones(2)
    with pytest.raises(ValueError, match="share memory"):
        optimizer.step()
    assert shared.tolist() == [1, 1]


def test_one_name_for_two_parameters() -> None:
    groups = [{"params": [("w", np.ones(2))]}, {"params": [("w", np.ones(2))]}]
    with pytest.raises(ValueError, match="names that differ"):
        ok.SGD(groups).step(grads={"w": np.ones(2)})


def test_parameters_that_are_none() -> None:
    with pytest.raises(ValueError, match="empty parameter list"):
        ok.SGD({})
    with pytest.raises(TypeError, match="must be an array, not a list"):
        ok.Parameter([1.0])
    with pytest.raises(TypeError, match="invalid fused: 'yes'"):
        ok.SGD([np.ones(2)], fused="yes")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="'cuda' is not available here"), ok.use_engine("cuda"):
        pass
