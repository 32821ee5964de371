"""Derivatives of recorded steps against difference quotients: every rule, every set of options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from recorded import ELEMENTWISE, RULES, option_numbers, options_of, set_option

import optimkit as ok
from optimkit.validation.reference.case import Case

# State that is under a root or a bound: apart from zero, where the quotients are no derivative.
POSITIVE = {"exp_avg_sq", "max_exp_avg_sq", "exp_inf", "square_avg", "sum", "acc_delta"}
# Of ASGD, the average begins with the whole of the second iterate: a kink in t0.
KINKS = {"t0 of 0, averaging from the second step": {"t0"}}

CASES = list({(case.optimizer, str(case.options)): case for case in ELEMENTWISE}.values())
Inputs = list[torch.Tensor]


def problem(case: Case, dtype: torch.dtype, fresh: bool) -> tuple[Callable[..., Any], Inputs]:
    """Two steps as a function of parameter, gradients, state and options; and where it is checked.

    With `fresh` the state is that of the rule's own beginning.
    """
    draws = torch.Generator().manual_seed(7)

    def draw() -> torch.Tensor:
        return torch.randn(3, dtype=dtype, generator=draws) + 0.3

    param, grad = draw(), draw()
    inputs = [param, grad, 1.3 * grad + 0.2 * draw()]
    rule = getattr(ok, case.optimizer)
    first = param.clone()
    optimizer = rule([first], **case.options, differentiable=True)
    base = options_of(optimizer.param_groups[0])
    if 0 < base.get("eps", 1) < 1e-3:  # which quotients over 1e-6 do not resolve
        base["eps"] = 0.01
    places = [
        place
        for place, number in option_numbers(base)
        if number != 0 and place[0] not in KINKS.get(case.exercises, ())
    ]
    optimizer.step(grads=[0.8 * grad])
    state = {} if fresh else dict(optimizer.state[first])
    count = {"step": state.pop("step")} if "step" in state else {}
    inputs += [apart(name, torch.as_tensor(x, dtype=None if hasattr(x, "shape") else torch.float64))
               for name, x in state.items()]  # fmt: skip
    numbers = dict(option_numbers(base))
    inputs += [torch.tensor(float(numbers[place]), dtype=torch.float64) for place in places]

    def two_steps(p: Any, g: Any, h: Any, *others: Any) -> tuple[Any, ...]:
        p = p.clone()
        optimizer = rule([p], **case.options, differentiable=True)
        group = optimizer.param_groups[0]
        group.update(base)
        for place, value in zip(places, others[len(state) :], strict=True):
            set_option(group, place, value)
        optimizer.state[p].update(count | dict(zip(state, others, strict=False)))
        optimizer.step(grads=[g])
        optimizer.step(grads=[h])
        kept = optimizer.state[p].values()
        return p, *[x for x in kept if isinstance(x, torch.Tensor)]

    return two_steps, [x.clone().requires_grad_() for x in inputs]


def apart(name: str, x: torch.Tensor) -> torch.Tensor:
    if name not in POSITIVE:
        return x
    if x.is_complex():
        return torch.view_as_complex(torch.view_as_real(x).abs() + 0.5)
    return x.abs() + 0.5


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_two_steps_from_any_state(case: Case) -> None:
    dtype = torch.complex128 if "complex" in case.exercises else torch.float64
    function, inputs = problem(case, dtype, fresh=False)
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)


# What torch's forward mode does when it is first used.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize("name", RULES)
def test_two_steps_from_the_beginning(name: str, dtype: torch.dtype) -> None:
    case = next(case for case in CASES if case.optimizer == name)
    function, inputs = problem(case, dtype, fresh=True)
    fast = dtype.is_complex
    assert torch.autograd.gradcheck(function, inputs, check_forward_ad=True, fast_mode=fast)


@pytest.mark.parametrize("name", RULES)
def test_second_derivatives(name: str) -> None:
    case = max((c for c in CASES if c.optimizer == name), key=lambda c: len(c.options))
    function, inputs = problem(case, torch.float64, fresh=False)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)
