"""What other libraries compute under an optimizer's name, from the findings of the survey."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import optimkit as ok
from optimkit.validation.comparison.departures import DEPARTURES
from optimkit.validation.comparison.judging import DIFFERENT
from optimkit.validation.comparison.texts import Change, Text
from optimkit.validation.survey import findings, page
from optimkit.validation.survey.subject import LIBRARIES

Finding = Mapping[str, Any]


@cache
def _known() -> list[Finding]:
    found: list[Finding] = findings.load()["findings"]
    return found


def held(cls: type[ok.Optimizer]) -> list[Finding]:
    """What was held against an optimizer's rule; not torch's, of which the page tells anyway."""
    return [f for f in _known() if f["rule"] == cls.__name__ and f["library"] != "torch"]


def same(cls: type[ok.Optimizer]) -> dict[str, list[str]]:
    """The implementations that compute the rule but for rounding, by library and version."""
    found: dict[str, list[str]] = {}
    for (name, _), alike in _alike(cls, different=False).items():
        found.setdefault(_libraries(alike), []).append(name)
    return found


def others(cls: type[ok.Optimizer]) -> Iterator[tuple[str, str, str, list[str]]]:
    """The implementations that compute something else: name, library, what, and how far off."""
    for (name, what), alike in _alike(cls, different=True).items():
        off = [page.share(alike[0], x) for x in alike[0]["off"].values()]
        yield name, _libraries(alike), what, off


def _alike(cls: type[ok.Optimizer], different: bool) -> dict[tuple[str, str], list[Finding]]:
    """What was found, by name and by what is computed: Keras is over several libraries."""
    found: dict[tuple[str, str], list[Finding]] = {}
    for finding in held(cls):
        if (finding["verdict"] == DIFFERENT) is different:
            found.setdefault((finding["name"], page.computes(finding)), []).append(finding)
    return found


def _libraries(alike: list[Finding]) -> str:
    titles = [LIBRARIES[finding["library"]].title.partition(" on ") for finding in alike]
    over = ", ".join(other for _, _, other in titles if other)
    return f"{titles[0][0]} {alike[0]['version']}" + (f" on {over}" if over else "")


def changes(cls: type[ok.Optimizer]) -> Iterator[tuple[str, str, list[Change]]]:
    """The departures that were found: name, meaning, and the lines of the rule that change."""
    original = Text.of(cls)
    explained = [f["explanation"] for f in held(cls) if f["verdict"] == DIFFERENT]
    found = {(d["name"], d["meaning"]) for known in explained if known for d in known["departures"]}
    for entry in DEPARTURES:
        about = (entry.name, entry.meaning)
        text = next(entry.applied(original), None) if about in found else None
        if text is not None:
            found.remove(about)
            yield *about, text.changes(original)


def defaults(cls: type[ok.Optimizer]) -> list[tuple[str, str]]:
    """Which implementations have other defaults than torch, and which."""
    return [
        (name, options)
        for name, rule, options in page.own_defaults(_known())
        if rule == cls.__name__
    ]
