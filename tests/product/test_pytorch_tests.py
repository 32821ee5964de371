"""What the runner of PyTorch's own tests makes of their outcomes; the tests are not kept here."""

from __future__ import annotations

import runpy
import subprocess
import sys
from typing import Any

import pytest
from conftest import TESTS

PROGRAM = TESTS / "ecosystem" / "pytorch_tests.py"
THEIRS = {
    "T.test_a": "passed",
    "T.test_b": "passed",
    "T.test_c": "failed: x",
    "T.test_d": "skipped",
}
B_FAILS = {**THEIRS, "T.test_b": "failed: y", "T.test_c": "failed: z"}


@pytest.fixture
def report() -> Any:
    module = runpy.run_path(str(PROGRAM))
    expected = module["EXPECTED"]
    expected.clear()
    expected["T.test_b*"] = "a reason"
    return module["report"]


def test_what_is_expected_to_fail_does(report: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(THEIRS, B_FAILS, whole=True) == 0
    out = capsys.readouterr().out
    assert "of those 2 that pass with torch's, 1 do not" in out
    assert "expected      T.test_b*: a reason" in out


def test_what_is_not_expected_to_fail(report: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for outcome in ("failed: y", "skipped: why"):
        assert report(THEIRS, {**B_FAILS, "T.test_a": outcome}, whole=True) == 1
        assert f"NOT EXPECTED  T.test_a\n    {outcome}" in capsys.readouterr().out
    assert report(THEIRS, {"T.test_b": "failed: y"}, whole=True) == 1
    assert "NOT EXPECTED  T.test_a\n    not there" in capsys.readouterr().out


def test_what_passes_though_it_is_expected_to_fail(
    report: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(THEIRS, THEIRS, whole=True) == 1
    assert "PASSES NOW    T.test_b*" in capsys.readouterr().out
    assert report(THEIRS, THEIRS, whole=False) == 0  # as some were not asked for


def test_a_folder_without_the_tests(tmp_path: Any) -> None:
    run = subprocess.run(
        [sys.executable, PROGRAM, tmp_path], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "has no test/test_optim.py" in run.stderr
