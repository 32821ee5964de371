"""Every optimizer of torch.optim, written once, for NumPy, CuPy and torch arrays."""

from optimkit import lr_scheduler
from optimkit.algorithms.adadelta import Adadelta
from optimkit.algorithms.adagrad import Adagrad
from optimkit.algorithms.adam import Adam
from optimkit.algorithms.adamax import Adamax
from optimkit.algorithms.adamw import AdamW
from optimkit.algorithms.asgd import ASGD
from optimkit.algorithms.lbfgs import LBFGS
from optimkit.algorithms.nadam import NAdam
from optimkit.algorithms.nonlinear_cg import NonlinearCG
from optimkit.algorithms.radam import RAdam
from optimkit.algorithms.rmsprop import RMSprop
from optimkit.algorithms.rprop import Rprop
from optimkit.algorithms.sgd import SGD
from optimkit.backends.engines import available_engines, use_engine
from optimkit.optimizer import Optimizer
from optimkit.parameter import Parameter

__version__ = "0.1.0"

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "NonlinearCG",
    "Optimizer",
    "Parameter",
    "RAdam",
    "RMSprop",
    "Rprop",
    "available_engines",
    "lr_scheduler",
    "use_engine",
]
