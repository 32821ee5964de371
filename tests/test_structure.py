"""The house: what lies where, who imports whom, and that everything public is described."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import ROOT

import optimkit as ok

ROOMS = {"optimkit": ROOT / "optimkit"}
ROOMS |= {f"optimkit.{name}": ROOT / name for name in ("backends", "validation")}
PUBLIC = ["optimkit", "optimkit.lr_scheduler", "optimkit.swa_utils"]


def modules() -> Iterator[tuple[str, Path]]:
    """Every module, by the name it installs under, and its file."""
    for room, folder in ROOMS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join([room, *parts]).removesuffix(".__init__"), path


MODULES = dict(modules())


class _Running(ast.NodeTransformer):
    """Takes away what only a type checker sees and, if `lazy`, what a function imports."""

    def __init__(self, lazy: bool) -> None:
        self.lazy = lazy

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        return None if self.lazy else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> Any:
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)


def imports(name: str, typing: bool = True) -> set[str]:
    """The modules of optimkit that a module imports, wherever the statement stands."""
    found = set()
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(MODULES[name].read_text())
    for node in ast.walk(
        tree if typing else _Running(lazy=within(name, "optimkit.validation")).visit(tree)
    ):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                outer = package.rsplit(".", node.level - 1)[0]
                base = f"{outer}.{base}".rstrip(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in MODULES else base)
    return {x for x in found if x.partition(".")[0] == "optimkit"} - {name}


# ---------------------------------------------------------------- what lies where


def test_the_top_level() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    top = {path.partition("/")[0] for path in listed if path}
    rooms = {"optimkit", "backends", "tests", "validation", "docs"}
    papers = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt", ".ci"}
    dots = {".gitignore", ".pre-commit-config.yaml", ".editorconfig"}
    assert top == rooms | papers | dots


def test_every_module_is_in_a_package_that_installs() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {n for n, path in MODULES.items() if path.name == "__init__.py"}
    assert set(project["tool"]["setuptools"]["packages"]) == packages
    homeless = {n for n in MODULES if n.rpartition(".")[0] not in packages} - {"optimkit"}
    assert not homeless
    assert set(project["project"]["optional-dependencies"]) == {
        "fused",
        "cuda12",
        "cuda13",
        "torch",
        "validation",
        "docs",
        "test",
        "all",
    }
    names = {re.split(r"[<>=]", d)[0] for d in project["project"]["dependencies"]}
    assert names == {"numpy", "array-api-compat"}


# ---------------------------------------------------------------- who imports whom

# The helpers on the shell's own floor, which know nothing above them.
FLOOR = [
    "closure_optimizer",
    "groups",
    "hooks",
    "line_search",
    "options",
    "parameter",
    "plan",
    "rounding",
    "state",
]
SHELL = {"optimkit.optimizer", *(f"optimkit.{name}" for name in FLOOR)}
# From a module (or a package and all in it) to what it may import: the first match counts.
ALLOWED: list[tuple[str, tuple[str, ...]]] = [
    ("optimkit.algorithms", ("optimkit.algorithms", *sorted(SHELL))),
    ("optimkit.lr_scheduler", ("optimkit.lr_scheduler", "optimkit.optimizer")),
    ("optimkit.swa_utils", ("optimkit.backends", "optimkit.lr_scheduler", *sorted(SHELL))),
    ("optimkit.clip", ("optimkit.backends", *sorted(SHELL))),
    ("optimkit.backends.adapters", ("optimkit.backends.adapters", "optimkit.backends.sparse")),
    ("optimkit.backends.sparse", ()),  # what a sparse gradient is, in NumPy's terms alone
    ("optimkit.backends.trace", ()),
    ("optimkit.backends.engines", ("optimkit.backends",)),
    ("optimkit.backends", ("optimkit.backends",)),
    ("optimkit.validation", ("optimkit",)),
    ("optimkit.__main__", ("optimkit.validation",)),
    ("optimkit.optimizer", ("optimkit.backends", *sorted(SHELL))),
    *[(f"optimkit.{name}", ("optimkit.backends", *sorted(SHELL))) for name in FLOOR],
]


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("name", [n for n in MODULES if n != "optimkit"])
def test_no_import_runs_upwards(name: str) -> None:
    allowed = next(targets for room, targets in ALLOWED if within(name, room))
    astray = {x for x in imports(name) if not any(within(x, target) for target in allowed)}
    assert not astray


def test_no_import_runs_in_a_circle() -> None:
    """Not even inside functions; but the commands of validation may fetch their parts when run."""
    graph = {name: imports(name, typing=False) & MODULES.keys() for name in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in graph[name]:
                # a package's face imports what is in it; that is no circle
                if not name.startswith(other + "."):
                    visit(other, (*path, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())


@pytest.mark.parametrize("name", [n for n in MODULES if n.startswith("optimkit.algorithms.")])
def test_algorithms_name_no_engine_and_no_library(name: str) -> None:
    source = ast.parse(MODULES[name].read_text())
    words = {node.id for node in ast.walk(source) if isinstance(node, ast.Name)}
    words |= {node.attr for node in ast.walk(source) if isinstance(node, ast.Attribute)}
    words |= {
        alias.name.partition(".")[0]
        for node in ast.walk(source)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    engines = {"numba", "cupy", "cuda", "torch", "eager", "blocked", "numpy", "np", "njit"}
    assert not words & engines


LIGHT = """
import sys
before = set(sys.modules)
import optimkit
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
heavy = "torch cupy numba llvmlite scipy sklearn rich ml_dtypes matplotlib platformdirs jax"
print(*sorted(loaded & set(heavy.split())))
"""


def test_import_is_light() -> None:
    run = subprocess.run(
        [sys.executable, "-c", LIGHT],
        cwd=ROOT / "tests",
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == ""


def rules() -> list[type[ok.Optimizer]]:
    found = [getattr(ok, name) for name in ok.__all__]
    return [x for x in found if isinstance(x, type) and issubclass(x, ok.Optimizer)]


@pytest.mark.parametrize("rule", [r for r in rules() if "update" in vars(r)], ids=str)
def test_a_rule_is_short(rule: type[ok.Optimizer]) -> None:
    """Under 25 lines, not counting its signature and its comments, which are the formula."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(rule.update)))
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    lines = set()
    for statement in function.body:
        for node in ast.walk(statement):
            if hasattr(node, "lineno"):
                lines |= {node.lineno, node.end_lineno}
    assert len(lines) < 25


# ---------------------------------------------------------------- what is public is described


def public() -> Iterator[tuple[str, Any]]:
    for module in PUBLIC:
        if module in MODULES:
            loaded = importlib.import_module(module)
            for name in loaded.__all__:
                value = getattr(loaded, name)
                if not isinstance(value, ModuleType):
                    yield f"{module}.{name}", value


NAMES = dict(public())


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_a_numpydoc_docstring_whose_examples_run(name: str) -> None:
    value = NAMES[name]
    text = inspect.getdoc(value)
    assert text, "no docstring"
    first, _, rest = text.partition("\n")
    assert first.endswith("."), f"the summary is one line that ends in a full stop: {first!r}"
    assert not rest or rest.startswith("\n"), "an empty line follows the summary"
    if callable(value):
        taken = [
            p
            for p in inspect.signature(value).parameters.values()
            if p.name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        ]
        if taken:
            assert "\nParameters\n----------\n" in text
            section = text.partition("\nParameters\n----------\n")[2]
            section = re.split(r"\n\n\w[\w ]*\n---", section)[0]
            for parameter in taken:
                assert re.search(rf"(^|, ){parameter.name}\b", section, re.M), parameter.name
    assert "\nExamples\n--------\n" in text
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    examples = 0
    for test in finder.find(value, name):
        examples += len(test.examples)
        runner.run(test)
    assert examples > 0
    assert runner.summarize(verbose=False).failed == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    reference = (ROOT / "docs" / "reference.md").read_text()
    assert re.search(rf"^\.\. auto(class|function):: {re.escape(name)}$", reference, re.M)


def test_the_readmes_examples_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
