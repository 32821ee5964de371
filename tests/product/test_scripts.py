"""Every script of Getting started and of the gallery runs, and says what it should."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

matplotlib = pytest.importorskip("matplotlib", reason="the scripts draw")

from generate import gallery  # noqa: E402

# Over 2 s of processor time; they run when the pages are built.
SLOW = {"gradients_by_autograd.py", "landscape.py", "sensitivity.py", "torch_fine_tuning.py"}


def name_of(script: Path) -> str:
    return str(script.relative_to(gallery.SCRIPTS))


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive:UserWarning")
@pytest.mark.parametrize("script", gallery.scripts(), ids=name_of)
def test_a_script_runs(script: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    absent = gallery.lacking(script)
    if absent:
        pytest.skip(f"needs {', '.join(absent)}")
    if script.name in SLOW:
        pytest.skip("takes seconds: run when the pages are built")
    monkeypatch.chdir(tmp_path)
    with matplotlib.rc_context({"backend": "Agg"}):
        import matplotlib.pyplot as plt

        gallery.style({}, str(script))
        plt.close("all")
        try:
            runpy.run_path(str(script), run_name="__main__")
            assert plt.get_fignums(), "no picture"
            for number in plt.get_fignums():
                assert plt.figure(number).get_axes()
        finally:
            plt.close("all")


@pytest.mark.parametrize("script", gallery.scripts(), ids=name_of)
def test_a_script_is_a_page(script: Path) -> None:
    """A title, at most 160 lines with the prose, and a last paragraph of what to take home."""
    text = script.read_text(encoding="utf-8")
    assert re.match(r'r?"""\n(.+)\n=+\n', text)
    assert text.count("\n") <= 160
    *_, last = text.split("# %%\n")
    assert last.startswith("# What to take home\n# -")
    assert all(line.startswith("#") for line in last.splitlines())


@pytest.mark.parametrize("script", gallery.scripts(), ids=name_of)
def test_a_picture_is_drawn_in_one_block(script: Path) -> None:
    """It is taken at the end of the block that begins it, finished or not."""
    begins = re.compile(r"plt\.(figure|subplots|subplot_mosaic|plot|semilogy|loglog)\(")
    for block in script.read_text(encoding="utf-8").split("# %%\n"):
        assert bool(begins.search(block)) == ("plt.show()" in block)


def test_there_are_scripts_of_each_kind() -> None:
    folders = {script.parent.name for script in gallery.scripts()}
    assert folders == {"start", *gallery.SECTIONS}
    assert len(gallery.scripts()) >= 20
    assert {script.name for script in gallery.scripts()} >= SLOW


def test_what_a_script_lacks(tmp_path: Path) -> None:
    script = tmp_path / "some.py"
    script.write_text(
        "import numpy\nimport no_such_thing.part\nfrom another_absent import x\n"
        "try:\n    import optional_and_absent\nexcept ImportError:\n    pass\n"
    )
    assert gallery.lacking(script) == ["another_absent", "no_such_thing"]


def test_a_page_says_that_its_script_was_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "lacking", lambda script: ["jax"])
    text = [".. _label:\n\nTitle\n=====\n\nText\n"]
    gallery.note(None, "gallery/libraries/gradients_by_jax", text)
    assert "Title\n=====\n\n.. note:: These pages were made without jax: shown, not run." in text[0]
    assert gallery.configuration()["filename_pattern"] == r"[/\\]()$"


def test_other_pages_are_left_alone() -> None:
    text = ["Title\n=====\n"]
    gallery.note(None, "guides/torch", text)
    assert text == ["Title\n=====\n"]
