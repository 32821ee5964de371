"""The text of CUDA kernels, compiled for real: by NVRTC, which needs no GPU."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import pytest

import optimkit as ok
from optimkit.backends.engines.cuda import driver as seam
from optimkit.backends.engines.cuda import images
from optimkit.backends.engines.cuda.text import (
    LARGE,
    OF_EACH,
    ON_DEVICE,
    OPTIONS,
    SHARED,
    SMALL,
    kernel_of,
)
from optimkit.backends.masters import on_masters
from optimkit.backends.memory import ITEMSIZE
from optimkit.backends.program import Program
from optimkit.backends.trace import NotTraceable, trace
from optimkit.closure_optimizer import ClosureOptimizer
from optimkit.validation.reference.cases import CASES

ARCHITECTURES = (80, 90, 100)
# What CUDA rounds to the nearest, as IEEE 754 has it, and what does not round at all.
EXACT = re.compile(
    r"(add|sub|mul|div|sqrt)\.rn\.f(32|64)|(neg|abs)\.f(32|64)|(setp|selp)[\w.]*|(mov|ld|st)[\w.]*"
    r"|cvt\.(rn\.f16\.f32|rn\.f16\.f64|rn\.f32\.f64|f32\.f16|f64\.f32|f64\.f16|r[mpz]i\.f\d+\.f\d+"
    r"|rn\.f\d+\.[su]\d+|rz?i?\.[su]\d+\.f\d+)"
)


@cache
def compilers() -> dict[str, seam.Driver]:
    """NVRTC by each binding, without a driver."""
    found = {}
    for kind in seam.DRIVERS:
        compiler = kind.__new__(kind)
        try:
            compiler.open_compiler()
            compiler.compiler_version()
        except Exception:
            continue
        found[kind.__name__] = compiler
    return found


@pytest.fixture
def compiler() -> seam.Driver:
    if not compilers():
        pytest.skip("no NVRTC: pip install cuda-bindings nvidia-cuda-nvrtc")
    return next(iter(compilers().values()))


def traced(case: Any) -> tuple[Program, int]:
    rule = getattr(ok, case.optimizer)
    hyper = rule.bind(**case.options)
    state = rule.init(np, np.zeros(3), hyper)
    arrays = tuple(name for name, value in state.items() if hasattr(value, "shape"))
    scalars = {name: value for name, value in state.items() if name not in arrays}
    found = trace(rule.update, arrays, scalars, hyper, 7)
    return found.program, len(found.slots)


def programs() -> dict[str, tuple[Program, int]]:
    """One name for each program of the table."""
    found = {}
    for case in CASES:
        if not issubclass(getattr(ok, case.optimizer), ClosureOptimizer):
            with suppress(NotTraceable):
                found.setdefault(traced(case), case.name)
    return {name: key for key, name in found.items()}


PROGRAMS = programs()


def test_the_table_has_programs_of_every_elementwise_rule() -> None:
    named = {name.partition(":")[0] for name in PROGRAMS}
    assert named >= {"SGD", "Adam", "AdamW", "Adadelta", "Adagrad", "Adamax", "NAdam", "RAdam"}
    assert named >= {"RMSprop", "Rprop", "ASGD", "SparseAdam"}


def mixtures(program: Program) -> list[tuple[str, ...]]:
    count = len(program.columns)
    same = [(dtype,) * count for dtype in ITEMSIZE]
    masters = ("bfloat16", "bfloat16", *["float32"] * (count - 2))
    wide = ("float16", "float16", *["float64"] * (count - 2))
    return [*same, masters, wide]


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_compiles_and_is_exact(name: str, compiler: seam.Driver) -> None:
    program, slots = PROGRAMS[name]
    for i, dtypes in enumerate(mixtures(program)):
        kernel = kernel_of(program, dtypes, slots)
        for architecture in ARCHITECTURES if i == 0 else ARCHITECTURES[i % 3 :][:1]:
            ptx = compiled(compiler, kernel.text, architecture)
        check_exact(ptx, dtypes)
        if dtypes in (("float32",) * len(dtypes), ("float64",) * len(dtypes)):
            vector = "v4.[bf]32" if dtypes[0] == "float32" else "v2.[bf]64"
            assert re.search(rf"ld\.global\.{vector}", ptx), "16 bytes at a time"


def compiled(compiler: seam.Driver, text: str, architecture: int) -> str:
    """The PTX of a text that also compiles for a device."""
    cubin, ptx = compiler.compile(text, (*OPTIONS, f"--gpu-architecture=sm_{architecture}"))
    assert cubin[:4] == b"\x7fELF"
    return ptx.decode()


def check_exact(ptx: str, dtypes: tuple[str, ...]) -> None:
    operations = set(re.findall(r"^\s*(?:@\S+\s+)?([a-z][\w.]*\.f(?:16|32|64)[\w.]*)", ptx, re.M))
    assert {x for x in operations if not EXACT.fullmatch(x)} == set(), dtypes
    assert ".ftz" not in ptx
    assert "fma" not in ptx
    if "float64" not in dtypes:
        assert not re.search(r"\.f64", ptx), "float32 is not computed in double"


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
@pytest.mark.parametrize("rule", [ok.SGD, ok.AdamW, ok.Rprop])
def test_masters_are_compared_with_their_parameters(
    rule: type[ok.Optimizer], half: str, compiler: seam.Driver
) -> None:
    hyper = rule.bind(lr=0.1)
    arrays = ("master", *rule.init(np, np.zeros(3), hyper))
    found = trace(on_masters(rule.update), arrays, {}, hyper, 7)
    dtypes = (half, half, *["float32"] * (len(found.program.columns) - 2))
    text = kernel_of(found.program, dtypes, len(found.slots)).text
    assert f"{half}::of(master).bits == param_[i].bits ? master : param" in text
    for architecture in ARCHITECTURES:
        check_exact(compiled(compiler, text, architecture), dtypes)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--fmad=true", "--ftz=false", "--prec-div=true", "--prec-sqrt=true"), "fma"),
        (("--fmad=false", "--ftz=true", "--prec-div=true", "--prec-sqrt=true"), "ftz"),
        (("--fmad=false", "--ftz=false", "--prec-div=false", "--prec-sqrt=true"), "div.full"),
        (("--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=false"), "sqrt.approx"),
    ],
)
def test_what_is_not_exact_is_noticed(
    options: tuple[str, ...], what: str, compiler: seam.Driver
) -> None:
    program, slots = PROGRAMS["Adam: defaults"]
    text = kernel_of(program, ("float32",) * 4, slots).text
    given = ("--std=c++17", *options, "--gpu-architecture=compute_90")
    ptx = compiler.compile(text, given).ptx.decode()
    assert what in ptx
    with pytest.raises(AssertionError):
        check_exact(ptx, ("float32",) * 4)


@pytest.mark.parametrize("kind", ["BindingsDriver", "CuPyDriver"])
def test_either_binding_compiles(kind: str) -> None:
    if kind not in compilers():
        pytest.skip(f"no {kind} here")
    compiler = compilers()[kind]
    program, slots = PROGRAMS["Rprop: defaults"]
    text = kernel_of(program, ("float32",) * len(program.columns), slots).text
    assert {80, 90} <= set(compiler.architectures())
    assert ".target sm_90" in compiled(compiler, text, 90)
    cubin, ptx = compiler.compile(text, (*OPTIONS, "--gpu-architecture=compute_90"))
    assert not cubin
    assert b".target sm_90" in ptx
    with pytest.raises(RuntimeError, match=r"(?s)NVRTC.*nonsense"):
        compiler.compile("nonsense", OPTIONS)


@pytest.mark.parametrize("limit", [SMALL, LARGE])
@pytest.mark.parametrize("where", [SHARED, OF_EACH, ON_DEVICE])
@pytest.mark.parametrize("name", ["Adam: defaults", "Rprop: defaults"])
def test_arguments_are_as_many_as_fit(
    name: str, where: str, limit: int, compiler: seam.Driver
) -> None:
    """The text itself asserts that the device lays its argument out in as many bytes."""
    program, slots = PROGRAMS[name]
    for dtype in ("float32", "float64"):
        kernel = kernel_of(program, (dtype,) * len(program.columns), slots, where, limit)
        room = limit - kernel.arguments.itemsize
        assert 0 <= room < kernel.arguments["tensors"].base.itemsize + 16
        compiler.compile(kernel.text, (*OPTIONS, "--gpu-architecture=sm_90"))


@pytest.mark.parametrize(
    ("capability", "expected"),
    [(90, "sm_90"), (87, "compute_80"), (121, "compute_100")],
)
def test_what_is_compiled_for_a_device(capability: int, expected: str) -> None:
    assert images.target(capability, [75, 80, 90, 100]) == expected


def test_a_device_too_old_for_the_compiler_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"7\.0.*7\.5 and above"):
        images.target(70, [75, 80])


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ImportError("no", name="cuda.bindings"), r"cuda\.bindings is not installed .*cuda13"),
        (RuntimeError('Failure finding "libnvrtc.so.13"'), "NVRTC is not found .*cuda13"),
        (RuntimeError("CUDA driver version is insufficient for it"), "no driver .* or it is too"),
        (ValueError("strange\nand long"), "ValueError: strange$"),
    ],
)
def test_what_is_missing_is_said_in_short(
    error: Exception, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> seam.Driver:
        raise error

    monkeypatch.setattr(seam, "DRIVERS", (missing, missing))
    driver, reason = seam.found.__wrapped__()
    assert driver is None
    assert re.search(says, reason), reason
    assert ";" not in reason
