"""Recordings are what was recorded: an edited or truncated one is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from optimkit.validation import cli
from optimkit.validation.arguments import Refusal
from optimkit.validation.parity import validate
from optimkit.validation.reference import manifest
from optimkit.validation.reference.recordings import FOLDER, load, save


@pytest.fixture
def folder(tmp_path):
    for name in ("SGD.npz", "digits.json", "functions.npz", "tiers.json", manifest.FILE):
        shutil.copy(FOLDER / name, tmp_path / name)
    return tmp_path


NAMES = ["SGD.npz", "digits.json", "functions.npz", "tiers.json"]


def test_every_recording_is_in_the_manifest():
    kept = {path.name for path in FOLDER.iterdir()} - {manifest.FILE}
    assert manifest.read(FOLDER).keys() == kept
    manifest.check(FOLDER, sorted(kept))
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2_000_000


def test_one_number_edited(folder):
    recording = load(folder / "SGD.npz")
    trajectory = next(iter(recording.trajectories.values()))
    next(iter(trajectory.values()))["0"][0] += 1
    save(recording, folder / "SGD.npz")
    with pytest.raises(Refusal, match=r"SGD.npz is not what was recorded.*--record SGD makes"):
        manifest.check(folder, NAMES)


def test_another_origin(folder):
    text = (folder / "digits.json").read_text()
    (folder / "digits.json").write_text(text.replace('"torch": "2', '"torch": "3'))
    with pytest.raises(Refusal, match=r"digits.json is not what was recorded"):
        manifest.check(folder, NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_truncated(folder, name, share):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(Refusal, match=f"{name} is .*; optimkit validate --record"):
        manifest.check(folder, NAMES)


def test_a_file_that_nobody_recorded(folder):
    entries = manifest.read(folder)
    del entries["SGD.npz"]
    (folder / manifest.FILE).write_text(json.dumps(entries))
    with pytest.raises(Refusal, match=r"SGD.npz is not in"):
        manifest.check(folder, NAMES)
    (folder / manifest.FILE).write_text("{")
    with pytest.raises(Refusal, match="damaged"):
        manifest.check(folder, NAMES)
    assert set(manifest.update(folder, NAMES).values()) == {"new"}
    manifest.check(folder, NAMES)


def test_what_is_absent_is_not_refused(tmp_path):
    manifest.check(tmp_path, NAMES)


def test_the_hash_is_of_the_content(folder):
    before = manifest.entry(folder / "functions.npz")
    with np.load(folder / "functions.npz") as file:
        arrays = dict(file)
    np.savez(folder / "functions.npz", **arrays)  # not compressed: other bytes
    assert manifest.entry(folder / "functions.npz") == before
    assert manifest.update(folder, ["functions.npz"]) == {"functions.npz": "same"}


def test_an_edited_recording_ends_the_command(folder, monkeypatch, capsys):
    content = (folder / "functions.npz").read_bytes()
    (folder / "functions.npz").write_bytes(content[:-100])
    monkeypatch.setattr(validate, "FOLDER", folder)
    assert cli.main(["validate", "SGD", "--quick", "--recorded"]) == 2
    said = capsys.readouterr().err
    assert "functions.npz is damaged or truncated; optimkit validate --record makes it anew" in (
        " ".join(said.split())
    )
