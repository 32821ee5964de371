"""The part of an optimizer's page where it runs: pictures, and what its script needs.

A rule that can be recorded (`playground_rule`) goes into the page whole, and the script runs it
for whatever the sliders say: a grid over seven options would be large, and coarse. The other rules,
which sum, multiply matrices or search, are walked beforehand with each learning rate of a list.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from html import escape
from typing import Any

import optimkit as ok
from generate import playground_engine as engine
from generate.playground_controls import controls
from generate.playground_figures import figure, place, span
from generate.playground_problems import LANDSCAPES, Landscape, noise
from generate.playground_rule import adjustable, flat, record
from generate.playground_walks import RATES, STEPS, Walk, mean, walk
from optimkit.backends.trace import NotTraceable
from optimkit.validation.explain.subjects import options_of
from optimkit.validation.reference.cases import cases_of

SEARCH_STEPS = 60  # of rules that are walked beforehand
VARIANTS = 5

Options = dict[str, Any]


@dataclass(frozen=True)
class Play:
    """What a rule does on the landscapes.

    Attributes
    ----------
    rule : dict or None
        As data; None if it cannot be recorded, for `reason`.
    reason : str
    best : dict of Walk
        By landscape, with the learning rate of least mean value on the way.
    grid : dict
        Of a rule without data: by landscape, for each set of options the walks, by learning rate.
    """

    rule: dict[str, Any] | None
    reason: str
    best: dict[str, Walk]
    grid: dict[str, list[list[Walk]]]


@functools.cache
def play(cls: type[ok.Optimizer]) -> Play:
    """Record a rule, or walk it; find its learning rates."""
    try:
        rule = record(cls)
    except NotTraceable as reason:
        return _walked(cls, str(reason))
    options = flat(adjustable(cls))
    found = {}
    for land in LANDSCAPES:
        rate = _rate(rule, options, land)
        found[land.name] = walk(cls, rate, land)
    return Play(rule, "", found, {})


def _rate(rule: dict[str, Any], options: Options, land: Landscape) -> Options:
    if "lr" not in options:
        return {}

    def value(lr: float) -> float:
        return mean(engine.run(rule, options | {"lr": lr}, land, land.start, STEPS)[1])

    return {"lr": min(RATES, key=value)}


def variants(cls: type[ok.Optimizer]) -> list[Options]:
    """Sets of options besides the learning rate, from the table of cases: the defaults first."""
    found: list[Options] = [{}]
    for case in cases_of(cls.__name__):
        options = {k: v for k, v in case.options.items() if k not in ("lr", "max_iter", "max_eval")}
        if options not in found and len(options) <= 2:
            found.append(options)
    return found[:VARIANTS]


def _walked(cls: type[ok.Optimizer], reason: str) -> Play:
    rates = [{"lr": lr} for lr in RATES[2:]] if "lr" in options_of(cls) else [{}]
    grid = {
        land.name: [
            [walk(cls, options | rate, land, steps=SEARCH_STEPS) for rate in rates]
            for options in variants(cls)
        ]
        for land in LANDSCAPES
    }
    best = {
        name: min(walks[0], key=lambda found: mean(found.losses)) for name, walks in grid.items()
    }
    return Play(None, reason, best, grid)


def called(options: Options) -> str:
    """Options as a call has them."""
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


def html(cls: type[ok.Optimizer]) -> str:
    """The pictures, the place for sliders, and the data."""
    name, found, sgd = cls.__name__, play(cls), play(ok.SGD)
    figures = []
    for land in LANDSCAPES:
        own, beside = found.best[land.name], sgd.best[land.name]
        steps = len(own.losses)
        caption = (
            f"<b>{escape(land.title)}.</b> <span>{escape(land.about)}</span>"
            f' <span class="made">{called(own.options)}</span>'
        )
        picture = figure(
            land, (own.points, own.losses), (beside.points[:steps], beside.losses[:steps]), name
        )
        chosen = " chosen" if land is LANDSCAPES[0] else ""
        figures.append(
            f'<figure class="landscape{chosen}" data-name="{land.name}">{picture}'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    data = json.dumps(_data(cls), separators=(",", ":")).replace("</", "<\\/")
    return (
        '<div class="playground"><div class="controls"></div>'
        '<p class="message" role="status"></p>'
        f'<div class="landscapes">{"".join(figures)}</div>'
        f'<script type="application/json">{data}</script></div>'
    )


def _data(cls: type[ok.Optimizer]) -> dict[str, Any]:
    found, sgd = play(cls), play(ok.SGD)
    data: dict[str, Any] = {
        "name": cls.__name__,
        "steps": STEPS,
        "rule": found.rule,
        "controls": controls(cls) if found.rule else [],
        "beside": {"rule": sgd.rule, "options": flat(adjustable(ok.SGD))},
        "noise": noise(),
        "landscapes": {
            land.name: {
                "window": land.window,
                "start": land.start,
                "lowest": land.lowest,
                "span": span(land),
                "problem": land.recorded(),
                "options": found.best[land.name].options,
                "beside": sgd.best[land.name].options,
            }
            for land in LANDSCAPES
        },
    }
    if not found.rule:
        data |= _walks(cls, found)
    return data


def _walks(cls: type[ok.Optimizer], found: Play) -> dict[str, Any]:
    """Points of the picture, rounded, by landscape, set of options and learning rate."""
    return {
        "steps": SEARCH_STEPS,
        "variants": [called(options) or "defaults" for options in variants(cls)],
        "rates": [walk.options.get("lr") for walk in found.grid[LANDSCAPES[0].name][0]],
        "walks": {
            land.name: [
                [
                    {
                        "points": [_pixel(land, point) for point in walk.points],
                        "losses": [_short(loss) for loss in walk.losses],
                    }
                    for walk in walks
                ]
                for walks in found.grid[land.name]
            ]
            for land in LANDSCAPES
        },
    }


def _pixel(land: Landscape, point: tuple[float, float]) -> list[float | None]:
    return [round(x, 1) if abs(x) < 1e4 else None for x in place(land, *point)]


def _short(x: float) -> float | None:
    return float(f"{x:.3g}") if abs(x) < 1e300 else None
