"""What the sliders of a page are: one for each number among the options, from their limits."""

from __future__ import annotations

from typing import Any

import optimkit as ok
from generate.playground_rule import adjustable, flat
from generate.playground_walks import RATES
from optimkit.validation.reference.cases import cases_of

NEAR_ONE = 0.9999  # where sliders of decay rates end


def controls(cls: type[ok.Optimizer]) -> list[dict[str, Any]]:
    """The sliders and switches, in the order of the constructor.

    Returns
    -------
    list of dict
        ``name`` as in `flat`; ``kind``: "switch", "log" (by ratios, zero at the left end if it is
        allowed) or "fraction" (by the distance from 1); ``low``, ``high`` and ``value``.
    """
    return [_control(cls, name, value) for name, value in flat(adjustable(cls)).items()]


def _control(cls: type[ok.Optimizer], name: str, value: float | bool) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"name": name, "kind": "switch", "value": value}
    option = name.partition(".")[0]
    tried = {float(value), *_tried(cls, name)}
    if option == "lr":
        low, high, kind = RATES[0], RATES[-1], "log"
    elif all(0 <= x < 1 for x in tried) and max(tried) >= 0.5:
        low, high, kind = 0.0, NEAR_ONE, "fraction"
    else:
        least = min((x for x in tried if x > 0), default=1.0)
        low, high, kind = least / 100, 100 * max(tried), "log"
    lows = [low, 0.01, 1.01, min(tried)]
    highs = [high, 2 * max(tried), max(tried)]
    zero = kind == "log" and _allowed(cls, name, 0.0)
    return {
        "name": name,
        "kind": kind,
        "low": next(x for x in lows if _allowed(cls, name, x)),
        "high": next(x for x in highs if _allowed(cls, name, x)),
        "zero": zero,
        "value": value,
    }


def _tried(cls: type[ok.Optimizer], name: str) -> list[float]:
    """What the table of cases sets an option to."""
    found = [flat(dict(case.options)) for case in cases_of(cls.__name__)]
    return [float(options[name]) for options in found if name in options]


def _allowed(cls: type[ok.Optimizer], name: str, value: float) -> bool:
    option, _, place = name.partition(".")
    limit = cls.limits.get(option)
    if limit is None:
        return value > 0
    whole: Any = adjustable(cls)[option]
    parts = [value if place == str(i) else x for i, x in enumerate(whole)] if place else []
    return bool(limit(tuple(parts) or value))
