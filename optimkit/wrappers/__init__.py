"""Optimizers around an optimizer: what decides when it steps, and with which gradients."""

from optimkit.wrappers.accumulation import Accumulation, accumulate
from optimkit.wrappers.base import Wrapper
from optimkit.wrappers.skipping import NonfiniteSkip, skip_nonfinite

__all__ = ["Accumulation", "NonfiniteSkip", "Wrapper", "accumulate", "skip_nonfinite"]
