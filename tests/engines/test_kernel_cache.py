"""Compiled kernels on disk."""

from __future__ import annotations

import os
import stat
import textwrap
from pathlib import Path

import numpy as np
import pytest
from trials import output, process

import optimkit as ok

SCRIPT = """
import sys, numpy as np, optimkit as ok
x = np.arange(3.0)
with ok.use_engine("numba"):
    opt = ok.AdamW([x], lr=0.5)
    for _ in range(3):
        opt.step(grads=[np.ones(3)])
sys.stdout.write(x.tobytes().hex())
"""


def expected_bits() -> str:
    x = np.arange(3.0)
    with ok.use_engine("eager"):
        opt = ok.AdamW([x], lr=0.5)
        for _ in range(3):
            opt.step(grads=[np.ones(3)])
    return x.tobytes().hex()


@pytest.mark.usefixtures("numba")
def test_kernels_are_kept_and_found_again(tmp_path: Path) -> None:
    where = {"OPTIMKIT_CACHE_DIR": str(tmp_path / "cache")}
    assert output(process(SCRIPT, **where)) == expected_bits()
    kernels = tmp_path / "cache" / "kernels"
    assert stat.S_IMODE(kernels.stat().st_mode) == 0o700
    written = {path: path.stat().st_mtime_ns for path in kernels.rglob("*") if path.is_file()}
    assert any(path.suffix == ".nbc" for path in written), "Numba kept no machine code"
    assert not any(path.suffix == ".tmp" for path in written)
    assert output(process(SCRIPT, **where)) == expected_bits()
    again = {path: path.stat().st_mtime_ns for path in kernels.rglob("*.nb?")}
    assert again == {path: time for path, time in written.items() if path in again}
    assert again.keys() == {path for path in written if path.suffix in (".nbc", ".nbi")}


@pytest.mark.usefixtures("numba")
def test_several_processes_fill_one_cache(tmp_path: Path) -> None:
    where = {"OPTIMKIT_CACHE_DIR": str(tmp_path)}
    running = [process(SCRIPT, **where) for _ in range(20)]
    assert {output(one) for one in running} == {expected_bits()}
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.usefixtures("numba")
def test_a_cache_that_cannot_be_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    where = {"OPTIMKIT_CACHE_DIR": str(tmp_path / "file")}
    assert output(process(SCRIPT, **where)) == expected_bits()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.usefixtures("numba")
@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o500])
def test_a_cache_that_others_may_write_to_is_not_used(tmp_path: Path, mode: int) -> None:
    if mode == 0o500 and os.getuid() == 0:
        pytest.skip("root may write anywhere")
    kernels = tmp_path / "kernels"
    kernels.mkdir()
    kernels.chmod(mode)
    assert output(process(SCRIPT, OPTIMKIT_CACHE_DIR=str(tmp_path))) == expected_bits()
    assert list(kernels.iterdir()) == []


# ---------------------------------------------------------------- what is wrong with a cache


def files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "kernels").rglob("*") if path.is_file())


@pytest.mark.usefixtures("numba")
@pytest.mark.parametrize("left", [0, 40], ids=["empty", "cut off"])
@pytest.mark.parametrize("suffix", [".py", ".nbi", ".nbc"])
def test_damaged_files_are_replaced(tmp_path: Path, suffix: str, left: int) -> None:
    where = {"OPTIMKIT_CACHE_DIR": str(tmp_path)}
    assert output(process(SCRIPT, **where)) == expected_bits()
    damaged = [path for path in files(tmp_path) if path.suffix == suffix]
    assert damaged
    for path in damaged:
        path.write_bytes(path.read_bytes()[:left])
    assert output(process(SCRIPT, **where)) == expected_bits()
    assert all(path.stat().st_size > left for path in files(tmp_path) if path.suffix == suffix)
    assert len([path for path in files(tmp_path) if path.suffix == suffix]) == len(damaged)


@pytest.mark.usefixtures("numba")
def test_a_disk_that_is_full_is_done_without(tmp_path: Path) -> None:
    full = """
        import builtins, os, tempfile
        def write(*_, **__):
            raise OSError(28, "No space left on device")
        tempfile.NamedTemporaryFile = write
    """
    script = textwrap.dedent(full) + SCRIPT
    assert output(process(script, OPTIMKIT_CACHE_DIR=str(tmp_path))) == expected_bits()
    later = """
        import numba.core.caching as caching
        def save(*_, **__):
            raise OSError(28, "No space left on device")
        caching.IndexDataCacheFile.save = save
    """
    script = textwrap.dedent(later) + SCRIPT
    assert output(process(script, OPTIMKIT_CACHE_DIR=str(tmp_path))) == expected_bits()
    assert not list(tmp_path.rglob("*.tmp"))


ANY = SCRIPT.replace('with ok.use_engine("numba"):', "if True:")
BROKEN = """
import warnings
from numba.core.dispatcher import Dispatcher
def compile(*_):
    raise RuntimeError("no such processor")
Dispatcher.compile = compile
warnings.simplefilter("always")
import optimkit as ok
"""
WITHOUT = """
assert ok.available_engines() == ["blocked", "eager"], ok.available_engines()
import numpy as np, torch
p = torch.nn.Parameter(torch.ones(40))
p.grad = torch.ones(40)
ok.clip_grad_norm_([p], 1.0)
ok.Adafactor([np.ones((3, 3))]).step(grads=[np.ones((3, 3))])
tensors = [torch.ones(3) for _ in range(40)]
optimizer = ok.SGD(tensors)
for _ in range(3):
    optimizer.step(grads=[torch.ones(3) for _ in tensors])
"""


@pytest.mark.usefixtures("numba")
def test_a_compiler_that_fails_is_done_without(tmp_path: Path) -> None:
    running = process(BROKEN + ANY + WITHOUT, OPTIMKIT_CACHE_DIR=str(tmp_path))
    out, errors = running.communicate(timeout=120)
    assert (running.returncode, out) == (0, expected_bits()), errors
    assert errors.count("the engine 'numba' does not work here") == 1
    assert "RuntimeError: no such processor" in errors


@pytest.mark.usefixtures("numba")
def test_numba_that_is_switched_off_is_no_engine(tmp_path: Path) -> None:
    where = {"OPTIMKIT_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": "1"}
    always = "import warnings; warnings.simplefilter('always')\n"
    running = process(always + ANY + WITHOUT, **where)
    out, errors = running.communicate(timeout=120)
    assert (running.returncode, out) == (0, expected_bits()), errors
    assert errors.count("RuntimeWarning") == 1
    assert "the engine 'numba' cannot be used: Numba does not work here" in errors


@pytest.mark.usefixtures("numba")
def test_numba_that_is_not_there_is_no_reason_for_a_warning(tmp_path: Path) -> None:
    absent = """
    import sys, importlib.abc
    class Absent(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "numba":
                raise ModuleNotFoundError(name)
    sys.meta_path.insert(0, Absent())
    import importlib.util
    found = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *more: None if name == "numba" else found(name, *more)
    """
    script = textwrap.dedent(absent) + ANY + WITHOUT
    assert output(process(script, OPTIMKIT_CACHE_DIR=str(tmp_path))) == expected_bits()
