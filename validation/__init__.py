"""Holding implementations against one another: optimkit's own, PyTorch's, and yours."""

from optimkit.validation.comparison.compare import compare
from optimkit.validation.comparison.outcome import Outcome

__all__ = ["Outcome", "compare"]
