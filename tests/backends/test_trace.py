"""The trace: what it records, what it refuses, and that numbers stay out of the program."""

from __future__ import annotations

import operator
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import assert_same_bits
from hypothesis import given
from hypothesis import strategies as st

from optimkit.backends import program
from optimkit.backends.program import Program, Traced
from optimkit.backends.trace import NotTraceable, trace


def recorded(
    function: Callable[..., Any], arrays: tuple[str, ...] = ("m",), **hyper: Any
) -> Traced:
    """Trace ``function(xp, p, g, m, hyper)``, whose result becomes the parameter."""

    def update(xp: Any, p: Any, g: Any, state: Any, hyper: Any, step: int) -> Any:
        return function(xp, p, g, state.get("m"), hyper), {}

    return trace(update, arrays, {}, SimpleNamespace(**hyper), 1)


def replayed(traced: Traced, arrays: list[np.ndarray]) -> np.ndarray:
    """Run a program with NumPy, operation by operation: the meaning of the record."""
    slots = [arrays[0].dtype.type(x) for x in traced.slots]
    values = list(arrays)
    for name, *operands in traced.program.operations:
        chosen = [values[x] if x >= 0 else slots[~x] for x in operands]
        if name == "fill":
            values.append(np.full_like(arrays[0], chosen[0]))
        else:
            values.append(getattr(np, name)(*chosen))
    outputs = dict(traced.program.outputs)
    return values[outputs["param"]] if "param" in outputs else arrays[0]


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda xp, p, g, m, h: p + g,
    "radd": lambda xp, p, g, m, h: 0.3 + g,
    "sub": lambda xp, p, g, m, h: p - g,
    "rsub": lambda xp, p, g, m, h: 0.3 - g,
    "mul": lambda xp, p, g, m, h: p * g,
    "rmul": lambda xp, p, g, m, h: 3 * g,
    "div": lambda xp, p, g, m, h: p / g,
    "rdiv": lambda xp, p, g, m, h: 0.3 / g,
    "neg": lambda xp, p, g, m, h: -p,
    "pos": lambda xp, p, g, m, h: +p * 1.0,
    "abs": lambda xp, p, g, m, h: abs(p),
    "square by power": lambda xp, p, g, m, h: p**2,
    "xp.add": lambda xp, p, g, m, h: xp.add(p, g),
    "xp.subtract": lambda xp, p, g, m, h: xp.subtract(p, 0.1),
    "xp.multiply": lambda xp, p, g, m, h: xp.multiply(2.0, g),
    "xp.divide": lambda xp, p, g, m, h: xp.divide(p, g),
    "xp.negative": lambda xp, p, g, m, h: xp.negative(p),
    "xp.positive": lambda xp, p, g, m, h: xp.positive(p) + g,
    "xp.abs": lambda xp, p, g, m, h: xp.abs(p),
    "xp.square": lambda xp, p, g, m, h: xp.square(p),
    "xp.sqrt": lambda xp, p, g, m, h: xp.sqrt(abs(p)),
    "xp.sign": lambda xp, p, g, m, h: xp.sign(p),
    "xp.floor": lambda xp, p, g, m, h: xp.floor(p),
    "xp.ceil": lambda xp, p, g, m, h: xp.ceil(p),
    "xp.trunc": lambda xp, p, g, m, h: xp.trunc(p),
    "xp.maximum": lambda xp, p, g, m, h: xp.maximum(p, g),
    "xp.maximum number": lambda xp, p, g, m, h: xp.maximum(p, 0.1),
    "xp.minimum": lambda xp, p, g, m, h: xp.minimum(p, g),
    "xp.clip": lambda xp, p, g, m, h: xp.clip(p, -0.5, 0.5),
    "xp.clip min": lambda xp, p, g, m, h: xp.clip(p, min=0.1),
    "xp.clip max": lambda xp, p, g, m, h: xp.clip(p, max=0.1),
    "xp.where": lambda xp, p, g, m, h: xp.where(p > g, p, m),
    "xp.where numbers": lambda xp, p, g, m, h: xp.where(p > 0, p, 0.1),
    "xp.where greater": lambda xp, p, g, m, h: xp.where(p >= g, p, m),
    "xp.where less": lambda xp, p, g, m, h: xp.where(p < g, p, m),
    "xp.where less equal": lambda xp, p, g, m, h: xp.where(p <= 0.1, p, m),
    "xp.where equal": lambda xp, p, g, m, h: xp.where(p == g, p, m),
    "xp.where not equal": lambda xp, p, g, m, h: xp.where(p != g, p, m),
    "xp.where isnan": lambda xp, p, g, m, h: xp.where(xp.isnan(p), 0.0, m),
    "xp.where isinf": lambda xp, p, g, m, h: xp.where(xp.isinf(p), g, p),
    "xp.where isfinite": lambda xp, p, g, m, h: xp.where(xp.isfinite(p), g, m),
    "and": lambda xp, p, g, m, h: xp.where((p > 0) & (g > 0), p, m),
    "or": lambda xp, p, g, m, h: xp.where((p > 0) | (g > 0), p, m),
    "xor": lambda xp, p, g, m, h: xp.where((p > 0) ^ (g > 0), p, m),
    "not": lambda xp, p, g, m, h: xp.where(~(p > 0), p, m),
    "xp.logical_and": lambda xp, p, g, m, h: xp.where(xp.logical_and(p > 0, g > 0), p, m),
    "xp.logical_or": lambda xp, p, g, m, h: xp.where(xp.logical_or(p > 0, g > 0), p, m),
    "xp.logical_xor": lambda xp, p, g, m, h: xp.where(xp.logical_xor(p > 0, g > 0), p, m),
    "xp.logical_not": lambda xp, p, g, m, h: xp.where(xp.logical_not(p > 0), p, m),
    "xp.less": lambda xp, p, g, m, h: xp.where(xp.less(p, g), p, m),
    "xp.zeros_like": lambda xp, p, g, m, h: xp.zeros_like(p) - p,
    "xp.ones_like": lambda xp, p, g, m, h: xp.ones_like(p),
    "xp.full_like": lambda xp, p, g, m, h: xp.full_like(p, 0.1),
    "nothing": lambda xp, p, g, m, h: p,
    "another input": lambda xp, p, g, m, h: g,
}
SPECIAL = np.array(
    [0.0, -0.0, 1.5, -1.5, 0.1, -0.1, 1e-42, -1e-310, 3e38, np.inf, -np.inf, np.nan], np.float64
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_record_means_what_the_rule_computes(name: str, dtype: str) -> None:
    with np.errstate(all="ignore"):
        special = SPECIAL.astype(dtype)
        p, g = (x.reshape(-1) for x in np.meshgrid(special, special))
        m = np.linspace(-2, 2, p.size, dtype=dtype)
        expected = OPERATIONS[name](np, p, g, m, None)
        assert_same_bits(replayed(recorded(OPERATIONS[name]), [p, g, m]), expected, name)


def test_every_operation_that_can_be_recorded_is_tried_here() -> None:
    tried = {name for f in OPERATIONS.values() for name, *_ in recorded(f).program.operations}
    # "positive" records nothing, and "held" is what rules on masters begin with: test_masters
    assert tried == program.OPERATIONS.keys() - {"positive", "held"}


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "sum": (lambda xp, p, g, m, h: p / xp.sum(g), r"xp\.sum"),
    "mean": (lambda xp, p, g, m, h: p - xp.mean(g), r"xp\.mean"),
    "exp": (lambda xp, p, g, m, h: xp.exp(p), r"xp\.exp"),
    "linalg": (lambda xp, p, g, m, h: xp.linalg.vector_norm(p), r"xp\.linalg"),
    "matrix product": (lambda xp, p, g, m, h: p @ g, "operation"),
    "product from the right": (lambda xp, p, g, m, h: [1.0] @ g, "operation"),
    "shape": (lambda xp, p, g, m, h: p * p.shape[0], "'shape'"),
    "dtype": (lambda xp, p, g, m, h: xp.asarray(p, dtype=p.dtype), "asarray|'dtype'"),
    "transpose": (lambda xp, p, g, m, h: p.T, "'T'"),
    "index": (lambda xp, p, g, m, h: p[0], "operation"),
    "length": (lambda xp, p, g, m, h: len(p) * p, "operation"),
    "iteration": (lambda xp, p, g, m, h: [x for x in p], "operation"),  # noqa: C416
    "float": (lambda xp, p, g, m, h: float(p), "operation"),
    "int": (lambda xp, p, g, m, h: int(p), "operation"),
    "membership": (lambda xp, p, g, m, h: 1.0 in p, "operation"),
    "if": (lambda xp, p, g, m, h: p if p > 0 else g, "condition"),
    "and of arrays": (lambda xp, p, g, m, h: p and g, "condition"),
    "a chain of comparisons": (lambda xp, p, g, m, h: 0 < p < 1, "condition"),
    "cube": (lambda xp, p, g, m, h: p**3, "power 3"),
    "root": (lambda xp, p, g, m, h: p**0.5, r"power 0\.5"),
    "power of a number": (lambda xp, p, g, m, h: 2.0**p, "operation"),
    "remainder": (lambda xp, p, g, m, h: p % 2, "operation"),
    "floor division": (lambda xp, p, g, m, h: p // 2, "operation"),
    "a complex number": (lambda xp, p, g, m, h: p * 1j, "type complex"),
    "a NumPy array": (lambda xp, p, g, m, h: p * h.table, "type ndarray|operand"),
    "a string": (lambda xp, p, g, m, h: p * "2", "type str"),
    "None": (lambda xp, p, g, m, h: p + None, "type NoneType"),
    "arithmetic on booleans": (lambda xp, p, g, m, h: p * (p > 0), "arithmetic on booleans"),
    "logic on numbers": (lambda xp, p, g, m, h: p & g, "logic on numbers"),
    "not of numbers": (lambda xp, p, g, m, h: ~p, "logic on numbers"),
    "where on numbers": (lambda xp, p, g, m, h: xp.where(p, g, m), "logic on numbers"),
    "where on a number": (lambda xp, p, g, m, h: xp.where(True, g, m), "without an array"),
    "where of booleans": (lambda xp, p, g, m, h: xp.where(p > 0, p > 1, m), "booleans"),
    "no array at all": (lambda xp, p, g, m, h: xp.sqrt(2.0), "without an array"),
    "full_like a number": (lambda xp, p, g, m, h: xp.full_like(2.0, 1.0), "no array"),
    "an output argument": (lambda xp, p, g, m, h: xp.add(p, g, m), "3 arguments"),
    "a number for the parameter": (lambda xp, p, g, m, h: 3.0, "param becomes a float"),
    "booleans for the parameter": (lambda xp, p, g, m, h: p > 0, "booleans"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_elementwise_is_refused_with_its_reason(name: str) -> None:
    function, reason = REFUSED[name]
    with pytest.raises(NotTraceable, match=reason):
        recorded(function, table=np.ones(3))


@pytest.mark.parametrize("symbol", [operator.iadd, operator.imul, operator.isub, operator.itruediv])
def test_in_place_operators_make_a_new_value(symbol: Callable[..., Any]) -> None:
    def rule(xp: Any, p: Any, g: Any, m: Any, h: Any) -> Any:
        q = symbol(p, g)
        return q + p  # p is still what it was

    p, g = np.array([3.0]), np.array([2.0])
    expected = symbol(p.copy(), g) + p
    assert_same_bits(replayed(recorded(rule), [p, g, g]), expected)


def test_item_assignment_is_refused() -> None:
    def rule(xp: Any, p: Any, g: Any, m: Any, h: Any) -> Any:
        p[0] = g
        return p

    with pytest.raises(NotTraceable, match="operation"):
        recorded(rule)


def adamlike(xp: Any, p: Any, g: Any, state: Any, hyper: Any, step: int) -> Any:
    if hyper.maximize:
        g = -g
    m = state["m"] * hyper.beta + (1 - hyper.beta) * g
    count = state["count"] + 1
    scale = hyper.lr / (1 - hyper.beta**step)
    if scale > hyper.limit:
        scale = hyper.limit
    return p - scale * m, {"m": m, "count": count, "scale": scale}


def trace_adamlike(step: int, maximize: bool = False, **numbers: float) -> Traced:
    hyper = SimpleNamespace(maximize=maximize, **{"lr": 0.1, "beta": 0.9, "limit": 1e9, **numbers})
    return trace(adamlike, ("m",), {"count": step - 1}, hyper, step)


@given(
    st.integers(1, 2**40),
    st.floats(0, 1e6),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([1e9, 0.0]),
)
def test_the_program_does_not_depend_on_the_numbers(
    step: int, lr: float, beta: float, limit: float
) -> None:
    traced = trace_adamlike(step, lr=lr, beta=beta, limit=limit)
    reference = trace_adamlike(1)
    assert traced.program == reference.program
    assert hash(traced.program) == hash(reference.program)
    assert traced.scalars["count"] == step
    scale = min(lr / (1 - beta**step), limit) if beta**step < 1 else limit
    assert traced.scalars["scale"] == scale
    assert traced.slots == [beta, 1 - beta, scale]


def test_the_program_depends_on_what_is_computed() -> None:
    assert trace_adamlike(1, maximize=True).program != trace_adamlike(1).program


def test_slots_keep_the_very_numbers() -> None:
    traced = recorded(lambda xp, p, g, m, h: (p + 1) * h.big - True, big=2**70)
    assert traced.slots == [1, 2**70, True]
    assert [type(x) for x in traced.slots] == [int, int, bool]


def test_equal_numbers_are_slots_of_their_own() -> None:
    # otherwise two numbers that happen to agree at one step would be another program
    assert recorded(lambda xp, p, g, m, h: (p + 0.5) * 0.5).slots == [0.5, 0.5]


def test_state_new_unchanged_and_exchanged() -> None:
    def update(xp: Any, p: Any, g: Any, state: Any, hyper: Any, step: int) -> Any:
        return p, {"a": state["b"], "b": state["a"], "same": state["same"], "new": g * 2.0}

    program = trace(update, ("a", "b", "same", "idle"), {}, None, 1).program
    assert program.inputs == ("param", "grad", "a", "b", "same", "idle")
    assert program.outputs == (("a", 3), ("b", 2), ("new", 6))
    assert program.new_state == ("new",)


def test_an_array_of_the_state_may_not_become_a_number() -> None:
    def update(xp: Any, p: Any, g: Any, state: Any, hyper: Any, step: int) -> Any:
        return p * 2.0, {"m": 0.0}

    with pytest.raises(NotTraceable, match="m becomes a float"):
        trace(update, ("m",), {}, None, 1)


def test_what_no_output_needs_is_dead() -> None:
    traced = recorded(lambda xp, p, g, m, h: (m * 2.0, p + g)[1])
    assert traced.program.live() == [True, True, False, False, True, False]


def test_errors_of_the_rule_itself_come_through() -> None:
    def broken(xp: Any, p: Any, g: Any, m: Any, h: Any) -> Any:
        return p * h.rate

    with pytest.raises(AttributeError, match="rate"):
        recorded(broken)


def test_programs_are_plain_and_can_be_keys() -> None:
    program = recorded(lambda xp, p, g, m, h: p + g).program
    assert program == Program(("param", "grad", "m"), (("add", 0, 1),), (("param", 3),))
    assert {program: 1}[recorded(lambda xp, p, g, m, h: xp.add(p, g)).program] == 1
