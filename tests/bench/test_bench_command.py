"""``optimkit bench``: what it is asked, what it writes, and its exit status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from optimkit.validation import cli
from optimkit.validation.bench import bench, implementations, measurement, workloads
from optimkit.validation.bench.alone import Alone
from optimkit.validation.bench.bounds import subjects
from optimkit.validation.bench.implementations import PEERS, Implementation
from optimkit.validation.bench.measure import Bound

pytest.importorskip("rich", reason="the commands print with rich")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small workloads, no rests, no processes, and the threads as they were."""
    monkeypatch.setenv("OPTIMKIT_NUM_THREADS", "2")
    for name in ("300x64", "1M"):
        monkeypatch.setitem(workloads.WORKLOADS, name, [5, 3])
    plain = measurement.endless_turns
    monkeypatch.setattr(measurement, "endless_turns", partial(plain, rest=0.0))
    monkeypatch.setattr(bench, "alone", lambda one, optimizer: Alone(0.5, None, 1.0))
    monkeypatch.setattr(bench, "busy", lambda: "")
    try:
        import torch
    except ImportError:
        yield
        return
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_it_says_what_it_does_before_libraries_are_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []

    @contextmanager
    def watching(name: str, seconds: float) -> Iterator[None]:
        seen.append("begin")
        yield
        seen.append("end")

    plain = bench.set_threads
    monkeypatch.setattr(bench, "watching", watching)
    monkeypatch.setattr(bench, "set_threads", lambda args: (seen.append("torch"), plain(args)))
    assert cli.main([*FAST, "numpy", "--quick"]) == 0
    assert seen == ["begin", "torch", "end"]


FAST = ["bench", "AdamW", "--workload", "300x64", "--rounds", "5", "--peers"]


def test_a_run_shows_and_writes_everything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, page = tmp_path / "x.json", tmp_path / "x.html"
    given = [*FAST, "numpy", "--json", str(data), "--report", str(page)]
    assert cli.main(given) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "AdamW: time relative to numpy" in said
    assert "same-traffic" in said
    assert "each in a process of its own" in said
    found = json.loads(data.read_text())
    assert {"processor", "engines", "threads", "NumPy", "command"} <= {*found["conditions"]}
    assert found["conditions"]["threads"] == "2"
    turns = found["seconds"]["AdamW"]["300x64"]
    assert len(turns) >= 5
    assert all(seconds > 0 for turn in turns for seconds in turn.values())
    assert {"numpy", "numpy again", "eager", "same-traffic"} <= {*turns[0]}
    ratio = found["ratios"]["AdamW"]["300x64"]["eager"]
    assert ratio["low"] <= ratio["middle"] <= ratio["high"]
    (verdict,) = found["verdicts"]
    assert verdict["outcome"] in ("faster", "slower", "as fast", "unclear")
    assert found["alone"]["AdamW"]["eager"] == {"first": 0.5, "cached": None, "memory": 1.0}
    assert found["failures"] == []
    assert found["interrupted"] is False
    assert "<svg" in page.read_text()


def test_without_peers_the_engines_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(FAST) == 0
    assert "AdamW: time relative to eager" in " ".join(capsys.readouterr().out.split())


def test_bounds_are_shown_only_if_asked_for_and_change_no_exit_status(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main([*FAST, "numpy"]) == 0
    assert "What it must reach" not in " ".join(capsys.readouterr().out.split())
    missed = [Bound("a bound", 2.0, 1.0)]
    monkeypatch.setattr(bench, "step_bounds", lambda table: missed)
    assert cli.main([*FAST, "numpy", "--bounds"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "What it must reach" in said
    assert "missed" in said


def other(name: str, given: Any) -> Any:
    made = implementations._pasted("SGD", given)
    return implementations.Stepping(made.step, made.params)


@pytest.mark.parametrize("make", [other, lambda name, given: 1 / 0])
def test_a_peer_that_fails_is_an_exit_status_of_1(
    make: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Implementation("bad", "", workloads.OPTIMIZERS, make, "made up")
    monkeypatch.setattr(implementations, "PEERS", [*PEERS, bad])
    monkeypatch.setattr(bench, "PEERS", [*PEERS, bad])
    assert cli.main([*FAST, "numpy", "bad"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "AdamW, 300x64: bad is left out" in said
    assert "eager" in said


def test_a_process_that_fails_is_an_exit_status_of_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(one: Implementation, optimizer: str) -> Alone:
        raise RuntimeError("killed")

    monkeypatch.setattr(bench, "alone", failing)
    assert cli.main([*FAST, "numpy"]) == 1
    assert cli.main([*FAST, "numpy", "--quick"]) == 0  # which starts none


def test_ctrl_c_leaves_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(one: Implementation, optimizer: str) -> Alone:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "alone", interrupted)
    data = tmp_path / "x.json"
    assert cli.main([*FAST, "numpy", "--json", str(data)]) == 130
    said = " ".join(capsys.readouterr().out.split())
    assert "Interrupted" in said
    assert "by itself" in said
    found = json.loads(data.read_text())
    assert found["interrupted"] is True
    assert found["seconds"]["AdamW"]["300x64"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Adm"], "no optimizer is called 'Adm'; did you mean Adam"),
        (["--workload", "1x1M"], "no workload is called '1x1M'; did you mean 1M"),
        (["--workload", "ResNet50"], "no workload is called 'ResNet50'; did you mean resnet50"),
        (["--workload", "GPT-2"], "no workload is called 'GPT-2'; did you mean gpt2"),
        (["--workload", "300 x 64"], "'300 x 64'; did you mean 300x64"),
        (["--workload", "qqqq"], "there are mlp, 300x64"),
        (["--workload", "qqqq"], "28x4096 is 28 tensors of 4,096, and FILE.json has shapes"),
        (["--workload", "0x64"], "0x64 is nothing to step; give 1x1 at least"),
        (["--workload", "64x0"], "64x0 is nothing to step"),
        (["--workload", "-3x64"], "expected at least one argument"),
        (["--workload", "1x9999999999999"], "1x9999999999999 takes 40,000.0 GB before any step"),
        (
            ["--workload", "9999999999999x1"],
            "9999999999999x1 takes 10,040,000.0 GB before any step",
        ),
        (["--workload", f"{9 * '1234567890'}x1"], "is more than any memory holds"),
        (["--workload", "no.json"], "no.json cannot be read: No such file"),
        (["--peers", "torch"], "no peer is called 'torch'; did you mean"),
        (["--threads", "0"], "'0' is no whole number of at least 1"),
        (["--report", "x.txt"], ".html"),
    ],
)
def test_names_that_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(arguments, capsys)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main(["bench", *arguments])
    assert caught.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no JSON: Expecting value"),
        ("[[64, 48]", "is no JSON: Expecting"),
        ("[" * 100_000, "is no JSON: maximum recursion"),
        ("\udcff", "is no JSON: 'utf-8' codec"),
        ("3", "holds no list of shapes, such as [[64, 48], [48]]"),
        ('"28x4096"', "holds no list of shapes"),
        ("[]", "holds no shapes; give one at least"),
        ("{}", "holds no shapes"),
        ("[64, 48]", "tensor 0: 64 is no shape; give whole numbers of at least 1"),
        ("[[64], [64, -48]]", "tensor 1: [64, -48] is no shape"),
        ("[[64, 0]]", "[64, 0] is no shape"),
        ("[[64.0]]", "[64.0] is no shape"),
        ("[[true]]", "[true] is no shape"),
        ("[[NaN]]", "[NaN] is no shape"),
        ('{"bias": "48"}', 'tensor bias: "48" is no shape'),
        ('{"layer": {"bias": [48]}}', "tensor layer: {"),
        ("[[1000000, 1000000, 1000000]]", "takes 4,000,000,000.0 GB before any step"),
    ],
)
def test_files_of_shapes_that_are_refused(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "shapes.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    said = refused(["--workload", str(file)], capsys)
    assert str(file) in said
    assert message in said


def test_shapes_of_ones_own_are_timed_and_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("listed.json").write_text("[[4, 3], [3], []]")
    Path("named.JSON").write_text('{"weight": [4, 3], "bias": [3]}')
    names = ["listed.json", "named.JSON", "5x7", "listed.json"]
    given = ["bench", "SGD", "--quick", "--peers", "numpy", "--rounds", "5"]
    assert cli.main([*given, "--json", "x.json", "--workload", *names]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "SGD, shapes of your own: on listed.json" in said
    assert "listed.json: 3 tensors, 16 elements" in said
    assert "named.JSON: 2 tensors, 15 elements" in said
    assert "5x7: 5 tensors, 35 elements" in said
    assert [*json.loads(Path("x.json").read_text())["seconds"]["SGD"]] == names[:3]


def test_what_fits_no_memory_besides_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measurement, "free_memory", lambda: 100_000)
    assert cli.main([*FAST[:2], "--quick", "--workload", "2x10000", "3x5"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "AdamW, 2x10000 is left out: it takes" in said
    assert "3x5: 3 tensors, 15 elements" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workload", "100M"], "100M is measured with --device cuda alone"),
        (["--device", "cuda", "--peers", "optax"], "--peers chooses among those on the processor"),
        (["--device", "cuda", "groups"], "groups is not measured on a device; there are costs"),
        (["--device", "cuda", "--workload", "300x64"], "300x64 is not measured on a device"),
    ],
)
def test_what_contradicts_itself_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_peer_that_is_not_here_is_refused_only_if_it_was_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = implementations.find_spec
    monkeypatch.setattr(
        implementations, "find_spec", lambda name: None if name == "optax" else real(name)
    )
    assert cli.main([*FAST, "optax"]) == 2
    assert "optax cannot be timed: optax is not installed" in capsys.readouterr().err
    _, absent = bench.chosen_implementations(None)
    assert absent["optax"] == "optax is not installed"
    assert "--peers torch-compiled" in absent.get("torch-compiled", "--peers torch-compiled")


def test_a_subject_is_measured_and_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made_up = ("costs", (), lambda module, rounds, names: ([], [Bound("a cost", 3.0, 2.0, "µs")]))
    monkeypatch.setitem(subjects.SUBJECTS, "costs", made_up)
    assert cli.main(["bench", "costs"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "3.00 µs" in said
    assert "missed" not in said
    monkeypatch.setitem(subjects.SUBJECTS, "costs", ("costs", ("no_such_library",), made_up[2]))
    assert cli.main(["bench", "costs"]) == 2
    assert "costs is measured beside no_such_library" in capsys.readouterr().err


def test_a_busy_machine_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(bench.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(bench.os, "getloadavg", lambda: (0.5, 0.0, 0.0), raising=False)
    assert bench.busy() == ""
    monkeypatch.setattr(bench.os, "getloadavg", lambda: (3.9, 0.0, 0.0), raising=False)
    assert "the load was 3.9 on 4 processors" in bench.busy()
