"""The learning rate of weight averaging."""

import math
from typing import Any, ClassVar, Literal

from optimkit.lr_scheduler.base import LRScheduler
from optimkit.lr_scheduler.groups import check_optimizer, per_group, rate_of
from optimkit.options import check_limits, non_negative
from optimkit.typing import OptimizerLike


def _anneal(strategy: str, fraction: float) -> float:
    return fraction if strategy == "linear" else (1 - math.cos(math.pi * fraction)) / 2


def swa_annealing(
    step: int,
    base_lr: float,
    swa_lr: float,
    anneal_epochs: int = 10,
    anneal_strategy: str = "cos",
) -> float:
    """From ``base_lr`` to ``swa_lr`` in ``anneal_epochs`` steps, then constant."""
    alpha = _anneal(anneal_strategy, min(1.0, step / anneal_epochs) if anneal_epochs else 1.0)
    return swa_lr * alpha + base_lr * (1 - alpha)


class SWALR(LRScheduler):
    """From the current learning rate to that of averaging, which then stays.

    ``lr(t) = α(t)·swa_lr + (1 - α(t))·base_lr`` with ``α`` rising from 0 to 1 in
    ``anneal_epochs`` steps, as ``t / T`` or ``(1 - cos(π t / T)) / 2``.

    Parameters
    ----------
    optimizer : object with ``param_groups``
    swa_lr : float or list of floats
        Final learning rate; a list gives one for each group. It is kept in the groups as
        ``"swa_lr"``.
    anneal_epochs : int, at least 0
        ``T``, steps until ``swa_lr`` is reached.
    anneal_strategy : {"cos", "linear"}
        How it is reached.
    last_epoch : int, at least -1
        Last step that was taken.

    Notes
    -----
    Like torch's, it is chainable: each step goes on from the current learning rate, whatever set
    it, and with rounding different from the closed form's (`lr_at`).

    References
    ----------
    Izmailov et al., *Averaging Weights Leads to Wider Optima and Better Generalization*, 2018,
    https://arxiv.org/abs/1803.05407.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 1.0}])
    >>> scheduler = SWALR(optimizer, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> for _ in range(3):
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.75]
    [0.5]
    [0.5]
    """

    schedule = staticmethod(swa_annealing)
    follows_groups = False
    _not_saved: ClassVar[frozenset[str]] = LRScheduler._not_saved | {"anneal_func"}

    def __init__(
        self,
        optimizer: OptimizerLike,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        rates = per_group("swa_lr", optimizer, swa_lr)
        for rate in rates:
            check_limits("SWALR", {"swa_lr": non_negative}, {"swa_lr": rate})
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be 'cos' or 'linear', not {anneal_strategy!r}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be an int of at least 0, not {anneal_epochs!r}")
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["swa_lr"] = rate
        self._anneal_strategy: str = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def anneal_func(self, fraction: float) -> float:
        """Return the weight of ``swa_lr`` when a fraction of the steps is done."""
        return _anneal(self._anneal_strategy, fraction)

    def _brought(self) -> bool:
        return all("swa_lr" in group for group in self.optimizer.param_groups)

    def _options(self, group: int) -> dict[str, Any]:
        return {
            "swa_lr": float(self.optimizer.param_groups[group]["swa_lr"]),
            "anneal_epochs": self.anneal_epochs,
            "anneal_strategy": self._anneal_strategy,
        }

    def _next_lrs(self) -> list[float]:
        step, length = self._step_count - 1, max(1, self.anneal_epochs)
        if self.anneal_epochs == 0:
            step = max(1, step)
        before = self.anneal_func(max(0, min(1, (step - 1) / length)))
        alpha = self.anneal_func(max(0, min(1, step / length)))
        lrs = []
        for group in self.optimizer.param_groups:
            lr, swa_lr = rate_of(group), float(group["swa_lr"])
            start = swa_lr if before == 1 else (lr - before * swa_lr) / (1 - before)
            lrs.append(swa_lr * alpha + start * (1 - alpha))
        return lrs
