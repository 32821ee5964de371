"""Fused kernels on CUDA devices, for CuPy arrays and torch tensors."""

from __future__ import annotations

from optimkit.backends.engines.cuda.engine import CudaEngine
from optimkit.backends.engines.cuda.text import kernel_of
from optimkit.backends.program import Program


def source(program: Program, dtypes: tuple[str, ...]) -> str:
    """Write the text of the kernel for `program`."""
    slots = sum(value.operation == "slot" for value in program.values)
    return kernel_of(program, dtypes, slots).text


ENGINE = CudaEngine()

__all__ = ["ENGINE", "source"]
