"""Averages of parameters and their learning rate: torch's bits, on every engine and adapter."""

import copy
import doctest
import inspect
import os
import pickle
import subprocess
import sys
import tracemalloc
import warnings
from functools import partial
from types import SimpleNamespace
from typing import Any

import array_api_strict
import numpy as np
import pytest
import torch
from conftest import assert_same_bits, require_engine
from torch.optim import swa_utils as theirs

import optimkit as ok
from optimkit import lr_scheduler, swa_utils
from optimkit.swa_utils import SWALR, AveragedModel

SHAPES = [(3, 5), (), (120_000,), (0, 4), (64, 64)]

# What makes the averaging function, by name: arguments of AveragedModel from a library.
AVERAGES: dict[str, Any] = {
    "swa": lambda lib: {},
    "swa single": lambda lib: {"avg_fn": lib.get_swa_avg_fn()},
    "swa multi": lambda lib: {"multi_avg_fn": lib.get_swa_multi_avg_fn()},
}
for _decay in (0.0, 0.25, 0.5, 0.9, 0.999, 1.0):  # on both sides of where lerp changes its end
    AVERAGES[f"ema single {_decay}"] = lambda lib, d=_decay: {"avg_fn": lib.get_ema_avg_fn(d)}
    AVERAGES[f"ema multi {_decay}"] = lambda lib, d=_decay: {
        "multi_avg_fn": lib.get_ema_multi_avg_fn(d)
    }


def values(seed: int, dtype: str = "float32") -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape) for shape in SHAPES]
    if dtype.startswith("complex"):
        arrays = [x + 1j * rng.standard_normal(x.shape) for x in arrays]
    return [np.asarray(x, dtype) for x in arrays]


def averaged(name: str, dtype: str = "float32", convert: Any = np.array) -> list[Any]:
    model = AveragedModel(list(map(convert, values(0, dtype))), **AVERAGES[name](swa_utils))
    for seed in range(1, 6):
        model.update_parameters(list(map(convert, values(seed, dtype))))
    return list(model.parameters())


# --- what is computed -----------------------------------------------------------------------


def network(dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    torch.manual_seed(0)
    layers = [torch.nn.Linear(4, 300), torch.nn.BatchNorm1d(300), torch.nn.Linear(300, 2)]
    return torch.nn.Sequential(*layers).to(dtype)


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
    command = "import sys; sys.path.insert(0, sys.argv[1]); import test_swa_utils as t; "
    subprocess.run(
        [sys.executable, "-W", "error", "-c", command + "t.compare_with_torch()", *[HERE]],
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
            bucket = swa_utils._Plan()
            bucket._make([np.zeros(3)], [np.ones(3)])
            _, name = swa_utils.engines.prepare(
                bucket.buckets[0], function.rule, function.hyper, True
            )
            assert name in ("numba", "blocked")


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


# --- torch modules --------------------------------------------------------------------------


def test_a_torch_module_is_used_as_torchs() -> None:
    model, x = network(), torch.randn(5, 4)
    average = AveragedModel(model)
    average.update_parameters(model)
    average.eval()
    model.eval()
    assert torch.equal(average(x), model(x))
    assert not average.training
    assert len(list(average.parameters())) == 6
    assert [name for name, _ in average.named_buffers()] == [n for n, _ in model.named_buffers()]
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = average.nothing_like_it
    with pytest.raises(AttributeError, match="train"):
        _ = AveragedModel([np.zeros(2)]).train


def test_buffers_are_copied() -> None:
    model = network()
    average = AveragedModel(model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9))
    for _ in range(3):
        model(torch.randn(8, 4))
        average.update_parameters(model)
    for mine, now in zip(average.buffers(), model.buffers(), strict=True):
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


# --- SWALR ----------------------------------------------------------------------------------


def optimizers(lrs: list[float]) -> list[Any]:
    groups = [{"params": [torch.zeros(1)], "lr": lr} for lr in lrs]
    return [torch.optim.SGD([dict(g) for g in groups], lr=1.0) for _ in range(2)]


@pytest.mark.parametrize("seed", range(100))
def test_rates_are_torchs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lrs = [float(x) for x in rng.uniform(0.001, 2, rng.integers(1, 4))]
    swa_lr: Any = float(rng.uniform(0.001, 2))
    if rng.random() < 0.3:
        swa_lr = [float(rng.uniform(0.001, 2)) for _ in lrs]
    options = {
        "swa_lr": swa_lr,
        "anneal_epochs": int(rng.integers(0, 12)),
        "anneal_strategy": str(rng.choice(["cos", "linear"])),
    }
    mine, reference = optimizers(lrs)
    first = (ok.lr_scheduler, lr_scheduler.ExponentialLR(mine, 0.9))
    second = (torch.optim.lr_scheduler, torch.optim.lr_scheduler.ExponentialLR(reference, 0.9))
    ours, torchs = SWALR(mine, **options), theirs.SWALR(reference, **options)
    resume = int(rng.integers(1, 15))
    for step in range(20):
        assert [g["lr"] for g in mine.param_groups] == [g["lr"] for g in reference.param_groups]
        assert ours.get_last_lr() == torchs.get_last_lr()
        assert ours.state_dict() == torchs.state_dict()
        if step == resume:
            state, groups = torchs.state_dict(), mine.state_dict()
            mine = optimizers(lrs)[0]
            first = (ok.lr_scheduler, lr_scheduler.ExponentialLR(mine, 0.9))
            ours = SWALR(mine, swa_lr=1.0)
            mine.load_state_dict(groups)
            ours.load_state_dict(state)
        for optimizer in (mine, reference):
            optimizer.step()
        if rng.random() < 0.2:  # another scheduler moves the rates
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                first[1].step()
                second[1].step()
        ours.step()
        torchs.step()


def test_rates_of_a_last_epoch_are_torchs() -> None:
    for strategy in ("cos", "linear"):
        pair = optimizers([0.5])
        for optimizer, lib in zip(pair, (swa_utils, theirs), strict=True):
            optimizer.param_groups[0]["initial_lr"] = 0.5
            scheduler = lib.SWALR(optimizer, 0.1, 5, strategy, last_epoch=2)
            for _ in range(3):
                optimizer.step()
                scheduler.step()
        assert pair[0].param_groups[0]["lr"] == pair[1].param_groups[0]["lr"]


def test_swalr_in_a_sequence_is_torchs() -> None:
    pair = optimizers([0.5])
    for (optimizer, swa), schedulers in zip(
        zip(pair, (swa_utils, theirs), strict=True),
        (lr_scheduler, torch.optim.lr_scheduler),
        strict=True,
    ):
        parts = [schedulers.ExponentialLR(optimizer, 0.9), swa.SWALR(optimizer, 0.05, 4)]
        optimizer.rates = []
        sequence = schedulers.SequentialLR(optimizer, parts, milestones=[5])
        for _ in range(14):
            optimizer.step()
            sequence.step()
            optimizer.rates.append(optimizer.param_groups[0]["lr"])
    assert pair[0].rates == pair[1].rates


def test_swalr_drives_optimkit_and_plain_groups() -> None:
    w = np.zeros(1)
    optimizer = ok.SGD([w], lr=1.0)
    scheduler = SWALR(optimizer, 0.5, anneal_epochs=2, anneal_strategy="linear")
    optimizer.step(grads=[np.ones(1)])
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.75
    # another rounding than that of the chained form, by a unit or two in the last place of 1
    scheduler = SWALR(SimpleNamespace(param_groups=[{"lr": 1.0}]), 0.1, anneal_epochs=7)
    for step in range(10):
        assert scheduler.get_last_lr() == pytest.approx(scheduler.lr_at(step), abs=1e-14, rel=0)
        scheduler.step()
    assert SWALR(optimizer, 0.1, 0).lr_at(3) == [0.1]


def test_bad_options_of_swalr() -> None:
    group = SimpleNamespace(param_groups=[{"lr": 1.0}])
    for lib in (swa_utils, theirs):
        optimizer = group if lib is swa_utils else optimizers([1.0])[0]
        with pytest.raises(ValueError, match="anneal_strategy"):
            lib.SWALR(optimizer, 0.1, anneal_strategy="straight")
        for epochs in (-1, 1.5):
            with pytest.raises(ValueError, match="anneal_epochs"):
                lib.SWALR(optimizer, 0.1, anneal_epochs=epochs)
        with pytest.raises(ValueError, match="swa_lr"):
            lib.SWALR(optimizer, [0.1, 0.2])
    assert group.param_groups == [{"lr": 1.0}]
    with pytest.raises(TypeError, match="object is not an optimizer"):
        SWALR(object(), 0.1)  # type: ignore[arg-type]
    assert type(SWALR(group, np.float32(0.5), 0).get_last_lr()[0]) is float


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
    result = doctest.testmod(swa_utils)
    assert result.attempted > 0
    assert result.failed == 0


def test_torch_is_not_imported() -> None:
    code = (
        "import sys, numpy as np; from optimkit.swa_utils import AveragedModel; "
        "a = AveragedModel([np.zeros(2)]); a.update_parameters([np.ones(2)]); a.state_dict(); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
