"""Schedulers in schedulers."""

import copy
import gc
import json
import weakref
from typing import Any

import pytest
from rates import plain, rates, torch_sgd
from torch.optim import lr_scheduler as theirs

import optimkit.lr_scheduler as ours


def nest(module: Any, optimizer: Any) -> Any:
    """A SequentialLR in a ChainedScheduler that begins at a milestone of a SequentialLR."""
    inner = module.SequentialLR(
        optimizer,
        [module.ConstantLR(optimizer, 0.5, 100), module.ExponentialLR(optimizer, 0.5)],
        [2],
    )
    chain = module.ChainedScheduler([inner, module.StepLR(optimizer, 3, 0.25)])
    return module.SequentialLR(optimizer, [module.LinearLR(optimizer, 0.5, 1.0, 2), chain], [3])


def test_composite_begins_at_a_milestone() -> None:
    reference = nest(theirs, torch_sgd())
    with pytest.raises(NotImplementedError):
        rates(reference, 3)
    # warmup; then 0.5, 0.5, and at the inner milestone the exponential from the initial rate
    expected = [0.5, 0.75, 1.0, 0.5, 0.5, 1.0, 0.125, 0.0625]
    assert rates(nest(ours, plain()), 7) == expected


@pytest.mark.parametrize("saved_at", range(8))
def test_nest_resumes_mid_phase(saved_at: int) -> None:
    expected = rates(nest(ours, plain()), 12)
    scheduler = nest(ours, plain())
    rates(scheduler, saved_at)
    state = json.loads(json.dumps(scheduler.state_dict()))
    optimizer = plain()
    resumed = nest(ours, optimizer)
    optimizer.param_groups = copy.deepcopy(scheduler.optimizer.param_groups)
    resumed.load_state_dict(state)
    assert rates(resumed, 12 - saved_at) == expected[saved_at:]


def test_sequential_restarts_inside_sequential() -> None:
    optimizer = plain()
    inner = ours.SequentialLR(
        optimizer, [ours.ConstantLR(optimizer, 0.5, 9), ours.ConstantLR(optimizer, 0.25, 9)], [2]
    )
    outer = ours.SequentialLR(optimizer, [ours.ConstantLR(optimizer, 1.0), inner], [2])
    assert rates(outer, 5) == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_group_without_initial_lr_keeps_its_rate_when_a_composite_begins() -> None:
    scheduler = nest(ours, plain())
    scheduler.optimizer.param_groups.append({"lr": 0.1})
    rates(scheduler, 3)
    warmed_up = 0.1 * 1.5 * (1 + 0.5 / 1.5)
    assert scheduler.get_last_lr() == [0.5, warmed_up * 0.5]


@pytest.mark.parametrize("module", [theirs, ours], ids=["torch", "optimkit"])
def test_errors_of_composites(module: Any) -> None:
    optimizer = torch_sgd()
    decay = module.ExponentialLR(optimizer, 0.5)
    plateau = module.ReduceLROnPlateau(optimizer)
    other = module.ExponentialLR(torch_sgd(), 0.5)
    for bad, error in [
        ([], ValueError),
        ([decay, plateau], ValueError),
        ([decay, other], ValueError),
        ([decay, object()], TypeError),
    ]:
        with pytest.raises(error):
            module.SequentialLR(optimizer, bad, [2])
        with pytest.raises(error):
            module.ChainedScheduler(bad)
    with pytest.raises(ValueError, match="milestones"):
        module.SequentialLR(optimizer, [decay], [2])


def test_state_of_another_nest_is_refused() -> None:
    optimizer = plain()
    one = ours.ChainedScheduler([ours.StepLR(optimizer, 2)])
    two = ours.ChainedScheduler([ours.StepLR(optimizer, 2), ours.StepLR(optimizer, 3)])
    with pytest.raises(ValueError, match="the state holds 2 schedulers"):
        one.load_state_dict(two.state_dict())


def test_a_chain_does_not_hold_itself() -> None:
    gc.disable()
    try:
        optimizer = torch_sgd()
        chained = ours.ChainedScheduler([ours.ExponentialLR(optimizer, 0.5)])
        optimizer.step()
        chained.step()
        kept = weakref.ref(optimizer)
        del optimizer, chained
        assert kept() is None
    finally:
        gc.enable()
