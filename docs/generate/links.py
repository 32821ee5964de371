"""Looks at every link of the pages that were built: each leads to a file, and to a place in it."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


class Links(HTMLParser):
    """The targets and the places of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.places.update(x for x in (given.get("id"), given.get("name")) if x)
        for name in ("href", "src", "xlink:href"):
            if target := given.get(name):
                self.targets.add(target)


# Templates; and source code, whose links back go wrong where one file has names of two modules.
ASIDE = {"_static", "_modules"}


def broken(site: Path) -> Iterator[str]:
    """What leads nowhere, or elsewhere than over https, in words."""
    pages = {path: Links(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        if ASIDE & {*path.relative_to(site).parts}:
            continue
        for target in sorted(page.targets):
            parts = urlsplit(target)
            if parts.scheme:
                if parts.scheme not in ("https", "data", "mailto"):
                    yield f"{path.relative_to(site)}: {target} is no link over https"
                continue
            there = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            if not there.is_file():
                yield f"{path.relative_to(site)}: {target} leads to no file"
            elif there in pages and not {unquote(parts.fragment)} <= {"", *pages[there].places}:
                yield f"{path.relative_to(site)}: {target} leads to no place on its page"


def _check(app: Any, exception: Exception | None) -> None:
    from sphinx.util import logging

    if exception is None and app.builder.format == "html":
        for words in broken(Path(app.outdir).resolve()):
            logging.getLogger(__name__).warning(words, type="links")


def setup(app: Any) -> dict[str, bool]:
    """Check when a build is finished."""
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
