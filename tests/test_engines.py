"""The engines: equal bits for any rule, value, shape and layout; and how one is chosen."""

from __future__ import annotations

import hashlib
import keyword
import os
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import ENGINES, assert_same_bits, bits, require_engine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import optimkit as ok
from optimkit.backends import engines
from optimkit.backends.engines import numba as numba_engine

FUSED = [name for name in ENGINES if name != "eager"]


# ---------------------------------------------------------------- random programs


class Program(ok.Optimizer):
    """A rule that is a list of operations on a stack of values."""

    def __init__(self, params: Any, code: tuple[Any, ...], names: tuple[str, ...] = ("a", "b")):
        super().__init__(params, dict(code=code, names=names))

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {name: xp.full_like(param, 0.5 + i) for i, name in enumerate(hyper.names)}

    @staticmethod
    def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
        values = [param, grad, *(state[name] for name in hyper.names)]
        for name, *operands in hyper.code:
            values.append(OPERATIONS[name](xp, *(pick(values, x) for x in operands)))
        new = {name: values[-2 - i] for i, name in enumerate(hyper.names)}
        return values[-1], new | {"fresh": values[-4]}


def pick(values: list[Any], operand: Any) -> Any:
    return values[operand % len(values)] if type(operand) is int else operand


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda xp, x, y: x + y,
    "subtract": lambda xp, x, y: x - y,
    "multiply": lambda xp, x, y: x * y,
    "divide": lambda xp, x, y: x / y,
    "reflected": lambda xp, x, y: 1.1 - y / x,
    "maximum": lambda xp, x, y: xp.maximum(x, y),
    "minimum": lambda xp, x, y: xp.minimum(x, y),
    "sqrt": lambda xp, x: xp.sqrt(x),
    "abs": lambda xp, x: xp.abs(x),
    "negative": lambda xp, x: -x,
    "sign": lambda xp, x: xp.sign(x),
    "floor": lambda xp, x: xp.floor(x),
    "ceil": lambda xp, x: xp.ceil(x),
    "trunc": lambda xp, x: xp.trunc(x),
    "square": lambda xp, x: xp.square(x),
    "power": lambda xp, x: x**2,
    "clip": lambda xp, x: xp.clip(x, -0.7, 1e3),
    "add number": lambda xp, x, c: x + c,
    "times number": lambda xp, x, c: c * x,
    "over number": lambda xp, x, c: x / c,
    "number over": lambda xp, x, c: c / x,
    "maximum number": lambda xp, x, c: xp.maximum(x, c),
    "fill": lambda xp, x, c: xp.full_like(x, c),
    "where": lambda xp, x, y, z: xp.where(x > y, y, z),
    "where self": lambda xp, x, y, z: xp.where(x <= z, x, y),
    "where nan": lambda xp, x, y, z: xp.where(xp.isnan(x) | xp.isinf(y), z, x),
    "where logic": lambda xp, x, y, z: xp.where((x != y) & ~(y == z) ^ (x < z), x + y, z),
    "where finite": lambda xp, x, c: xp.where(xp.isfinite(x), x, c),
    "where at least": lambda xp, x, c: xp.where(x >= c, c, x),
}
NUMBERS = st.one_of(
    st.floats(allow_nan=False, width=64), st.sampled_from([0.1, -0.0, 1e-46, 1e300, 0.9, 3])
).map(lambda x: float(x))
OPERAND = st.integers(0, 40)


@st.composite
def codes(draw: st.DrawFn) -> tuple[Any, ...]:
    code = []
    for name in draw(st.lists(st.sampled_from(sorted(OPERATIONS)), min_size=4, max_size=12)):
        arity = OPERATIONS[name].__code__.co_argcount - 1
        takes_number = OPERATIONS[name].__code__.co_varnames[arity] == "c"
        operands: list[Any] = [draw(OPERAND) for _ in range(arity - takes_number)]
        code.append((name, *operands, *([draw(NUMBERS)] if takes_number else [])))
    return tuple(code)


def values(dtype: Any) -> st.SearchStrategy[float]:
    """Any number of the dtype: denormals, zeros of both signs, infinities and NaN included."""
    width = np.dtype(dtype).itemsize * 8
    special = [
        0.0,
        -0.0,
        float("inf"),
        -float("inf"),
        float("nan"),
        1.0,
        float(np.finfo(dtype).tiny),
    ]
    special += [float(np.finfo(dtype).smallest_subnormal), float(np.finfo(dtype).max)]
    return st.one_of(st.floats(width=width), st.sampled_from(special))


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    dtype = draw(st.sampled_from(["float32", "float64"]))
    shapes = draw(
        st.lists(hnp.array_shapes(min_dims=0, min_side=0, max_side=9), min_size=1, max_size=3)
    )
    arrays = [
        [draw(hnp.arrays(dtype, shape, elements=values(dtype))) for shape in shapes]
        for _ in range(3)
    ]
    return arrays[0], arrays[1:]


def after(
    engine: str,
    make: Callable[[list[Any]], ok.Optimizer],
    params: list[Any],
    grads: list[list[Any]],
) -> bytes:
    """The bits of parameters and state after steps on one engine."""
    with ok.use_engine(engine):
        opt = make(params)
        for row in grads:
            opt.step(grads=row)
    result = b"".join(map(bits, params))
    for param in params:
        if param in opt.state:
            for name, value in opt.state[param].items():
                result += name.encode() + (
                    bits(value) if hasattr(value, "shape") else repr(value).encode()
                )
    return result


# The number of programs that Numba compiles is what this takes its time for: about 0.3 s each.
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(code=codes(), problem=problems())
def test_random_programs_on_fused_kernels(code: Any, problem: Any) -> None:
    compare(FUSED, code, problem)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(code=codes(), problem=problems())
def test_random_programs_on_blocks(code: Any, problem: Any) -> None:
    compare(["blocked"], code, problem)


def compare(names: list[str], code: Any, problem: Any) -> None:
    params, grads = problem
    expected = after("eager", lambda p: Program(p, code), [x.copy() for x in params], grads)
    for name in names:
        if name in ok.available_engines():
            copies = [x.copy() for x in params]
            assert after(name, lambda p: Program(p, code), copies, grads) == expected, name


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    problem=problems(),
    rule=st.sampled_from(["SGD", "Adam", "AdamW"]),
    lr=st.floats(0, 1e3),
    decay=st.sampled_from([0.0, 0.1, 1e30]),
    maximize=st.booleans(),
)
def test_the_rules_on_any_numbers(
    problem: Any, rule: str, lr: float, decay: float, maximize: bool
) -> None:
    params, grads = problem
    options: dict[str, Any] = dict(lr=lr, weight_decay=decay, maximize=maximize)
    options |= dict(momentum=0.9, nesterov=True) if rule == "SGD" else dict(amsgrad=True)

    def make(p: Any) -> ok.Optimizer:
        return getattr(ok, rule)(p, **options)

    expected = after("eager", make, [x.copy() for x in params], grads)
    for name in set(FUSED) & set(ok.available_engines()):
        assert after(name, make, [x.copy() for x in params], grads) == expected, name


SPECIAL = [0.0, -0.0, 1.0, -1.5, 0.5, -0.5, 2.5, 1e-45, -1e-310, 3e38, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_each_operation_on_special_values(name: str, dtype: str) -> None:
    """At a size that NumPy runs with vectors and one that it runs without."""
    arity = OPERATIONS[name].__code__.co_argcount - 1
    takes_number = OPERATIONS[name].__code__.co_varnames[arity] == "c"
    operands = list(range(arity - takes_number)) + ([0.1] if takes_number else [])
    code = (("negative", 0), ("abs", 1), ("add", 0, 1), (name, *operands))
    special = np.array(SPECIAL, dtype)
    p, g = (np.ascontiguousarray(x.reshape(-1)) for x in np.meshgrid(special, special))
    for size in (1, p.size):
        expected = after("eager", lambda x: Program(x, code), [p[:size].copy()], [[g[:size]]])
        for engine in set(FUSED) & set(ok.available_engines()):
            actual = after(engine, lambda x: Program(x, code), [p[:size].copy()], [[g[:size]]])
            assert actual == expected, engine


# ---------------------------------------------------------------- layouts and dtypes


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
RULES: dict[str, Callable[[Any], ok.Optimizer]] = {
    "SGD": lambda p: ok.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adam": lambda p: ok.Adam(p, lr=0.1, amsgrad=True, weight_decay=0.1),
    "AdamW": lambda p: ok.AdamW(p, lr=0.1),
}


def random(dtype: Any, seed: int, shape: tuple[int, ...] = (4, 5, 6)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal(shape)
    return np.asarray(x, dtype)


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
def test_what_has_gaps_is_refused_by_fused_true_and_runs_otherwise(layout: str) -> None:
    x, g = (LAYOUTS[layout](random("float32", i)) for i in (0, 1))
    with pytest.raises(RuntimeError, match=r"fused=True.*gaps"):
        ok.SGD([x], fused=True).step(grads=[g])
    np.testing.assert_array_equal(x, random("float32", 0))
    ok.SGD([x]).step(grads=[g])
    assert not np.array_equal(x, random("float32", 0))


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


# ---------------------------------------------------------------- rules of any kind


class Anything(ok.Optimizer):
    """A rule given as a function of the parameter, the gradient and the state."""

    def __init__(self, params: Any, rule: Any, start: Any = None, **options: Any) -> None:
        super().__init__(params, dict(rule=rule, start=start, **options))

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {} if hyper.start is None else hyper.start(xp, param)

    @staticmethod
    def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
        return hyper.rule(xp, param, grad, state)


UGLY = ["i", "size", "table", "tensor", "start", "stop", "slots", "one", "zero", "np", "abs", "s0"]
UGLY += [
    "v4",
    "v12",
    "x3",
    "param_",
    "a_",
    "a",
    "carray",
    "prefetch",
    "first",
    "exp avg",
    "ünïcode",
    "",
    "0",
]
UGLY += [*keyword.kwlist, "print", "range", "prange", "types", "block", "__name__", "self"]


def test_state_may_have_any_name(engine: str) -> None:
    x = np.ones(3)
    opt = Anything(
        [x],
        lambda xp, p, g, state: (
            sum(state.values(), start=p),
            {name: value + (i + 1) * g for i, (name, value) in enumerate(state.items())},
        ),
        start=lambda xp, p: {name: xp.zeros_like(p) for name in UGLY},
    )
    for _ in range(2):
        opt.step(grads=[np.ones(3)])
    total = len(UGLY) * (len(UGLY) + 1) / 2
    assert x.tolist() == [1.0 + total] * 3
    assert [opt.state[x][name][0] for name in UGLY] == [2.0 * (i + 1) for i in range(len(UGLY))]


CASES: dict[str, tuple[Any, Any]] = {
    "nothing changes": (lambda xp, p, g, s: (p, {}), None),
    "the gradient itself": (lambda xp, p, g, s: (g, {}), None),
    "state exchanged": (
        lambda xp, p, g, s: (p, {"a": s["b"], "b": s["a"]}),
        lambda xp, p: {"a": p + 1.0, "b": p + 2.0},
    ),
    "a ring": (
        lambda xp, p, g, s: (s["b"], {"a": p, "b": s["a"]}),
        lambda xp, p: {"a": p + 1.0, "b": p + 2.0},
    ),
    "the old parameter kept": (
        lambda xp, p, g, s: (p - g, {"old": p}),
        lambda xp, p: {"old": xp.zeros_like(p)},
    ),
    "one value twice": (
        lambda xp, p, g, s: (lambda q: (q, {"a": q, "b": q}))(p - g),
        lambda xp, p: {"a": p * 0.0, "b": p * 0.0},
    ),
    "the gradient remembered": (lambda xp, p, g, s: (p - s.get("last", g), {"last": g}), None),
    "only state": (
        lambda xp, p, g, s: (p, {"a": s["a"] + g}),
        lambda xp, p: {"a": xp.zeros_like(p)},
    ),
    "a constant": (lambda xp, p, g, s: (xp.full_like(p, 0.1), {}), None),
    "a reduction": (lambda xp, p, g, s: (p - g / (1.0 + xp.sum(g * g)), {}), None),
    "state of another shape": (
        lambda xp, p, g, s: (p - g * s["scale"], {"scale": s["scale"] * 0.5}),
        lambda xp, p: {"scale": xp.ones((), dtype=p.dtype)},
    ),
    "a counter": (
        lambda xp, p, g, s: (p - s["n"] * g, {"n": s["n"] + 1}),
        lambda xp, p: {"n": 1},
    ),
    "a float that follows": (
        lambda xp, p, g, s: (p - s["rate"] * g, {"rate": s["rate"] * 0.7}),
        lambda xp, p: {"rate": 0.1},
    ),
    "a branch on the state": (
        lambda xp, p, g, s: (p - g if s["n"] % 2 else p + 0.5 * g, {"n": s["n"] + 1}),
        lambda xp, p: {"n": 1},
    ),
    "state that comes later": (
        lambda xp, p, g, s: (p - g, {"n": s["n"] + 1, **({"late": g} if s["n"] > 1 else {})}),
        lambda xp, p: {"n": 1},
    ),
    "a power": (lambda xp, p, g, s: (p - abs(g) ** 0.5, {}), None),
}


@pytest.mark.parametrize("case", CASES)
def test_rules_of_any_shape(case: str) -> None:
    rule, start = CASES[case]
    results = {}
    for name in ok.available_engines():
        params = [random("float32", 0, (5,)), random("float32", 1, (70_000,)), np.float32([[3]])]
        grads = [[np.asarray(x * k, "float32") for x in params] for k in (0.5, -1.5, 2.5, 0.1)]
        results[name] = after(name, lambda p: Anything(p, rule, start), params, grads)
    assert len(set(results.values())) == 1
    assert results["eager"]


def test_state_that_is_its_own_gradient(engine: str) -> None:
    x = np.array([1.0, 2.0])
    opt = ok.SGD([x], lr=1.0, momentum=0.5)
    opt.step(grads=[np.array([1.0, 1.0])])
    opt.step(grads=[opt.state[x]["momentum_buffer"]])
    assert x.tolist() == [-1.5, -0.5]
    assert opt.state[x]["momentum_buffer"].tolist() == [1.5, 1.5]


def test_a_new_state_is_not_the_users_gradient(engine: str) -> None:
    x, grad = np.array([1.0]), np.array([2.0])
    opt = ok.SGD([x], lr=1.0, momentum=0.5)
    opt.step(grads=[grad])
    grad[...] = 100.0
    assert opt.state[x]["momentum_buffer"].item() == 2.0


# ---------------------------------------------------------------- the choice


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The engines that ran, in order."""
    names: list[str] = []
    prepare = engines.prepare

    def watched(*args: Any) -> Any:
        job, name = prepare(*args)
        names.append(name)
        return job, name

    monkeypatch.setattr(engines, "prepare", watched)
    monkeypatch.delenv("OPTIMKIT_ENGINE", raising=False)
    return names


def one_step(**options: Any) -> None:
    ok.SGD([np.ones(4)], **options).step(grads=[np.ones(4)])


def test_the_fastest_engine_runs_unless_told_otherwise(used: list[str]) -> None:
    one_step()
    one_step(fused=None)
    one_step(fused=True)
    one_step(fused=False)
    fastest = ok.available_engines()[0]
    assert used == [fastest, fastest, fastest, "eager"]


calls: list[float] = []  # of `watched`, with their learning rates


def watched(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
    calls.append(hyper.lr)
    buffer = state["buffer"] * hyper.momentum + grad
    return param - hyper.lr / (1 + step) * buffer, {"buffer": buffer}


def odd(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
    """The formula of a step without a value would be another one."""
    rate = hyper.lr if isinstance(step, int) else 5 * hyper.lr
    return param - rate / step * grad, {}


def scalar(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
    """A NumPy number makes a float32 array one of float64, so this is not traceable."""
    return param - (np.float64(0.1) * step) * grad, {}


def failing(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
    return param - hyper.lr / (LATE - step) * grad, {}


def turning_complex(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
    return param - hyper.lr * (LATE - 0.5 - step) ** 0.5 * grad, {}


LATE = engines.PATIENCE + 4


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rules above pass for optimkit's own, of which traces are kept."""
    for rule in (watched, odd, scalar, failing, turning_complex):
        monkeypatch.setattr(rule, "__module__", "optimkit.algorithms.tried")


def optimizer_of(rule: Callable[..., Any], x: Any, **options: Any) -> ok.Optimizer:
    class Rule(ok.Optimizer):
        update = staticmethod(rule)

        @staticmethod
        def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
            return {"buffer": xp.zeros_like(param)}

    return Rule([x], {"lr": 0.5, **options})


def test_a_rule_that_sees_the_same_options_is_not_called_again(ours: None) -> None:
    x, eager, grad = np.zeros(3), np.zeros(3), np.ones(3)
    optimizer = optimizer_of(watched, x, momentum=0.5)
    reference = optimizer_of(watched, eager, momentum=0.5, fused=False)
    for option, value in (("lr", 0.5), ("lr", 0.25), ("momentum", 0.0)):
        optimizer.param_groups[0][option] = reference.param_groups[0][option] = value
        calls.clear()
        for _ in range(engines.PATIENCE + 4):
            optimizer.step(grads=[grad])
        # for each of these steps, for all steps, and not again
        assert calls == [optimizer.param_groups[0]["lr"]] * (engines.PATIENCE + 1)
        for _ in range(engines.PATIENCE + 4):
            reference.step(grads=[grad])
        assert_same_bits(x, eager)


def test_a_users_rule_is_called_at_every_step() -> None:
    x, grad = np.zeros(3), np.ones(3)
    optimizer = optimizer_of(watched, x, momentum=0.5)
    calls.clear()
    for _ in range(2 * engines.PATIENCE):
        optimizer.step(grads=[grad])
    assert len(calls) == 2 * engines.PATIENCE


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rule", [watched, odd, scalar])
def test_kept_traces_have_the_bits_of_the_rule(
    engine: str, rule: Callable[..., Any], ours: None
) -> None:
    require_engine(engine)
    random = np.random.default_rng(0)
    start, grad = random.standard_normal((2, 7)).astype("float32")
    x, y = start.copy(), start.copy()
    optimizer = optimizer_of(rule, x, momentum=0.9)
    reference = optimizer_of(rule, y, momentum=0.9, fused=False)
    for _ in range(3 * engines.PATIENCE):
        with ok.use_engine(engine):
            optimizer.step(grads=[grad])
        reference.step(grads=[grad])
        assert_same_bits(x, y)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_rule_that_fails_late_fails_as_it_does_eagerly(engine: str, ours: None) -> None:
    require_engine(engine)
    x, y = np.zeros(3), np.zeros(3)
    divided, rooted = optimizer_of(failing, x), optimizer_of(turning_complex, y)
    with ok.use_engine(engine):
        for _ in range(LATE - 1):
            divided.step(grads=[np.ones(3)])
            rooted.step(grads=[np.ones(3)])
        kept, rooted_kept = x.copy(), y.copy()
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                divided.step(grads=[np.ones(3)])
            with pytest.raises((TypeError, np.exceptions.ComplexWarning)):
                rooted.step(grads=[np.ones(3)])
    assert_same_bits(x, kept)
    assert_same_bits(y, rooted_kept)
    assert divided.state[x]["step"] == rooted.state[y]["step"] == LATE - 1


def test_available_engines_are_in_order() -> None:
    names = ok.available_engines()
    assert names == [name for name in ("numba", "blocked", "eager") if name in names]
    assert names[-2:] == ["blocked", "eager"]


def test_use_engine_nests_and_ends(used: list[str]) -> None:
    with ok.use_engine("eager"):
        one_step()
        with ok.use_engine("blocked"):
            one_step()
        one_step()
    with pytest.raises(ZeroDivisionError), ok.use_engine("eager"):
        raise ZeroDivisionError
    one_step()
    assert used == ["eager", "blocked", "eager", ok.available_engines()[0]]


def test_use_engine_is_this_threads_alone(used: list[str]) -> None:
    with ok.use_engine("eager"):
        thread = threading.Thread(target=one_step)
        thread.start()
        thread.join()
    assert used == [ok.available_engines()[0]]


def test_the_environment_chooses_for_a_process(
    used: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTIMKIT_ENGINE", "blocked")
    one_step()
    with ok.use_engine("eager"):  # what is said closer by counts
        one_step()
    monkeypatch.setenv("OPTIMKIT_ENGINE", "")
    one_step()
    assert used == ["blocked", "eager", ok.available_engines()[0]]


def test_an_unknown_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.ones(1)
    with pytest.raises(ValueError, match=r"use_engine.*'warp'.*eager"), ok.use_engine("warp"):
        pass
    monkeypatch.setenv("OPTIMKIT_ENGINE", "warp")
    with pytest.raises(ValueError, match=r"OPTIMKIT_ENGINE.*'warp'"):
        ok.SGD([x]).step(grads=[np.ones(1)])
    assert x.tolist() == [1.0]


def test_an_engine_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_engine, "_importable", lambda: False)
    assert ok.available_engines() == ["blocked", "eager"]
    with pytest.raises(RuntimeError, match=r"'numba'.*fused"), ok.use_engine("numba"):
        pass
    one_step(fused=True)  # blocked is a fused engine too


def test_fused_contradicts_eager() -> None:
    with ok.use_engine("eager"), pytest.raises(RuntimeError, match="fused=True"):
        one_step(fused=True)


def test_a_rule_that_is_not_elementwise_says_so_under_fused_true() -> None:
    x = np.ones(3)
    opt = Anything([x], lambda xp, p, g, s: (p - xp.mean(g), {}), fused=True)
    with pytest.raises(RuntimeError, match=r"not elementwise.*xp\.mean"):
        opt.step(grads=[np.ones(3)])
    assert x.tolist() == [1.0] * 3
    assert len(opt.state) == 0


# ---------------------------------------------------------------- the disk cache


SCRIPT = """
import sys, numpy as np, optimkit as ok
x = np.arange(3.0)
with ok.use_engine("numba"):
    opt = ok.AdamW([x], lr=0.5)
    for _ in range(3):
        opt.step(grads=[np.ones(3)])
sys.stdout.write(x.tobytes().hex())
"""


def process(script: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(running: subprocess.Popen[str]) -> str:
    out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    return out


def expected_bits() -> str:
    x = np.arange(3.0)
    with ok.use_engine("eager"):
        opt = ok.AdamW([x], lr=0.5)
        for _ in range(3):
            opt.step(grads=[np.ones(3)])
    return x.tobytes().hex()


@pytest.fixture
def numba() -> None:
    require_engine("numba")


@pytest.mark.usefixtures("numba")
def test_kernels_are_kept_and_found_again(tmp_path: Path) -> None:
    where = {"OPTIMKIT_CACHE_DIR": str(tmp_path / "cache")}
    assert output(process(SCRIPT, **where)) == expected_bits()
    kernels = tmp_path / "cache" / "kernels"
    assert stat.S_IMODE(kernels.stat().st_mode) == 0o700
    written = {path: path.stat().st_mtime_ns for path in kernels.rglob("*") if path.is_file()}
    assert any(path.suffix == ".nbc" for path in written), "Numba kept no machine code"
    assert not any(path.suffix == ".tmp" for path in written)
    assert output(process(SCRIPT, **where)) == expected_bits()
    again = {path: path.stat().st_mtime_ns for path in kernels.rglob("*.nb?")}
    assert again == {path: time for path, time in written.items() if path in again}
    assert again.keys() == {path for path in written if path.suffix in (".nbc", ".nbi")}


@pytest.mark.usefixtures("numba")
def test_several_processes_fill_one_cache(tmp_path: Path) -> None:
    where = {"OPTIMKIT_CACHE_DIR": str(tmp_path)}
    running = [process(SCRIPT, **where) for _ in range(3)]
    assert {output(one) for one in running} == {expected_bits()}
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.usefixtures("numba")
def test_a_cache_that_cannot_be_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    where = {"OPTIMKIT_CACHE_DIR": str(tmp_path / "file")}
    assert output(process(SCRIPT, **where)) == expected_bits()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.usefixtures("numba")
@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o500])
def test_a_cache_that_others_may_write_to_is_not_used(tmp_path: Path, mode: int) -> None:
    if mode == 0o500 and os.getuid() == 0:
        pytest.skip("root may write anywhere")
    kernels = tmp_path / "kernels"
    kernels.mkdir()
    kernels.chmod(mode)
    assert output(process(SCRIPT, OPTIMKIT_CACHE_DIR=str(tmp_path))) == expected_bits()
    assert list(kernels.iterdir()) == []


# ---------------------------------------------------------------- threads and forks


def test_threads_step_optimizers_of_their_own() -> None:
    size = 120_000  # enough for the parallel kernels and blocks
    start, grad = random("float32", 0, (size,)), random("float32", 1, (size,))
    for name in ok.available_engines():
        expected = after(name, RULES["Adam"], [start.copy()], [[grad]] * 5)
        results: list[bytes] = []

        def work(name: str = name, results: list[bytes] = results) -> None:
            results.append(after(name, RULES["Adam"], [start.copy()], [[grad]] * 5))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [expected] * 4, name


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.parametrize("name", ENGINES)
def test_a_child_of_a_process_that_has_stepped_steps_too(name: str) -> None:
    require_engine(name)
    script = f"""
        import os, numpy as np, optimkit as ok
        x, g = np.ones(300_000), np.ones(300_000)
        opt = ok.SGD([x], lr=0.25)
        with ok.use_engine({name!r}):
            opt.step(grads=[g])
            child = os.fork()
            opt.step(grads=[g])
        assert (x == 0.5).all()
        if child == 0:
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert output(process(script, OPTIMKIT_NUM_THREADS="2")) == "7\n"


@pytest.mark.parametrize("count", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_threads_is_refused(count: str) -> None:
    running = process(
        """
        import numpy as np, optimkit as ok
        ok.SGD([np.ones(300_000)]).step(grads=[np.ones(300_000)])
        """,
        OPTIMKIT_NUM_THREADS=count,
    )
    _, err = running.communicate(timeout=120)
    assert f"OPTIMKIT_NUM_THREADS is {count!r}; it must be a positive integer" in err


@pytest.mark.parametrize("threads", ["1", "2", "3"])
@pytest.mark.parametrize("name", FUSED)
def test_the_number_of_threads_does_not_matter(name: str, threads: str) -> None:
    require_engine(name)
    script = f"""
        import hashlib, numpy as np, optimkit as ok
        rng = np.random.default_rng(0)
        x = [rng.standard_normal(n).astype("float32") for n in (300_001, 7, 40_000)]
        with ok.use_engine({name!r}):
            opt = ok.Adam(x, lr=0.1)
            for _ in range(2):
                opt.step(grads=[v * 0.5 for v in x])
        print(hashlib.sha256(b"".join(v.tobytes() for v in x)).hexdigest())
    """
    rng = np.random.default_rng(0)
    x = [rng.standard_normal(n).astype("float32") for n in (300_001, 7, 40_000)]
    with ok.use_engine("eager"):
        opt = ok.Adam(x, lr=0.1)
        for _ in range(2):
            opt.step(grads=[v * np.float32(0.5) for v in x])
    expected = hashlib.sha256(b"".join(v.tobytes() for v in x)).hexdigest()
    assert output(process(script, OPTIMKIT_NUM_THREADS=threads)).strip() == expected


@pytest.mark.usefixtures("numba")
def test_a_root_divided_by_a_number_has_the_quotient_s_bits() -> None:
    """Kernels multiply float32 roots by a float64 reciprocal; it must not show in a single bit."""

    class Ratio(ok.Optimizer):
        def __init__(self, params: Any, divisor: float) -> None:
            super().__init__(params, dict(divisor=divisor))

        @staticmethod
        def update(
            xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
        ) -> tuple[Any, dict[str, Any]]:
            return xp.sqrt(grad) / hyper.divisor, {}

    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 2**32, 50_000, dtype=np.uint32).view(np.float32)
    numbers[:6] = [0.0, -0.0, np.inf, np.nan, 1e-45, 3e38]
    divisors = [*(10.0 ** rng.uniform(-45, 38, 60)), 3.0, 49.0, -1.5, 0.0, 2.0**49, 2.0**51, 1e60]
    for divisor in [*divisors, float("inf"), float("nan")]:
        results = []
        for engine in ("numba", "eager"):
            param = np.zeros_like(numbers)
            with ok.use_engine(engine):
                Ratio([param], float(divisor)).step(grads=[numbers])
            results.append(param)
        np.testing.assert_array_equal(*results)
        signs = [np.signbit(x[~np.isnan(x)]) for x in results]
        np.testing.assert_array_equal(*signs)
