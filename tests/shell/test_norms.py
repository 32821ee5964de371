"""Norms of gradients: torch's meaning, exact sums, the same bits everywhere."""

import math
import os
import subprocess
import sys
import warnings
from fractions import Fraction
from typing import Any

import array_api_strict
import numpy as np
import pytest
import torch
from norms import ORDERS, TORCH_ERROR, gradients, with_gradients

import optimkit as ok
from optimkit.backends import reductions
from optimkit.clip import clip_grad_norm_, clip_grad_value_, get_total_norm

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
    bound = (32 + math.log2(size)) * Fraction(2) ** -53  # one for each addition on a term's way
    norm = get_total_norm([x])
    assert abs(Fraction(norm) ** 2 - squares) <= (bound + Fraction(2) ** -52) * squares  # the root
    assert get_total_norm([x], 1) == pytest.approx(float(exact_sum(np.abs(x))), rel=float(bound))


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
    monkeypatch.setattr(reductions, "compiled", lambda *dtypes: None)
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


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", ["float32", "complex64", "bfloat16"])
def test_of_jax_arrays_it_is_that_of_numpys(order: Any, dtype: str) -> None:
    """In float64 too, which JAX has only if it is asked to."""
    jnp = pytest.importorskip("jax.numpy", reason="JAX is not installed")
    arrays = [jnp.asarray(x, dtype) for x in gradients("complex64" if "c" in dtype else "float32")]
    arrays.append(jnp.full(3, 1e30, dtype))  # whose squares float32 does not hold
    numpys = [np.asarray(x).astype("complex128" if "c" in dtype else "float64") for x in arrays]
    assert get_total_norm(arrays, order) == get_total_norm(numpys, order)
