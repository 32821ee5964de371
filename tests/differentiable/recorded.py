"""The cases of the table, as ordinary steps and as steps that autograd records."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import optimkit as ok
from optimkit.validation.reference.case import Case
from optimkit.validation.reference.cases import CASES
from optimkit.validation.reference.inputs import (
    gradients,
    has_gradient,
    lay_out,
    parameters,
    rate_factor,
)

REFUSED = {name for name in ok.__all__ if not getattr(getattr(ok, name), "differentiable", True)}
ELEMENTWISE = [
    case for case in CASES if case.optimizer not in REFUSED and not case.circumstances.sparse
]
RULES = sorted({case.optimizer for case in ELEMENTWISE})


def is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def as_tensors(value: Any, dtype: torch.dtype) -> Any:
    """An option, numbers as tensors with derivatives."""
    if isinstance(value, tuple):
        return tuple(as_tensors(x, dtype) for x in value)
    return (
        torch.tensor(float(value), dtype=dtype, requires_grad=True) if is_number(value) else value
    )


def run(case: Case, dtype: str, steps: int, tensors: Any = None, **options: Any) -> list[list[Any]]:
    """Take some steps; after each, all parameters and the arrays and numbers of their state.

    With ``differentiable=True`` parameters and gradients require grad, and with a dtype as
    `tensors` all options that are numbers do, too.
    """
    setting, orders = case.circumstances, [order for _, order in case.circumstances.shapes]
    recorded = bool(options.get("differentiable"))

    def tensor(x: Any, order: str) -> torch.Tensor:
        return torch.from_numpy(lay_out(x, order)).requires_grad_(recorded)

    begin = [tensor(x, order) for x, order in zip(parameters(setting, dtype), orders, strict=True)]
    params = [x.clone() for x in begin] if recorded else begin
    groups = [{"params": [params[i] for i in group]} for group in setting.groups]
    optimizer = getattr(ok, case.optimizer)(groups, **case.options, **options)
    rates = [group["lr"] * (k + 1) for k, group in enumerate(optimizer.param_groups)]
    grads = gradients(setting, dtype, steps)
    found = []
    for step in range(1, steps + 1):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * (rate_factor(step) if setting.scheduled else 1.0)
            if tensors is not None:
                group.update(
                    {k: as_tensors(v, tensors) for k, v in group.items() if k not in ("params",)}
                )
        optimizer.step(
            grads=[
                tensor(grad[step - 1, ...], order) if has_gradient(setting, i, step) else None
                for i, (grad, order) in enumerate(zip(grads, orders, strict=True))
            ]
        )
        state = [
            [(name, content(value)) for name, value in optimizer.state[p].items()] for p in params
        ]
        found.append([[("param", content(p)) for p in params], *state])
    return found


def content(x: Any) -> Any:
    """The bits of a tensor, or the number that it or an entry of a state is."""
    if not isinstance(x, torch.Tensor):
        return x
    return x.detach().resolve_conj().resolve_neg().numpy().copy()


def differences(mine: list[list[Any]], theirs: list[list[Any]]) -> list[str]:
    """Where two runs have other names, shapes, dtypes or bits; NaN equals NaN."""
    found = []
    for step, (rows, others) in enumerate(zip(mine, theirs, strict=True), 1):
        for place, (row, other) in enumerate(zip(rows, others, strict=True)):
            if [name for name, _ in row] != [name for name, _ in other]:
                found.append(
                    f"step {step}, {place}: {[n for n, _ in row]}, {[n for n, _ in other]}"
                )
                continue
            for (name, x), (_, y) in zip(row, other, strict=True):
                if not same(x, y):
                    found.append(f"step {step}, {place}, {name}: {x!r}, not {y!r}")
    return found


def same(x: Any, y: Any) -> bool:
    if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
        return float(x) == float(y)
    if (x.shape, x.dtype) != (y.shape, y.dtype):
        return False
    x, y = (np.atleast_1d(z).reshape(-1) for z in (x, y))
    x, y = (z.view(z.real.dtype) for z in (x, y))
    whole = f"u{x.itemsize}"
    return bool(((x.view(whole) == y.view(whole)) | (np.isnan(x) & np.isnan(y))).all())
