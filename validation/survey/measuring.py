"""How far two implementations come apart, by the size of the gradients."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.comparison.departures import DEPARTURES
from optimkit.validation.comparison.probes import Array, Probe
from optimkit.validation.comparison.runs import run
from optimkit.validation.comparison.texts import Text

SCALES = (1.0, 1e-3, 1e-5)
STEPS, ELEMENTS = 100, 30

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
)


def probe(scale: float, dtype: str) -> Probe:
    """Normal gradients of a size, from normal parameters."""
    random = np.random.default_rng(3)
    start = random.normal(0, 1, ELEMENTS).astype(dtype)
    gradients = scale * random.normal(0, 1, (STEPS, ELEMENTS))
    return Probe(start, gradients.astype(dtype), (1.0,) * STEPS)


def distances(
    rule: type[ok.Optimizer],
    options: dict[str, Any],
    dtype: str,
    values: Callable[[Probe], Array],
) -> dict[str, float]:
    """How far the last values are from the rule's, relative to the way that it has gone.

    Both by the norm of all elements, for gradients of each size of `SCALES`.
    """
    off = {}
    for scale in SCALES:
        given = probe(scale, dtype)
        made = run(rule.update, rule, _hyper(rule, options), given).param[-1].astype(float)
        way = np.linalg.norm(made - given.start)
        off[f"{scale:g}"] = float(f"{np.linalg.norm(values(given)[-1] - made) / way:.2g}")
    return off


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
    off = distances(rule, options, "float64", lambda p: run(text.function(), rule, hyper, p).param)
    lines = [(change.before, change.after) for change in text.changes(original)]
    return {
        "rule": rule.__name__,
        "name": name,
        "options": options,
        "meaning": entry.meaning,
        "lines": lines,
        "off": off,
    }
