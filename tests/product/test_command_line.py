"""The command ``optimkit``: wrong arguments are refused before any work, and any reader will do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from optimkit.validation import cli
from optimkit.validation.arguments import one_of

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
        (["list", "--json", ""], "the name of a file is missing"),
        (["list", "--json", "x" * 300], "ame too long"),
        (["list", "--json", "a\0b"], "null byte|null character"),
        (["validate", "--report", "FOLDER/x.json"], "ends in .html, such as FOLDER/x.html"),
        (
            ["compare", "--report", "FOLDER/x", "a:b", "Adam"],
            "ends in .html, such as FOLDER/x.html",
        ),
        (["validate", "--json", "FOLDER/x.html"], "is the name of a page; --report writes one"),
        (["validate", "--live", "--recorded"], "not allowed with argument --live"),
        (["valdate"], "no command is called 'valdate'; did you mean validate?"),
        (["qqqq", "--json", "x"], "no command is called 'qqqq'; there are validate, compare"),
        (["validate", "--jsn", "x"], "there is no argument --jsn; did you mean --json"),
        (["list", "--zzzz"], "there is no argument --zzzz; optimkit list --help says what"),
        (["--zzzz"], "there is no argument --zzzz; optimkit --help says what there is"),
        (["compare", "a.py:b"], "required: OPTIMIZER; optimkit compare --help says what there is"),
        (["explain"], "required: NAME; optimkit explain --help says what there is"),
        (["explain", "Adam", "--kernel", "numa"], "invalid choice: 'numa'"),
        (["explain", "StepLR", "--plot", "FOLDER/no/x.png"], "there is no folder FOLDER/no"),
        (["explain", "StepLR", "--steps", "0"], "'0' is no whole number of at least 1"),
        (["validate", "--jobs", "0"], "'0' is no whole number of at least 1"),
        (["validate", "--jobs", "two"], "'two' is no whole number of at least 1"),
        (["bench", "--rounds", "0"], "'0' is no whole number of at least 1"),
        (["bench", "--rounds", "-3"], "expected one argument|no whole number"),
        (["validate", "adamww"], "no optimizer is called 'adamww'; did you mean AdamW"),
        (["validate", "qqqqqq"], "no optimizer is called 'qqqqqq'; there are SGD"),
        (["bench", "adamww"], "no optimizer is called 'adamww'; did you mean AdamW"),
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
    out, error = capsys.readouterr()
    said = error.replace(str(tmp_path), "FOLDER")
    assert out == ""
    assert said.startswith(f"optimkit {given[0]}: " if given[0] in cli.COMMANDS else "optimkit: ")
    assert said.count("\n") == 1
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


def test_names_are_known_in_any_case() -> None:
    read = one_of("optimizer", ["AdamW", "adam", "Adam"])
    assert [read(x) for x in ("adamw", "ADAMW", "adam", "Adam")] == [
        "AdamW",
        "AdamW",
        "adam",
        "Adam",
    ]


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "validate" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["validate", "--record", "--json", "FOLDER/x.json"], "recordings, and nothing for --json"),
        (["validate", "--record", "--quick"], "recordings, and nothing for --quick"),
        (["compare", "FOLDER:adam", "Adam"], "FOLDER is a folder; give FILE.py:NAME"),
        (["explain", "Adm"], "no optimizer or scheduler called 'Adm'; did you mean Adam"),
    ],
)
def test_what_contradicts_itself_or_is_not_there(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from optimkit.validation.parity import validate

    monkeypatch.setattr(validate, "find_spec", lambda name: object())  # as if torch were there
    given = [argument.replace("FOLDER", f"{tmp_path}/") for argument in arguments]
    assert cli.main(given) == 2
    out, error = capsys.readouterr()
    said = error.replace(f"{tmp_path}/", "FOLDER").replace(str(tmp_path), "FOLDER")
    assert out == ""
    assert said.startswith(f"optimkit {given[0]}: ")
    assert said.count("\n") == 1
    assert message in said


def test_without_rich_nothing_is_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["validate"], ["compare", "a.py:b", "Adam"], ["bench"], ["list"]):
        monkeypatch.setitem(sys.modules, "rich.console", None)
        assert cli.main(command) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"optimkit {command[0]}: ")
        assert "rich" in error
        assert error.endswith("try pip install 'optimkit[validation]'\n")
        assert error.count("\n") == 1


def test_interrupted_before_anything_was_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from optimkit.validation.explain import listing

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(listing, "run", interrupt)
    assert cli.main(["list"]) == 130
    assert capsys.readouterr().err == "optimkit list: interrupted before anything was found\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no such device here")
@pytest.mark.parametrize("arguments", [["explain", "StepLR"], ["explain", "SGD", "--raw"]])
def test_a_full_disk(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "optimkit", *arguments]
    with open("/dev/full", "w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    said = f"optimkit {arguments[0]}: the output could not be written: No space left on device\n"
    assert (result.returncode, result.stderr) == (2, said)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_that_is_closed(stream: str) -> None:
    code = f"import os, sys; os.close({1 if stream == 'stdout' else 2}); sys.{stream} = None"
    code += "; from optimkit.validation.cli import main; sys.exit(main(['explain', 'StepLR']))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_formulas_are_spelled_in_ascii() -> None:
    text = run("explain", "Adam", PYTHONIOENCODING="ascii").stdout.decode("ascii")
    assert "beta1" in text
    assert "sqrt" in text
    assert "?" not in text


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
    assert result.returncode == 128 + 13


def test_code_is_not_wrapped_where_it_is_piped() -> None:
    text = run("explain", "Adam", "--kernel", "numba", COLUMNS="40").stdout.decode()
    raw = run("explain", "Adam", "--raw").stdout.decode()
    assert {"  " + line for line in raw.split("\n") if line} <= set(text.split("\n"))
