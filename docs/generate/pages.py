"""Pages that nobody writes: one for each optimizer, scheduler, class and function.

They are written when a build begins, into folders that git does not keep, each only if it changed.
"""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from generate.optimizer_pages import optimizer_pages
from generate.subjects import Chapter, chapters, subject

FOLDERS = ("optimizers", "schedulers", "reference")


def titled(title: str, *parts: str) -> str:
    """A page of reStructuredText."""
    return "\n\n".join([f"{title}\n{'=' * len(title)}", *parts]) + "\n"


def summary(thing: Any) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ")


def toctree(names: list[str], hidden: bool = True) -> str:
    """Pages that belong to a page."""
    option = "   :hidden:\n" if hidden else ""
    return f".. toctree::\n   :maxdepth: 1\n{option}\n" + "".join(f"   {n}\n" for n in names)


def listing(rows: list[tuple[str, str, str]]) -> str:
    """A table of links: (page, name, what it is)."""
    lines = [".. list-table::", "   :widths: 30 70", "   :class: names", ""]
    for page, name, about in rows:
        lines += [f"   * - :doc:`{name} <{page}>`", f"     - {about}"]
    return "\n".join(lines)


def scheduler_pages() -> Iterator[tuple[str, str]]:
    """The pages of schedulers, and the one that lays them side by side."""
    from generate import scheduler_pages as written  # which writes with what is above

    yield from written.pages()


def reference_pages() -> Iterator[tuple[str, str]]:
    """The pages of everything else, and the one that lists them."""
    parts, names = [], []
    for chapter in chapters():
        rows = []
        for name in chapter.names:
            page = f"{chapter.module}.{name}"
            names.append(page)
            about = summary(subject(chapter.module, name))
            rows.append((page, page.removeprefix("optimkit."), about))
            yield page, _thing(chapter, name)
        underlined = f"{chapter.title}\n{'-' * len(chapter.title)}"
        parts += [underlined, *filter(None, [chapter.about]), listing(rows)]
    also = (
        "Each :doc:`optimizer <../optimizers/index>` and each "
        ":doc:`scheduler <../schedulers/index>` has a page of its own."
    )
    yield "index", titled("Reference", also, *parts, toctree(names))


def _thing(chapter: Chapter, name: str) -> str:
    thing, full = subject(chapter.module, name), f"{chapter.module}.{name}"
    if not inspect.isclass(thing):
        return titled(name, f".. autofunction:: {full}")
    return titled(name, f".. autoclass:: {full}\n   :members:\n   :inherited-members:")


KINDS = dict(zip(FOLDERS, (optimizer_pages, scheduler_pages, reference_pages), strict=True))


def write(app: Any) -> None:
    """Write the pages; take away those of things that are gone."""
    for folder, pages in KINDS.items():
        room = Path(app.srcdir) / folder
        room.mkdir(exist_ok=True)
        written = set()
        for name, text in pages():
            path = room / f"{name}.rst"
            written.add(path)
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")
        for path in set(room.iterdir()) - written:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def setup(app: Any) -> dict[str, bool]:
    """Write the pages when a build begins."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
