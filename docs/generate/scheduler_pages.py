"""A page for each scheduler, and one that lays all of them side by side."""

from __future__ import annotations

import html
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

from generate import scheduler_recipes as recipes
from generate.pages import summary, titled, toctree
from generate.scheduler_formulas import formula, tex
from generate.scheduler_pictures import drawing, small
from generate.scheduler_variations import BESIDE, WHEN, variations
from optimkit.validation.explain.curves import Curve, curve
from optimkit.validation.explain.subjects import schedulers

KEPT = (
    "Save it with the optimizer, whose groups hold the rate: "
    '``ok.save({"optimizer": optimizer, "scheduler": scheduler}, path)``. To go on, make both as '
    "at first, then load both; the rates that follow are those of a run that was not stopped. "
    "States of torch's scheduler of this name, if it has one, load too, and the other way round."
)


def raw(text: str) -> str:
    """HTML as it is."""
    return ".. raw:: html\n\n" + textwrap.indent(text, "   ")


def code(text: str, language: str = "python") -> str:
    """A block of code, or of what it prints."""
    return f".. code-block:: {language}\n\n" + textwrap.indent(text.rstrip(), "   ")


def headed(title: str, *parts: str) -> list[str]:
    """A section; nothing of it if it has no parts."""
    return [f"{title}\n{'-' * len(title)}", *parts] if any(parts) else []


def example(cls: type) -> Curve | None:
    """The curve of a scheduler; None if it has none, or needs options that nobody can guess."""
    try:
        return curve(cls)
    except TypeError:
        return None


def pages() -> Iterator[tuple[str, str]]:
    """Every page by its name: the index and one a scheduler."""
    kinds = schedulers()
    yield "index", index(kinds)
    for name, cls in kinds.items():
        yield name, page(name, cls)


def index(kinds: dict[str, type]) -> str:
    """All curves in one scale."""
    shown = {name: example(cls) for name, cls in kinds.items()}
    top = max(max(found.lrs) for found in shown.values() if found)
    tiles = []
    for name, found in shown.items():
        drawn = small(found.lrs, found.momenta, top) if found else ""
        about = html.escape(summary(kinds[name]).replace("`", ""))
        tiles.append(f'<a href="{name}.html">{drawn}<b>{name}</b><small>{about}</small></a>')
    about = (
        "Each over the same 100 steps, from a learning rate of 0.1, on one scale from 0 to "
        f"{top:.3g}. Dashed, on a scale from 0 to 1: the momentum of those that move it too. They "
        "drive any object with ``param_groups``, optimkit's optimizers and torch's. As pure "
        "functions of the step, for JAX and for plots, they are in "
        ":doc:`optimkit.functional.schedules </reference/optimkit.functional.schedules.Schedule>`."
    )
    tiled = f'<div class="multiples">{"".join(tiles)}</div>'
    return titled("Learning-rate schedulers", about, raw(tiled), toctree(list(kinds)))


def page(name: str, cls: type) -> str:
    """What is known of a scheduler."""
    found = example(cls)
    parts = [summary(cls), WHEN.get(name, "").replace("`", "``")]
    if found:
        parts += headed("Curve", *curve_of(found))
    parts += headed("Closed form", *closed_form(cls))
    parts += headed("What its options do", *options_of(cls))
    parts += headed("Recipe", *recipe_of(cls))
    parts += headed("With others", *company(name, cls))
    parts += headed("State", *state_of(cls))
    full = f"optimkit.{recipes.module_of(cls)}.{name}"
    about = f".. autoclass:: {full}\n   :members:\n   :inherited-members:"
    return titled(name, *filter(None, [*parts, *headed("Reference", about)]))


def curve_of(found: Curve) -> list[str]:
    """The example, with momentum below it."""
    parts = [raw(drawing({found.call: found.lrs}, f"learning rate of {found.call}"))]
    if found.momenta:
        drawn = drawing({"momentum": found.momenta}, f"momentum of {found.call}", momenta=True)
        parts += ["The momentum of the same run:", raw(drawn)]
    return parts


def closed_form(cls: type) -> list[str]:
    """The formula, and the function that computes it."""
    text, schedule = formula(cls), getattr(cls, "schedule", None)
    parts = [".. math::\n\n   " + tex(text)] if text else []
    if schedule is not None:
        parts += [
            "``lr_at(step)`` evaluates it for each group and changes nothing. It is this function:",
            code(inspect.getsource(schedule)),
        ]
    elif parts:
        parts.append(
            "``lr_at`` refuses: the class names no ``schedule``, a function of the step alone."
        )
    return parts


def options_of(cls: type) -> list[str]:
    """For each option the curves of some of its values, where they differ."""
    parts = []
    for option, values in variations(cls).items():
        beside = BESIDE.get(cls.__name__, {}).get(option, {})
        curves: dict[str, Curve] = {}
        for value in values:
            shown = curve(cls, 100, {option: value, **beside})
            assert shown is not None
            also = "".join(f", {name}={other!r}" for name, other in beside.items())
            curves[f"{option}={_short(value)}{also}"] = shown
        rates = {label: shown.lrs for label, shown in curves.items()}
        if len({tuple(lrs) for lrs in rates.values()}) > 1:
            parts += [f"``{option}``:", raw(drawing(rates, f"{cls.__name__} by {option}"))]
    return parts


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else repr(value)


def recipe_of(cls: type) -> list[str]:
    """A whole program and what it prints."""
    if cls.__name__ not in recipes.PARTS and example(cls) is None:
        return []
    program = recipes.recipe(cls)
    printed, _ = recipes.run(program)
    return [code(program), "It prints every tenth rate:", code(printed, "text")]


def company(name: str, cls: type) -> list[str]:
    """In a SequentialLR, and in a ChainedScheduler; what was found when it was tried."""
    if not recipes.composes(cls):
        if name == "ReduceLROnPlateau":
            return ["It needs a metric, so no composite takes it; step it by itself."]
        return []
    if example(cls) is None:
        return []
    after, chained = recipes.after_warm_up(cls), recipes.chained(cls)
    after_rates = recipes.run(after)[1]["rates"]
    rates, alone = recipes.run(chained)[1]["rates"], recipes.run(recipes.recipe(cls))[1]["rates"]
    scales = all(
        abs(a - 0.5 * b) <= 1e-9 * b for a, b in zip(rates[1:30], alone[1:30], strict=True)
    )
    said = (
        "It scales the rate that it finds, so the two factors multiply:"
        if scales
        else "It does not keep what another scheduler has done before it, step by step; chain it "
        "first, or use a ``SequentialLR``:"
    )
    alone_call, both = recipes.made(cls), "ChainedScheduler([ConstantLR(factor=0.5), ...])"
    return [
        "After a warmup, in a :doc:`SequentialLR`:",
        code(after),
        raw(drawing({"SequentialLR": after_rates}, f"{name} after a warmup")),
        "At once with another, in a :doc:`ChainedScheduler`, here behind a ``ConstantLR`` that "
        f"halves the rate for 30 steps. {said}",
        raw(drawing({alone_call: alone[: len(rates)], both: rates}, f"{name} behind another")),
    ]


def state_of(cls: type) -> list[str]:
    """What a checkpoint has of it, after the recipe."""
    if cls.__name__ not in recipes.PARTS and example(cls) is None:
        return []
    state = recipes.run(recipes.recipe(cls))[1]["scheduler"].state_dict()
    rows = [".. list-table::", "   :widths: 40 60", "   :class: names", ""]
    for key, value in state.items():
        shown = repr(value) if len(repr(value)) <= 70 else repr(value)[:67] + "..."
        rows += [f"   * - ``{key}``", f"     - ``{shown}``"]
    parts = ["After the recipe, ``state_dict()`` holds, under torch's names:", "\n".join(rows)]
    return [*parts, KEPT] if cls.__name__ != "LRScheduler" else parts
