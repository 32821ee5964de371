"""Rates that step, ramp or decay."""

from collections import Counter
from collections.abc import Iterable

from optimkit.options import (
    at_least_one,
    check_limits,
    closed_fraction,
    non_negative,
    positive_fraction,
    whole_numbers,
)
from optimkit.typing import OptimizerLike

from . import schedules
from .base import LRScheduler


class ChainableLR(LRScheduler):
    """Scales the current rates, so that others may act too; ``step(epoch)`` is in closed form."""

    def _get_closed_form_lr(self) -> list[float]:
        return self.lr_at(self.last_epoch)


class StepLR(ChainableLR):
    """Decay by a factor every ``step_size`` steps.

    ``lr(t) = base_lr · gamma^⌊t / step_size⌋``

    Run step by step, the current rate is multiplied by ``gamma``, as torch does, which rounds
    differently from the power.

    Parameters
    ----------
    optimizer : object with ``param_groups``
    step_size : int, at least 1
        Steps between two decays.
    gamma : float, at least 0
        Factor of a decay.
    last_epoch : int, at least -1
        Last step that was taken.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 1.0}])
    >>> scheduler = StepLR(optimizer, step_size=2, gamma=0.5)
    >>> [scheduler.lr_at(t)[0] for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    schedule = staticmethod(schedules.step_decay)
    limits = {"step_size": at_least_one, "gamma": non_negative}

    def __init__(
        self, optimizer: OptimizerLike, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _next_lrs(self) -> list[float]:
        decays = self.last_epoch != 0 and self.last_epoch % self.step_size == 0
        return self._scaled(self.gamma if decays else 1.0)


class MultiStepLR(ChainableLR):
    """Decay by a factor at given steps.

    ``lr(t) = base_lr · gamma^n``, where ``n`` counts the milestones up to ``t``

    Run step by step, the current rate is multiplied by ``gamma``, as torch does, which rounds
    differently from the power.

    Parameters
    ----------
    optimizer : object with ``param_groups``
    milestones : iterable of int
        Steps at which to decay; one that occurs twice decays twice.
    gamma : float, at least 0
        Factor of a decay.
    last_epoch : int, at least -1
        Last step that was taken.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 1.0}])
    >>> scheduler = MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> [scheduler.lr_at(t)[0] for t in range(5)]
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """

    schedule = staticmethod(schedules.multi_step)
    limits = {"gamma": non_negative}

    def __init__(
        self,
        optimizer: OptimizerLike,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        milestones = list(milestones)
        check_limits("MultiStepLR", {"milestones": whole_numbers}, {"milestones": milestones})
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _next_lrs(self) -> list[float]:
        return self._scaled(float(self.gamma ** self.milestones.get(self.last_epoch, 0)))


class ConstantLR(ChainableLR):
    """Hold a fraction of the learning rate for the first steps.

    ``lr(t) = base_lr · factor`` for ``t < total_iters``, then ``base_lr``

    Run step by step, the rate is restored by a product with ``1 / factor``, as torch does, which
    rounds.

    Differs from torch: refused are a factor of 0, from which there is no way back (torch divides
    by zero at ``total_iters``), and ``total_iters=0``, with which the rate is never restored.

    Parameters
    ----------
    optimizer : object with ``param_groups``
    factor : float in (0, 1]
        Fraction that is held.
    total_iters : int, at least 1
        Number of steps it is held for.
    last_epoch : int, at least -1
        Last step that was taken.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 1.0}])
    >>> scheduler = ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> [scheduler.lr_at(t)[0] for t in range(4)]
    [0.5, 0.5, 1.0, 1.0]
    """

    schedule = staticmethod(schedules.constant)
    limits = {"factor": positive_fraction, "total_iters": at_least_one}

    def __init__(
        self,
        optimizer: OptimizerLike,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _next_lrs(self) -> list[float]:
        if self.last_epoch == 0:
            return self._scaled(self.factor)
        return self._scaled(1.0 / self.factor if self.last_epoch == self.total_iters else 1.0)


class LinearLR(ChainableLR):
    """Warmup (or cooldown) along a straight line.

    ``lr(t) = base_lr · (start + (end - start) · min(t, T) / T)``, with ``start = start_factor``,
    ``end = end_factor`` and ``T = total_iters``

    Run step by step, the current rate is multiplied by the ratio of two neighbouring values, as
    torch does, which rounds differently.

    Parameters
    ----------
    optimizer : object with ``param_groups``
    start_factor : float in (0, 1]
        Factor at step 0.
    end_factor : float in [0, 1]
        Factor from step ``total_iters`` on.
    total_iters : int, at least 1
        Number of steps from one to the other.
    last_epoch : int, at least -1
        Last step that was taken.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 1.0}])
    >>> scheduler = LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> [scheduler.lr_at(t)[0] for t in range(4)]
    [0.5, 0.75, 1.0, 1.0]
    """

    schedule = staticmethod(schedules.linear)
    limits = {
        "start_factor": positive_fraction,
        "end_factor": closed_fraction,
        "total_iters": at_least_one,
    }

    def __init__(
        self,
        optimizer: OptimizerLike,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _next_lrs(self) -> list[float]:
        t, start, total = self.last_epoch, self.start_factor, self.total_iters
        if t == 0:
            return self._scaled(start)
        if self._is_initial or t > total:
            return self._scaled(1.0)
        rise = self.end_factor - start
        return self._scaled(1.0 + rise / (total * start + (t - 1) * rise))


class ExponentialLR(ChainableLR):
    """Decay by a factor at every step.

    ``lr(t) = base_lr · gamma^t``

    Run step by step, the current rate is multiplied by ``gamma``, as torch does, which rounds
    differently from the power.

    Parameters
    ----------
    optimizer : object with ``param_groups``
    gamma : float, at least 0
        Factor of a step.
    last_epoch : int, at least -1
        Last step that was taken.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 1.0}])
    >>> scheduler = ExponentialLR(optimizer, gamma=0.5)
    >>> [scheduler.lr_at(t)[0] for t in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """

    schedule = staticmethod(schedules.exponential)
    limits = {"gamma": non_negative}

    def __init__(self, optimizer: OptimizerLike, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _next_lrs(self) -> list[float]:
        return self._scaled(1.0 if self._is_initial else self.gamma)


class PolynomialLR(ChainableLR):
    """Decay to zero along a power of the remaining steps.

    ``lr(t) = base_lr · (1 - min(t, T) / T)^power``, with ``T = total_iters``

    Run step by step, the current rate is multiplied by the ratio of two neighbouring values, as
    torch does, which rounds differently.

    Parameters
    ----------
    optimizer : object with ``param_groups``
    total_iters : int, at least 1
        Number of steps until zero.
    power : float, at least 0
        1 is a straight line; larger falls faster at first.
    last_epoch : int, at least -1
        Last step that was taken.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 1.0}])
    >>> scheduler = PolynomialLR(optimizer, total_iters=4, power=2.0)
    >>> [scheduler.lr_at(t)[0] for t in range(5)]
    [1.0, 0.5625, 0.25, 0.0625, 0.0]
    """

    schedule = staticmethod(schedules.polynomial)
    limits = {"total_iters": at_least_one, "power": non_negative}

    def __init__(
        self,
        optimizer: OptimizerLike,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def _next_lrs(self) -> list[float]:
        t, total = self.last_epoch, self.total_iters
        if self._is_initial or t > total:
            return self._scaled(1.0)
        ratio = (1.0 - t / total) / (1.0 - (t - 1) / total)
        return self._scaled(float(ratio**self.power))
