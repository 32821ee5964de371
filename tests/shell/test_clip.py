"""Clipping of gradients: torch's meaning, in place, the same bits everywhere."""

import doctest
import inspect
import math
import tracemalloc
from typing import Any

import array_api_strict
import numpy as np
import pytest
import torch
from conftest import assert_same_bits, require_engine
from norms import SHAPES, TORCH_ERROR, gradients, with_gradients

import optimkit as ok
from optimkit import clip
from optimkit.clip import clip_grad_norm_, clip_grad_value_, get_total_norm

# --- clipping by norm -----------------------------------------------------------------------


@pytest.mark.parametrize("max_norm", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("order", [2.0, 1.0, math.inf, 0.5])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_clipping_is_torchs(dtype: str, order: float, max_norm: float, engine: str) -> None:
    params = with_gradients(gradients(dtype))
    mine, arrays = with_gradients(gradients(dtype)), gradients(dtype)
    reference = torch.nn.utils.clip_grad_norm_(params, max_norm, order)
    error = TORCH_ERROR[np.empty(0, dtype).real.dtype.name]
    assert clip_grad_norm_(mine, max_norm, order).item() == pytest.approx(
        reference.item(), rel=error
    )
    assert clip_grad_norm_(arrays, max_norm, order) == pytest.approx(reference.item(), rel=error)
    for param, own, x in zip(params, mine, arrays, strict=True):
        assert_same_bits(own.grad, x)
        np.testing.assert_allclose(x, param.grad.numpy(), rtol=2 * error)  # norm and product


def test_the_formula(engine: str) -> None:
    for dtype in ("float16", "float32", "float64"):
        arrays = gradients(dtype)
        total = get_total_norm(arrays)
        # half precision is computed in float32 and rounded once
        factor = np.dtype("float64" if dtype == "float64" else "float32").type(1 / (total + 1e-6))
        expected = [(x * factor).astype(dtype) for x in arrays]
        assert clip_grad_norm_(arrays, 1.0) == total
        for x, y in zip(arrays, expected, strict=True):
            assert_same_bits(x, y)


@pytest.mark.parametrize("layout", ["C", "F", "strided", "strict", "torch", "large"])
def test_every_layout_is_clipped_in_place(layout: str, engine: str) -> None:
    shapes = [(300, 1_000), (7, 5)] if layout == "large" else SHAPES
    expected, arrays = gradients(shapes=shapes), gradients(shapes=shapes)
    clip_grad_norm_(expected, 0.5)
    convert = {
        "F": np.asfortranarray,
        "strided": lambda x: np.repeat(x, 2, -1)[..., ::2] if x.ndim else x,
        "strict": array_api_strict.asarray,
        "torch": torch.tensor,
    }.get(layout, np.asarray)
    converted = list(map(convert, arrays))
    params = [ok.Parameter(x) for x in converted]
    for param, x in zip(params, converted, strict=True):
        param.grad = x
    clip_grad_norm_(params, 0.5)
    for x, y in zip(converted, expected, strict=True):
        if layout == "F":  # another order of memory is another order of addition
            np.testing.assert_allclose(x, y, rtol=2**-23)
        else:
            assert_same_bits(x, y)


@pytest.mark.parametrize(
    ("values", "max_norm"),
    [
        ([1.0, math.nan, 2.0], 1.0),
        ([1.0, math.inf, 2.0], 1.0),
        ([1.0, 2.0, 2.0], math.inf),
        ([1.0, 2.0, math.inf], math.inf),
        ([1.0, 2.0, 2.0], math.nan),
        ([1.0, 2.0, 2.0], 0.0),
        ([1.0, 2.0, -0.0], 100.0),
        ([0.0, -0.0], 1.0),
    ],
)
def test_special_values_are_torchs(values: list[float], max_norm: float) -> None:
    (param,) = with_gradients([np.array(values, "f")])
    x = np.array(values, "f")
    reference = torch.nn.utils.clip_grad_norm_([param], max_norm).item()
    assert clip_grad_norm_([x], max_norm) == pytest.approx(reference, rel=1e-6, nan_ok=True)
    assert_same_bits(x, param.grad)


def test_what_is_small_enough_keeps_its_bits(engine: str) -> None:
    arrays = gradients()
    clip_grad_norm_(arrays, 1e6)
    for x, y in zip(arrays, gradients(), strict=True):
        assert_same_bits(x, y)


def test_not_finite_is_an_error_if_asked() -> None:
    grad = np.array([1.0, np.inf])
    for function in (clip_grad_norm_, torch.nn.utils.clip_grad_norm_):
        own = function is clip_grad_norm_
        with pytest.raises(RuntimeError, match="cannot be clipped"):
            function([grad] if own else with_gradients([grad]), 1.0, error_if_nonfinite=True)
    with pytest.raises(RuntimeError, match=r"order 2\.0 .* is inf"):
        get_total_norm([grad], error_if_nonfinite=True)
    assert grad.tolist() == [1.0, np.inf]


def test_a_gradient_given_twice() -> None:
    params, x = with_gradients([np.array([3.0, 4.0])]), np.array([3.0, 4.0])
    expected = torch.nn.utils.clip_grad_norm_(params * 2, 1.0).item()
    assert clip_grad_norm_([x, x], 1.0) == pytest.approx(expected, rel=1e-15)
    np.testing.assert_allclose(x, params[0].grad.numpy(), rtol=1e-15)  # one rounding in each


def test_version_counters_move() -> None:
    params = with_gradients(gradients())
    before = [param.grad._version for param in params]
    clip_grad_norm_(params, 1.0)
    clip_grad_value_(params, 1.0)
    assert all(p.grad._version > v for p, v in zip(params, before, strict=True))


# --- clipping by value ----------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0.5, 0.1, 1e9, math.inf, 0.0, math.nan])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_values_are_torchs(limit: float, dtype: str, engine: str) -> None:
    if dtype == "float16" and limit == 1e9:
        pytest.skip("torch refuses limits beyond the largest half-precision number")
    special = np.array([-3, 3, np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-7], dtype)
    arrays, params = [special, *gradients(dtype)], with_gradients([special, *gradients(dtype)])
    mine = with_gradients(arrays)
    assert clip_grad_value_(arrays, limit) is None
    clip_grad_value_(mine, limit)
    torch.nn.utils.clip_grad_value_(params, limit)
    for x, own, param in zip(arrays, mine, params, strict=True):
        np.testing.assert_array_equal(x, param.grad.numpy())  # 0 and -0 are equal here
        assert_same_bits(own.grad, x)


def test_values_on_other_layouts() -> None:
    x = np.linspace(-2, 2, 24).reshape(4, 6)
    for other in (np.asfortranarray(x), np.repeat(x, 2, 1)[:, ::2], array_api_strict.asarray(x)):
        clip_grad_value_([other], 1.0)
        assert_same_bits(other, np.clip(x, -1, 1))


# --- cost and bad input ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["numba", "blocked"])
def test_no_temporary_as_large_as_a_gradient(name: str) -> None:
    require_engine(name)
    grad = np.ones(4_000_000, "f")
    with ok.use_engine(name):
        for order in (2, 1, math.inf, 0, 3):
            get_total_norm([grad], order)  # compiles
            tracemalloc.start()
            clip_grad_norm_([grad], 1.0, order)
            clip_grad_value_([grad], 1e-3)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < grad.nbytes / 2


@pytest.mark.parametrize(
    ("gradient", "error", "match"),
    [
        (np.ones(2, int), TypeError, "gradient 1: its dtype is int64"),
        ("ab", TypeError, "gradient 1: a builtins.str"),
        (np.broadcast_to(np.ones(1), 2), ValueError, "gradient 1: it is read-only"),
        (ok.Parameter(np.zeros(2)), None, ""),
        (torch.nn.Parameter(torch.zeros(2)), RuntimeError, "gradient 1: it is sparse"),
    ],
)
def test_bad_gradients_change_nothing(gradient: Any, error: Any, match: str) -> None:
    first = np.array([3.0, 4.0])
    if error is None:
        gradient.grad, error, match = [1.0, 2.0], TypeError, "gradient 1"
    if isinstance(gradient, torch.nn.Parameter):
        gradient.grad = torch.sparse_coo_tensor([[1]], [2.0], (2,), check_invariants=True)
    for function in (clip_grad_norm_, clip_grad_value_):
        with pytest.raises(error, match=match):
            function([first, gradient], 1.0)
    assert first.tolist() == [3.0, 4.0]


@pytest.mark.parametrize("limit", [None, "much", [1.0]])
def test_a_limit_that_is_no_number_changes_nothing(limit: Any) -> None:
    gradient = np.array([3.0, 4.0])
    for function in (clip_grad_norm_, clip_grad_value_):
        with pytest.raises((TypeError, ValueError)):
            function([gradient], limit)
    assert gradient.tolist() == [3.0, 4.0]


def test_other_errors() -> None:
    with pytest.raises(TypeError, match=r"parameter 0: a ndarray has no \.grad"):
        clip_grad_norm_(ok.SGD([np.zeros(2)], lr=0.1), 1.0)
    for own, source in ((True, gradients("complex64")), (False, with_gradients(gradients("D")))):
        function = clip_grad_value_ if own else torch.nn.utils.clip_grad_value_
        with pytest.raises(NotImplementedError, match="complex"):
            function(source, 1.0)
    param = torch.nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    param.grad = torch.ones(2, dtype=torch.complex64).conj()
    with pytest.raises(ValueError, match="lazily"):
        clip_grad_norm_([param], 1.0)
    assert get_total_norm([param.grad]) == pytest.approx(math.sqrt(2), rel=2**-24)  # as float32
    with pytest.warns(UserWarning, match="empty generator"):
        clip_grad_norm_((x for x in ()), 1.0)
    with pytest.raises(TypeError):
        clip_grad_norm_(3.0, 1.0)
    with pytest.raises(ValueError, match="could not convert"):
        get_total_norm([np.ones(1)], "euclid")


@pytest.mark.parametrize("name", clip.__all__)
def test_signature_is_torchs(name: str) -> None:
    own, reference = (
        inspect.signature(f).parameters
        for f in (getattr(clip, name), getattr(torch.nn.utils, name))
    )
    assert [(p.name, p.default, p.kind) for p in own.values()] == [
        (p.name, p.default, p.kind) for p in reference.values()
    ]


def test_examples_in_docstrings() -> None:
    result = doctest.testmod(clip)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("limit", [-1.0, -1e-300, -math.inf])
def test_a_negative_limit_would_turn_gradients_round(limit: float) -> None:
    grad = np.ones(3)
    with pytest.raises(ValueError, match=rf"max_norm is {limit}"):
        clip_grad_norm_([grad], limit)
    assert_same_bits(grad, np.ones(3))


@pytest.mark.parametrize("limit", [-1.0, -math.inf])
@pytest.mark.parametrize("function", [clip_grad_norm_, clip_grad_value_])
def test_a_negative_limit(function: Any, limit: float) -> None:
    grad = np.array([3.0, -4.0])
    with pytest.raises(ValueError, match=rf"is {limit}; a number of at least 0"):
        function([grad], limit)
    assert grad.tolist() == [3.0, -4.0]
