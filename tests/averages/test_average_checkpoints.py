"""Averages saved, copied and given what they cannot take."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from averaging import network, values
from conftest import assert_same_bits
from torch.optim import swa_utils as theirs

from optimkit import swa_utils
from optimkit.swa_utils import AveragedModel

# --- checkpoints and copies -----------------------------------------------------------------


@pytest.mark.parametrize("first", [swa_utils, theirs])
@pytest.mark.parametrize("second", [swa_utils, theirs])
def test_checkpoints_go_both_ways(first: Any, second: Any) -> None:
    model = network(torch.float64)
    whole, half = theirs.AveragedModel(model), first.AveragedModel(model)
    rest = second.AveragedModel(network(torch.float64))
    for i in range(6):
        if i == 3:
            rest.load_state_dict(copy.deepcopy(half.state_dict()))
        with torch.no_grad():
            for param in model.parameters():
                param += torch.randn_like(param)
        whole.update_parameters(model)
        (half if i < 3 else rest).update_parameters(model)
    for key, expected in whole.state_dict().items():
        assert_same_bits(rest.state_dict()[key], expected, key)


@pytest.mark.parametrize("kind", [list, dict])
def test_checkpoints_of_arrays(kind: type) -> None:
    def current(seed: int) -> Any:
        arrays = values(seed)
        return arrays if kind is list else dict(zip("abcde", arrays, strict=True))

    whole, half, rest = (AveragedModel(current(0)) for _ in range(3))
    for i in range(6):
        if i == 3:
            state = half.state_dict()
            assert list(state)[:2] == ["n_averaged", "module.0" if kind is list else "module.a"]
            rest.load_state_dict(pickle.loads(pickle.dumps(state)))
        whole.update_parameters(current(i))
        (half if i < 3 else rest).update_parameters(current(i))
    for x, y in zip(rest.parameters(), whole.parameters(), strict=True):
        assert_same_bits(x, y)
    before = [x.copy() for x in rest.parameters()]
    wrong = rest.state_dict()
    wrong[list(wrong)[-1]] = np.zeros(7)
    with pytest.raises(ValueError, match="shape"):
        rest.load_state_dict(wrong)
    wrong.popitem()
    with pytest.raises(KeyError):
        rest.load_state_dict(wrong)
    for x, y in zip(rest.parameters(), before, strict=True):
        assert_same_bits(x, y)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_independent(duplicate: Any) -> None:
    average = AveragedModel([np.zeros(2)], avg_fn=swa_utils.get_ema_avg_fn(0.5))
    for i in (0.0, 1.0):
        average.update_parameters([np.full(2, i)])
    other = duplicate(average)
    other.update_parameters([np.ones(2)])
    assert average.module[0].tolist() == [0.5, 0.5]
    assert other.module[0].tolist() == [0.75, 0.75]
    assert (average.n_averaged, other.n_averaged) == (2, 3)


# --- bad input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "error", "match"),
    [
        ([np.zeros(3), np.zeros(2)], ValueError, "parameter 0 has shape"),
        ([np.zeros(2), np.zeros(2, "f")], TypeError, "parameter 1 has dtype"),
        ([np.zeros(2), torch.zeros(2)], TypeError, r"parameter 1 is a torch\.Tensor"),
        ([np.zeros(2)], ValueError, "1 parameters for 2 averages"),
        ({"a": np.zeros(2), "b": np.zeros(3)}, ValueError, "parameter 1"),
    ],
)
def test_wrong_parameters_change_nothing(parameters: Any, error: Any, match: str) -> None:
    average = AveragedModel([np.zeros(2), np.zeros(2)])
    for _ in range(2):
        with pytest.raises(error, match=match):
            average.update_parameters(parameters)
        assert average.n_averaged == 0
        assert average.module[0].tolist() == [0.0, 0.0]
    average.update_parameters([np.ones(2), np.ones(2)])
    assert average.module[0].tolist() == [1.0, 1.0]


def test_other_errors() -> None:
    for make in ("get_ema_avg_fn", "get_ema_multi_avg_fn"):
        for decay in (-0.1, 1.5):
            for lib in (swa_utils, theirs):
                with pytest.raises(ValueError, match="decay"):
                    getattr(lib, make)(decay)
    both = {
        "avg_fn": swa_utils.get_swa_avg_fn(),
        "multi_avg_fn": swa_utils.get_swa_multi_avg_fn(),
    }
    for lib in (swa_utils, theirs):
        with pytest.raises(AssertionError, match="Only one of"):
            lib.AveragedModel(torch.nn.Linear(1, 1), **both)
    with pytest.raises(TypeError, match="parameter 1"):
        AveragedModel([np.zeros(2), np.zeros(2, int)])
    with pytest.raises(KeyError, match="w"):
        AveragedModel({"a": np.zeros(2)}).update_parameters({"w": np.zeros(2)})
    with pytest.raises(TypeError, match="module"):
        AveragedModel(torch.nn.Linear(1, 1)).update_parameters([torch.zeros(1, 1), torch.zeros(1)])
