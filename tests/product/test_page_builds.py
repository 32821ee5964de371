"""A page with blocks that run, built: what is on it, and what ends a build."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

for module in ("sphinx", "myst_parser", "matplotlib"):
    pytest.importorskip(module, reason=f"{module} is not installed")

CONF = """
project = "page"
extensions = ["myst_parser", "generate.executed", "generate.links"]
html_theme = "basic"
"""
GOOD = """# Page

```{executed} python
:as: double.py
def double(x):
    return 2 * x
```

```{executed} python
double(21)
```

```{executed} python
:hidden:
print("shown alone")
```

```{executed} console
:timed:
$ python -c "import double; print(double.double(7) + 100)"
```

```{refused}
double()
# It needs a *number*.
```

```{drawn} a line
:caption: Below it
from generate.drawing import figure
made, axes = figure()
axes.plot([0, 1])
made
```
"""


def built(folder: Path, page: str) -> tuple[int, str, str]:
    """Exit status, what Sphinx says, and the page."""
    (folder / "conf.py").write_text(CONF, encoding="utf-8")
    (folder / "index.md").write_text(page, encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", ".", "site"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "docs")},
        capture_output=True,
        text=True,
    )
    html = folder / "site" / "index.html"
    return done.returncode, done.stderr, html.read_text("utf-8") if html.exists() else ""


def test_what_is_on_a_page(tmp_path: Path) -> None:
    status, said, html = built(tmp_path, GOOD)
    assert (status, said) == (0, "")
    for text in ("42\n", "114\n", "shown alone", "s, where this page was built", "Below it"):
        assert text in html, text
    assert "TypeError:" in html
    assert "<em>number</em>" in html
    assert 'aria-label="a line"' in html
    assert html.count("shown alone") == 1  # not its code


def test_what_ends_a_build(tmp_path: Path) -> None:
    blocks = {
        "{executed} python\n1 / 0": "this block fails: ZeroDivisionError",
        "{executed} console\n$ python -c 'exit(3)'": "ended with 3, not 0",
        "{refused}\n1 + 1\n# No.": "raises nothing",
        "{raw} html\n<a href='absent.html'>x</a>": "leads to no file",
    }
    status, errors, _ = built(tmp_path, "# Page\n\n```" + "\n```\n\n```".join(blocks) + "\n```\n")
    assert status != 0
    for said in blocks.values():
        assert errors.count(said) == 1, said


def test_a_link_alone_ends_a_build(tmp_path: Path) -> None:
    page = "# Page\n\n```{raw} html\n<a href='#absent'>x</a>\n```\n"
    status, errors, _ = built(tmp_path, page)
    assert status != 0
    assert "leads to no place on its page" in errors
