"""The table of configurations that every check runs over: parity, engines, strictness, resume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from optimkit.validation.inputs import SETTINGS, Setting


@dataclass(frozen=True)
class Case:
    """One configuration of one optimizer.

    Attributes
    ----------
    optimizer : str
        Its name in optimkit and in torch.optim.
    options : mapping
        Arguments of the constructor.
    exercises : str
        What this configuration is there for; unique among those of the optimizer.
    dtypes : tuple of str
    setting : str
        The circumstances, a key of `inputs.SETTINGS`.
    tolerance : float
        Largest allowed ``|difference| / max(|value|, lr)``, from 1 on in machine epsilons of the
        dtype. 0 asks for equal bits.
    reason : str
        Why there has to be a tolerance.
    zeros : str
        Why a zero may have the other sign, if it may; it is still the same value.
    peer : bool
        Whether torch has this optimizer.
    """

    optimizer: str
    options: Mapping[str, Any] = field(default_factory=dict)
    exercises: str = "defaults"
    dtypes: tuple[str, ...] = ("float32", "float64")
    setting: str = "a vector"
    tolerance: float = 0.0
    reason: str = ""
    zeros: str = ""
    peer: bool = True

    def __post_init__(self) -> None:
        if (self.tolerance > 0) != bool(self.reason):
            raise ValueError(f"{self.name}: a tolerance and its reason come together")

    @property
    def name(self) -> str:
        """What tables and recordings call it."""
        return f"{self.optimizer}: {self.exercises}"

    def bound(self, dtype: str) -> float:
        """Return the tolerance for a dtype."""
        epsilon = float(np.finfo(dtype).eps) if self.tolerance >= 1 else 1.0
        return self.tolerance * epsilon

    @property
    def allowed(self) -> str:
        """The tolerance in words."""
        unit = " machine epsilons" if self.tolerance >= 1 else ""
        return f"{self.tolerance:g}{unit}"

    @property
    def circumstances(self) -> Setting:
        """The setting itself."""
        return SETTINGS[self.setting]


PLAIN = Case("")
COMPLEX = replace(
    PLAIN,
    dtypes=("complex64", "complex128"),
    zeros="torch multiplies by complex numbers a + 0i in places: a x - 0 y instead of a x",
)
NO_MEMORY = replace(
    PLAIN,
    zeros="lerp with weight 1: torch's vector loop and its loop over the rest of a tensor differ",
)
EVERYTHING = replace(PLAIN, setting="everything at once")
NOT_FINITE = replace(PLAIN, setting="not finite")
MUON = replace(
    PLAIN,
    setting="matrices",
    tolerance=2e-2,
    reason="sums in another order now and then round to the neighbouring bfloat16, 2^-8 apart; "
    "NS amplifies it, and steps have a size of lr whatever the gradient's",
)
ADAFACTOR = replace(
    PLAIN,
    setting="tensors",
    tolerance=64,
    reason="sums in another order, roots taken before the product instead of after",
)
ROWS = replace(PLAIN, setting="rows of a table")
# Of a row that comes twice, torch's SGD adds one entry after the other to the parameter; we add
# the sum, as torch's own Adagrad and SparseAdam do.
DISTINCT_ROWS = replace(PLAIN, setting="distinct rows of a table")
LINE = replace(
    PLAIN,
    dtypes=("float64",),
    setting="a closure",
    tolerance=1e-10,
    reason="dot products sum in another order",
)
LINE_OWN = replace(LINE, peer=False)


def case(optimizer: str, exercises: str, like: Case = PLAIN, /, **options: Any) -> Case:
    """Write a case down in one line."""
    return replace(like, optimizer=optimizer, exercises=exercises, options=options)


CASES = (
    # SGD
    case("SGD", "lr", lr=0.01),
    case("SGD", "weight_decay", lr=0.01, weight_decay=0.1),
    case("SGD", "momentum", lr=0.01, momentum=0.9),
    case("SGD", "dampening", lr=0.01, momentum=0.9, dampening=0.3),
    case("SGD", "nesterov", lr=0.01, momentum=0.9, nesterov=True),
    case("SGD", "maximize", lr=0.01, maximize=True),
    case("SGD", "defaults"),
    case(
        "SGD",
        "nesterov, weight_decay, maximize",
        lr=0.01,
        momentum=0.9,
        nesterov=True,
        weight_decay=0.1,
        maximize=True,
    ),
    case("SGD", "rows of a table", DISTINCT_ROWS, lr=0.01, maximize=True),
    case("SGD", "complex", COMPLEX, lr=0.01, momentum=0.9, dampening=0.2, weight_decay=0.1),
    case(
        "SGD",
        "groups, schedule, missing gradients, shapes",
        EVERYTHING,
        lr=0.01,
        momentum=0.9,
        dampening=0.2,
        weight_decay=0.1,
    ),
    case(
        "SGD",
        "infinities and NaN",
        NOT_FINITE,
        lr=0.01,
        momentum=0.9,
        dampening=0.2,
        weight_decay=0.1,
    ),
    # Adam
    case("Adam", "defaults"),
    case("Adam", "lr", lr=0.03),
    case("Adam", "betas, lerp at one half", betas=(0.5, 0.9)),
    case("Adam", "betas, lerp from the far end", betas=(0.1, 0.3)),
    case("Adam", "betas of 0", NO_MEMORY, betas=(0.0, 0.0)),
    case("Adam", "eps", eps=0.001),
    case("Adam", "weight_decay", weight_decay=0.1),
    case("Adam", "decoupled_weight_decay", weight_decay=0.1, decoupled_weight_decay=True),
    case("Adam", "amsgrad", amsgrad=True),
    case("Adam", "maximize", maximize=True),
    case(
        "Adam",
        "amsgrad, weight_decay, maximize",
        lr=0.01,
        weight_decay=0.1,
        amsgrad=True,
        maximize=True,
    ),
    case("Adam", "complex", COMPLEX, lr=0.01, weight_decay=0.1, amsgrad=True),
    case(
        "Adam",
        "groups, schedule, missing gradients, shapes",
        EVERYTHING,
        lr=0.01,
        weight_decay=0.1,
        amsgrad=True,
    ),
    case("Adam", "infinities and NaN", NOT_FINITE, lr=0.01, weight_decay=0.1, amsgrad=True),
    # AdamW
    case("AdamW", "defaults"),
    case("AdamW", "lr, weight_decay", lr=0.03, weight_decay=0.1),
    case("AdamW", "no weight_decay", weight_decay=0),
    case("AdamW", "betas, lerp from the far end", betas=(0.2, 0.9)),
    case("AdamW", "eps", eps=0.001),
    case("AdamW", "amsgrad, maximize", amsgrad=True, maximize=True),
    case("AdamW", "complex", COMPLEX, lr=0.01, amsgrad=True),
    case("AdamW", "groups, schedule, missing gradients, shapes", EVERYTHING, lr=0.01, amsgrad=True),
    case("AdamW", "infinities and NaN", NOT_FINITE, lr=0.01, amsgrad=True),
    # Adadelta
    case("Adadelta", "defaults"),
    case("Adadelta", "lr", lr=0.3),
    case("Adadelta", "rho", rho=0.3),
    case("Adadelta", "rho of 0", rho=0.0),
    case("Adadelta", "rho of 1", rho=1.0),
    case("Adadelta", "eps", eps=0.001),
    case("Adadelta", "weight_decay", weight_decay=0.1),
    case("Adadelta", "maximize", maximize=True),
    case("Adadelta", "all together", lr=0.3, rho=0.95, eps=0.0001, weight_decay=0.1, maximize=True),
    case("Adadelta", "complex", COMPLEX, lr=0.3, weight_decay=0.1),
    case(
        "Adadelta",
        "groups, schedule, missing gradients, shapes",
        EVERYTHING,
        lr=0.3,
        weight_decay=0.1,
    ),
    case("Adadelta", "infinities and NaN", NOT_FINITE, lr=0.3, weight_decay=0.1),
    # Adagrad
    case("Adagrad", "defaults"),
    case("Adagrad", "lr, lr_decay", lr=0.1, lr_decay=0.001),
    case("Adagrad", "weight_decay", weight_decay=0.1),
    case("Adagrad", "initial_accumulator_value", initial_accumulator_value=0.1),
    case("Adagrad", "eps", eps=0.001),
    case("Adagrad", "maximize", maximize=True),
    case(
        "Adagrad",
        "all together",
        lr=0.1,
        lr_decay=0.1,
        weight_decay=0.1,
        initial_accumulator_value=0.1,
        eps=1e-06,
        maximize=True,
    ),
    case("Adagrad", "rows of a table", ROWS, lr=0.1, lr_decay=0.1),
    case("Adagrad", "complex", COMPLEX, lr=0.1, lr_decay=0.01, weight_decay=0.1),
    case(
        "Adagrad",
        "groups, schedule, missing gradients, shapes",
        EVERYTHING,
        lr=0.1,
        lr_decay=0.01,
        weight_decay=0.1,
    ),
    case("Adagrad", "infinities and NaN", NOT_FINITE, lr=0.1, lr_decay=0.01, weight_decay=0.1),
    # Adamax
    case("Adamax", "defaults"),
    case("Adamax", "lr", lr=0.03),
    case("Adamax", "betas, lerp at one half", betas=(0.5, 0.9)),
    case("Adamax", "betas, lerp from the far end", betas=(0.1, 0.3)),
    case("Adamax", "betas of 0", NO_MEMORY, betas=(0.0, 0.0)),
    case("Adamax", "eps", eps=0.001),
    case("Adamax", "weight_decay", weight_decay=0.1),
    case("Adamax", "maximize", maximize=True),
    case("Adamax", "all together", lr=0.01, betas=(0.8, 0.99), weight_decay=0.1, maximize=True),
    case("Adamax", "complex", COMPLEX, lr=0.01, weight_decay=0.1),
    case(
        "Adamax",
        "groups, schedule, missing gradients, shapes",
        EVERYTHING,
        lr=0.01,
        weight_decay=0.1,
    ),
    case("Adamax", "infinities and NaN", NOT_FINITE, lr=0.01, weight_decay=0.1),
    # NAdam
    case("NAdam", "defaults"),
    case("NAdam", "lr", lr=0.03),
    case("NAdam", "betas, lerp at one half", betas=(0.5, 0.9)),
    case("NAdam", "betas, lerp from the far end", betas=(0.1, 0.3)),
    case("NAdam", "betas of 0", NO_MEMORY, betas=(0.0, 0.0)),
    case("NAdam", "betas, a slow mu_product", betas=(0.9999, 0.999), momentum_decay=1.0),
    case("NAdam", "eps", eps=0.001),
    case("NAdam", "weight_decay", weight_decay=0.1),
    case("NAdam", "decoupled_weight_decay", weight_decay=0.1, decoupled_weight_decay=True),
    case("NAdam", "no momentum_decay", momentum_decay=0),
    case("NAdam", "momentum_decay", momentum_decay=0.3),
    case("NAdam", "maximize", maximize=True),
    case(
        "NAdam",
        "weight_decay, momentum_decay, maximize",
        lr=0.01,
        weight_decay=0.1,
        momentum_decay=0.01,
        maximize=True,
    ),
    case("NAdam", "complex", COMPLEX, lr=0.01, weight_decay=0.1, decoupled_weight_decay=True),
    case(
        "NAdam",
        "groups, schedule, missing gradients, shapes",
        EVERYTHING,
        lr=0.01,
        weight_decay=0.1,
        decoupled_weight_decay=True,
    ),
    case(
        "NAdam",
        "infinities and NaN",
        NOT_FINITE,
        lr=0.01,
        weight_decay=0.1,
        decoupled_weight_decay=True,
    ),
    # RAdam
    case("RAdam", "defaults"),
    case("RAdam", "lr", lr=0.03),
    case("RAdam", "betas, lerp at one half", betas=(0.5, 0.9)),
    case("RAdam", "betas, lerp from the far end", betas=(0.1, 0.999)),
    case("RAdam", "betas of 0, never rectified", NO_MEMORY, betas=(0.0, 0.0)),
    case("RAdam", "eps", eps=0.001),
    case("RAdam", "weight_decay", weight_decay=0.1),
    case("RAdam", "decoupled_weight_decay", weight_decay=0.1, decoupled_weight_decay=True),
    case("RAdam", "maximize", maximize=True),
    case(
        "RAdam",
        "betas, weight_decay, maximize",
        lr=0.01,
        betas=(0.8, 0.99),
        weight_decay=0.1,
        maximize=True,
    ),
    case("RAdam", "complex", COMPLEX, lr=0.01, weight_decay=0.1, decoupled_weight_decay=True),
    case(
        "RAdam",
        "groups, schedule, missing gradients, shapes",
        EVERYTHING,
        lr=0.01,
        weight_decay=0.1,
        decoupled_weight_decay=True,
    ),
    case(
        "RAdam",
        "infinities and NaN",
        NOT_FINITE,
        lr=0.01,
        weight_decay=0.1,
        decoupled_weight_decay=True,
    ),
    # RMSprop
    case("RMSprop", "defaults"),
    case("RMSprop", "lr", lr=0.001),
    case("RMSprop", "alpha", alpha=0.5),
    case("RMSprop", "alpha of 0", alpha=0.0),
    case("RMSprop", "eps", eps=0.001),
    case("RMSprop", "weight_decay", weight_decay=0.1),
    case("RMSprop", "momentum", momentum=0.9),
    case("RMSprop", "centered", centered=True),
    case("RMSprop", "centered, lerp from the far end", centered=True, alpha=0.1, eps=0.001),
    case("RMSprop", "maximize", maximize=True),
    case(
        "RMSprop",
        "all together",
        alpha=0.9,
        eps=0.0001,
        weight_decay=0.1,
        momentum=0.9,
        centered=True,
        maximize=True,
    ),
    case("RMSprop", "complex", COMPLEX, lr=0.001, momentum=0.9, centered=True, weight_decay=0.1),
    case(
        "RMSprop",
        "groups, schedule, missing gradients, shapes",
        EVERYTHING,
        lr=0.001,
        momentum=0.9,
        centered=True,
        weight_decay=0.1,
    ),
    case(
        "RMSprop",
        "infinities and NaN",
        NOT_FINITE,
        lr=0.001,
        momentum=0.9,
        centered=True,
        weight_decay=0.1,
    ),
    # Rprop
    case("Rprop", "defaults"),
    case("Rprop", "lr", lr=0.1),
    case("Rprop", "etas", etas=(0.3, 1.7)),
    case("Rprop", "step_sizes", step_sizes=(0.001, 0.1)),
    case("Rprop", "lr above step_sizes", lr=1.0, step_sizes=(0.001, 0.1)),
    case("Rprop", "maximize", maximize=True),
    case("Rprop", "all together", lr=0.1, etas=(0.7, 1.1), step_sizes=(1e-05, 1), maximize=True),
    case("Rprop", "complex", COMPLEX, lr=0.01, maximize=True),
    case(
        "Rprop", "groups, schedule, missing gradients, shapes", EVERYTHING, lr=0.01, maximize=True
    ),
    case("Rprop", "infinities and NaN", NOT_FINITE, lr=0.01, maximize=True),
    # ASGD
    case("ASGD", "defaults"),
    case("ASGD", "lr", lr=0.1),
    case("ASGD", "lambd", lambd=0.1),
    case("ASGD", "no lambd", lambd=0),
    case("ASGD", "alpha, lambd", alpha=0.3, lambd=0.1),
    case("ASGD", "t0, averaging", t0=100),
    case("ASGD", "t0 of 0, averaging from the second step", t0=0),
    case("ASGD", "weight_decay", weight_decay=0.1),
    case("ASGD", "maximize", maximize=True),
    case(
        "ASGD",
        "all together",
        lr=0.1,
        lambd=0.01,
        alpha=0.9,
        t0=10.5,
        weight_decay=0.1,
        maximize=True,
    ),
    case("ASGD", "complex", COMPLEX, lr=0.05, lambd=0.01, t0=20, weight_decay=0.1),
    case(
        "ASGD",
        "groups, schedule, missing gradients, shapes",
        EVERYTHING,
        lr=0.05,
        lambd=0.01,
        t0=20,
        weight_decay=0.1,
    ),
    case("ASGD", "infinities and NaN", NOT_FINITE, lr=0.05, lambd=0.01, t0=20, weight_decay=0.1),
    # Muon
    case("Muon", "defaults", MUON),
    case("Muon", "match_rms_adamw", MUON, adjust_lr_fn="match_rms_adamw"),
    case("Muon", "original, no nesterov", MUON, adjust_lr_fn="original", nesterov=False),
    case("Muon", "all together", MUON, lr=0.02, weight_decay=0.01, momentum=0.9, ns_steps=3),
    # Adafactor
    case("Adafactor", "defaults", ADAFACTOR),
    case("Adafactor", "weight_decay, maximize", ADAFACTOR, weight_decay=0.1, maximize=True),
    case("Adafactor", "beta2_decay", ADAFACTOR, beta2_decay=-0.5),
    case("Adafactor", "eps, d", ADAFACTOR, eps=(1e-6, 1e-2), d=2.0),
    case(
        "Adafactor", "all together", ADAFACTOR, lr=0.1, beta2_decay=-0.9, d=1.5, weight_decay=0.01
    ),
    # SparseAdam
    case("SparseAdam", "defaults", ROWS),
    case("SparseAdam", "lr", ROWS, lr=0.03),
    case("SparseAdam", "betas", ROWS, betas=(0.3, 0.9)),
    case("SparseAdam", "eps", ROWS, eps=1e-3),
    case("SparseAdam", "maximize", ROWS, maximize=True),
    # LBFGS
    case("LBFGS", "defaults", LINE, lr=0.01),
    case("LBFGS", "line_search_fn", LINE, line_search_fn="strong_wolfe"),
    case("LBFGS", "history_size", LINE, line_search_fn="strong_wolfe", history_size=3),
    case("LBFGS", "max_iter, max_eval", LINE, lr=0.01, max_iter=5, max_eval=4),
    # NonlinearCG
    case("NonlinearCG", "defaults", LINE_OWN),
)

OPTIMIZERS = tuple(dict.fromkeys(case.optimizer for case in CASES))


def cases_of(optimizer: str) -> tuple[Case, ...]:
    """Return the cases of one optimizer."""
    return tuple(case for case in CASES if case.optimizer == optimizer)
