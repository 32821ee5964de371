"""Every optimizer of torch.optim, written once, for NumPy, CuPy and torch arrays."""

from optimkit.algorithms.adam import Adam
from optimkit.algorithms.adamw import AdamW
from optimkit.algorithms.sgd import SGD
from optimkit.backends.engines import available_engines, use_engine
from optimkit.optimizer import Optimizer
from optimkit.parameter import Parameter

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
    "Parameter",
    "available_engines",
    "use_engine",
]
