"""The house: what lies where, who imports whom, how large and how often."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

import optimkit as ok

ROOMS = {"optimkit": ROOT / "optimkit"}
ROOMS |= {f"optimkit.{name}": ROOT / name for name in ("backends", "validation")}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module, by the name it installs under, and its file."""
    for room, folder in ROOMS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join([room, *parts]).removesuffix(".__init__"), path


MODULES = dict(modules())


class _Running(ast.NodeTransformer):
    """Takes away what only a type checker sees."""

    def visit_If(self, node: ast.If) -> Any:
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)


def imports(name: str, typing: bool = True) -> set[str]:
    """The modules of optimkit that a module imports, wherever the statement stands."""
    found = set()
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(MODULES[name].read_text())
    for node in ast.walk(tree if typing else _Running().visit(tree)):
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
    rooms = {"optimkit", "backends", "tests", "validation", "docs", "examples"}
    papers = {"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}
    papers |= {"pyproject.toml", "MANIFEST.in", "constraints.txt", "CITATION.cff", ".ci"}
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
        "safetensors",
        "validation",
        "docs",
        "test",
        "ecosystem",
        "all",
    }
    names = {re.split(r"[<>=]", d)[0] for d in project["project"]["dependencies"]}
    assert names == {"numpy", "array-api-compat"}


# ---------------------------------------------------------------- who imports whom

# The helpers on the shell's own floor, which know nothing above them.
FLOOR = [
    "checkpoint",
    "closure_optimizer",
    "differentiable",
    "file_format",
    "gradients",
    "groups",
    "hooks",
    "line_search",
    "naming",
    "norms",
    "options",
    "parameter",
    "reasons",
    "replacing",
    "rounding",
    "rule",
    "state",
    "stepper",
    "torch_class",
    "torch_optimizer",
    "typing",
]
SHELL = {"optimkit.optimizer", *(f"optimkit.{name}" for name in FLOOR)}
ADAPTERS = ("optimkit.backends.adapters", "optimkit.backends.sparse")
# From a module (or a package and all in it) to what it may import: the first match counts.
ALLOWED: list[tuple[str, tuple[str, ...]]] = [
    (
        "optimkit.algorithms",
        ("optimkit.algorithms", "optimkit.backends.reductions", *sorted(SHELL)),
    ),
    (
        "optimkit.lr_scheduler",
        (
            "optimkit.lr_scheduler",
            "optimkit.optimizer",
            "optimkit.options",
            "optimkit.torch_class",
            "optimkit.typing",
        ),
    ),
    (
        "optimkit.swa_utils",
        ("optimkit.swa_utils", "optimkit.backends", "optimkit.lr_scheduler", *sorted(SHELL)),
    ),
    ("optimkit.wrappers", ("optimkit.wrappers", "optimkit.backends", *sorted(SHELL))),
    ("optimkit.torch", tuple(sorted(SHELL))),
    (
        "optimkit.functional",
        (
            "optimkit.functional",
            "optimkit.algorithms",
            "optimkit.backends",
            "optimkit.lr_scheduler",
            *sorted(SHELL),
        ),
    ),
    ("optimkit.clip", ("optimkit.backends", *sorted(SHELL))),
    ("optimkit.saving", ("optimkit.backends", *sorted(SHELL))),
    ("optimkit.backends.adapters", (*ADAPTERS, "optimkit.backends.kernel_cache")),
    ("optimkit.backends.sparse", ()),  # what a sparse gradient is, in NumPy's terms alone
    ("optimkit.backends.kernel_cache", ()),
    ("optimkit.backends.program", ()),
    ("optimkit.backends.masters", ()),
    ("optimkit.backends.trace", ("optimkit.backends.program", "optimkit.backends.masters")),
    ("optimkit.backends.kept_trace", ("optimkit.backends.program", "optimkit.backends.trace")),
    ("optimkit.backends.memory", ADAPTERS),
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
    """Not even inside functions, and not even through the face of a package."""
    graph = {name: imports(name, typing=False) & MODULES.keys() for name in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())


def room_of(name: str) -> str:
    return next(room for room in reversed(ROOMS) if within(name, room))


def test_no_module_imports_the_face_of_its_own_package() -> None:
    """What is in `a/b.py` is imported from there by the rest of `a`, not from `a`."""
    faces = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    astray = {
        f"{name} imports {face}"
        for name in MODULES
        for face in imports(name, typing=False) & faces
        if within(name, face) and room_of(name) == room_of(face)
    }
    assert not astray


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
print(*sorted(loaded & {*heavy.split(), "safetensors"}))
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


# ---------------------------------------------------------------- small, and each thing once

TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}
REGISTRY = "optimkit.backends.engines.choice"


@pytest.mark.parametrize("name", MODULES)
def test_a_file_is_short(name: str) -> None:
    lines = MODULES[name].read_text().count("\n")
    assert lines <= 350


def found(kind: type[ast.AST], *rooms: str) -> Iterator[tuple[str, Any]]:
    """Every node of a kind in these rooms (in all of them, if none is named), and its module."""
    for name, tree in TREES.items():
        if not rooms or room_of(name) in rooms:
            for node in ast.walk(tree):
                if isinstance(node, kind):
                    yield name, node


def test_no_two_classes_have_one_name() -> None:
    where: dict[str, list[str]] = {}
    for name, node in found(ast.ClassDef):
        where.setdefault(node.name, []).append(name)
    assert {kind: names for kind, names in where.items() if len(names) > 1} == {}


def test_one_function_at_most_is_called_prepare() -> None:
    """A method that is abstract or overrides one is a thing of its own kind: an engine's."""
    classes = {node.name: node for _, node in found(ast.ClassDef)}

    def those_in(body: list[ast.stmt]) -> list[ast.FunctionDef]:
        return [x for x in body if isinstance(x, ast.FunctionDef) and x.name == "prepare"]

    def overrides(kind: ast.ClassDef) -> bool:
        bases = [classes[x] for x in map(ast.unparse, kind.bases) if x in classes]
        return any(those_in(base.body) or overrides(base) for base in bases)

    places = [name for name, tree in TREES.items() if those_in(tree.body)]
    for name, kind in found(ast.ClassDef):
        for method in those_in(kind.body):
            abstract = "abstractmethod" in map(ast.unparse, method.decorator_list)
            if not abstract and not overrides(kind):
                places.append(f"{name}.{kind.name}")
    assert len(places) <= 1, places


def test_the_names_of_the_engines_are_listed_in_one_place() -> None:
    engines = {"numba", "blocked", "eager"}  # "cuda" is also what a device is called
    astray = []
    for kind in (ast.List, ast.Tuple, ast.Set):
        for name, node in found(kind):
            words = {x.value for x in node.elts if isinstance(x, ast.Constant)}
            if name != REGISTRY and not engines.isdisjoint(words):
                astray.append(f"{name}:{node.lineno}")
    assert not astray


def calls_of(name: str, *rooms: str) -> list[str]:
    return [
        f"{module}:{node.lineno}"
        for module, node in found(ast.Call, *rooms)
        if isinstance(node.func, ast.Name) and node.func.id == name
    ]


def test_text_is_run_in_one_place_alone() -> None:
    """Where a generated kernel becomes a module."""
    rooms = "optimkit", "optimkit.backends"
    assert calls_of("eval", *rooms) == []
    places = calls_of("exec", *rooms)
    assert len(places) <= 1, places
    assert all(place.startswith("optimkit.backends.kernel_cache:") for place in places)


def test_errors_are_given_a_name_in_one_place() -> None:
    """Where an error is raised again with the parameter that it is about."""
    places = []
    for name, node in found(ast.Raise, "optimkit"):
        if isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Call):
            places.append(f"{name}:{node.lineno}")
    assert len(places) <= 1, places
