"""Averages of parameters: torch's bits, on every engine and adapter."""

import doctest
import inspect
import os
import subprocess
import sys
import tracemalloc
from functools import partial
from typing import Any

import array_api_strict
import numpy as np
import pytest
import torch
from averaging import AVERAGES, averaged, network, values
from conftest import TESTS, assert_same_bits, require_engine
from torch.optim import swa_utils as theirs

import optimkit as ok
from optimkit import swa_utils
from optimkit.lr_scheduler import swa
from optimkit.swa_utils import AveragedModel, averaged_model, averages, batch_norm
from optimkit.swa_utils.averages import Averager


def compare_with_torch() -> None:
    """Run in a process with ``ATEN_CPU_CAPABILITY=default``, where torch does not fuse."""
    assert torch.backends.cpu.get_cpu_capability() == "DEFAULT"
    for name, make in AVERAGES.items():
        for dtype in (torch.float32, torch.float64):
            for use_buffers in (False, True):
                if use_buffers and name == "swa multi":
                    continue  # torch cannot average integer buffers that way
                model = network(dtype)
                pair = [
                    lib.AveragedModel(model, use_buffers=use_buffers, **make(lib))
                    for lib in (swa_utils, theirs)
                ]
                optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
                for _ in range(12):
                    model(torch.randn(8, 4, dtype=dtype)).square().mean().backward()
                    optimizer.step()
                    for average in pair:
                        average.update_parameters(model)
                ours, reference = (average.state_dict() for average in pair)
                assert list(ours) == list(reference)
                for key, expected in reference.items():
                    assert ours[key].dtype == expected.dtype
                    assert_same_bits(ours[key], expected, f"{name} {dtype} {use_buffers} {key}")


def test_bits_are_torchs() -> None:
    command = "import sys; sys.path[:0] = sys.argv[1:]; import test_averages as t; "
    subprocess.run(
        [sys.executable, "-W", "error", "-c", command + "t.compare_with_torch()", HERE, TESTS],
        env=os.environ | {"ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1"},
        check=True,
    )


HERE = os.path.dirname(__file__)


@pytest.mark.parametrize("name", AVERAGES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "float16"])
def test_engines_and_adapters_give_the_same_bits(name: str, dtype: str, engine: str) -> None:
    with ok.use_engine("eager"):
        expected = averaged(name, dtype)
    kinds: dict[str, Any] = {"numpy": np.array, "torch": torch.tensor}
    kinds["fortran"] = partial(np.array, order="F")
    kinds["strided"] = lambda x: np.repeat(x, 2, -1)[..., ::2] if x.ndim else x.copy()
    if dtype != "float16":  # the standard has no half precision
        kinds["strict"] = array_api_strict.asarray
    for kind, convert in kinds.items():
        for x, y in zip(averaged(name, dtype, convert), expected, strict=True):
            assert_same_bits(x, y, kind)


def test_equal_weights_give_the_mean() -> None:
    # n additions and divisions in float64, each rounded to within 2^-53 of values around 1
    mean = np.mean([values(seed, "float64")[2] for seed in range(1, 6)], axis=0)
    np.testing.assert_allclose(averaged("swa", "float64")[2], mean, rtol=0, atol=1e-14)


def test_torchs_float32_weight_of_lists() -> None:
    third = float(np.float32(1 / 3))
    average = [np.array([0.0])]
    swa_utils.get_swa_multi_avg_fn()(average, [np.array([1.0])], 2)
    assert average[0][0] == third != 1 / 3
    assert swa_utils.get_swa_avg_fn()(0.0, 1.0, 2) == 1 / 3


@pytest.mark.parametrize("name", ["numba", "blocked"])
def test_no_temporary_as_large_as_a_parameter(name: str) -> None:
    require_engine(name)
    average = AveragedModel(
        [np.zeros(4_000_000, "f")], multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9)
    )
    current = [np.ones(4_000_000, "f")]
    with ok.use_engine(name):
        for _ in range(2):
            average.update_parameters(current)  # compiles
        tracemalloc.start()
        average.update_parameters(current)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 16e6 / 4


def test_rules_are_fused() -> None:
    """Each of the library's own functions can run on a fused engine."""
    for make in AVERAGES.values():
        for function in make(swa_utils).values():
            function.hyper.fused = True  # or an error
            Averager().ready(function, [np.zeros(3)], [np.ones(3)], 1)


# --- where parameters come from -------------------------------------------------------------


def test_sources() -> None:
    w, b = np.array([1.0, 2.0]), np.array(3.0)
    named = {"w": w, "b": b}
    parameters = [ok.Parameter(w), ok.Parameter(b)]
    tensors = [torch.from_numpy(w), torch.nn.Parameter(torch.from_numpy(np.atleast_1d(b)))]
    sources = [[w, b], named, parameters, ok.SGD([w, b]), tensors, torch.optim.SGD(tensors)]
    averages = [AveragedModel(source) for source in sources]
    for step in range(1, 4):
        w += step
        b += step
        for average, source in zip(averages, sources, strict=True):
            average.update_parameters(source)
    for average in averages:
        assert average.n_averaged == 3
        first, second = average.parameters()
        assert type(first) in (np.ndarray, torch.Tensor)
        assert (first.tolist(), np.ravel(second).tolist()) == ([13 / 3, 16 / 3], [19 / 3])
    assert list(averages[1].module) == ["w", "b"]
    averages[1].update_parameters({"b": b, "w": w})  # by name, not by place
    assert averages[1].module["b"].shape == ()
    one = AveragedModel(w)
    one.update_parameters(w)
    assert one.module[0].tolist() == w.tolist()
    assert one.module[0] is not w


def test_parameters_that_move() -> None:
    average = AveragedModel([np.zeros(2)])
    for i in range(1, 4):
        average.update_parameters([np.full(2, float(i))])  # new memory each time
    assert average.module[0].tolist() == [2.0, 2.0]
    tensor = torch.nn.Parameter(torch.zeros(2))
    average = AveragedModel([tensor])
    for i in range(1, 4):
        tensor.data = torch.full((2,), float(i))
        average.update_parameters([tensor])
    assert average.module[0].tolist() == [2.0, 2.0]


def test_first_update_copies() -> None:
    average = AveragedModel([np.array([5.0])], avg_fn=swa_utils.get_ema_avg_fn(0.5))
    assert average.module[0][0] == 5.0
    average.update_parameters([np.array([1.0])])
    assert average.module[0][0] == 1.0
    average.update_parameters([np.array([2.0])])
    assert average.module[0][0] == 1.5


def test_device() -> None:
    average = AveragedModel([np.zeros(2)], device="cpu")
    average.update_parameters([np.ones(2)])
    assert average.module[0].tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="parameter 0"):
        AveragedModel([np.zeros(2)], device="cuda")
    assert AveragedModel(network(), device="cpu").module[0].weight.device.type == "cpu"


def test_averages_on_another_device() -> None:
    # Two devices of array-api-strict stand for CPU and GPU.
    xp, other = array_api_strict, array_api_strict.Device("device1")
    average = AveragedModel([xp.zeros(2)], device=other)
    for i in (1.0, 2.0):
        average.update_parameters([xp.asarray([i, i])])
    assert average.module[0].device == other
    assert np.asarray(average.module[0]._array).tolist() == [1.5, 1.5]


# --- the surface ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", swa_utils.__all__)
def test_signature_is_torchs(name: str) -> None:
    own, reference = (
        inspect.signature(getattr(lib, name)).parameters for lib in (swa_utils, theirs)
    )
    assert [(p.name, p.default, p.kind) for p in own.values()] == [
        (p.name, p.default, p.kind) for p in reference.values()
    ]


def test_every_name_of_torch_is_there() -> None:
    assert set(swa_utils.__all__) == set(theirs.__all__)


def test_examples_in_docstrings() -> None:
    modules = averaged_model, averages, batch_norm, swa
    for module in modules:
        result = doctest.testmod(module)
        assert result.attempted > 0
        assert result.failed == 0


def test_torch_is_not_imported() -> None:
    code = (
        "import sys, numpy as np; from optimkit.swa_utils import AveragedModel; "
        "a = AveragedModel([np.zeros(2)]); a.update_parameters([np.ones(2)]); a.state_dict(); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
