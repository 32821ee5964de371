"""A recorded step gives the bits of the eager reference, whatever carries derivatives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recorded import ELEMENTWISE, Place, differences, option_numbers, options_of, run

import optimkit as ok
from optimkit.validation.reference.case import Case

STEPS = 5
NAMES = [case.name for case in ELEMENTWISE]
# Of these torch keeps numbers in float32. One that carries derivatives is not rounded.
ROUNDED = {
    "NAdam": {"betas", "momentum_decay"},
    "ASGD": {"lr", "lambd", "alpha", "t0"},
}


@pytest.fixture(autouse=True)
def _eagerly() -> Any:
    with ok.use_engine("eager"):
        yield


@pytest.mark.parametrize("case", ELEMENTWISE, ids=NAMES)
def test_parameters_and_state(case: Case) -> None:
    for dtype in case.dtypes:
        recorded = run(case, dtype, STEPS, differentiable=True)
        assert differences(recorded, run(case, dtype, STEPS)) == []


@pytest.mark.parametrize("kind", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("case", ELEMENTWISE, ids=NAMES)
def test_options_that_are_tensors(case: Case, kind: torch.dtype) -> None:
    """Of any dtype. Zeros stay numbers: see the next test but one."""

    def tensor_for(requires_grad: bool) -> Any:
        def made(place: Place, number: float) -> Any:
            if number == 0 or place[0] in ROUNDED.get(case.optimizer, ()):
                return number
            return torch.tensor(float(number), dtype=kind, requires_grad=requires_grad)

        return made

    for dtype in case.dtypes:
        recorded = run(case, dtype, STEPS, tensor_for(True), differentiable=True)
        assert differences(recorded, run(case, dtype, STEPS, tensor_for(False))) == []


@pytest.mark.parametrize(
    ("name", "places"), [(k, p) for k, v in ROUNDED.items() for p in sorted(v)]
)
def test_numbers_that_torch_keeps_in_float32_are_not_rounded_if_they_carry(
    name: str, places: str
) -> None:
    params = [torch.linspace(-1, 1, 5, dtype=torch.float64) for _ in range(2)]
    recorded, plain = (
        getattr(ok, name)([p], differentiable=flag) for p, flag in zip(params, (1, 0), strict=True)
    )
    value = plain.param_groups[0][places]
    as_tensors = [
        torch.tensor(float(x), dtype=torch.float64, requires_grad=True)
        for x in (value if isinstance(value, tuple) else [value])
    ]
    recorded.param_groups[0][places] = (
        tuple(as_tensors) if isinstance(value, tuple) else as_tensors[0]
    )
    for _ in range(5):
        for optimizer, p in zip((recorded, plain), params, strict=True):
            optimizer.step(grads=[p.detach().sin()])
    one, other = params[0].detach(), params[1]
    # the step differs by what rounding a number of it to float32 makes
    torch.testing.assert_close(one, other, rtol=2**-23, atol=0)
    number = "mu_product" if name == "NAdam" else "mu" if places == "t0" else "eta"
    exact, rounded = recorded.state[params[0]][number], plain.state[params[1]][number]
    if number != "mu":  # which is 1 for long
        assert exact.dtype == torch.float64
        assert float(exact.detach()) != rounded
    assert float(torch.as_tensor(exact).detach()) == pytest.approx(rounded, rel=5 * 2**-24)


ZEROS = [
    (case, place)
    for case in ELEMENTWISE
    if case.exercises == "defaults"
    for place, number in option_numbers(
        options_of(getattr(ok, case.optimizer)([torch.zeros(1)]).param_groups[0])
    )
    if number == 0 and place[0] != "dampening"  # of no momentum
]


@pytest.mark.parametrize(
    ("case", "place"), ZEROS, ids=[f"{case.optimizer}: {place[0]}" for case, place in ZEROS]
)
def test_an_option_that_is_zero_takes_part(case: Case, place: Place) -> None:
    """So that its derivative is not lost. Then a zero may get another sign; RMSprop's rounding
    with momentum is another, and SGD has its momentum in the state."""
    params = [torch.linspace(-1, 1, 5, dtype=torch.float64) for _ in range(2)]
    recorded, plain = (
        getattr(ok, case.optimizer)([p], differentiable=flag)
        for p, flag in zip(params, (1, 0), strict=True)
    )
    zero = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    recorded.param_groups[0][place[0]] = zero
    for _ in range(3):
        for optimizer, p in zip((recorded, plain), params, strict=True):
            optimizer.step(grads=[p.detach().sin()])
    assert params[0].grad_fn is not None
    torch.testing.assert_close(params[0].detach(), params[1], rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("master", [None, "float32"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["SGD", "AdamW", "NAdam", "RMSprop"])
def test_half_precision(name: str, dtype: torch.dtype, master: str | None) -> None:
    start = torch.linspace(-2, 2, 7).to(dtype)
    outcomes = []
    for recorded in (True, False):
        param = start.clone().requires_grad_().clone() if recorded else start.clone()
        options = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
        optimizer = getattr(ok, name)(
            [param], lr=0.1, differentiable=recorded, master_dtype=master, **options
        )
        for k in range(4):
            optimizer.step(grads=[(start * (k + 1)).requires_grad_(recorded)])
        state = optimizer.state[param]
        outcomes.append([("param", param), *state.items()])
    for (name_, x), (other, y) in zip(*outcomes, strict=True):
        assert name_ == other
        assert torch.equal(x, y) and x.dtype == y.dtype if isinstance(x, torch.Tensor) else x == y
