"""Averages of torch modules, and averaging functions."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from averaging import network
from conftest import assert_same_bits
from torch.optim import swa_utils as theirs

from optimkit import swa_utils
from optimkit.swa_utils import AveragedModel


def test_a_torch_module_is_used_as_torchs() -> None:
    model, x = network(), torch.randn(5, 4)
    average = AveragedModel(model)
    average.update_parameters(model)
    average.eval()
    model.eval()
    assert torch.equal(average(x), model(x))
    assert not average.training
    assert len(list(average.parameters())) == 6
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = average.nothing_like_it
    assert isinstance(average, torch.nn.Module)
    assert not isinstance(AveragedModel([np.zeros(2)]), torch.nn.Module)
    reference = theirs.AveragedModel(model)
    for listed in ("named_parameters", "named_buffers", "state_dict"):
        names = [dict(getattr(each, listed)()).keys() for each in (average, reference)]
        assert list(names[0]) == list(names[1])


CALLS = {
    "to": lambda x: x.to("cpu"),
    "cpu": lambda x: x.cpu(),
    "double": lambda x: x.double(),
    "eval": lambda x: x.eval(),
    "train": lambda x: x.train(),
    "requires_grad_": lambda x: x.requires_grad_(False),
    "share_memory": lambda x: x.share_memory(),
    "apply": lambda x: x.apply(lambda module: None),
    "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_what_a_method_returns_is_still_an_average(call: Any) -> None:
    model = torch.nn.Linear(2, 2)
    pair = [lib.AveragedModel(model, avg_fn=None) for lib in (swa_utils, theirs)]
    for average in pair:
        average.update_parameters(model)
    ours, reference = map(call, pair)
    assert isinstance(ours, AveragedModel)
    model = call(model)
    with torch.no_grad():
        for param in model.parameters():
            param.mul_(3)
    for average in (ours, reference):
        average.update_parameters(model)
    assert ours.n_averaged.item() == 2
    for key, expected in reference.state_dict().items():
        assert_same_bits(ours.state_dict()[key], expected, key)


def test_buffers_are_copied() -> None:
    model = network()
    average = AveragedModel(model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9))
    for _ in range(3):
        model(torch.randn(8, 4))
        average.update_parameters(model)
    for mine, now in zip(average.module.buffers(), model.buffers(), strict=True):
        assert_same_bits(mine, now)


def test_version_counters_move() -> None:
    model = torch.nn.Linear(2, 2)
    average = AveragedModel(model)
    before = average.module.weight._version
    average.update_parameters(model)
    assert average.module.weight._version > before


@pytest.mark.parametrize("make", [theirs.get_ema_multi_avg_fn, theirs.get_swa_multi_avg_fn])
def test_functions_of_torch(make: Any) -> None:
    model = torch.nn.Linear(2, 2)
    pair = [lib.AveragedModel(model, multi_avg_fn=make()) for lib in (swa_utils, theirs)]
    for i in range(3):
        with torch.no_grad():
            model.weight.fill_(float(i))
        for average in pair:
            average.update_parameters(model)
    assert_same_bits(pair[0].module.weight, pair[1].module.weight)


@pytest.mark.parametrize("make", [swa_utils.get_swa_avg_fn, swa_utils.get_ema_avg_fn])
def test_functions_of_one_average_record_no_graph(make: Any) -> None:
    average, now = (torch.nn.Parameter(torch.full((2,), x)) for x in (1.0, 5.0))
    result = make()(average, now, 1)
    reference = getattr(theirs, make.__name__)()(average, now, torch.tensor(1))
    assert (result.requires_grad, result.grad_fn) == (False, None)
    assert_same_bits(result, reference)


def test_pairs_of_names_and_arrays() -> None:
    module = network()
    average = AveragedModel(module.named_parameters())
    assert list(average.module) == [name for name, _ in module.named_parameters()]
    average.update_parameters(module.named_parameters())
    assert_same_bits(next(average.parameters()), next(module.parameters()))
    with pytest.raises(KeyError, match="w"):
        average.update_parameters([("w", torch.zeros(2))])


@pytest.mark.parametrize("value", [[1.0, 2.0], None, 3.0])
def test_state_with_something_else_than_an_array(value: Any) -> None:
    average = AveragedModel([np.zeros(2), np.zeros(2)])
    state = {"n_averaged": 3, "module.0": np.ones(2), "module.1": value}
    with pytest.raises(TypeError, match="the loaded average 1 is a"):
        average.load_state_dict(state)
    assert (average.n_averaged, average.module[0].tolist()) == (0, [0.0, 0.0])


def test_functions_of_the_user() -> None:
    seen = []

    def largest(average: Any, current: Any, count: Any) -> Any:
        seen.append((type(average), count))
        return np.maximum(average, current)

    model = AveragedModel([np.zeros(2), np.zeros(())], avg_fn=largest)
    for i in (3.0, 4.0, 1.0):
        model.update_parameters([np.array([i, -i]), np.array(i)])
    assert model.module[0].tolist() == [4.0, -1.0]
    assert model.module[1] == 4.0
    assert seen[::2] == [(np.ndarray, 1), (np.ndarray, 2)]

    def forget(averages: list[Any], current: list[Any], count: int) -> None:
        assert len({x.dtype for x in averages}) == 1
        for average in averages:
            average[...] = -count

    model = AveragedModel([np.zeros(2), np.zeros(2, "f")], multi_avg_fn=forget)
    for _ in range(3):
        model.update_parameters([np.zeros(2), np.zeros(2, "f")])
    assert [x.tolist() for x in model.module] == [[-2.0, -2.0]] * 2


def test_update_bn() -> None:
    batches = [torch.randn(8, 4) for _ in range(3)]
    models = [network(), network()]
    models[0].eval()
    models[1].eval()
    swa_utils.update_bn([[x, "label"] for x in batches], models[0], device="cpu")
    theirs.update_bn(batches, models[1])
    for key, expected in models[1].state_dict().items():
        assert_same_bits(models[0].state_dict()[key], expected, key)
    assert not models[0].training
    assert models[0][1].momentum == 0.1
    average = AveragedModel(network())
    swa_utils.update_bn(batches, average)
    assert_same_bits(average.module[1].running_mean, models[1][1].running_mean)
    swa_utils.update_bn(iter(()), torch.nn.Linear(1, 1))
    with pytest.raises(TypeError):
        swa_utils.update_bn([None], models[0])
    assert models[0][1].momentum == 0.1


def test_update_bn_that_raises_has_changed_nothing() -> None:
    model = network()
    model(torch.randn(8, 4))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(AttributeError):
        swa_utils.update_bn([torch.randn(8, 4), "no batch"], model, device="cpu")
    for key, expected in before.items():
        assert_same_bits(model.state_dict()[key], expected, key)
