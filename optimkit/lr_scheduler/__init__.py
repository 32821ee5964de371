"""Learning-rate schedulers: torch.optim's sixteen, for any object with ``param_groups``.

The formulas are pure functions of the step in `optimkit.lr_scheduler.schedules`; the classes
here drive an optimizer with them and keep torch's state.
"""

from . import schedules
from .base import LRScheduler
from .composite import ChainedScheduler, SequentialLR
from .cyclical import CyclicLR, OneCycleLR
from .plateau import ReduceLROnPlateau
from .schedulers import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "schedules",
]
