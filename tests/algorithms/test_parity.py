"""Every rule against torch's trajectories, on every engine and array library present."""

import inspect
import os
import subprocess
import sys

import numpy as np
import pytest

import optimkit as ok
from optimkit.validation.parity import trajectories as parity
from optimkit.validation.parity.checks import can_run, check, steps_for
from optimkit.validation.reference.case import Case
from optimkit.validation.reference.cases import CASES, OPTIMIZERS, cases_of
from optimkit.validation.reference.inputs import SETTINGS, gradients, parameters
from optimkit.validation.reference.recordings import FOLDER, STEPS, Recording, load, save

PEERS = [name for name in OPTIMIZERS if any(case.peer for case in cases_of(name))]
WAYS = parity.ways()[0]
NOT_OPTIONS = {"params", "fused", "foreach", "capturable", "differentiable", "master_dtype"}
BASES = {"Optimizer"}


def optimizers():
    public = {name: getattr(ok, name) for name in ok.__all__}
    return {
        name: kind
        for name, kind in public.items()
        if inspect.isclass(kind) and issubclass(kind, ok.Optimizer) and name not in BASES
    }


def test_every_public_optimizer_is_in_the_table():
    assert set(optimizers()) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", PEERS)
def test_every_option_is_exercised(name):
    options = set(inspect.signature(getattr(ok, name)).parameters) - NOT_OPTIONS
    used = {option for case in cases_of(name) for option in case.options}
    rare = {"LBFGS": {"tolerance_grad", "tolerance_change"}, "Muon": {"ns_coefficients", "eps"}}
    assert options - used - rare.get(name, set()) == set()


def test_names_are_unique_and_tolerances_have_reasons():
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(bool(case.reason) == (case.tolerance > 0) for case in CASES)
    with pytest.raises(ValueError, match="come together"):
        Case("Adam", tolerance=1e-3)


@pytest.mark.parametrize("name", PEERS)
def test_a_thousand_steps(name):
    recording = load(FOLDER / f"{name}.npz")
    assert recording.origin["cpu_capability"] == "DEFAULT"
    found = [
        check(case, dtype, WAYS[0], recording, STEPS)
        for case in cases_of(name)
        for dtype in case.dtypes
    ]
    assert [(c.case.name, c.dtype, c.problem) for c in found if not c.held] == []
    assert all(c.difference.steps == c.case.circumstances.longest for c in found)


@pytest.mark.parametrize("way", WAYS[1:], ids=lambda way: way.name)
@pytest.mark.parametrize("name", PEERS)
def test_every_engine_and_library(name, way):
    recording, steps = load(FOLDER / f"{name}.npz"), steps_for(way, 1, quick=False)
    steps = tuple(step for step in steps if step <= 10)
    found = [
        check(case, dtype, way, recording, steps)
        for case in cases_of(name)
        if can_run(case, way)
        for dtype in case.dtypes
    ]
    assert [(c.case.name, c.dtype, c.problem) for c in found if not c.held] == []


def test_recordings_are_small():
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 2_000_000


def test_a_changed_case_is_not_compared_with_an_old_recording():
    case = next(case for case in CASES if case.options)
    changed = Case(case.optimizer, {**case.options, "lr": 0.123}, case.exercises)
    result = check(changed, "float32", WAYS[0], load(FOLDER / f"{case.optimizer}.npz"), (1,))
    assert not result.held
    assert "no recording" in result.problem


def test_recordings_come_back_as_they_were(tmp_path):
    arrays = {
        "0": np.array([[1.5, -0.0], [np.nan, np.inf]], np.float32),
        "0.step": np.array(7.0),
        "1": np.array([1 + 2j, -3j], np.complex128),
        "2": np.zeros((0, 3)),
    }
    save(
        Recording({"torch": "x"}, {("a", "b"): {1: arrays, 10: arrays}}, {"a": "o"}),
        tmp_path / "r.npz",
    )
    found = load(tmp_path / "r.npz")
    assert found.origin == {"torch": "x"}
    assert list(found.trajectories["a", "b"]) == [1, 10]
    for name, array in found.trajectories["a", "b"][10].items():
        assert (array.dtype, array.shape) == (arrays[name].dtype, arrays[name].shape)
        assert array.tobytes() == arrays[name].tobytes()


def difference(x, y, dtype=np.float32, **options):
    x, y = ({1: {"0": np.array(v, dtype)}} for v in (x, y))
    return parity.compare(x, y, lr=0.1, **options)


def test_differences_are_seen():
    assert difference([1, np.nan, np.inf], [1, -np.nan, np.inf]).unequal == 0
    assert difference([1.0], [np.nextafter(np.float32(1), np.float32(2))]).ulp == 1
    assert difference([1.0], [np.nextafter(1, 2)], np.float64).ulp == 1
    assert difference([1e-45], [-1e-45]).ulp == 2
    assert difference([0.0], [-0.0]).unequal == 1
    assert difference([0.0], [-0.0], signed_zeros=False).unequal == 0
    assert difference([1.0], [-1.0], signed_zeros=False).unequal == 1
    assert difference([np.inf, 1], [1, 1]).relative == np.inf
    assert difference([0.25], [0.5]).relative == pytest.approx(0.5)
    assert difference([0.0], [0.01]).relative == pytest.approx(0.1, rel=1e-6)
    assert difference([1j], [1 + 1j], np.complex64).unequal == 1
    assert difference([1.0], [1.0, 2.0]).unequal > 0
    assert parity.compare({1: {}}, {1: {"0": np.zeros(3)}}, lr=1).unequal == 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_reach_the_corners(dtype):
    info = np.finfo(dtype)
    x = gradients(SETTINGS["a vector"], dtype, 100)[0]
    assert np.isfinite(x).all()
    assert ((x != 0) & (abs(x) < info.tiny)).any()
    assert ((x == 0) & np.signbit(x)).any()
    assert ((x == 0) & ~np.signbit(x)).any()
    assert ((x != 0) & (x * x < info.tiny)).any()
    assert abs(x).max() > 1e10
    x = gradients(SETTINGS["not finite"], dtype, 100)[0]
    assert np.isnan(x).any()
    assert np.isposinf(x).any()
    assert np.isneginf(x).any()
    orders = {order for _, order in SETTINGS["everything at once"].shapes}
    assert orders == {"C", "F", "gaps"}


def test_inputs_are_the_same_everywhere():
    # The bits, written down once: a change of NumPy or platform must not move them.
    x = parameters(SETTINGS["a vector"], "float64")[0]
    assert [value.hex() for value in x[[0, 6, 8]].tolist()] == FIRST


FIRST = ["-0x1.989253426fdafp+1", "0x0.35f527fdeee1dp-1022", "-0x1.a5c8f2fd0bbcap+36"]


def test_torch_in_its_own_setting_refuses_fused_arithmetic():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("this processor has no other setting")
    environment = {k: v for k, v in os.environ.items() if k != "ATEN_CPU_CAPABILITY"}
    code = "from optimkit.validation.reference import ieee; ieee.torch_with_ieee()"
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert result.returncode != 0
    assert "ATEN_CPU_CAPABILITY=default" in result.stderr


@pytest.mark.parametrize("case", cases_of("Adafactor"), ids=lambda case: case.exercises)
def test_adafactor_stays_within_a_millionth_of_each_tensor(case):
    own = parity.trajectory(case, "float32", WAYS[0], (1000,))[1000]
    reference = load(FOLDER / "Adafactor.npz").find(case, "float32")[1000]
    assert own.keys() == reference.keys()
    for name, value in reference.items():
        difference = np.abs(np.float64(own[name]) - value).max()
        assert difference <= 1e-6 * np.abs(value).max(), name
