"""What a candidate does in a circumstance."""

from __future__ import annotations

from typing import Any

import numpy as np

from optimkit.validation.comparison import libraries
from optimkit.validation.comparison.candidates import Candidate, Steps, Unusable, place_of
from optimkit.validation.comparison.circumstances import Circumstance, flat
from optimkit.validation.comparison.probes import Array, Loss
from optimkit.validation.threads import one_thread


class OtherDtype(Unusable):
    """A parameter became one of another dtype, which may have room for more."""

    def __init__(self, before: np.dtype[Any], after: np.dtype[Any]) -> None:
        super().__init__(f"a parameter of {before} became {after}")
        self.wider = after.name if after == np.promote_types(before, after) else ""


def observed(candidate: Candidate, circumstance: Circumstance) -> list[Steps]:
    """What a candidate does: for every parameter its values at the steps where it has a gradient.

    Raises
    ------
    Unusable
        If it raises an error, or gives back something of another shape or dtype.
    """
    with np.errstate(all="ignore"), one_thread():
        return _observed(candidate, circumstance)


def _observed(candidate: Candidate, circumstance: Circumstance) -> list[Steps]:
    if circumstance.losses:
        rows = [
            row
            for start, loss in zip(circumstance.starts, circumstance.losses, strict=True)
            for row in _stepped(candidate, circumstance, (start,), loss)
        ]
    else:
        rows = _stepped(candidate, circumstance, circumstance.starts)
    result = []
    for row, start in zip(rows, circumstance.starts, strict=True):
        for values in row:
            if values["param"].shape != start.shape:
                raise Unusable(
                    f"a parameter of shape {start.shape} became one of {values['param'].shape}"
                )
            if values["param"].dtype != start.dtype:
                raise OtherDtype(start.dtype, values["param"].dtype)
        names = [name for name in row[-1] if all(name in values for values in row)]
        result.append({n: np.array([flat(v[n]) for v in row]) for n in names})
    if circumstance.judging and circumstance.whole:
        return [{"param": np.concatenate([steps["param"] for steps in result], 1)}]
    return result


def _stepped(
    candidate: Candidate,
    circumstance: Circumstance,
    starts: tuple[Array, ...],
    loss: Loss | None = None,
) -> list[list[Steps]]:
    """The values of each parameter after each of its steps."""
    groups = [list(group) for group in circumstance.groups] if loss is None else [[0]]
    rows: list[list[Steps]] = [[] for _ in starts]
    step = 0
    try:
        going = candidate.start([np.array(p) for p in starts], groups)
        with libraries.in_double(going.library):
            for step, rate in enumerate(circumstance.rates, 1):
                if loss is None:
                    grads = list(circumstance.gradients[step - 1])
                    going.step(grads, rate)
                else:
                    grads = [loss]
                    going.search(loss)
                for row, values, grad in zip(rows, going.values(), grads, strict=True):
                    row += [values] if grad is not None else []
                if step == circumstance.resumed:
                    going = going.resumed()
    except Unusable:
        raise
    except Exception as error:
        where = f"at step {step}" if step else "at its start"
        said = " ".join(str(error).split())
        raise Unusable(
            f"{where} it raised {type(error).__name__}: {said}{place_of(error)}"
        ) from error
    return rows
