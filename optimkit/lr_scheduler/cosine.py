"""Rates that follow a cosine."""

import math

from optimkit.options import at_least_one, finite
from optimkit.typing import OptimizerLike

from . import schedules
from .base import LRScheduler
from .decays import ChainableLR


class CosineAnnealingLR(ChainableLR):
    """Anneal along a cosine, from the initial learning rate to ``eta_min`` and back.

    ``lr(t) = eta_min + (base_lr - eta_min) · (1 + cos(π t / T_max)) / 2``

    Run step by step, the current rate's distance to ``eta_min`` is multiplied by the ratio of two
    neighbouring values, as torch does, which rounds differently and also acts on changes that
    others make to the rate.

    Parameters
    ----------
    optimizer : object with ``param_groups``
    T_max : int, at least 1
        Steps from the top to the bottom.
    eta_min : float
        Learning rate at the bottom.
    last_epoch : int, at least -1
        Last step that was taken.

    References
    ----------
    Loshchilov and Hutter, *SGDR: Stochastic Gradient Descent with Warm Restarts*, ICLR 2017,
    https://arxiv.org/abs/1608.03983 (without the restarts).

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 1.0}])
    >>> scheduler = CosineAnnealingLR(optimizer, T_max=4)
    >>> [round(scheduler.lr_at(t)[0], 3) for t in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """

    schedule = staticmethod(schedules.cosine)
    limits = {"T_max": at_least_one, "eta_min": finite}
    follows_groups = False

    def __init__(
        self, optimizer: OptimizerLike, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def _next_lrs(self) -> list[float]:
        t, half, low = self.last_epoch, self.T_max, self.eta_min
        lrs = self._scaled(1.0)
        if self._is_initial:
            return lrs
        if (t - 1 - half) % (2 * half) == 0:  # leaving the bottom, where the ratio is 0 / 0
            rise = 1 - math.cos(math.pi / half)
            pairs = zip(lrs, self.base_lrs, strict=True)
            return [lr + (base_lr - low) * rise / 2 for lr, base_lr in pairs]
        ratio = (1 + math.cos(math.pi * t / half)) / (1 + math.cos(math.pi * (t - 1) / half))
        return [ratio * (lr - low) + low for lr in lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Anneal along a cosine and jump back to the top, in periods that may grow.

    ``lr(t) = eta_min + (base_lr - eta_min) · (1 + cos(π T_cur / T_i)) / 2``, with ``T_cur`` the
    steps since the last restart and ``T_i`` the length of the period

    Parameters
    ----------
    optimizer : object with ``param_groups``
    T_0 : int, at least 1
        Length of the first period.
    T_mult : int, at least 1
        Each period is this many times as long as the one before.
    eta_min : float
        Learning rate at the bottom.
    last_epoch : int, at least -1
        Last step that was taken.

    References
    ----------
    Loshchilov and Hutter, *SGDR: Stochastic Gradient Descent with Warm Restarts*, ICLR 2017,
    https://arxiv.org/abs/1608.03983

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 1.0}])
    >>> scheduler = CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
    >>> [round(scheduler.lr_at(t)[0], 3) for t in range(7)]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]
    """

    schedule = staticmethod(schedules.cosine_warm_restarts)
    limits = {"eta_min": finite}
    follows_groups = False

    def __init__(
        self,
        optimizer: OptimizerLike,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if T_0 <= 0 or not isinstance(T_0, int):
            raise ValueError(f"T_0 must be a positive int, not {T_0}")
        if T_mult < 1 or not isinstance(T_mult, int):
            raise ValueError(f"T_mult must be an int of at least 1, not {T_mult}")
        if not isinstance(eta_min, (float, int)):
            raise ValueError(f"eta_min must be a float, not {type(eta_min).__name__}")
        self.T_0 = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_i = T_0
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)
        del self._steps_at_start  # its steps are of its own, and may come between the optimizer's

    def _next_lrs(self) -> list[float]:
        return [schedules.cosine(self.T_cur, lr, self.T_i, self.eta_min) for lr in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Move to the next step, or to ``epoch``, which may be a fraction.

        Parameters
        ----------
        epoch : float, at least 0, optional
            For a schedule in epochs that is stepped after each batch: ``epoch + i / n_batches``.
        """
        self._check_groups()
        before = self.T_cur, self.T_i, self.last_epoch
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        elif epoch < 0:
            raise ValueError(f"epoch must not be negative, not {epoch}")
        else:
            self.T_cur, self.T_i = schedules.warm_restart_position(epoch, self.T_0, self.T_mult)
        self.last_epoch = math.floor(epoch)
        self._get_lr_called_within_step = True
        try:
            self._write(self.get_lr())
        except BaseException:
            self.T_cur, self.T_i, self.last_epoch = before
            raise
        finally:
            self._get_lr_called_within_step = False
