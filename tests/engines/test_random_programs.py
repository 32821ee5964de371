"""Equal bits on every engine for any program of operations and any value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from trials import FUSED, after

import optimkit as ok


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
