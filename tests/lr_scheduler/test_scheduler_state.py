"""The state of schedulers: saved, loaded, taken back; and where torch fails."""

import copy
import pickle
from typing import Any

import pytest
import torch
from rates import plain, rates, torch_sgd
from torch.optim import lr_scheduler as theirs

import optimkit.lr_scheduler as ours
from optimkit.validation.parity import configurations


def test_one_cycle_with_a_phase_of_no_length() -> None:
    with pytest.raises(ZeroDivisionError):
        theirs.OneCycleLR(torch_sgd(), 1.0, total_steps=10, pct_start=0.1)
    scheduler = ours.OneCycleLR(torch_sgd(), 1.0, total_steps=10, pct_start=0.1)
    assert scheduler.get_last_lr() == [1.0]
    assert rates(scheduler, 9)[-1] == pytest.approx(1 / 25 / 1e4)


def test_jump_to_a_restart_lands_on_it() -> None:
    reference = theirs.CosineAnnealingWarmRestarts(torch_sgd(), 1, 3)
    reference.step(121)
    assert reference.get_last_lr() == [0.0]  # log(243, 3) rounds below 5
    scheduler = ours.CosineAnnealingWarmRestarts(torch_sgd(), 1, 3)
    scheduler.step(121)
    assert scheduler.get_last_lr() == [1.0]
    assert rates(ours.CosineAnnealingWarmRestarts(torch_sgd(), 1, 3), 121)[-1] == 1.0


def test_cyclic_state_loads_twice() -> None:
    scheduler = ours.CyclicLR(torch_sgd(), 0.1, 1.0)
    state = scheduler.state_dict()
    before = copy.deepcopy(state)
    scheduler.load_state_dict(state)
    scheduler.load_state_dict(state)
    assert state == before


def test_builtin_function_as_factor_can_be_saved() -> None:
    assert ours.LambdaLR(plain(), abs).state_dict()["lr_lambdas"] == [None]


def test_state_dict_is_a_snapshot() -> None:
    scheduler = ours.MultiStepLR(plain(), [3, 5])
    state = scheduler.state_dict()
    scheduler.milestones[7] += 1
    scheduler.base_lrs[0] = 9.0
    assert state["milestones"] == {3: 1, 5: 1}
    assert state["base_lrs"] == [1.0]


def test_error_leaves_everything_as_it_was() -> None:
    optimizer = plain(momentum=0.5)
    scheduler = ours.CyclicLR(optimizer, 0.1, 1.0, 4)
    scheduler.step()
    optimizer.param_groups.append({"lr": 0.3, "momentum": 0.5})
    before = copy.deepcopy((optimizer.param_groups, scheduler.last_epoch))
    with pytest.raises(ValueError, match="1 learning rates for 2 parameter groups"):
        scheduler.step()
    assert (optimizer.param_groups, scheduler.last_epoch) == before


def raises_at(step: int, factor: float = 0.5) -> Any:
    def function(t: int) -> float:
        if t == step:
            raise RuntimeError("no factor")
        return factor

    return function


def everything(scheduler: Any) -> Any:
    inner = [everything(each) for each in getattr(scheduler, "_schedulers", ())]
    groups = [
        {key: copy.deepcopy(value) for key, value in group.items() if key != "params"}
        for group in scheduler.optimizer.param_groups
    ]
    return scheduler.state_dict(), groups, inner


@pytest.mark.parametrize("make", [plain, torch_sgd])
def test_step_that_raises_is_taken_back(make: Any) -> None:
    optimizer = make()
    chained = ours.ChainedScheduler(
        [
            ours.ExponentialLR(optimizer, 0.5),
            ours.CosineAnnealingWarmRestarts(optimizer, 3),
            ours.MultiplicativeLR(optimizer, raises_at(2)),
        ]
    )
    nested = make()
    decay = ours.ExponentialLR(nested, 0.5)
    late = ours.LambdaLR(nested, raises_at(2))
    held = ours.ChainedScheduler([ours.StepLR(nested, 2), late])
    nested.step() if make is torch_sgd else None
    milestone = make()
    first, second = ours.ExponentialLR(milestone, 0.5), ours.LambdaLR(milestone, lambda t: 1.0)
    phases = ours.SequentialLR(milestone, [first, second], [2])
    second.lr_lambdas = [raises_at(0)]
    for scheduler in (
        ours.LambdaLR(make(), raises_at(2)),
        chained,
        ours.SequentialLR(nested, [held, decay], [9]),
        phases,
    ):
        scheduler.optimizer.step() if make is torch_sgd else None
        scheduler.step()
        before = everything(scheduler)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="no factor"):
                scheduler.step()
            assert everything(scheduler) == before


def test_step_that_raises_gives_a_tensor_its_rate_back() -> None:
    lr = torch.tensor(0.5)
    optimizer = torch.optim.Adam([torch.zeros(1)], lr=lr, capturable=False, foreach=False)
    decay = ours.ExponentialLR(optimizer, 0.5)
    chained = ours.ChainedScheduler([decay, ours.MultiplicativeLR(optimizer, raises_at(1))])
    optimizer.step()
    with pytest.raises(RuntimeError, match="no factor"):
        chained.step()
    assert optimizer.param_groups[0]["lr"] is lr
    assert (lr.item(), decay.last_epoch) == (0.5, 0)


def test_plateau_step_that_raises_is_taken_back() -> None:
    plateau = ours.ReduceLROnPlateau(plain(groups=2), patience=0, min_lr=[0.0, 0.0])
    plateau.step(1.0)
    plateau.optimizer.param_groups.append({"lr": 1.0})
    before = everything(plateau)
    with pytest.raises(RuntimeError, match="min_lr"):
        plateau.step(1.0)
    assert everything(plateau) == before


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda state: state.pop("lr_lambdas"), KeyError, "no 'lr_lambdas'"),
        (lambda state: state["lr_lambdas"].append(None), ValueError, "holds 2 functions, .* 1"),
        (lambda state: state.update(lr_lambdas=[3]), TypeError, "state of a function is a int"),
    ],
)
def test_state_that_does_not_fit_changes_nothing(change: Any, error: Any, match: str) -> None:
    def make() -> Any:
        optimizer = plain()
        decay = ours.LambdaLR(optimizer, configurations.Decay(0.5))
        other = ours.MultiplicativeLR(optimizer, configurations.Decay(0.5))
        return ours.SequentialLR(optimizer, [ours.ChainedScheduler([decay, other])], [])

    scheduler, source = make(), make()
    for _ in range(3):
        source.step()
    state = source.state_dict()
    inner = state["_schedulers"][0]["_schedulers"]
    for saved in inner:
        saved["lr_lambdas"] = [{"base": 0.25}]
    change(inner[1])
    before = everything(scheduler)
    with pytest.raises(error, match=match):
        scheduler.load_state_dict(state)
    assert everything(scheduler) == before
    leaf = scheduler._schedulers[0]._schedulers[1]
    with pytest.raises(error, match=match):
        leaf.load_state_dict(inner[1])
    assert everything(scheduler) == before
    with pytest.raises(KeyError, match="no '_schedulers'"):
        scheduler.load_state_dict({"last_epoch": 5})
    with pytest.raises(TypeError, match="a state is a dict"):
        leaf.load_state_dict(None)
    cyclic = ours.CyclicLR(
        plain(), 0.1, 1.0, cycle_momentum=False, scale_fn=configurations.Decay(1.0)
    )
    with pytest.raises(TypeError, match="state of a function"):
        cyclic.load_state_dict({"last_epoch": 5, "_scale_fn_custom": 3})
    assert cyclic.last_epoch == 0


def test_copies_and_pickles() -> None:
    scheduler = ours.SequentialLR(
        optimizer := torch_sgd(),
        [ours.StepLR(optimizer, 2), ours.ExponentialLR(optimizer, 0.5)],
        [3],
    )
    optimizer.step()
    scheduler.step()
    copies = [copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))]
    expected = rates(scheduler, 5)
    for copied in copies:
        assert copied.optimizer is not optimizer
        assert rates(copied, 5) == expected
