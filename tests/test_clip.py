"""Norms and clipping of gradients: torch's meaning, exact sums, the same bits everywhere."""

import doctest
import inspect
import math
import os
import subprocess
import sys
import tracemalloc
import warnings
from fractions import Fraction
from typing import Any

import array_api_strict
import numpy as np
import pytest
import torch
from conftest import assert_same_bits, require_engine

import optimkit as ok
from optimkit import clip
from optimkit.clip import clip_grad_norm_, clip_grad_value_, get_total_norm

ORDERS = [2.0, 1.0, math.inf, -math.inf, 0.0, 0.5, 3.0, -1.0, 2, "inf"]
SHAPES = [(3, 5), (), (5_000,), (64, 65), (1,)]

# How far torch's norm may be off: it adds in the gradients' precision, on 16 lanes, so that up to
# 5,000 / 16 roundings follow one another; powers and roots add a few.
TORCH_ERROR = {"float16": 320 * 2**-11, "float32": 320 * 2**-24, "float64": 320 * 2**-53}


def gradients(dtype: str = "float32", shapes: Any = SHAPES) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    if dtype.startswith("complex"):
        arrays = [x + 1j * rng.standard_normal(x.shape) for x in arrays]
    return [np.asarray(x, dtype) for x in arrays]


def with_gradients(arrays: list[np.ndarray]) -> list[torch.nn.Parameter]:
    params = [torch.nn.Parameter(torch.zeros(x.shape, dtype=torch.tensor(x).dtype)) for x in arrays]
    for param, x in zip(params, arrays, strict=True):
        param.grad = torch.tensor(x)
    return params


# --- the norm -------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_norm_is_torchs(order: Any, dtype: str, engine: str) -> None:
    arrays = gradients(dtype)
    ours = get_total_norm(arrays, order)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own cast of complex 0-norms
        reference = torch.nn.utils.get_total_norm(list(map(torch.tensor, arrays)), float(order))
    assert type(ours) is float
    real = np.empty(0, dtype).real.dtype.name
    exact = math.isinf(float(order)) and not dtype.startswith("complex")  # |z| is rounded
    assert ours == pytest.approx(reference.item(), rel=0 if exact else TORCH_ERROR[real], abs=0)


@pytest.mark.parametrize("order", ORDERS)
def test_mixed_dtypes_and_libraries(order: Any) -> None:
    arrays = gradients("float16", [(3, 5), ()]) + gradients("float32") + gradients("float64")
    reference = torch.nn.utils.get_total_norm(list(map(torch.tensor, arrays)), float(order))
    mixed: list[Any] = list(arrays)
    mixed[1::3] = map(torch.tensor, mixed[1::3])
    mixed[5] = array_api_strict.asarray(arrays[5])
    # torch rounds the norms of the float16 part to float16
    assert get_total_norm(mixed, order) == pytest.approx(reference.item(), rel=2**-10)
    assert get_total_norm(mixed, order) == get_total_norm(arrays, order)


def exact_sum(terms: Any) -> Fraction:
    return sum((Fraction(float(x)) for x in terms), Fraction(0))


@pytest.mark.parametrize("size", [1, 7, 4_096, 4_097, 70_001])
def test_sums_are_within_the_stated_error(size: int, engine: str) -> None:
    x = np.random.default_rng(size).standard_normal(size).astype("float32")
    squares = exact_sum(x.astype("float64") ** 2)  # exact: 48 bits each
    sums = clip._reduced(clip._gradients([x])[0], 2.0)[0]
    assert abs(exact_sum(sums) - squares) <= 14 * Fraction(2) ** -53 * squares
    assert get_total_norm([x]) == math.sqrt(math.fsum(sums))
    assert get_total_norm([x], 1) == pytest.approx(float(exact_sum(np.abs(x))), rel=14 * 2**-53)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("order", [2, 1, math.inf, -math.inf, 0])
def test_bits_depend_on_nothing(dtype: str, order: float, engine: str) -> None:
    arrays = gradients(dtype, [(300_001,), (7, 70, 3), ()])
    with ok.use_engine("eager"):
        expected = get_total_norm(arrays, order)
    assert get_total_norm(arrays, order) == expected
    assert (
        get_total_norm([np.repeat(x, 2, -1)[..., ::2] if x.ndim else x for x in arrays], order)
        == expected
    )
    assert get_total_norm([np.asfortranarray(x.T) for x in arrays], order) == expected
    if not dtype.startswith("complex"):
        big_endian = [x.astype(x.dtype.newbyteorder(">")) for x in arrays]
        assert get_total_norm(big_endian, order) == expected
    tensors = get_total_norm(list(map(torch.tensor, arrays)), order)
    double = dtype in ("float64", "complex128")
    assert tensors.item() == (expected if double else np.float32(expected))
    if dtype != "float16":  # the standard has no half precision
        strict = list(map(array_api_strict.asarray, arrays))
        assert get_total_norm(strict, order) == expected


@pytest.mark.parametrize("threads", ["1", "3"])
def test_bits_do_not_depend_on_threads(threads: str) -> None:
    code = (
        "import numpy as np; from optimkit.clip import get_total_norm as norm; "
        "x = np.random.default_rng(0).standard_normal(3_000_000).astype('f'); "
        "print(norm([x]).hex(), norm([x], 1).hex())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"OPTIMKIT_NUM_THREADS": n},
            capture_output=True,
            check=True,
        ).stdout
        for n in ("2", threads)
    }
    assert len(found) == 1


def test_numpy_alone_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = gradients("float32", [(300_001,)])
    expected = get_total_norm(arrays)
    monkeypatch.setattr(clip, "_kernel", lambda: None)
    assert get_total_norm(arrays) == expected


@pytest.mark.parametrize("order", [2, 1, 3, math.inf])
def test_not_finite(order: float, engine: str) -> None:
    assert get_total_norm([np.array([1.0, -np.inf]), np.array([np.inf])], order) == math.inf
    assert math.isnan(get_total_norm([np.array([np.inf]), np.array([np.nan, 1])], order))
    assert math.isnan(get_total_norm([np.array([np.nan, 1]), np.array([np.inf])], order))


def test_large_and_small(engine: str) -> None:
    assert get_total_norm([np.full(4, 1e30, "f")]) == pytest.approx(2e30, rel=1e-7)  # float32 1e30
    assert get_total_norm([np.full(4, 1e-40, "f")]) == pytest.approx(2e-40, rel=1e-5)  # denormal
    assert get_total_norm([np.full(4, 1e300)]) == math.inf  # the square overflows, as in torch
    assert get_total_norm([np.full(2, 1.7e308), np.full(2, 1.7e308)], 1) == math.inf


def test_no_gradients() -> None:
    for empty in ([], {}, [None], [ok.Parameter(np.zeros(2))], [np.zeros((0, 3))]):
        for order in ORDERS:
            assert get_total_norm(empty, order) == 0.0
        assert clip_grad_norm_(empty, 1.0) == 0.0
        assert clip_grad_value_(empty, 1.0) is None


def test_norm_of_torch_parameters_without_gradients_is_torchs() -> None:
    param = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    for source in ([param], [None, param], {"p": param}, torch.optim.SGD([param]), param):
        total = clip_grad_norm_(source, 1.0)
        assert type(total) is torch.Tensor
        assert (total.item(), total.dtype, total.shape) == (0.0, torch.float32, ())
    assert repr(total) == repr(torch.nn.utils.clip_grad_norm_([param], 1.0))
    assert type(get_total_norm(torch.optim.SGD([param]))) is torch.Tensor
    assert type(clip_grad_norm_([], 1.0)) is float


def test_empty_gradients_count_for_nothing() -> None:
    some = [np.zeros(0), np.array([3.0, -4.0]), np.zeros((2, 0), "complex64")]
    for order in ORDERS:
        assert get_total_norm(some, order) == get_total_norm(some[1:2], order)


# --- where gradients come from --------------------------------------------------------------


def test_sources() -> None:
    g, h = np.array([3.0, 0.0]), np.array([[-4.0]])
    p, q, r = (ok.Parameter(np.zeros(s), name=n) for s, n in ((2, "p"), ((1, 1), "q"), (1, "r")))
    p.grad, q.grad = g, h
    for source in ([g, None, h], (g, h), {"g": g, "h": h}, [p, q, r], {"p": p, "q": q}, [p, h]):
        assert get_total_norm(source) == 5.0
        assert clip_grad_norm_(source, 10.0) == 5.0
    assert get_total_norm(ok.SGD([p, q, r], lr=0.1)) == 5.0
    assert clip_grad_norm_((x for x in [g, h]), 10.0) == 5.0
    assert get_total_norm(g) == get_total_norm(p) == 3.0
    assert get_total_norm([("g", g), ("h", h)]) == clip_grad_norm_([("g", g), ("h", h)], 10.0) == 5
    clip_grad_value_(ok.SGD([p, q, r], lr=0.1), 1.0)
    assert (g.tolist(), h.tolist()) == ([1.0, 0.0], [[-1.0]])


def test_torch_tensors_are_parameters_to_clip_and_gradients_to_measure() -> None:
    param = torch.nn.Parameter(torch.tensor([6.0, 8.0]))
    param.grad = torch.tensor([3.0, 4.0])
    assert get_total_norm([param.grad]) == 5.0
    assert get_total_norm([param]) == torch.nn.utils.get_total_norm([param]) == 10.0
    for source in (param, [param], {"p": param}, ok.SGD([param]), torch.optim.SGD([param])):
        assert clip_grad_norm_(source, 100.0) == 5.0
    assert get_total_norm(torch.optim.SGD([param])) == 5.0
    module = torch.nn.Module()
    module.weight = param
    assert clip_grad_norm_(module.named_parameters(), 100.0) == 5.0
    assert param.tolist() == [6.0, 8.0]


def test_kind_of_the_norm() -> None:
    for dtype, kind in {
        "float32": torch.float32,
        "float16": torch.float32,  # in torch float16, which ends at 65,504
        "float64": torch.float64,
        "complex64": torch.float32,
        "complex128": torch.float64,
    }.items():
        total = clip_grad_norm_(with_gradients(gradients(dtype)), 1.0)
        assert type(total) is torch.Tensor
        assert (total.dtype, total.shape, total.requires_grad) == (kind, (), False)
    half = torch.nn.Parameter(torch.zeros(4, dtype=torch.bfloat16))
    half.grad = torch.full((4,), 3.0, dtype=torch.bfloat16)
    assert clip_grad_norm_([half], 3.0) == 6.0
    assert half.grad.tolist() == [1.5] * 4


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


@pytest.mark.parametrize("limit", [0.5, 0.1, 1e9, math.inf, 0.0, -1.0, math.nan])
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
