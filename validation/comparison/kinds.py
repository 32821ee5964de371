"""What kind of rule there is to compare with, which decides what candidates are tried on."""

from __future__ import annotations

from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.explain.subjects import why_eager

ELEMENTWISE = "each element by itself"
WHOLE = "whole arrays"  # such as one with sums, or products of matrices
TOUCHED = "the elements that a sparse gradient has"
SEARCH = "a loss that it evaluates"

SHAPES = {
    "a matrix": (2, 3),
    "a wide one": (3, 5),
    "a tall one": (5, 2),
    "a vector": (6,),
    "0-d": (),
    "4-D": (2, 2, 3, 2),
}


def kind_of(rule: type[ok.Optimizer], options: Any) -> str:
    """What a rule works on."""
    if hasattr(rule, "minimize"):
        return SEARCH
    if rule.needs_sparse:
        return TOUCHED
    try:
        return WHOLE if why_eager(rule, options) else ELEMENTWISE
    except Exception:  # it may not take the array that it was tried on; shapes tell
        return WHOLE


def accepted(rule: type[ok.Optimizer], options: Any) -> list[str]:
    """Of `SHAPES`, those that a rule can step.

    Raises
    ------
    ValueError
        If it can step none of them.
    """
    found, first = [], None
    hyper = rule.bind(**options)
    hyper.sparse = False
    for name, shape in SHAPES.items():
        param = np.full(shape, 0.5)
        try:
            with np.errstate(all="ignore"):
                rule.check_param(param, hyper)
                stepped = rule.update(np, param, param, rule.init(np, param, hyper), hyper, 1)[0]
            if np.shape(stepped) == shape:
                found.append(name)
        except Exception as error:
            first = first or error
    if not found:
        said = f"{type(first).__name__}: {first}" if first else "a step changes a shape"
        raise ValueError(f"the rule {rule.__name__} fails on every shape: {said}")
    return found
