"""``optimkit compare``: what it says, its exit status, and each failure in one clear line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from optimkit.validation import cli

pytest.importorskip("rich", reason="the command prints with rich")

CANDIDATES = """
import numpy as np

def good(param, grad, state, step, lr=0.01):
    total = state["sum"] + grad * grad
    return param - lr * grad / (np.sqrt(total) + 1e-10), {"sum": total}

def inside(param, grad, state, step, lr=0.01):
    total = state["sum"] + grad * grad
    return param - lr * grad / np.sqrt(total + 1e-10), {"sum": total}

def stranger(param, grad, state, step, lr=0.01):
    return param - lr * np.tanh(grad + param) ** 3, state

def failing(param, grad, state, step):
    raise KeyError("nothing here")

def leaving(param, grad, state, step):
    raise SystemExit(0)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(CANDIDATES)
    (tmp_path / "broken.py").write_text("import numpy\n\nimport no_such_module\n")
    (tmp_path / "syntax.py").write_text("x = 1\ndef f(:\n")
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "encoded.py").write_bytes(b"\xff\xfe")
    (tmp_path / "folder.py").mkdir()
    return tmp_path


def run(folder: Path, *arguments: str) -> int:
    return cli.main(["compare", *(x.replace("FOLDER", str(folder)) for x in arguments)])


def test_the_same_rule(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--quick", "FOLDER/mine.py:good", "Adagrad") == 0
    said = capsys.readouterr().out
    assert "The same rule" in said
    assert "equal in bits" in said


def test_another_rule(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--json", "FOLDER/x.json", "--report", "FOLDER/x.html"]
    status = run(folder, "--quick", "FOLDER/mine.py:inside", "adagrad", *files)
    said = capsys.readouterr().out
    assert status == 1
    assert "Another rule: eps inside the root" in said
    assert "optimkit/algorithms/adagrad.py, line " in said
    assert "- root = xp.sqrt(s) + hyper.eps" in said
    assert "+ root = xp.sqrt(s + hyper.eps)" in said
    facts = json.loads((folder / "x.json").read_text())
    assert facts["departure"] == "eps inside the root"
    assert facts["interrupted"] is False
    assert facts["same"] is False
    assert facts["explanations"][0]["lines"][0]["after"] == "root = xp.sqrt(s + hyper.eps)"
    assert facts["findings"][0]["differences"][0]["quantity"] == "param"


def test_the_page_says_what_the_terminal_says(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(folder, "--quick", "FOLDER/mine.py:inside", "adagrad", "--report", "FOLDER/x.html")
    said = capsys.readouterr().out
    page = unescape((folder / "x.html").read_text(encoding="utf-8"))
    for line in said.partition("The report is")[0].split("\n"):
        if "──" not in line and "held against" not in line:
            assert all(word in page for word in line.split()), line
    assert page.count('class="chart"') == 1
    assert "How it grows" in page


def test_a_rule_that_no_change_makes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--quick", "FOLDER/mine.py:stranger", "Adagrad") == 1
    said = capsys.readouterr().out
    assert "Another rule; no change that is known makes it" in said
    assert "Where it first differs" in said


def test_a_rule_of_ones_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "rules.py").write_text(
        "import optimkit as ok\n\n\n"
        "class Mine(ok.Optimizer):\n"
        "    def __init__(self, params, lr=0.01, **others):\n"
        "        super().__init__(params, dict(lr=lr, **others))\n\n"
        "    @staticmethod\n"
        "    def update(xp, param, grad, state, hyper, step):\n"
        "        return param - hyper.lr * grad / (xp.sqrt(xp.sum(grad * grad)) + 1e-8), {}\n\n\n"
        "def inverted(param, grad, state, step, lr=0.01):\n"
        "    return param + lr * grad / ((grad * grad).sum() ** 0.5 + 1e-8), state\n"
    )
    assert run(folder, "--quick", "FOLDER/rules.py:inverted", "FOLDER/rules.py:Mine") == 1
    said = capsys.readouterr().out
    assert "Another rule: sign" in said
    assert "rules.py, line 10" in said
    same = ["--quick", "FOLDER/rules.py:Mine", "FOLDER/rules.py:Mine", "--dtype", "float64"]
    assert run(folder, *same) == 0


def test_a_class_of_a_module(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert cli.main(["compare", "--quick", "torch.optim:Rprop", "Rprop", "--option", "lr=0.1"]) == 0
    assert "a torch optimizer; options lr=0.1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["FOLDER/mine.py", "Adagrad"], "names no candidate; give FILE.py:NAME"),
        (["FOLDER/mine.py:", "Adagrad"], "names no candidate; give FILE.py:NAME"),
        (["FOLDER/no/mine.py:x", "Adagrad"], "there is no folder FOLDER/no"),
        (["FOLDER/mne.py:x", "Adagrad"], "there is no file FOLDER/mne.py; did you mean mine.py"),
        (["FOLDER/mine.py:godo", "Adagrad"], "has nothing called godo; did you mean good?"),
        (["FOLDER/broken.py:x", "Adagrad"], "broken.py, line 3: ModuleNotFoundError: No module"),
        (["FOLDER/syntax.py:x", "Adagrad"], "syntax.py, line 2: SyntaxError"),
        (["FOLDER/leaves.py:x", "Adagrad"], "leaves.py, line 2: SystemExit: 3"),
        (
            ["FOLDER/encoded.py:x", "Adagrad"],
            "encoded.py, line 1: SyntaxError: (unicode error)",
        ),
        (["FOLDER/folder.py:x", "Adagrad"], "folder.py is a folder; give FILE.py:NAME"),
        (["FOLDER/mine.py:leaving", "Adagrad"], "the candidate raised SystemExit: 0"),
        (["no_such_package:x", "Adagrad"], "no_such_package cannot be imported"),
        (["FOLDER/mine.py:np", "Adagrad"], "it is a module; give an optimizer's class"),
        (["FOLDER/mine.py:failing", "Adagrad"], "its first steps failed: KeyError"),
        (["FOLDER/broken.py:x", "Adagrda"], "there is no optimizer called 'Adagrda'; did you"),
        (["FOLDER/broken.py:x", "FOLDER/mine.py:good"], "good is no rule; give a name, or a class"),
        (["FOLDER/mine.py:good", "Adagrad", "--dtype", "int8"], "there is no dtype int8"),
        (["FOLDER/broken.py:x", "Adagrad", "--option", "lrr=1"], "did you mean lr"),
        (["FOLDER/broken.py:x", "Adagrad", "--option", "lr=-1"], "invalid lr: -1"),
    ],
)
def test_failures(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, *arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("optimkit compare: ")
    assert said.err.count("\n") == 1
    assert message in said.err.replace(str(folder), "FOLDER")


def test_a_file_that_cannot_be_written_is_refused_first(folder: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        run(folder, "FOLDER/broken.py:x", "Adagrad", "--json", "FOLDER/no/x.json")
    assert caught.value.code == 2


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_any_terminal_of_80_columns(folder: Path, encoding: str) -> None:
    command = [sys.executable, "-m", "optimkit", "compare", "--quick"]
    command += [f"{folder}/mine.py:inside", "Adagrad"]
    environment = os.environ | {"PYTHONIOENCODING": encoding, "COLUMNS": "80"}
    result = subprocess.run(command, capture_output=True, env=environment)
    assert result.returncode == 1, result.stderr
    lines = result.stdout.decode(encoding).split("\n")
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize("after", [0, 3])
def test_interrupted(
    after: int,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was found so far is shown, and said to be a part."""
    from optimkit.validation.comparison import command

    whole = command.stages

    def stages(*arguments: Any) -> Any:
        def interrupt(result: Any) -> None:
            raise KeyboardInterrupt

        return [*whole(*arguments)[:after], ("interrupted", interrupt)]

    monkeypatch.setattr(command, "stages", stages)
    assert run(folder, "--quick", "FOLDER/mine.py:inside", "Adagrad") == 130
    said, error = capsys.readouterr()
    if after == 0:
        assert error == "optimkit compare: interrupted before anything was found\n"
        return
    assert "Another rule: eps inside the root" in said
    assert "Interrupted: this is a part. Not done: interrupted." in " ".join(said.split())
