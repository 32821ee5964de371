"""The command ``optimkit``: wrong arguments are refused before any work, and any reader will do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from optimkit.validation import cli

pytest.importorskip("rich", reason="the commands print with rich")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-W", "error", "-m", "optimkit", *arguments]
    return subprocess.run(command, capture_output=True, env=os.environ | environment)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["validate", "--json", "FOLDER/no/x.json"], "there is no folder FOLDER/no"),
        (["validate", "--report", "FOLDER/no/x.html"], "there is no folder FOLDER/no"),
        (["bench", "--json", "FOLDER/no/x.json"], "there is no folder FOLDER/no"),
        (["list", "--json", "FOLDER/no/x.json"], "there is no folder FOLDER/no"),
        (["list", "--json", "FOLDER"], "FOLDER is a folder"),
        (["validate", "--jobs", "0"], "'0' is no whole number of at least 1"),
        (["validate", "--jobs", "two"], "'two' is no whole number of at least 1"),
        (["bench", "--rounds", "0"], "'0' is no whole number of at least 1"),
        (["bench", "--rounds", "-3"], "expected one argument|no whole number"),
        (["validate", "adamw"], "no optimizer is called 'adamw'; did you mean AdamW"),
        (["validate", "qqqqqq"], "no optimizer is called 'qqqqqq'; there are SGD"),
        (["bench", "adamw"], "no optimizer is called 'adamw'; did you mean AdamW"),
        (["bench", "grops"], "no optimizer is called 'grops'; did you mean groups"),
    ],
)
def test_arguments_that_are_refused_before_any_work(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [argument.replace("FOLDER", str(tmp_path)) for argument in arguments]
    with pytest.raises(SystemExit) as caught:
        cli.main(given)
    assert caught.value.code == 2
    said = capsys.readouterr().err.replace(str(tmp_path), "FOLDER")
    assert any(part in said for part in message.split("|"))


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("lr", "a value is missing; give --option lr=VALUE"),
        ("lr=", "a value is missing; give --option lr=VALUE"),
        ("amsgrad=yes", "amsgrad is True or False, not yes"),
        ("amsgrad=1", "amsgrad is True or False, not 1"),
        ("lrr=1", "did you mean lr?"),
    ],
)
def test_options_that_are_refused(
    pair: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["explain", "Adam", "--option", pair]) == 2
    assert message in capsys.readouterr().err


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "validate" in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("arguments", [["explain", "Adam"], ["list"], ["explain", "CyclicLR"]])
def test_a_reader_of_few_characters(arguments: list[str], encoding: str) -> None:
    result = run(*arguments, PYTHONIOENCODING=encoding)
    assert result.returncode == 0, result.stderr
    assert b"Adam" in result.stdout or b"CyclicLR" in result.stdout


@pytest.mark.parametrize("arguments", [["explain", "Adam"], ["explain", "SGD", "--raw"], ["list"]])
def test_a_reader_that_has_read_enough(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "optimkit", *arguments]
    result = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert result.stderr == b""
    assert result.returncode != 0


def test_code_is_not_wrapped_where_it_is_piped() -> None:
    text = run("explain", "Adam", "--kernel", "numba", COLUMNS="40").stdout.decode()
    raw = run("explain", "Adam", "--raw").stdout.decode()
    assert {"  " + line for line in raw.split("\n") if line} <= set(text.split("\n"))
