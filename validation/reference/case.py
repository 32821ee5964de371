"""What a configuration is, and the kinds that many have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from optimkit.backends.memory import HALF
from optimkit.validation.reference.inputs import SETTINGS, Setting


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
    def halves(self) -> bool:
        """Whether it is of half precision, where torch's fused path is the reference."""
        return not set(HALF).isdisjoint(self.dtypes)

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
HALVES = replace(EVERYTHING, dtypes=("bfloat16", "float16"))
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
