"""Every command that a page names exists, with its options, names and workloads; none is run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from generate.running import FENCE, blocks

from optimkit.validation import cli
from optimkit.validation.arguments import Refusal
from optimkit.validation.explain.own import subject_of
from optimkit.validation.explain.subjects import read_options

pytest.importorskip("rich", reason="the commands print with rich")

WRITTEN = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md", "docs/**/*.rst")
WRITTEN += ("docs/scripts/**/*.py", "docs/generate/*.py", "examples/**/*")
GENERATED = {"optimizers", "schedulers", "reference", "start", "gallery", "_build"}
CALL = re.compile(r"(?:\$ +)?(?:python -m |\S*/)?optimkit((?: .*)?)")
SHORT = rf"(?:optimkit|{'|'.join(cli.COMMANDS)}) "
INLINE = re.compile(rf"(?<!`)(`{{1,2}})({SHORT}[^`]+)\1(?!`)")
INCOMPLETE = re.compile("expected (at least )?one argument|arguments are required")


def pages() -> list[str]:
    found = {path for pattern in WRITTEN for path in ROOT.glob(pattern) if path.is_file()}
    names = [path.relative_to(ROOT) for path in found]
    return sorted(str(x) for x in names if "scripts" in x.parts or not GENERATED & {*x.parts})


def commands(text: str) -> Iterator[tuple[list[str], bool]]:
    """The arguments of each call, and whether it stands in prose, where it may be cut short."""
    for block in blocks(text):
        shell = "console" in (block.kind, block.argument) or block.kind in ("bash", "sh")
        lines = block.code.replace("\\\n", " ").splitlines() if shell else []
        for line in lines if block.options.get("status", "0") == "0" else []:
            for part in re.split("&&|;", line.partition(" #")[0]):
                if found := CALL.fullmatch(part.strip()):
                    yield shlex.split(found[1]), False
    for _, found in INLINE.findall(re.sub(r"\n *", " ", FENCE.sub("", text))):
        said = re.sub(r"\{[\w.]+\}", "Adam", found.removeprefix("optimkit "))  # what pages fill in
        yield shlex.split(said), True


def complaint(words: list[str], prose: bool, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says to its arguments before it does anything; empty if nothing."""
    try:
        _, arguments = cli.parsed(words)
        if arguments.command == "explain" and ".py:" not in arguments.name:
            subject = subject_of(arguments.name)
            read_options(subject, [pair for pair in arguments.option if pair != "…"])
    except Refusal as refusal:
        return str(refusal)
    except SystemExit as end:
        said = capsys.readouterr().err
        return said if end.code and not (prose and INCOMPLETE.search(said)) else ""
    return ""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the files lie that pages have written before."""
    monkeypatch.chdir(tmp_path)
    Path("shapes.json").write_text("[[64, 48], [48]]")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", pages())
def test_the_commands_of_a_page_exist(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words, prose in commands((ROOT / page).read_text(encoding="utf-8")):
        assert complaint(words, prose, capsys) == "", f"optimkit {shlex.join(words)}"


def test_commands_are_found() -> None:
    text = "```console\n$ .venv/bin/optimkit list && optimkit bench \\\n    SGD  # seconds\n```\n"
    text += "`import optimkit as ok`, `optimkit\nvalidate Adam`, ``bench SGD``, `optimkit`\n"
    text += "```bash\npython -m optimkit --version\npip install optimkit\n```\n"
    text += "```text\noptimkit said\n```\n```{executed} console\n:status: 2\n$ optimkit x\n```\n"
    calls = [("list", False), ("bench SGD", False), ("--version", False)]
    calls += [("validate Adam", True), ("bench SGD", True)]
    assert [(" ".join(words), prose) for words, prose in commands(text)] == calls
    counted = [len([*commands((ROOT / page).read_text(encoding="utf-8"))]) for page in pages()]
    assert sum(counted) > 50


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('bench SGD --workload "300 x 64"', "no workload is called '300 x 64'"),
        ("bench SGDD", "no optimizer is called"),
        ("bench --quik", "there is no argument --quik"),
        ("benchmark", "no command is called"),
        ("explain Adamm", "did you mean Adam"),
        ("explain Adam --option beta=1", "did you mean betas"),
    ],
)
@pytest.mark.parametrize("prose", [True, False])
def test_commands_that_do_not_exist(
    call: str, message: str, prose: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in complaint(shlex.split(call), prose, capsys)
    assert complaint(["compare", "--report"], True, capsys) == ""
    assert complaint(["compare", "--report"], False, capsys)
