"""Code of one's own, as ``FILE.py:NAME`` names it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from optimkit.validation.arguments import Refusal, suggestion


def load(text: str, what: str = "candidate") -> Any:
    """Return what ``FILE.py:NAME`` or ``package.module:NAME`` says; `what` it should be.

    Raises
    ------
    Refusal
        If there is no such file, module or name, or if it raises an error.
    """
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        raise Refusal(f"{text} names no {what}; give FILE.py:NAME, such as my_adam.py:Adam")
    is_file = place.endswith(".py") or "/" in place or "\\" in place
    module = _file(Path(place)) if is_file else _module(place)
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = [x for x in vars(found) if not x.startswith("_")]
            hint = suggestion(part, known, f"it has {', '.join(known[:8]) or 'none'}")
            raise Refusal(f"{place} has nothing called {part}; {hint}")
        found = getattr(found, part)
    return found


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise Refusal(f"{name} cannot be imported: {type(error).__name__}: {error}") from error


def _file(path: Path) -> Any:
    if not path.parent.is_dir():
        raise Refusal(f"there is no folder {path.parent}")
    if path.is_dir():
        raise Refusal(f"{path} is a folder; give FILE.py:NAME")
    if not path.is_file():
        near = suggestion(path.name, [x.name for x in path.parent.glob("*.py") if x.is_file()], "")
        raise Refusal(f"there is no file {path}" + (f"; {near}" if near else ""))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise Refusal(raised(error, path)) from error
    return module


def raised(error: BaseException, path: Path) -> str:
    """An error that arose in a file, with its line."""
    return f"{path}{_line(error, path)}: {type(error).__name__}: {error}"


def _line(error: BaseException, path: Path) -> str:
    """Where in a file an error arose."""
    names = (str(path), str(path.absolute()))
    if isinstance(error, SyntaxError) and error.filename in names:
        return f", line {error.lineno}"
    numbers, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in names:
            numbers.append(trace.tb_lineno)
        trace = trace.tb_next
    return f", line {numbers[-1]}" if numbers else ""
