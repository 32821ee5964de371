"""Every optimizer of torch.optim, written once, for NumPy, CuPy and torch arrays."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if not os.path.isdir(os.path.join(__path__[0], "backends")):
    # Not installed but a clone, where backends/ and validation/ lie beside this folder.
    __path__.append(os.path.dirname(__path__[0]))

from optimkit.algorithms.adadelta import Adadelta
from optimkit.algorithms.adafactor import Adafactor
from optimkit.algorithms.adagrad import Adagrad
from optimkit.algorithms.adam import Adam
from optimkit.algorithms.adamax import Adamax
from optimkit.algorithms.adamw import AdamW
from optimkit.algorithms.asgd import ASGD
from optimkit.algorithms.lbfgs import LBFGS
from optimkit.algorithms.muon import Muon
from optimkit.algorithms.nadam import NAdam
from optimkit.algorithms.nonlinear_cg import NonlinearCG
from optimkit.algorithms.radam import RAdam
from optimkit.algorithms.rmsprop import RMSprop
from optimkit.algorithms.rprop import Rprop
from optimkit.algorithms.sgd import SGD
from optimkit.algorithms.sparse_adam import SparseAdam
from optimkit.backends.engines import available_engines, use_engine
from optimkit.backends.sparse import RowSparse
from optimkit.clip import clip_grad_norm_, clip_grad_value_, get_total_norm
from optimkit.optimizer import Optimizer, pure
from optimkit.parameter import Parameter
from optimkit.saving import load, save

if TYPE_CHECKING:
    from optimkit import functional, lr_scheduler, swa_utils
    from optimkit.wrappers import accumulate, skip_nonfinite

__version__ = "0.1.0"

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "NonlinearCG",
    "Optimizer",
    "Parameter",
    "RAdam",
    "RMSprop",
    "RowSparse",
    "Rprop",
    "SparseAdam",
    "accumulate",
    "available_engines",
    "clip_grad_norm_",
    "clip_grad_value_",
    "functional",
    "get_total_norm",
    "load",
    "lr_scheduler",
    "pure",
    "save",
    "skip_nonfinite",
    "swa_utils",
    "use_engine",
]


def __getattr__(name: str) -> Any:
    """Import what not every program needs when it is first named."""
    if name in ("functional", "lr_scheduler", "swa_utils"):
        return import_module(f"{__name__}.{name}")
    if name in ("accumulate", "skip_nonfinite"):
        return getattr(import_module(f"{__name__}.wrappers"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, imported or not, and none that only this file needs."""
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
