"""The cases of the table, as ordinary steps and as steps that autograd records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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

REFUSED = sorted(
    name for name in ok.__all__ if not getattr(getattr(ok, name), "differentiable", True)
)
ELEMENTWISE = [
    case
    for case in CASES
    if case.optimizer not in REFUSED and not case.circumstances.sparse and not case.halves
]
RULES = sorted({case.optimizer for case in ELEMENTWISE})
Place = tuple[str, int | None]  # an option, or one of a pair


def option_numbers(options: dict[str, Any]) -> Iterator[tuple[Place, float]]:
    """Every number among the options of a group."""
    for name, value in options.items():
        for i, x in enumerate(value) if isinstance(value, tuple) else [(None, value)]:
            if isinstance(x, float | int) and not isinstance(x, bool):
                yield (name, i), x


def set_option(options: dict[str, Any], place: Place, value: Any) -> None:
    name, i = place
    if i is None:
        options[name] = value
    else:
        options[name] = tuple(value if j == i else x for j, x in enumerate(options[name]))


def options_of(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}


def run(
    case: Case,
    dtype: str,
    steps: int,
    tensor_for: Callable[[Place, float], Any] = lambda place, number: number,
    **options: Any,
) -> list[list[Any]]:
    """Take some steps; after each, all parameters and the entries of their state.

    With ``differentiable=True`` parameters and gradients require grad. `tensor_for` says what
    stands in the place of each number among the options.
    """
    setting, orders = case.circumstances, [order for _, order in case.circumstances.shapes]
    recorded = bool(options.get("differentiable"))

    def tensor(x: Any, order: str) -> torch.Tensor:
        return torch.from_numpy(lay_out(x, order)).requires_grad_(recorded)

    begin = [tensor(x, order) for x, order in zip(parameters(setting, dtype), orders, strict=True)]
    params = [x.clone() for x in begin] if recorded else begin
    groups = [{"params": [params[i] for i in group]} for group in setting.groups]
    optimizer = getattr(ok, case.optimizer)(groups, **case.options, **options)
    numbers = [options_of(group) for group in optimizer.param_groups]
    grads = gradients(setting, dtype, steps)
    found = []
    for step in range(1, steps + 1):
        for k, (group, values) in enumerate(zip(optimizer.param_groups, numbers, strict=True)):
            factor = rate_factor(step) if setting.scheduled else 1.0
            scaled = values | {"lr": values["lr"] * (k + 1) * factor}
            for place, number in list(option_numbers(scaled)):
                set_option(scaled, place, tensor_for(place, number))
            group.update(scaled)
        optimizer.step(
            grads=[
                tensor(grad[step - 1, ...], order) if has_gradient(setting, i, step) else None
                for i, (grad, order) in enumerate(zip(grads, orders, strict=True))
            ]
        )
        states = [optimizer.state.get(p) or {} for p in params]
        found.append([[("param", p) for p in params], *[list(state.items()) for state in states]])
        found[-1] = [[(name, content(value)) for name, value in row] for row in found[-1]]
    return found


def content(x: Any) -> Any:
    """The bits of a tensor, or the number that an entry of a state is."""
    return x.detach().resolve_conj().numpy().copy() if isinstance(x, torch.Tensor) else x


def differences(mine: list[list[Any]], theirs: list[list[Any]]) -> list[str]:
    """Where two runs have other names, shapes, dtypes or bits; NaN equals NaN."""
    found = []
    for step, (rows, others) in enumerate(zip(mine, theirs, strict=True), 1):
        for place, (row, other) in enumerate(zip(rows, others, strict=True)):
            names, wanted = ([name for name, _ in x] for x in (row, other))
            if names != wanted:
                found.append(f"step {step}, {place}: {names}, not {wanted}")
                continue
            for (name, x), (_, y) in zip(row, other, strict=True):
                if not same(x, y):
                    found.append(f"step {step}, {place}, {name}: {x!r}, not {y!r}")
    return found


def same(x: Any, y: Any) -> bool:
    if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
        return type(x) is type(y) and bool(x == y)
    if (x.shape, x.dtype) != (y.shape, y.dtype):
        return False
    x, y = (z.reshape(-1).view(z.real.dtype) for z in (x, y))
    whole = f"u{x.itemsize}"
    return bool(((x.view(whole) == y.view(whole)) | (np.isnan(x) & np.isnan(y))).all())
