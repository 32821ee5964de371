"""What pages are made with: blocks that run, refusals, pictures, links, numbers."""

from __future__ import annotations

import importlib.util
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from generate.measured import COLUMNS, README, measured, renewed, table, times
from generate.running import Page, Unexpected, blocks, entries

from optimkit.validation.cli import COMMANDS
from optimkit.validation.explain.subjects import optimizers

SPHINX = pytest.mark.skipif(
    importlib.util.find_spec("sphinx") is None, reason="Sphinx is not installed"
)


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(folder=tmp_path)


# ---------------------------------------------------------------- blocks


def test_a_block_shows_what_it_prints_and_its_last_value(page: Page) -> None:
    assert page.python("x = 2\nprint(x)\nx + 1") == "2\n3"
    assert page.python("x * 10") == "20"  # names are the page's
    assert page.python("None") == page.python("y = 1") == ""


def test_a_block_is_kept_as_a_file(page: Page) -> None:
    page.python("def half(x):\n    return x / 2", file="half.py")
    assert page.command("python -c 'import half; print(half.half(3))'")[0] == "1.5"


def test_an_error_ends_a_page(page: Page) -> None:
    with pytest.raises(ZeroDivisionError):
        page.python("1 / 0")


def test_a_command_ends_as_the_page_says(page: Page) -> None:
    text, seconds = page.command("optimkit explain adamm", status=2)
    assert "did you mean Adam" in text
    assert seconds > 0
    with pytest.raises(Unexpected, match="ended with 2, not 0"):
        page.command("optimkit explain adamm")


def test_what_a_command_writes_has_no_colours_and_no_spaces_at_the_end(page: Page) -> None:
    code = r"print('\x1b[1mbold\x1b[0m   ')"
    assert page.command(f'python -c "{code}"')[0] == "bold"


def test_refused_calls(page: Page) -> None:
    text = "1 / 0\n# One cannot\n# do that.\n\nif True:\n\n    {}['key']\n# Missing."
    found = page.refused(text)
    assert [x.error for x in found] == ["ZeroDivisionError: division by zero", "KeyError: 'key'"]
    assert [x.about for x in found] == ["One cannot do that.", "Missing."]
    warned = page.refused("import warnings\nwarnings.warn('old')\n# It is.")
    assert warned[0].error == "UserWarning: old"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 + 1\n# Wrong.", "raises nothing"),
        ("import no_such_module\n# Wrong.", "no_such_module"),
        ("1 / 0", "no comment says why"),
    ],
)
def test_a_call_that_is_not_refused_as_it_should_be(page: Page, text: str, said: str) -> None:
    with pytest.raises(Unexpected, match=said):
        page.refused(text)


def test_blocks_are_found_with_their_options() -> None:
    text = "````{x} a b\n:width: 3\n:flag:\n\ncode\n```\n````\n\n```python\n:a: 1\n```\n"
    first, second = blocks(text)
    assert (first.kind, first.argument, first.code) == ("{x}", "a b", "code\n```")
    assert first.options == {"width": "3", "flag": ""}
    assert (second.kind, second.code, second.options) == ("python", ":a: 1", {})


def test_every_error_of_the_page_has_a_cause() -> None:
    found = [
        entry
        for block in blocks((ROOT / "docs" / "guides" / "errors.md").read_text(encoding="utf-8"))
        if block.kind == "{refused}"
        for entry in entries(block.code)
    ]
    assert len(found) > 60
    assert all(about for _, about in found)


def test_the_folder_of_a_page_goes_with_it() -> None:
    page = Page()
    page.python("open('left.txt', 'w').close()")
    folder = page.folder
    assert (folder / "left.txt").exists()
    del page
    assert not folder.exists()


# ---------------------------------------------------------------- pictures


def test_a_picture_has_the_pages_colours_and_names_of_its_own() -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from generate.drawing import GRID, INK, figure, themed

    pictures = []
    for heights in ([1, 2], [2, 1]):
        made, axes = figure()
        axes.plot(heights, marker="o")
        axes.grid(True)
        pictures.append(themed(made, 'less < than "it"'))
    for svg in pictures:
        assert "var(--pst-color-text-base)" in svg
        assert INK not in svg
        assert GRID not in svg
        assert 'aria-label="less &lt; than &quot;it&quot;"' in svg
        places = re.findall(r' id="([^"]+)"', svg)
        targets = set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg))
        assert targets == set(places)
        assert "<style" not in svg  # it would be the page's
    names = [set(re.findall(r' id="([^"]+)"', svg)) for svg in pictures]
    assert not names[0] & names[1]


def test_the_right_rule_beside_itself_and_a_wrong_one() -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from generate.slips import curves

    def descent(param, grad, state, step, lr):  # type: ignore[no-untyped-def]
        return param - lr * grad, state

    def lost(param, grad, state, step, lr):  # type: ignore[no-untyped-def]
        return param * np.nan, state

    right, same = (line.get_ydata() for line in curves(descent, "SGD", lr=0.01).axes[0].lines)
    np.testing.assert_allclose(right, same)
    assert right[-1] < right[0]
    drawn = curves(lost, "SGD", lr=0.01).axes[0]
    assert [text.get_text() for text in drawn.texts] == ["NaN from here on"]


# ---------------------------------------------------------------- what comes from elsewhere


@SPHINX
def test_every_argument_of_every_command_is_listed() -> None:
    from generate.commands import arguments, usage

    for name in COMMANDS:
        words = [words for words, _, _ in arguments(name)]
        for option in re.findall(r"--[a-z]+", usage(name)):
            assert any(option in x for x in words), (name, option)
        assert all(about for _, about, _ in arguments(name)), name


def test_the_readme_has_the_published_times() -> None:
    readme = README.read_text(encoding="utf-8")
    assert readme == renewed(readme, times()), "python docs/generate/measured.py writes it"
    rows = {row.split(" | ")[0]: row for row in readme.splitlines() if row.startswith("| `300x64`")}
    cells = rows["| `300x64`"].strip("| ").split(" | ")
    assert len(cells) == 1 + len(COLUMNS)
    assert all(float(cell) > 0 for cell in cells[1:])


def test_published_times_are_read_from_their_tables() -> None:
    page = "# Page\n\n| AdamW | `1M` | `mlp` |\n|---|---|---|\n| numba | 0.5 | - |\n\nText.\n"
    assert times(page) == {("AdamW", "1M", "numba"): "0.5", ("AdamW", "mlp", "numba"): "-"}
    assert "| `mlp` | - |" in table(times(page))
    assert "300x64" not in table(times(page))
    assert float(measured("AdamW, 300x64, numba")) < 1
    with pytest.raises(ValueError, match="no time of 'AdamW, 7x7, numba'"):
        measured("AdamW, 7x7, numba")


@SPHINX
def test_counts_of_cases() -> None:
    from generate.claims import COUNTS

    assert 0 < COUNTS["exact"]() <= COUNTS["compared"]()


@SPHINX
def test_every_limit_of_an_option_is_listed() -> None:
    from generate.limits import limits

    found = dict(limits())
    assert found["fraction"] == "a number in [0, 1)"
    used = {limit.__name__ for cls in optimizers().values() for limit in cls.limits.values()}
    assert used <= {*found}


@SPHINX
def test_files_of_the_root_have_their_links_turned() -> None:
    from generate.root_files import turned

    text = "[a](docs/guides/cuda.md#x) [b](CHANGELOG.md) [c](LICENSE) [d](https://x.org) [e](#f)"
    assert turned(text, "guides") == "[a](cuda.md#x) [b](changelog.md) c [d](https://x.org) [e](#f)"


@SPHINX
def test_sections_of_a_page() -> None:
    from generate.sections import anchor, sections

    text = "# Page\n\n## One, and all\n\nA sentence. Another.\n\n## Two\n\n| a |\n|---|\n"
    assert sections(text) == [("One, and all", "A sentence."), ("Two", "")]
    assert anchor("One, and `all`") == "one-and-all"


PAGES_SEARCHED = {"guides/numerics": "# Bits\n\nThe same.\n", "other": "# Other\n"}


@SPHINX
def test_pages_are_found_by_what_people_search_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from generate import searched
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    pages = tmp_path / "pages"
    (pages / "guides").mkdir(parents=True)
    for name, text in PAGES_SEARCHED.items():
        (pages / f"{name}.md").write_text(text)
    (pages / "index.md").write_text("# Home\n\n```{toctree}\nguides/numerics\nother\n```\n")
    monkeypatch.setattr(searched, "SEARCHED", {"guides/numerics": "bit-identical; own Phrase"})
    warnings = io.StringIO()

    def index() -> dict[str, Any]:
        settings = {"extensions": ["myst_parser", "generate.searched"], "project": "pages"}
        built, kept = tmp_path / "built", tmp_path / "kept"
        with docutils_namespace():
            app = Sphinx(str(pages), None, str(built), str(kept), "html", settings, None, warnings)
            app.build()
        text = (built / "searchindex.js").read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(text[text.index("(") + 1 : text.rindex(")")])
        return found

    found = index()
    place = found["docnames"].index("guides/numerics")
    assert found["indexentries"] == {
        phrase: [[place, "", True]] for phrase in ("bit-identical", "own phrase")
    }
    assert found["terms"]["phrase"] == found["terms"]["ident"] == place
    assert warnings.getvalue() == ""
    monkeypatch.setattr(searched, "SEARCHED", {"guides/gone": "left"})
    (pages / "other.md").write_text("# Else\n")
    index()
    assert "guides/gone is searched for, and there is no such page" in warnings.getvalue()


@SPHINX
def test_phrases_are_words_of_few_letters() -> None:
    from generate.searched import SEARCHED, phrases

    for page in SEARCHED:
        found = phrases(page)
        assert found, page
        assert len({phrase.lower() for phrase in found}) == len(found), page
        assert all(phrase and len(phrase) < 40 for phrase in found), page


@SPHINX
def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    from generate.links import broken

    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="b.html#there">b</a><a href="#here"></a><a href="http://x.org"></a>'
        '<a href="c.html"></a><img src="d.png"><a href="b.html"></a><a href="https://x.org"></a>',
        encoding="utf-8",
    )
    (tmp_path / "b.html").write_text("<p>", encoding="utf-8")
    assert list(broken(tmp_path)) == [
        "a.html: b.html#there leads to no place on its page",
        "a.html: c.html leads to no file",
        "a.html: d.png leads to no file",
        "a.html: http://x.org is no link over https",
    ]


# ---------------------------------------------------------------- the example that measures


def test_equal_to_torch() -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    path = ROOT / "examples" / "equal_to_torch.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.measured("default", root=True, steps=3)
    cells = {key: value["equal"] for key, value in found.items() if isinstance(value, dict)}
    assert len(cells) == 2 * len(module.OPTIMIZERS)
    assert set(cells.values()) == {1}
    assert module.table({"all": found, "none": {}}).count("**all bits**") == len(cells)
