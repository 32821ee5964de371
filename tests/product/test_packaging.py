"""Wheel, sdist and editable install: built, installed where nothing else is, and imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

# Modules that are for a library and import it at their top.
EXTRAS = {
    "optimkit.backends.adapters.cupy": "cupy",
    "optimkit.backends.adapters.dtensor": "torch",
    "optimkit.backends.adapters.jax": "jax",
    "optimkit.backends.adapters.torch": "torch",
    "optimkit.backends.autograd.adapter": "torch",
    "optimkit.backends.autograd.namespace": "torch",
    "optimkit.backends.autograd.recorded_number": "torch",
    "optimkit.backends.autograd.root": "torch",
    "optimkit.functional.jax_arrays": "jax",
    "optimkit.functional.tensors": "torch",
    "optimkit.lr_scheduler.torch_scheduler": "torch",
    "optimkit.swa_utils.averaged_module": "torch",
    "optimkit.torch": "torch",
    "optimkit.torch_optimizer": "torch",
    "optimkit.wrappers.torch_wrapper": "torch",
}

IMPORT_ALL = """
import importlib, json, sys, warnings
warnings.simplefilter("error")
import optimkit
outcome = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        outcome[name] = None
    except ImportError as error:
        outcome[name] = [error.name, str(error)]
print(json.dumps({"where": list(optimkit.__path__), "outcome": outcome}))
"""
USE = """
import numpy as np, optimkit as ok
assert ok.available_engines() == ["blocked", "eager"], ok.available_engines()
x = np.ones(3)
ok.Adam([x], lr=0.5, eps=0.0).step(grads=[np.ones(3)])
assert x.tolist() == [0.5] * 3
"""


STRICT = ("--config-settings", "editable_mode=strict")  # as in the README
TYPED_CALLS = Path(__file__).with_name("typed_calls.py")


def run(*command: object, cwd: Path) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(x) for x in command], cwd=cwd, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copied_source(place: Path) -> Path:
    """The files of the project without what earlier builds left among them."""
    left = ("build", "dist", "*.egg-info", "__pycache__", "_build", "node_modules")
    tools = (".git", ".venv", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, place, ignore=shutil.ignore_patterns(*left, *tools))
    return place


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel made from it, built with what is installed here."""
    place = tmp_path_factory.mktemp("built")
    source = copied_source(place / "source")
    run(
        sys.executable, "-m", "build", "--no-isolation", "--outdir", place / "dist", source,
        cwd=place,
    )  # fmt: skip
    (sdist,) = (place / "dist").glob("*.tar.gz")
    (wheel,) = (place / "dist").glob("*.whl")
    return sdist, wheel


def sources() -> set[str]:
    """Every file of the three packages, by the path it installs under."""
    found = set()
    for room, folder in (
        ("optimkit", "optimkit"),
        *((f"optimkit/{n}", n) for n in ("backends", "validation")),
    ):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found.add(f"{room}/{path.relative_to(ROOT / folder).as_posix()}")
    return found


def test_the_wheel_has_every_file_and_no_other(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (metadata,) = (n for n in wheel.namelist() if n.endswith("/METADATA"))
        text = wheel.read(metadata).decode()
    assert names == sources()
    assert "optimkit/py.typed" in names
    core = [x for x in text.split("\n") if x.startswith("Requires-Dist") and "extra ==" not in x]
    assert [x.split()[1].split(">")[0] for x in core] == ["numpy", "array-api-compat"]


def test_the_sdist_can_build_the_wheel_again(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE"} <= names
    for path in (ROOT / "tests").rglob("*.py"):  # helpers and conftest too: it can test itself
        assert path.relative_to(ROOT).as_posix() in names
    for path in sources():  # `build` made the wheel from the sdist, so this is a second proof
        inside = path.removeprefix("optimkit/")
        room = inside.partition("/")[0]
        assert (inside if room in ("backends", "validation") else path) in names


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with NumPy and array-api-compat and nothing else."""
    place = tmp_path_factory.mktemp("empty") / "venv"
    venv.create(place, with_pip=True)
    python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
    constraints = ["-c", ROOT / "constraints.txt"]
    run(python, "-m", "pip", "install", "-q", *constraints, "numpy", "array-api-compat", cwd=place)
    return python


def check_imports(python: Path, cwd: Path) -> list[str]:
    import json

    modules = sorted(
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in sources()
        if path.endswith(".py") and not path.endswith("/__main__.py")
    )
    result = json.loads(run(python, "-W", "error", "-c", IMPORT_ALL, *modules, cwd=cwd))
    for name, failure in result["outcome"].items():
        if failure is None:
            assert name not in EXTRAS
        elif name in EXTRAS:
            assert failure[0] == EXTRAS[name]
        else:  # only what is for checking optimkit may need more than optimkit does
            assert name.startswith("optimkit.validation."), (name, failure)
            assert failure[0], f"{name}: an error that names what is missing, not {failure[1]!r}"
    run(python, "-W", "error", "-c", USE, cwd=cwd)
    where: list[str] = result["where"]
    return where


def test_the_wheel_alone(built: tuple[Path, Path], empty: Path, tmp_path: Path) -> None:
    source = copied_source(tmp_path / "source")
    run(empty, "-m", "pip", "install", "-q", "--no-deps", built[1], cwd=tmp_path)
    try:
        (where,) = check_imports(empty, tmp_path)
        assert "site-packages" in where
        # In a clone's root Python finds its optimkit/, without backends/ in it, first.
        for cwd in (tmp_path, source):
            assert run(empty, "-m", "optimkit", "--version", cwd=cwd).startswith("optimkit ")
        assert check_imports(empty, source)[0] == str(source / "optimkit")
    finally:
        run(empty, "-m", "pip", "uninstall", "-q", "-y", "optimkit", cwd=tmp_path)


@pytest.fixture(params=[(), STRICT], ids=["plain", "strict"])
def editable(request: pytest.FixtureRequest, empty: Path, tmp_path: Path) -> Iterator[Path]:
    """A clone that is installed as editable, in the way that pip does and in the README's."""
    source = copied_source(tmp_path / "source")
    run(empty, "-m", "pip", "install", "-q", "setuptools>=77", cwd=tmp_path)
    run(
        empty, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", *request.param,
        "-e", source, cwd=tmp_path,
    )  # fmt: skip
    yield source
    run(empty, "-m", "pip", "uninstall", "-q", "-y", "optimkit", cwd=tmp_path)


def test_an_editable_install(editable: Path, empty: Path, tmp_path: Path) -> None:
    for cwd in (tmp_path, editable):  # from inside the source too, where optimkit/ lies about
        where = Path(check_imports(empty, cwd)[0])
        assert (where / "optimizer.py").resolve() == editable / "optimkit" / "optimizer.py"
        assert run(empty, "-m", "optimkit", "--version", cwd=cwd).startswith("optimkit ")


CHECKERS = {
    "mypy": (sys.executable, "-m", "mypy", "--strict", "--python-executable"),
    "pyright": ("pyright", "--pythonpath"),
}


@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize("editable", [STRICT], ids=["strict"], indirect=True)
def test_type_checkers_follow_the_install(
    checker: str, editable: Path, empty: Path, tmp_path: Path
) -> None:
    """They find every module, and see which calls are wrong."""
    command = CHECKERS[checker]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{checker} is not installed")
    shutil.copy(TYPED_CALLS, tmp_path)
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text('{"reportUnnecessaryTypeIgnoreComment": "error"}')
    run(*command, empty, TYPED_CALLS.name, cwd=tmp_path)
