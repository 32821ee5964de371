"""Fused kernels on CUDA devices, for CuPy arrays and torch tensors."""

from optimkit.backends.engines.cuda.engine import CudaEngine

ENGINE = CudaEngine()

__all__ = ["ENGINE"]
