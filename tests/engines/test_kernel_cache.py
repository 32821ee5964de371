"""Compiled kernels on disk."""

from __future__ import annotations

import os
import stat
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
    running = [process(SCRIPT, **where) for _ in range(3)]
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
