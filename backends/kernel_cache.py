"""What is compiled, kept on disk between processes: generated modules, images for a device."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any


def cache_directory() -> Path | None:
    """The user's own directory of kernels, or None if there can be none.

    ``OPTIMKIT_CACHE_DIR`` overrides the platform's place for caches.
    """
    import platformdirs

    place = os.environ.get("OPTIMKIT_CACHE_DIR") or platformdirs.user_cache_dir("optimkit")
    directory = Path(place) / "kernels"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        mine = not hasattr(os, "getuid") or directory.stat().st_uid == os.getuid()
        shared = os.name == "posix" and directory.stat().st_mode & 0o022
        return directory if mine and not shared and os.access(directory, os.W_OK) else None
    except OSError:
        return None


@cache
def can_compile() -> bool:
    """Whether there is a Numba that compiles."""
    try:
        import_module("platformdirs")
        return not import_module("numba.core.config").DISABLE_JIT
    except Exception:  # it may be there and not go with the rest of what is installed
        return False


def _write(path: Path, data: bytes) -> None:
    """Put a file there whole or not at all, whoever else is writing it."""
    import tempfile  # which takes longer to import than all of this

    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        try:
            file.write(data)
            file.flush()
        except OSError:
            os.unlink(file.name)
            raise
    os.replace(file.name, path)


class CannotCompile(RuntimeError):
    """Not even anew and in memory alone."""


def _place(key: str, suffix: str) -> Path | None:
    directory = cache_directory() if find_spec("platformdirs") else None
    return directory / f"{_digest(key)}.{suffix}" if directory else None


def _digest(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:24]


def kept(key: str, suffix: str, make: Callable[[], bytes]) -> tuple[bytes, bool]:
    """Return what `make` made for this key, now or before, and whether it was now."""
    path = _place(key, suffix)
    if path is not None:
        with suppress(OSError):
            return path.read_bytes(), False
    data = make()
    if path is not None:
        with suppress(OSError):  # a disk that is full, say
            _write(path, data)
    return data, True


def discard(key: str, suffix: str) -> None:
    """Forget what is kept for this key."""
    path = _place(key, suffix)
    if path is not None:
        with suppress(OSError):
            path.unlink(missing_ok=True)


class Kernels:
    """The functions of a generated module, each compiled when it is first called.

    They are kept on disk. Those that cannot be loaded from there are replaced, and where nothing
    can be written, all is compiled in memory alone.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        try:
            self._module = _from_disk(text)
        except Exception:
            self._module = _in_memory(text)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = partial(self._call, name)
        setattr(self, name, function)
        return function

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            return getattr(self._module, name)(*arguments)
        except OSError:  # a disk that is full, say
            pass
        except Exception:  # no kernel raises: it could not be loaded, or not be compiled
            try:
                _remove(self._text)
                self._module = _from_disk(self._text)
                return getattr(self._module, name)(*arguments)
            except Exception:  # then it must do without the disk
                pass
        self._module = _in_memory(self._text)
        try:
            return getattr(self._module, name)(*arguments)
        except Exception as error:
            kind = type(error).__name__
            raise CannotCompile(f"a kernel cannot be compiled: {kind}: {error}") from error


@cache
def imported(text: str) -> Kernels:
    """Import a module of this text, from the disk cache if it is there."""
    return Kernels(text)


def _name(text: str) -> str:
    return f"kernel_{_digest(text)}"


def _cached(text: str) -> str:
    """The same module, whose kernels Numba keeps on disk."""
    return text.replace("cache=False", "cache=True")


def _in_memory(text: str) -> ModuleType:
    module = ModuleType(_name(text))
    exec(compile(text, module.__name__, "exec"), module.__dict__)
    return module


def _from_disk(text: str) -> ModuleType:
    directory = cache_directory()
    if directory is None:
        return _in_memory(text)
    text = _cached(text)
    name = _name(text)
    path = directory / f"{name}.py"
    if not path.exists() or path.read_bytes() != text.encode():
        _write(path, text.encode())
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # the disk cache finds the kernel's module by its name
    spec.loader.exec_module(module)
    return module


def _remove(text: str) -> None:
    """Remove all that is kept of a module."""
    directory = cache_directory()
    for path in directory.rglob(f"{_name(_cached(text))}*") if directory else ():
        path.unlink(missing_ok=True)
