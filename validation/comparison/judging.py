"""Values held against a rule's: whether they differ, where first, by how much, and how it grows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
EQUAL, ROUNDED, FLOAT32, DIFFERENT = "equal in bits", "rounding", "float32 numbers", "different"
VERDICTS = (EQUAL, ROUNDED, FLOAT32, DIFFERENT)


@dataclass
class FirstDifference:
    """Where a quantity first differs by more than rounding, and by how much.

    Attributes
    ----------
    quantity : str
        ``"param"``, or the name of a moment.
    step, element : int
    gradient : float
        Of that element at that step.
    value, reference : float
    relative : float
        Relative to what the reference changed since the start, or to its value.
    units : float
        In units in the last place of the reference.
    growth : dict
        From steps to the largest relative difference there.
    parameter : int
        Which of several it is of, counted from 1; 0 if there is one alone.
    """

    quantity: str
    step: int
    element: int
    gradient: float
    value: float
    reference: float
    relative: float
    units: float
    growth: dict[int, float] = field(default_factory=dict)
    parameter: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def units(values: Array, reference: Array) -> Array:
    """Distances in units in the last place of the reference."""
    with np.errstate(all="ignore"):
        distance = np.abs(values.astype(np.longdouble) - reference) / np.abs(np.spacing(reference))
    alike = (values == reference) | (np.isnan(values) & np.isnan(reference))
    with np.errstate(over="ignore"):
        return np.where(alike, 0.0, np.where(np.isnan(distance), np.inf, distance)).astype(float)


def relative(values: Array, reference: Array, start: Array) -> Array:
    """Distances relative to how far the reference has gone, both by the larger of the two."""
    with np.errstate(all="ignore"):
        gone = np.fmax(np.abs(values - start), np.abs(reference - start))
        distance = np.abs(values - reference) / gone
    alike = (values == reference) | (np.isnan(values) & np.isnan(reference))
    return np.where(alike, 0.0, np.where(np.isnan(distance), np.inf, distance))


def first_difference(
    quantity: str, values: Array, reference: Array, start: Array, gradients: Array, differs: Array
) -> FirstDifference | None:
    """Describe the first of the places where values differ; steps × elements."""
    if not differs.any():
        return None
    step = int(np.argmax(differs.any(1)))
    apart = relative(values, reference, start)
    size = np.where(np.isfinite(far := units(values, reference)), far, 0)
    element = int(np.argmax(np.where(differs[step], size[step], -1)))
    marks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if t <= len(values)]
    largest = {t: float(np.where(differs[t - 1], apart[t - 1], 0).max()) for t in marks}
    return FirstDifference(
        quantity,
        step + 1,
        element,
        float(gradients[step, element]),
        float(values[step, element]),
        float(reference[step, element]),
        float(apart[step, element]),
        float(far[step, element]),
        largest,
    )
