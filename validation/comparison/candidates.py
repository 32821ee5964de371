"""What can be held against a rule: what every candidate allows and shows.

`protocols` has the optimizers of libraries, and `handwritten` code of one's own.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.comparison.libraries import Array, read
from optimkit.validation.comparison.probes import Loss

ABSENT, GROUPS, RESUME, RATES = "absent gradients", "several groups", "resume", "other rates"
SPARSE = "sparse gradients"
# What people call a learning rate.
RATE_NAMES = (
    "lr",
    "learning_rate",
    "learn_rate",
    "learning_rate_init",
    "step_size",
    "eta",
    "alpha",
)
# Why most candidates cannot be tried in these.
LACKING = {
    ABSENT: "every parameter needs a gradient",
    GROUPS: "it has no groups",
    RESUME: "what it keeps cannot be given to a new one",
}
SPOILS = "It changes the gradients that it is given, in place; torch's optimizers do not, but for "
SPOILS += "SGD with nesterov=True and foreach=True."
Steps = dict[str, Array]  # a parameter, called "param", and the arrays of its state


class Unusable(ValueError):
    """Why a candidate cannot be held against a rule."""


class Going(ABC):
    """A candidate with parameters, which takes steps."""

    library = "numpy"

    @abstractmethod
    def step(self, grads: list[Any], rate: float) -> None:
        """Take a step with these gradients and this factor of the learning rates.

        A gradient is an array, a `RowSparse` or, where there is none, None.
        """

    @abstractmethod
    def values(self) -> list[Steps]:
        """The parameters, and what can be seen of their state."""

    def search(self, loss: Loss) -> None:
        """Take a step of a search, for which the only parameter gets a loss and its gradient."""
        raise Unusable(
            "a rule that evaluates the loss is held against the class of a torch optimizer, or of "
            "one of optimkit's"
        )

    def resumed(self) -> Going:
        """A new one that goes on from where this one is."""
        raise NotImplementedError


class Candidate(ABC):
    """An implementation that can be started on parameters.

    Attributes
    ----------
    kind : str
        What it was taken for.
    can : set of str
        Circumstances in which it can be tried.
    remarks : list of str
        What was seen of it that no number shows.
    """

    kind = ""
    can: frozenset[str] = frozenset()

    def __init__(self, make: Callable[..., Any], options: Mapping[str, Any]) -> None:
        self.make, self.options = make, dict(options)
        self.remarks: list[str] = []

    def lacks(self, need: str) -> str:
        """Why it cannot be tried in a circumstance that needs this."""
        return LACKING[need]

    def remark(self, text: str) -> None:
        """Say something of it, once."""
        if text not in self.remarks:
            self.remarks.append(text)

    def check_gradients(self, given: list[Any], grads: list[Any]) -> None:
        """Remark it if what it was given is no longer what it was."""
        for left, grad in zip(given, grads, strict=True):
            if isinstance(grad, np.ndarray) and not np.array_equal(read(left), grad, True):
                self.remark(SPOILS)

    @abstractmethod
    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        """Begin with these parameters, of which group k has k + 1 times the learning rate."""


def visible(state: Mapping[str, Any], shape: tuple[int, ...]) -> Steps:
    """The arrays of a state that have the shape of its parameter, or one for rows or columns."""
    arrays = {k: read(v) for k, v in state.items() if hasattr(v, "shape") and hasattr(v, "dtype")}
    return {str(k): v for k, v in arrays.items() if _fits(v.shape, shape) and k != "step"}


def _fits(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    return len(shape) == len(whole) and all(n in (1, m) for n, m in zip(shape, whole, strict=True))


def place_of(error: BaseException) -> str:
    """The file and line of a candidate's own code in which an error arose, as one adds them."""
    ours = (str(Path(ok.__file__).parent), str(Path(__file__).parent), inspect.__file__, "<")
    trace, found = error.__traceback__, ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(ours) and "site-packages" not in file:
            found = f" ({Path(file).name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return found
