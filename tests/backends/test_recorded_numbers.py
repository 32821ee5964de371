"""Numbers that carry derivatives compute as floats do; the root is exact, and calm at zero."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import pytest
import torch

from optimkit.backends.autograd import with_derivatives
from optimkit.backends.autograd.namespace import NAMESPACE as xp
from optimkit.backends.autograd.recorded_number import RecordedNumber

F64 = torch.float64
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]


def number(x: float) -> RecordedNumber:
    return RecordedNumber.of(torch.tensor(x, dtype=F64, requires_grad=True))


@pytest.mark.parametrize("compute", OPERATORS, ids=lambda f: f.__name__)
def test_arithmetic_is_that_of_floats(compute: Any, rng: np.random.Generator) -> None:
    for x, y in rng.uniform(0.01, 30, (300, 2)).tolist():
        wanted = compute(x, y)
        for found in (compute(number(x), y), compute(x, number(y)), compute(number(x), number(y))):
            assert found.number == wanted
            assert found.tensor.item() == wanted  # what arrays meet
            assert found.tensor.requires_grad


@pytest.mark.parametrize("compute", OPERATORS, ids=lambda f: f.__name__)
def test_derivatives_of_arithmetic(compute: Any) -> None:
    def function(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return compute(compute(RecordedNumber.of(x), 2), RecordedNumber.of(y)).tensor

    x, y = (torch.tensor(v, dtype=F64, requires_grad=True) for v in (0.7, 1.3))
    assert torch.autograd.gradcheck(function, (x, y))
    assert torch.autograd.gradgradcheck(function, (x, y))


def test_errors_are_those_of_floats() -> None:
    with pytest.raises(ZeroDivisionError):
        1 / number(0.0)
    with pytest.raises(ZeroDivisionError):
        number(0.0) ** -1
    with pytest.raises(OverflowError):
        number(10.0) ** 400
    with pytest.raises(TypeError, match="unsupported operand"):
        number(1.0) + "1"
    for convert in (float, math.sqrt):
        with pytest.raises(TypeError, match=r"2\.5.*carries derivatives"):
            convert(number(2.5))


def test_comparisons() -> None:
    one, zero = number(1.0), number(0.0)
    assert 0 < one < 2
    assert one >= 1 >= one
    assert not one > 1
    assert one != 1  # where a rule asks, it leaves out a factor, and its derivative
    assert zero != 0
    assert zero > 0
    assert not zero <= 0
    assert max(2, one) == 2
    assert max(1, number(3.0)).number == 3
    assert abs(-one).number == 1
    assert (-one).number == (-one).tensor.item() == -1


def test_beside_arrays() -> None:
    third = number(1 / 3)
    for dtype in (torch.float32, torch.float64):
        for shape in ((), (3,), (0,)):
            x = torch.full(shape, 0.7, dtype=dtype)
            for compute in OPERATORS:
                for found, wanted in (
                    (compute(x, third), compute(x, torch.tensor(1 / 3, dtype=dtype))),
                    (compute(third, x), compute(torch.tensor(1 / 3, dtype=dtype), x)),
                ):
                    assert found.dtype == dtype
                    assert torch.equal(found, wanted)
            assert torch.equal(x > third, x > 1 / 3)
            assert torch.equal(third < x, x > 1 / 3)
            filled = xp.full_like(x, third)
            assert filled.requires_grad
            assert torch.equal(filled, torch.full_like(x, 1 / 3))
            for name, others in (("maximum", (third,)), ("clip", (third, number(0.5)))):
                plain = [1 / 3, 0.5][: len(others)]
                assert torch.equal(
                    getattr(xp, name)(x, *others),
                    getattr(xp, name)(x, *(torch.tensor(v, dtype=dtype) for v in plain)),
                )
    x = torch.full((3,), 0.5, dtype=F64)
    x *= third
    assert x.requires_grad


def test_only_what_carries_derivatives_is_more_than_a_number() -> None:
    plain, carrying = torch.tensor(0.5), torch.tensor(0.5, requires_grad=True)
    assert with_derivatives(0.5, 0.5) == 0.5
    assert with_derivatives(0.5, plain) == 0.5
    assert with_derivatives(0.5, np.array(0.5)) == 0.5
    pair = with_derivatives((0.5, 0.5), (plain, carrying))
    assert pair[0] == 0.5
    assert isinstance(pair[1], RecordedNumber)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_root_is_numpys(dtype: torch.dtype, rng: np.random.Generator) -> None:
    x = torch.from_numpy(rng.uniform(0, 100, 10_000)).to(dtype)
    x[:8] = torch.tensor([0.0, -0.0, math.inf, -1.0, math.nan, 1e-45, 1e-310, 1e30], dtype=dtype)
    with np.errstate(invalid="ignore"):
        wanted = np.sqrt(x.numpy())
    found = xp.sqrt(x.requires_grad_()).detach().numpy()
    assert np.array_equal(np.isnan(found), np.isnan(wanted))
    assert found[~np.isnan(found)].tobytes() == wanted[~np.isnan(wanted)].tobytes()


def test_the_derivatives_of_the_root() -> None:
    x = torch.tensor([0.5, 2.0], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(xp.sqrt, x)
    assert torch.autograd.gradgradcheck(xp.sqrt, x)
    zero = torch.zeros(2, dtype=F64, requires_grad=True)
    (first,) = torch.autograd.grad(xp.sqrt(zero * zero).sum(), zero, create_graph=True)
    assert first.tolist() == [0.0, 0.0]
    assert torch.autograd.grad(first.sum(), zero)[0].isfinite().all()
