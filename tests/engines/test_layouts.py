"""Equal bits on every engine for any layout, dtype and size."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import assert_same_bits, bits, require_engine
from trials import FUSED, RULES, after, random

import optimkit as ok


def fortran(x: np.ndarray) -> np.ndarray:
    return np.asfortranarray(x)


def transposed(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(2, 0, 1)).transpose(1, 2, 0)


def strided(x: np.ndarray) -> np.ndarray:
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), 7, x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def reversed_(x: np.ndarray) -> np.ndarray:
    return x[::-1, :, ::-1].copy()[::-1, :, ::-1]


def gapped_rows(x: np.ndarray) -> np.ndarray:
    wide = np.full((x.shape[0], x.shape[1] + 2, x.shape[2]), 7, x.dtype)
    wide[:, 1:-1] = x
    return wide[:, 1:-1]


def unaligned(x: np.ndarray) -> np.ndarray:
    raw = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    raw[...] = x
    return raw


def swapped(x: np.ndarray) -> np.ndarray:
    return x.astype(x.dtype.newbyteorder())


LAYOUTS = {
    f.__name__: f
    for f in (np.copy, fortran, transposed, strided, reversed_, gapped_rows, unaligned, swapped)
}

DENSE = ["copy", "fortran", "transposed"]


PAIRS = [  # a gradient has the dtype of its parameter, byte order included
    (x, g) for x in LAYOUTS for g in LAYOUTS if (x == "swapped") == (g == "swapped")
]


@pytest.mark.parametrize(("layout", "grad_layout"), PAIRS)
@pytest.mark.parametrize("rule", RULES)
def test_layouts_give_the_bits_of_plain_arrays(
    engine: str, rule: str, layout: str, grad_layout: str
) -> None:
    start, grads = random("float32", 0), [random("float32", i) for i in (1, 2, 3)]
    plain, laid = start.copy(), LAYOUTS[layout](start)
    before = [x.copy() for x in (laid.base,) if x is not None]
    expected, actual = RULES[rule]([plain]), RULES[rule]([laid])
    for grad in grads:
        expected.step(grads=[grad])
        actual.step(grads=[LAYOUTS[grad_layout](grad)])
    assert laid.strides == LAYOUTS[layout](start).strides
    np.testing.assert_array_equal(laid, plain)
    assert bits(laid.astype("float32")) == bits(plain)
    for name in ("exp_avg", "momentum_buffer"):
        if name in expected.state[plain]:
            value = actual.state[laid][name]
            assert bits(value.astype("float32")) == bits(expected.state[plain][name])
    if layout in ("strided", "gapped_rows"):  # what lies in the gaps is none of our business
        assert (before[0] == 7).sum() == (laid.base == 7).sum() > 0


@pytest.mark.parametrize("layout", DENSE)
@pytest.mark.parametrize("name", FUSED)
def test_dense_memory_is_fused_whatever_its_order(name: str, layout: str) -> None:
    require_engine(name)
    x, g = (LAYOUTS[layout](random("float32", i)) for i in (0, 1))
    with ok.use_engine(name):
        ok.Adam([x], fused=True).step(grads=[g])
        ok.Adam([x], fused=True).step(grads=[g])
    assert not np.array_equal(x, random("float32", 0))


@pytest.mark.parametrize("layout", sorted(LAYOUTS.keys() - set(DENSE)))
@pytest.mark.parametrize("name", FUSED)
def test_what_has_gaps_is_fused_on_copies(name: str, layout: str) -> None:
    """What lies between the elements stays as it is."""
    require_engine(name)
    x, g = (LAYOUTS[layout](random("float32", i)) for i in (0, 1))
    plain = random("float32", 0).copy()
    optimizer, expected = ok.Adam([x], fused=layout != "swapped" or None), ok.Adam([plain])
    with ok.use_engine(name):
        for _ in range(3):
            optimizer.step(grads=[g])
            expected.step(grads=[random("float32", 1)])
            x *= 2  # by the user: the copy is made anew
            plain *= 2
    np.testing.assert_array_equal(x, plain)


def test_what_is_between_the_elements_stays() -> None:
    whole = np.zeros((4, 6), np.float32)
    optimizer = ok.AdamW([whole[:, 0], whole[1:3, 2:4], whole[::3, 5][::-1]], lr=1.0, fused=True)
    for _ in range(3):
        optimizer.step(grads=[np.ones(4, "f"), np.ones((2, 2), "f"), np.ones(2, "f")])
    touched = np.zeros((4, 6), bool)
    touched[:, 0] = touched[1:3, 2:4] = touched[::3, 5] = True
    np.testing.assert_array_equal(whole != 0, touched)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("rule", ["SGD", "AdamW"])
def test_complex_numbers_are_pairs_of_reals(
    engine: str, rule: str, layout: str, dtype: str
) -> None:
    start, grads = random(dtype, 0), [random(dtype, i) for i in (1, 2)]
    pairs = start[..., None].view(start.real.dtype).copy()
    laid = LAYOUTS[layout](start)
    expected, actual = RULES[rule]([pairs]), RULES[rule]([laid])
    for grad in grads:
        expected.step(grads=[grad[..., None].view(pairs.dtype)])
        actual.step(grads=[LAYOUTS[layout](grad)])
    assert bits(laid.astype(dtype)[..., None].view(pairs.dtype)) == bits(pairs)
    for name, value in actual.state[laid].items():
        if name != "step":
            assert value.dtype.newbyteorder("=") == dtype
            assert value.shape == laid.shape


@pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16])
@pytest.mark.parametrize("rule", RULES)
def test_half_precision_is_computed_in_float32_and_rounded_once(
    engine: str, rule: str, dtype: Any
) -> None:
    half, wide = random(dtype, 0), random(dtype, 0).astype(np.float32)
    for i in (1, 2, 3):
        grad = random(dtype, i)
        opt, reference = RULES[rule]([half]), RULES[rule]([wide])
        opt.step(grads=[grad])
        reference.step(grads=[grad.astype(np.float32)])
        wide[...] = wide.astype(dtype)
        assert half.dtype == dtype
        assert bits(half.astype(np.float32)) == bits(wide)
        for name, value in opt.state[half].items():
            if name != "step":
                assert value.dtype == dtype
                rounded = reference.state[wide][name].astype(dtype).astype(np.float32)
                assert bits(value.astype(np.float32)) == bits(rounded)


@pytest.mark.skipif(
    np.finfo(np.longdouble).nmant == 52, reason="long double is double on this platform"
)
@pytest.mark.parametrize("rule", RULES)
def test_long_double(engine: str, rule: str) -> None:
    x, same = random(np.longdouble, 0), random("float64", 0)
    for i in (1, 2):
        RULES[rule]([x]).step(grads=[random(np.longdouble, i)])
        RULES[rule]([same]).step(grads=[random("float64", i)])
    assert x.dtype == np.longdouble
    # two steps of a dozen operations with numbers of order 1: 1e-14 is sixty roundings of a double
    np.testing.assert_allclose(x.astype("float64"), same, rtol=0, atol=1e-14)
    assert not np.array_equal(x, same)


@pytest.mark.parametrize("sizes", [(0,), (1,), (0, 3, 0), (32_768,), (32_769, 5), (250_001, 0, 7)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sizes_around_the_chunks(dtype: str, sizes: tuple[int, ...]) -> None:
    start = [random(dtype, i, (n,)) for i, n in enumerate(sizes)]
    grads = [[random(dtype, 10 * k + i, (n,)) for i, n in enumerate(sizes)] for k in (1, 2)]
    results = {
        name: after(name, RULES["Adam"], [x.copy() for x in start], grads)
        for name in ok.available_engines()
    }
    assert len(set(results.values())) == 1, results.keys()


def test_mixed_dtypes_layouts_and_step_counts_in_one_group(engine: str) -> None:
    def params() -> list[np.ndarray]:
        return [
            random("float32", 0),
            random("float64", 1),
            fortran(random("float32", 2)),
            strided(random("float64", 3)),
            random("complex64", 4),
            random("float16", 5),
            np.array(1.5),
        ]

    together, apart = params(), params()
    opt, lone = RULES["Adam"](together), [RULES["Adam"]([x]) for x in apart]
    for k in range(4):
        grads: list[Any] = [np.asarray(x * (k + 0.5), x.dtype) for x in params()]
        if k == 1:
            grads[0] = grads[3] = None
        opt.step(grads=grads)
        for one, grad in zip(lone, grads, strict=True):
            one.step(grads=[grad])
    for one, other in zip(together, apart, strict=True):
        assert_same_bits(one, other)
