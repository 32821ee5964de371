"""What is compiled, kept on disk between processes: generated modules, images for a device."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType


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


def _write(path: Path, data: bytes) -> None:
    """Put a file there whole or not at all, whoever else is writing it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        file.write(data)
    os.replace(file.name, path)


def _place(key: str, suffix: str) -> Path | None:
    directory = cache_directory() if find_spec("platformdirs") else None
    name = hashlib.sha256(key.encode()).hexdigest()[:24]
    return directory / f"{name}.{suffix}" if directory else None


def kept(key: str, suffix: str, make: Callable[[], bytes]) -> tuple[bytes, bool]:
    """Return what `make` made for this key, now or before, and whether it was now."""
    path = _place(key, suffix)
    if path is not None and path.exists():
        return path.read_bytes(), False
    data = make()
    if path is not None:
        _write(path, data)
    return data, True


def discard(key: str, suffix: str) -> None:
    """Forget what is kept for this key."""
    path = _place(key, suffix)
    if path is not None:
        path.unlink(missing_ok=True)


@cache
def imported(text: str) -> ModuleType:
    """Import a module of this text, from the disk cache if it is there.

    Where there is a disk cache, Numba keeps what it compiles: ``cache=False`` becomes true.
    """
    directory = cache_directory()
    if directory is not None:
        text = text.replace("cache=False", "cache=True")
    name = "kernel_" + hashlib.sha256(text.encode()).hexdigest()[:24]
    if directory is None:
        module = ModuleType(name)
        exec(compile(text, name, "exec"), module.__dict__)
        return module
    path = directory / f"{name}.py"
    if not path.exists():
        _write(path, text.encode())
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # the disk cache finds the kernel's module by its name
    spec.loader.exec_module(module)
    return module
