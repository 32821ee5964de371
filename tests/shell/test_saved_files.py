"""Files of checkpoints: where they are put, what a crash leaves, and damage of every kind."""

from __future__ import annotations

import json
import os
import random
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from conftest import array

import optimkit as ok
from optimkit import lr_scheduler

# How often a process is killed while it saves: 20 times, or as often as OPTIMKIT_KILLS says.
KILLS = int(os.environ.get("OPTIMKIT_KILLS", "20"))
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.safetensors"


# ---------------------------------------------------------------- where they are put


@pytest.mark.parametrize("form", [str, Path, os.fsencode])
def test_a_path_may_have_any_form(form: Callable[[Any], Any], path: Path) -> None:
    ok.save(1, form(path))
    assert ok.load(form(path)) == 1
    assert os.listdir(path.parent) == [path.name]


def test_a_path_may_be_relative_and_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    for name in ("plain", "é" * 100, "x" * 255):
        ok.save(1, name)
        assert ok.load(name) == 1


def test_what_is_not_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with pytest.raises(FileNotFoundError, match=r"checkpoint\.safetensors"):
        ok.load(path)
    with pytest.raises(FileNotFoundError, match=r"no such folder to save in: '.*nowhere'"):
        ok.save(1, path.parent / "nowhere" / "x")
    with pytest.raises(FileNotFoundError, match=r"no such folder to save in: '.*~'"):
        ok.save(1, "~/x")
    for use in (ok.load, lambda path: ok.save(1, path)):
        with pytest.raises(OSError, match="directory"):
            use(path.parent)
    with pytest.raises(TypeError, match="PathLike"):
        ok.save(str(path), ok.SGD([array(1.0)]))  # type: ignore[arg-type]
    with path.open("wb") as file, pytest.raises(TypeError, match="PathLike"):
        ok.save(1, file)  # type: ignore[arg-type]


@POSIX
def test_modes_are_those_of_open(path: Path) -> None:
    old = os.umask(0o027)
    try:
        ok.save(1, path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    ok.save(2, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    path.chmod(0o444)
    if not os.access(path, os.W_OK):  # it is for root
        with pytest.raises(PermissionError):
            ok.save(3, path)
        assert ok.load(path) == 2


@POSIX
def test_a_link_is_followed(path: Path) -> None:
    target = path.parent / "folder" / "target"
    target.parent.mkdir()
    path.symlink_to(target)
    for value in (1, 2):
        ok.save(value, path)
        assert path.is_symlink()
        assert ok.load(target) == value
    assert os.listdir(target.parent) == ["target"]


@POSIX
def test_what_is_no_file_is_not_replaced(path: Path) -> None:
    os.mkfifo(path)
    for special in (path, Path("/dev/null")):
        with pytest.raises(OSError, match="not a regular file"):
            ok.save(1, special)
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@POSIX
def test_who_has_the_old_file_open_goes_on_reading_it(path: Path) -> None:
    ok.save(array(1.0), path)
    before = path.read_bytes()
    with path.open("rb") as file:
        ok.save(array(2.0), path)
        assert file.read() == before
    assert ok.load(path).item() == 2.0


def test_what_was_loaded_does_not_hang_on_the_file(path: Path) -> None:
    ok.save({"x": array(1.0, 2.0), "y": torch.ones(2)}, path)
    saved = ok.load(path)
    path.write_bytes(b"\xff" * path.stat().st_size)
    assert saved["x"].tolist() == [1.0, 2.0]
    assert saved["y"].tolist() == [1.0, 1.0]


# ---------------------------------------------------------------- whole, or not at all


@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("name", ["chmod", "fsync", "replace"])
def test_an_error_leaves_the_old_file_alone(
    name: str, kind: type[BaseException], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ok.save(1, path)
    path.chmod(0o604)  # which the new file has to be given

    def fail(*args: Any) -> None:
        raise kind("no")

    monkeypatch.setattr(os, name, fail)
    with pytest.raises(kind, match="no"):
        ok.save(2, path)
    assert os.listdir(path.parent) == [path.name]
    assert ok.load(path) == 1


def test_metadata_that_no_reader_takes_are_not_written(path: Path) -> None:
    ok.save(1, path)
    with pytest.raises(ValueError, match=r"(?i)header ?too ?large"):
        ok.save("x" * 100_000_000, path)
    assert os.listdir(path.parent) == [path.name]
    assert ok.load(path) == 1


@POSIX
def test_the_content_is_on_the_disk_before_the_name_and_the_name_before_the_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(handle: int) -> None:
        fsync(handle)
        calls.append(os.readlink(f"/proc/self/fd/{handle}"))

    def noted_replace(old: str, new: str) -> None:
        calls.append((old, new))
        replace(old, new)

    if not os.path.exists("/proc/self/fd"):
        pytest.skip("there is no /proc that tells which file is flushed")
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    ok.save(1, path)
    new = calls[0]
    assert os.path.dirname(new) == str(path.parent)
    assert calls == [new, (new, str(path)), str(path.parent)]


KILLED = """
import os, random, signal, sys, time
import numpy as np, optimkit as ok

path, times, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
delays = random.Random(seed)


def save(n):
    ok.save({"n": n, "x": np.full(250_000 + n % 7, n), "last": n}, path)


save(0)
seen = 0
for _ in range(times):
    child = os.fork()
    if not child:
        while True:
            seen += 1
            save(seen)
    time.sleep(delays.uniform(0.001, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    saved = ok.load(path)
    assert saved["n"] == saved["last"] >= seen, (saved["n"], saved["last"], seen)
    assert saved["x"].tolist() == [saved["n"]] * (250_000 + saved["n"] % 7)
    seen = saved["n"]
left = set(os.listdir(os.path.dirname(path))) - {os.path.basename(path)}
assert all(name.endswith(".tmp") or name.startswith(".tmp") for name in left), left
print(seen, len(left))
"""


@POSIX
def test_a_process_that_is_killed_leaves_the_old_file_or_the_new_one(path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", KILLED, path, str(KILLS), "7"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    saves, left = map(int, run.stdout.split())
    print(f"{KILLS} kills, {saves} whole saves, {left} unfinished files")
    assert saves > 0
    assert left > 0  # some were in the middle


RACE = """
import sys
import numpy as np, optimkit as ok
path, mine = sys.argv[1], int(sys.argv[2])
for _ in range(40):
    ok.save({"n": mine, "x": np.full(10_000, mine)}, path)
    saved = ok.load(path)
    assert saved["x"].tolist() == [saved["n"]] * 10_000
"""


@POSIX
def test_two_processes_may_save_at_once(path: Path) -> None:
    runs = [
        subprocess.Popen([sys.executable, "-c", RACE, path, str(n)], stderr=subprocess.PIPE)
        for n in range(2)
    ]
    errors = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], errors
    assert os.listdir(path.parent) == [path.name]


@POSIX
def test_threads_may_save_at_once(path: Path) -> None:
    def work(mine: int) -> None:
        for _ in range(20):
            ok.save({"n": mine, "x": np.full(1000, mine)}, path)
            saved = ok.load(path)
            if saved["x"].tolist() != [saved["n"]] * 1000:
                wrong.append(saved)

    wrong: list[Any] = []
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert os.listdir(path.parent) == [path.name]


# ---------------------------------------------------------------- damage


def sample(path: Path) -> bytes:
    """A file with something of everything."""
    weights, tensor = array(1.0, 2.0), torch.ones(2)
    first, second = ok.Adam([weights], amsgrad=True), ok.SGD([("w", tensor)], momentum=0.9)
    first.step(grads=[array(0.5, -1.0)])
    second.step(grads=[torch.ones(2)])
    scheduler = lr_scheduler.MultiStepLR(first, [2, 5])
    more = [torch.ones(2, dtype=torch.bfloat16), np.ones(2, np.complex64), np.float32(3), 2**99]
    everything = {"a": first, "b": second, "s": scheduler, "m": more, "x": float("nan")}
    ok.save(everything, path)
    return path.read_bytes()


def outcome(path: Path, content: bytes) -> bool:
    """Whether a file can be read; if not, there is a ValueError that names it."""
    path.unlink(missing_ok=True)  # a new file is not flushed to the disk, as a changed one is
    path.write_bytes(content)
    try:
        ok.load(path)
    except ValueError as raised:
        error = raised
    else:
        return True
    assert type(error) is ValueError
    assert str(error).startswith(str(path))
    return False


def test_every_truncation_is_noticed(path: Path) -> None:
    whole = sample(path)
    assert outcome(path, whole)
    assert not any(outcome(path, whole[:size]) for size in range(len(whole)))
    assert not outcome(path, whole + b"\0")


@pytest.mark.parametrize("seed", range(4))
def test_a_changed_byte_is_noticed_or_does_no_harm(seed: int, path: Path) -> None:
    whole, draw = sample(path), random.Random(seed)
    header = 8 + int.from_bytes(whole[:8], "little")
    read = 0
    for i in range(1500):
        changed = bytearray(whole)
        at = draw.randrange(8 if i % 10 == 0 else header if i % 10 < 9 else len(whole))
        changed[at] ^= draw.randrange(1, 256) if i % 2 else 1 << draw.randrange(8)
        read += outcome(path, bytes(changed))
    assert 0 < read < 1500


def test_random_bytes_are_no_checkpoint(path: Path) -> None:
    draw = random.Random(0)
    for size in [0, 1, 7, 8, 9, *range(10, 2000, 7)]:
        assert not outcome(path, draw.randbytes(size))
        assert not outcome(path, size.to_bytes(8, "little") + draw.randbytes(size))


def container(metadata: Any, **tensors: tuple[str, list[int], list[int]]) -> bytes:
    """A safetensors file with these metadata and tensors, which have no bytes."""
    header: dict[str, Any] = {"__metadata__": metadata}
    header |= {
        name: {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        for name, (dtype, shape, offsets) in tensors.items()
    }
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded


def text(content: str) -> dict[str, str]:
    return {"optimkit": content}


def value(content: str) -> dict[str, str]:
    return text('{"version": 1, "value": ' + content + "}")


def tree(content: Any) -> dict[str, str]:
    return value(json.dumps(content))


def one(dtype: str, kind: str) -> dict[str, str]:
    return tree({"array": ["a", dtype, kind]})


EMPTY = {"a": ("F32", [0], [0, 0])}
VAST = {"a": ("F32", [2**62, 2**62, 0], [0, 0])}
FLOAT8 = {"a": ("F8_E4M3", [0], [0, 0])}
ARRAY = {"array": ["a", "float32", "numpy"]}
HOSTILE: list[tuple[str, bytes, str]] = [
    ("other program", container({"format": "pt"}, **EMPTY), "no entry 'optimkit'"),
    ("no metadata", container({}), "no entry 'optimkit'"),
    ("zip", b"PK\x03\x04" + bytes(100), "header"),
    ("pickle", b"\x80\x04\x95" + bytes(100), "header"),
    ("text", b"hello, this is some text", "header"),
    ("huge header", (2**63).to_bytes(8, "little") + b"{}", "header"),
    ("no json", container(text("{")), "Expecting"),
    ("no object", container(text("[]")), "no version"),
    ("no value", container(text('{"version": 1}')), "no version and value"),
    ("version", container(text('{"version": "1", "value": 1}')), "no version"),
    ("newer", container(text('{"version": 2, "value": 1}')), "version 2 .*too old"),
    ("deep list", container(text("[" * 100_000)), "nested too deeply"),
    ("deep", container(value("[" * 9**5 + "]" * 9**5)), "deep"),
    ("deep tuples", container(value('{"tuple":[' * 9**4 + "]}" * 9**4)),
     "nested too deeply"),
    ("long int", container(value("9" * 5000)), "digits"),
    ("unknown", container(tree({"pickle": "x"})), r'\{"pickle": "x"\} is no value'),
    ("empty object", container(tree({})), "is no value"),
    ("missing", container(one("float32", "numpy")), "'a' is missing"),
    ("twice", container(tree([ARRAY, ARRAY]), **EMPTY), "wanted twice"),
    ("left", container(tree([]), **EMPTY), "'a' belongs to nothing"),
    ("dtype", container(one("float64", "numpy"), **EMPTY), "no array of 'float64'"),
    ("object", container(one("object", "numpy"), **EMPTY), "no array of 'object'"),
    ("pairs", container(one("complex64", "torch"), **EMPTY), "no array of 'comp"),
    ("array", container(tree({"array": "abc"}), **EMPTY), "no value"),
    ("names", container(tree({"array": [1, 2, 3]}), **EMPTY), "no value"),
    ("key", container(tree({"dict": [[[], 1]]})), "no key with its value"),
    ("bool key", container(tree({"dict": [[True, 1]]})), "no key with its value"),
    ("pair", container(tree({"dict": [[1]]})), "no key with its value"),
    ("no pair", container(tree({"counter": ["ab"]})), "no key with its value"),
    ("digits", container(tree({"int": "0xg"})), "invalid literal"),
    ("float", container(tree({"float": "0" * 15 + "g"})), "no value"),
    ("spaces", container(tree({"float": "00 " * 5 + "0"})), "no value"),
    ("float8", container(one("float32", "numpy"), **FLOAT8),
     "dtype|no array"),
    ("vast", container(one("float32", "torch"), **VAST),
     "big|[Oo]verflow"),
]  # fmt: skip
NAMES = [name for name, _, _ in HOSTILE]


@pytest.mark.parametrize(("name", "content", "message"), HOSTILE, ids=NAMES)
def test_damage_is_named(name: str, content: bytes, message: str, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        ok.load(path)
    assert type(caught.value) is ValueError
    assert str(caught.value).startswith(str(path))


def test_a_model_of_another_program_is_no_checkpoint(path: Path) -> None:
    safetensors.numpy.save_file({"weight": array(1.0)}, path)
    with pytest.raises(ValueError, match="no checkpoint of optimkit"):
        ok.load(path)
    torch.save({"x": 1}, path)
    with pytest.raises(ValueError, match="no checkpoint of optimkit"):
        ok.load(path)


# ---------------------------------------------------------------- what is not installed


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)


def test_without_safetensors_the_error_says_what_to_install(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "safetensors", "safetensors.numpy")
    for use in (lambda: ok.save(1, path), lambda: ok.load(path)):
        with pytest.raises(ImportError, match=r"pip install 'optimkit\[safetensors\]'"):
            use()
    assert not path.exists()


def test_without_torch_tensors_come_back_as_arrays(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = [torch.ones(2), torch.ones(1, dtype=torch.complex64), torch.tensor(2)]
    bfloat = torch.tensor([1.5], dtype=torch.bfloat16)
    ok.save([*tensors, bfloat], path)
    without(monkeypatch, "torch")
    saved = ok.load(path)
    assert [type(x) for x in saved] == [np.ndarray] * 4
    assert [x.dtype.name for x in saved] == ["float32", "complex64", "int64", "bfloat16"]
    assert saved[3].tolist() == [1.5]
    without(monkeypatch, "ml_dtypes")
    with pytest.raises(ImportError, match="pip install ml_dtypes"):
        ok.load(path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_torch_an_optimizer_of_arrays_goes_on_from_tensors(
    dtype: torch.dtype, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensor = torch.ones(3, dtype=dtype)
    opt = ok.Adam([tensor])
    opt.step(grads=[torch.tensor([1.0, 2.0, 3.0], dtype=dtype)])
    ok.save(opt, path)
    expected = opt.state[tensor]["exp_avg"].float().numpy()
    without(monkeypatch, "torch")
    weights = np.ones(3, np.float32)
    other = ok.Adam([weights])
    other.load_state_dict(ok.load(path))
    assert other.state[weights]["exp_avg"].tolist() == expected.tolist()
    assert other.state[weights]["step"] == 1
