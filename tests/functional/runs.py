"""Every rule of the table as functions, on what the tests of every library step."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from libraries import Library

import optimkit as ok
from optimkit import functional
from optimkit.validation.reference.case import Case

sys.path.append(str(Path(__file__).parents[1] / "algorithms"))

from test_every_library import EMPTY, SHAPES, TABLE, expected, problem, rule_of

CASES = [case for case in TABLE if functional.objection(rule_of(case)) is None]
Step = Callable[..., tuple[Any, dict[str, Any]]]


def transformation(rule: type[ok.Optimizer], options: Mapping[str, Any]) -> Any:
    """The rule as functions, without what chooses how an optimizer steps."""
    kept = {name: x for name, x in options.items() if name not in functional.OF_CLASSES}
    return functional.of(rule, **kept)


def run(
    tx: Any,
    params: list[Any],
    grads: Sequence[list[Any]],
    step: Step | None = None,
) -> list[tuple[Any, dict[str, Any]]]:
    """Step with each row of gradients; return parameters, and the state of each."""
    step = step or tx.step
    state = tx.init(params)
    for row in grads:
        params, state = step(params, row, state)
    return [
        (
            param,
            {
                name: x[i]
                for name, x in state.items()
                if name != "step" and not isinstance(x[i], tuple)
            },
        )
        for i, param in enumerate(params)
    ]


def normal(x: Any) -> Any:
    """The same with zeros for numbers that are denormal, or make such products."""
    if x is None or x.dtype not in ("float32", "complex64"):
        return x
    parts = np.array(x)[..., None].view(np.float32)
    parts[np.abs(parts) < 1e-12] *= 0
    return parts.view(x.dtype)[..., 0]


def run_on(
    library: Library,
    case: Case,
    dtype: str,
    shapes: Any,
    array: Any = None,
    given: Any = None,
    **how: Any,
) -> Any:
    """`run` a case of the table on a library, as NumPy's arrays; `given` makes others of them."""
    starts, rows = problem(case, dtype, shapes)
    if given is not None:
        starts, rows = list(map(given, starts)), [list(map(given, row)) for row in rows]
    params = list(map(array or library.array, starts))
    grads = [list(map(library.array, row)) for row in rows]
    found = run(transformation(rule_of(case), case.options), params, grads, **how)

    def plain(x: Any) -> Any:
        return library.to_numpy(x) if hasattr(x, "shape") else x

    return [(plain(x), {k: plain(v) for k, v in state.items()}) for x, state in found]


__all__ = [
    "CASES",
    "EMPTY",
    "SHAPES",
    "expected",
    "normal",
    "np",
    "rule_of",
    "run",
    "run_on",
    "transformation",
]
