"""Eager steps of functions have the bits of the class, on every library that is not JAX."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import assert_same_bits
from libraries import LIBRARIES, Library
from runs import CASES, EMPTY, SHAPES, expected, normal, rule_of, run, run_on, transformation

import optimkit as ok
from optimkit.validation.reference.case import Case

FEW = (((3, 4), "C"), ((), "C"), ((4, 3), "gaps"), ((0, 3), "C"))
LAST = {case.optimizer: case for case in CASES if not case.halves}  # with all options together
COMPLEX = {case.optimizer: case for case in CASES if "complex64" in case.dtypes}
SOME = list({case.name: case for case in (*LAST.values(), *COMPLEX.values())}.values())
ON_DEVICE = pytest.param("cupy", marks=pytest.mark.gpu)
OTHERS = ["read-only numpy", "torch", "array-api-strict", ON_DEVICE]


def compare(found: Any, want: Any, label: str) -> None:
    for (param, state), (same, same_state) in zip(found, want, strict=True):
        assert_same_bits(param, same, label)
        assert state.keys() == same_state.keys() - {"step"}, label
        for name, value in state.items():
            if hasattr(same_state[name], "shape"):
                assert_same_bits(value, same_state[name], f"{label}, {name}")
            else:
                assert float(value) == same_state[name], f"{label}, {name}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_numpy(case: Case) -> None:
    for dtype in case.dtypes:
        for shapes in (SHAPES, EMPTY):
            found = run_on(LIBRARIES["numpy"], case, dtype, shapes)
            compare(found, expected(case.name, dtype, shapes), f"{case.name}, {dtype}")


@pytest.mark.parametrize("library", OTHERS, indirect=True)
@pytest.mark.parametrize("case", SOME, ids=lambda case: case.name)
def test_other_libraries(case: Case, library: Library) -> None:
    if case.optimizer == "Muon" and library.name == "torch":
        pytest.skip("there its class has torch's products, which test_muon_on_tensors looks at")
    for dtype in case.dtypes:
        if library.name == "cupy":  # whose kernels take denormal numbers of float32 for zero
            found, want = (
                run_on(where, case, dtype, FEW, given=normal)
                for where in (library, LIBRARIES["numpy"])
            )
        else:
            found, want = run_on(library, case, dtype, FEW), expected(case.name, dtype, FEW)
        compare(found, want, f"{case.name}, {dtype}")


@pytest.mark.parametrize("case", SOME, ids=lambda case: case.name)
def test_tensors_that_autograd_follows(case: Case) -> None:
    """By torch's own operations, and yet with the bits of NumPy's."""
    if case.optimizer == "Muon":
        pytest.skip("its class has torch's products, which test_muon_on_tensors looks at")
    library = LIBRARIES["nn.Parameter"]
    for dtype in case.dtypes:
        found = run_on(library, case, dtype, FEW, array=library.param)
        compare(found, expected(case.name, dtype, FEW), f"{case.name}, {dtype}")


def test_muon_on_tensors() -> None:
    import torch

    start, grad = torch.randn(6, 4), torch.randn(6, 4)
    param = start.clone()
    optimizer = ok.Muon([param])
    tx = ok.functional.muon()
    ours, state = start, tx.init(start)
    for _ in range(3):
        optimizer.step(grads=[grad])
        ours, state = tx.step(ours, grad, state)
    assert torch.equal(ours, param)
    assert torch.equal(state["momentum_buffer"], optimizer.state[param]["momentum_buffer"])


@pytest.mark.parametrize("masters", [None, "float32"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["AdamW", "SGD", "NAdam"])
def test_half_precision(name: str, dtype: str, masters: str | None) -> None:
    """Computed in float32 and rounded once."""
    import torch

    options: dict[str, Any] = {"lr": 0.1, "master_dtype": masters}
    options |= {"momentum": 0.9} if name == "SGD" else {}
    start = torch.linspace(-2, 2, 20).to(getattr(torch, dtype))
    grads = [(start * k).sin() for k in range(1, 6)]
    param = start.clone()
    optimizer = getattr(ok, name)([param], **options)
    with ok.use_engine("eager"):
        for grad in grads:
            optimizer.step(grads=[grad])
    found = run(transformation(getattr(ok, name), options), [start], [[g] for g in grads])
    want = {k: v for k, v in optimizer.state[param].items() if k != "step"}
    assert found[0][0].dtype == start.dtype
    assert torch.equal(found[0][0], param)
    for key, value in want.items():
        same = torch.as_tensor(value)
        assert torch.equal(found[0][1][key].to(same.dtype), same), key
        assert not hasattr(value, "dtype") or found[0][1][key].dtype == value.dtype
    followed = start.clone().requires_grad_()
    again = run(transformation(getattr(ok, name), options), [followed], [[g] for g in grads])
    assert again[0][0].requires_grad
    assert torch.equal(again[0][0].detach(), param)


def test_every_rule_of_the_table_is_there() -> None:
    names = set(dir(ok.functional)) - {"Transformation", "of", "schedules"}
    assert {rule_of(case).__name__.lower() for case in CASES} | {"adamw"} == names | {"adamw"}
    assert "adamw" in names
