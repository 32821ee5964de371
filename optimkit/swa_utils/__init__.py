"""Averages of parameters over training: stochastic weight averaging, exponential averages."""

from optimkit.lr_scheduler.swa import SWALR
from optimkit.swa_utils.averaged_model import AveragedModel
from optimkit.swa_utils.averages import (
    get_ema_avg_fn,
    get_ema_multi_avg_fn,
    get_swa_avg_fn,
    get_swa_multi_avg_fn,
)
from optimkit.swa_utils.batch_norm import update_bn

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]
