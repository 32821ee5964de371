"""How far two implementations come apart, by the size of the gradients."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.comparison.circumstances import Circumstance
from optimkit.validation.comparison.departures import DEPARTURES
from optimkit.validation.comparison.kinds import WHOLE, kind_of
from optimkit.validation.comparison.probes import Array
from optimkit.validation.comparison.runs import run
from optimkit.validation.comparison.texts import Text

SCALES = (1.0, 1e-3, 1e-5)
STEPS, ELEMENTS = 100, (30,)
MATRIX = (6, 5)  # what a rule that is not elementwise has in their place

# The departures that the page explains, each of a rule with these options.
EXPLAINED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("Adam", "eps-hat", {}),
    ("Adam", "eps inside the root", {}),
    ("Adam", "eps squared inside the root", {}),
    ("Adam", "eps as a floor", {}),
    ("Adam", "eps missing", {}),
    ("RMSprop", "eps inside the root", {}),
    ("Adagrad", "eps inside the root", {}),
    ("Adamax", "eps outside the maximum", {}),
    ("RAdam", "eps after the correction", {}),
    ("Adam", "no bias correction", {}),
    ("Adamax", "bias correction missing", {}),
    ("RAdam", "no step before the rectification", {}),
    ("RAdam", "step off by one", {}),
    ("RMSprop", "second moment begins at one", {}),
    ("RMSprop", "as in TensorFlow", {}),
    ("Adam", "maximum after the correction", {"amsgrad": True}),
    ("NAdam", "momentum without its schedule", {}),
    ("AdamW", "look-ahead of the first moment", {}),
    ("Adam", "decoupled decay in place of coupled", {"weight_decay": 0.01}),
    ("AdamW", "decay not times lr", {}),
    ("AdamW", "decay after the step", {}),
    ("SGD", "dampening on the first step", {"momentum": 0.9, "dampening": 0.5}),
    ("SGD", "look-ahead twice", {"momentum": 0.9, "nesterov": True}),
    ("Rprop", "step of the step before", {}),
    ("Adafactor", "eps added to the squares", {}),
    ("Adafactor", "constant step", {"lr": 0.2}),
    ("Muon", "products not rounded to bfloat16", {}),
    ("Muon", "as in Keras", {}),
    ("Muon", "as in optax", {}),
)


def tried_on(scale: float, dtype: str, whole: bool) -> Circumstance:
    """Normal gradients of a size, from normal parameters."""
    random, shape = np.random.default_rng(3), MATRIX if whole else ELEMENTS
    start = random.normal(0, 1, shape).astype(dtype)
    gradients = scale * random.normal(0, 1, (STEPS, *shape))
    rows = tuple((g,) for g in gradients.astype(dtype))
    return Circumstance("", (start,), rows, (1.0,) * STEPS, whole=whole)


def distances(
    rule: type[ok.Optimizer],
    options: dict[str, Any],
    dtype: str,
    values: Callable[[Circumstance], Array],
) -> dict[str, float]:
    """How far the last values are from the rule's, relative to the way that it has gone.

    Both by the norm of all elements, for gradients of each size of `SCALES`.
    """
    off, hyper = {}, _hyper(rule, options)
    for scale in SCALES:
        given = tried_on(scale, dtype, kind_of(rule, options) == WHOLE)
        (probe,) = given.probes()
        made = run(rule.update, rule, hyper, probe).param[-1].astype(float)
        way = np.linalg.norm(made - probe.start)
        off[f"{scale:g}"] = float(f"{np.linalg.norm(values(given)[-1] - made) / way:.2g}")
    return off


def _steps(text: Text, hyper: SimpleNamespace, given: Circumstance) -> Array:
    (probe,) = given.probes()
    return run(text.function(), text.optimizer, hyper, probe).param


def _hyper(rule: type[ok.Optimizer], options: dict[str, Any]) -> SimpleNamespace:
    hyper: SimpleNamespace = rule.bind(**options)
    hyper.sparse = False
    return hyper


def departure(rule: type[ok.Optimizer], name: str, options: dict[str, Any]) -> dict[str, Any]:
    """What a departure does to a rule: what it means, the lines that change, how far it leads."""
    original = Text.of(rule)
    entry, text = next(
        (entry, text)
        for entry in DEPARTURES
        if entry.name == name
        for text in entry.applied(original)
    )
    hyper = _hyper(rule, options)
    off = distances(rule, options, "float64", lambda given: _steps(text, hyper, given))
    lines = [(change.before, change.after) for change in text.changes(original)]
    return {
        "rule": rule.__name__,
        "name": name,
        "options": options,
        "meaning": entry.meaning,
        "lines": lines,
        "off": off,
    }
