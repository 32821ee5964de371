"""Holding implementations against one another: optimkit's own, PyTorch's, and yours."""

from optimkit.validation.comparison.compare import Outcome, compare

__all__ = ["Outcome", "compare"]
