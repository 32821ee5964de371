"""Holding implementations against one another: optimkit's own, PyTorch's, and yours."""

from optimkit.validation.compare.compare import Comparison, compare

__all__ = ["Comparison", "compare"]
