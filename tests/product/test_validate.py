"""The command optimkit validate: its exit status, its tables, its files."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

import optimkit as ok
from optimkit.validation import cli
from optimkit.validation.parity import digits, functions, validate
from optimkit.validation.parity import overview as tables
from optimkit.validation.parity.checks import STALE
from optimkit.validation.parity.trajectories import Way
from optimkit.validation.reference import manifest
from optimkit.validation.reference.recordings import FOLDER

PUBLIC = {*ok.lr_scheduler.__all__, *ok.swa_utils.__all__, *ok.clip.__all__} - {"schedules"}
HAS_TORCH = find_spec("torch") is not None
HAS_SKLEARN = find_spec("sklearn") is not None


def run(*arguments):
    command = [sys.executable, "-m", "optimkit", *arguments]
    environment = os.environ | {"COLUMNS": "100"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_from_recordings(tmp_path):
    files = tmp_path / "found.json", tmp_path / "page.html"
    result = run(
        "validate",
        "SGD",
        "--quick",
        "--recorded",
        "--json",
        str(files[0]),
        "--report",
        str(files[1]),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Everything held" in result.stdout
    assert "recordings of torch" in result.stdout
    assert re.search(r"SGD +\d+ +f32 f64 c64 c128 +100 +[\d,]+ +100 % +0 +0 +✓", result.stdout)
    assert "\x1b" not in result.stdout
    assert all(len(line) <= 100 for line in result.stdout.splitlines())
    found = json.loads(files[0].read_text())
    assert found["held"] is True
    assert found["torch"]["cpu_capability"] == "DEFAULT"
    assert {"torch", "cpu_capability", "device"} <= set(found["torch"])
    assert all(c["held"] and c["unequal"] == 0 and c["steps"] >= 10 for c in found["checks"])
    assert found["functions"].keys() == PUBLIC
    for name, tally in found["functions"].items():
        assert re.search(rf"^{name} +{tally['cases']} ", result.stdout, re.M)
        assert tally["problem"] == ""
        assert (tally["values"] > 0) == (name not in functions.TORCH_ALONE)
    if HAS_SKLEARN:  # what was not computed does not look as if it had been
        assert "Same weights, recorded" in " ".join(result.stdout.split())
        assert found["digits"]["SGD"]["torch"]["recorded"] is True
    page = files[1].read_text()
    assert page.count('class="chart"') == HAS_SKLEARN + 3  # and histograms and drift
    assert "<script" not in page
    assert "src=" not in page
    assert "Everything held" in page


@pytest.mark.skipif(not HAS_TORCH, reason="torch is not installed")
def test_live():
    result = run("validate", "AdamW", "--quick", "--live")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "the installed torch" in result.stdout
    assert "recorded" not in result.stdout.partition("Schedulers, averages")[0]
    assert re.search(r"^update_bn +1 +12 +0 +0 +✓", result.stdout, re.M)
    assert "random schedules" in result.stdout


def test_live_without_torch_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr(validate, "find_spec", lambda name: None)
    assert cli.main(["validate", "--live"]) == 2
    assert "torch is not installed" in capsys.readouterr().err


def test_unknown_optimizer(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["validate", "Adan"])
    assert "Adan" in capsys.readouterr().err


def test_a_failure_is_a_failure(tmp_path, monkeypatch, capsys):
    # AdamW's recording under Adam's name holds none of Adam's cases.
    for file in FOLDER.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "Adam.npz").write_bytes((FOLDER / "AdamW.npz").read_bytes())
    manifest.update(tmp_path, ["Adam.npz"])
    monkeypatch.setattr(validate, "FOLDER", tmp_path)
    assert cli.main(["validate", "Adam", "--quick", "--recorded", "--jobs", "1"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert STALE in out
    assert "checks failed" in out


def test_a_function_that_was_not_checked_is_a_failure():
    found = validate.Findings(live=False, quick=True)
    expected = PUBLIC - set(functions.TORCH_ALONE)
    assert set(validate._failures(found)) == {f"{name} was not checked" for name in expected}
    found.functions = functions.check(FOLDER / functions.FILE, live=False)
    assert validate._failures(found) == []
    assert {call.name for call in functions.calls(live=True)} == PUBLIC


def test_other_values_of_a_function_are_a_failure(tmp_path):
    with np.load(FOLDER / functions.FILE) as file:
        arrays = dict(file)
    arrays["get_swa_avg_fn: float64"][7] *= 1 + 1e-15
    arrays["StepLR: schedule 0"][3] *= 1 + 1e-9
    arrays["get_total_norm: float32 2.0"] *= np.float32(1 + 1e-5)
    del arrays["clip_grad_value_: float64"]
    np.savez(tmp_path / "other.npz", **arrays)
    found = functions.check(tmp_path / "other.npz", live=False)
    names = {"get_swa_avg_fn", "StepLR", "get_total_norm", "clip_grad_value_"}
    assert {name for name, tally in found.items() if tally.problem} == names
    assert found["get_swa_avg_fn"].unequal == 1


def test_nothing_checked_is_no_success(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(validate, "FOLDER", tmp_path)
    assert cli.main(["validate", "SGD", "--quick", "--recorded"]) == 1
    out = capsys.readouterr().out
    assert "no recording" in out
    assert "Everything held" not in out


@pytest.mark.skipif(not HAS_SKLEARN, reason="scikit-learn is not installed")
@pytest.mark.parametrize("name", digits.RUNS)
def test_digits(name):
    recorded = json.loads((FOLDER / "digits.json").read_text())["runs"][name]
    own = digits.with_optimkit(name)
    assert digits.agree(own, recorded)
    assert own.accuracy > 0.9
    assert recorded["same_weights"] == recorded["weights"]
    assert not digits.agree(digits.Training([2.0] * digits.EPOCHS, own.accuracy), recorded)
    assert not digits.agree(digits.Training(own.loss, 0.5), recorded)
    assert not digits.agree(digits.Training(own.loss[:-1], own.accuracy), recorded)


def test_backpropagation_against_differences():
    x, y = digits.weights()[0][:, :8].T.copy(), (list(range(8)))
    params = [w.astype(float) for w in digits.weights()]
    _, grads = digits.loss_and_gradients(params, x, y)
    for param, grad in zip(params, grads, strict=True):
        place = (1,) * param.ndim
        before = param[place]
        losses = []
        for shift in (1e-6, -1e-6):
            param[place] = before + shift
            losses.append(digits.loss_and_gradients(params, x, y)[0])
        param[place] = before
        assert grad[place] == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-4, abs=1e-8)


def test_no_checks_have_no_equal_bits():
    assert tables.summarize([]).bits_equal == 0


@pytest.mark.parametrize("after", [0, 1])
def test_interrupted(after, tmp_path, monkeypatch, capsys):
    """What was found so far is shown and written, and said to be a part."""

    def interrupted(work, *arguments, **more):
        for name, (function, given) in [*work.items()][:after]:
            yield name, function(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(validate, "in_processes", interrupted)
    monkeypatch.setattr(validate.parity, "ways", lambda: ([Way("blocked", "numpy")], {}))
    files = tmp_path / "x.json", tmp_path / "x.html"
    arguments = ["SGD", "--quick", "--recorded", "--jobs", "1"]
    arguments += ["--json", str(files[0]), "--report", str(files[1])]
    assert cli.main(["validate", *arguments]) == 130
    out, error = capsys.readouterr()
    if after == 0:
        assert error == "optimkit validate: interrupted before anything was found\n"
        assert os.listdir(tmp_path) == []
        return
    found = json.loads(files[0].read_text())
    assert found["interrupted"] is True
    assert found["held"] is False
    assert found["failures"] == []
    for text in (out, files[1].read_text()):
        assert "Not done: " in text
        assert "functions" in text
        assert "Unfinished; what was checked held" in text
        assert "Everything held" not in text


def test_help_names_the_commands(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    out = capsys.readouterr().out
    assert all(name in out for name in cli.COMMANDS)


def test_missing_dependency_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optimkit.validation.parity.validate", None)
    assert cli.main(["validate"]) == 2
    assert "pip install" in capsys.readouterr().err
