"""Schedulers of one formula: decays, warm-ups and cosine annealing."""

import math
import types
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from . import schedules
from .base import LRScheduler, OptimizerLike, check_optimizer

Factor = Callable[[int], float]


class _ChainableLR(LRScheduler):
    """Scales the current rates, so that others may act too; ``step(epoch)`` is in closed form."""

    def _get_closed_form_lr(self) -> list[float]:
        return self.lr_at(self.last_epoch)


def check_attributes(function: object, attributes: Any) -> None:
    """Raise TypeError if a function cannot take over what one remembered."""
    if attributes is None:
        return
    if not isinstance(attributes, Mapping) or not hasattr(function, "__dict__"):
        raise TypeError(
            f"the state of a function is a {type(attributes).__name__}, which a "
            f"{type(function).__name__} cannot take over"
        )


def attributes_of(function: object) -> dict[str, Any] | None:
    """Return what a callable object remembers; None for functions, which are not saved."""
    if isinstance(function, types.FunctionType) or not hasattr(function, "__dict__"):
        return None
    return dict(function.__dict__)


class _FunctionLR(LRScheduler):
    """Scales by the user's functions, one for each group."""

    _not_saved: ClassVar[frozenset[str]] = LRScheduler._not_saved | {"lr_lambdas"}

    def __init__(
        self, optimizer: OptimizerLike, lr_lambda: Factor | list[Factor], last_epoch: int = -1
    ) -> None:
        check_optimizer(optimizer)
        self.lr_lambdas: list[Factor]
        if isinstance(lr_lambda, (list, tuple)):
            self.lr_lambdas = list(lr_lambda)
        else:
            self.lr_lambdas = [lr_lambda] * len(optimizer.param_groups)
        if len(self.lr_lambdas) != len(optimizer.param_groups):
            raise ValueError(
                f"lr_lambda has {len(self.lr_lambdas)} functions for "
                f"{len(optimizer.param_groups)} parameter groups"
            )
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(f"lr_lambda must be a function, not {type(function).__name__}")
        super().__init__(optimizer, last_epoch)

    def _options(self, group: int) -> dict[str, Any]:
        return {"lr_lambda": self.lr_lambdas[group]}

    def state_dict(self) -> dict[str, Any]:
        """Return the state; of the functions, only what callable objects remember is saved."""
        return {**super().state_dict(), "lr_lambdas": [attributes_of(f) for f in self.lr_lambdas]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state from `state_dict`; callable objects get their attributes back.

        A state that does not fit raises KeyError, TypeError or ValueError before anything changes.
        """
        super().load_state_dict(state_dict)
        for function, attributes in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if attributes is not None:
                function.__dict__.update(attributes)

    def _check_state(self, state_dict: dict[str, Any]) -> None:
        super()._check_state(state_dict)
        name = type(self).__name__
        if "lr_lambdas" not in state_dict:
            raise KeyError(f"{name}: the state has no 'lr_lambdas'")
        saved = state_dict["lr_lambdas"]
        if len(saved) != len(self.lr_lambdas):
            raise ValueError(
                f"the state holds {len(saved)} functions, this {name} {len(self.lr_lambdas)}"
            )
        for function, attributes in zip(self.lr_lambdas, saved, strict=True):
            check_attributes(function, attributes)


class LambdaLR(_FunctionLR):
    """Initial learning rate times a function of the step.

    ``lr(t) = base_lr · f(t)``

    Parameters
    ----------
    optimizer : object with ``param_groups``
    lr_lambda : callable or list of callables
        ``f``, from the step (int) to a factor; a list gives one for each group. Only callable
        objects are saved in a checkpoint (their attributes), functions are not.
    last_epoch : int, at least -1
        Last step that was taken.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 1.0}])
    >>> scheduler = LambdaLR(optimizer, lambda t: 1 / (1 + t))
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    schedule = staticmethod(schedules.scaled)

    def _next_lrs(self) -> list[float]:
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base_lr * f(self.last_epoch) for base_lr, f in pairs]


class MultiplicativeLR(_FunctionLR):
    """Current learning rate times a function of the step.

    ``lr(t) = lr(t-1) · f(t)``, ``lr(0) = base_lr``

    Parameters
    ----------
    optimizer : object with ``param_groups``
    lr_lambda : callable or list of callables
        ``f``, from the step (int) to a factor; a list gives one for each group. Only callable
        objects are saved in a checkpoint (their attributes), functions are not.
    last_epoch : int, at least -1
        Last step that was taken.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 1.0}])
    >>> scheduler = MultiplicativeLR(optimizer, lambda t: 0.5)
    >>> scheduler.step()
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    schedule = staticmethod(schedules.multiplicative)

    def _next_lrs(self) -> list[float]:
        if self._is_initial:
            return self._scaled(1.0)
        groups = self.optimizer.param_groups
        if len(groups) != len(self.lr_lambdas):
            raise ValueError(
                f"MultiplicativeLR has {len(self.lr_lambdas)} functions for {len(groups)} "
                "parameter groups; it does not follow groups that are added after it was created"
            )
        pairs = zip(groups, self.lr_lambdas, strict=True)
        return [float(group["lr"]) * f(self.last_epoch) for group, f in pairs]


class StepLR(_ChainableLR):
    """Decay by a factor every ``step_size`` steps.

    ``lr(t) = base_lr · gamma^⌊t / step_size⌋``

    Run step by step, the current rate is multiplied by ``gamma``, as torch does, which rounds
    differently from the power.

    Parameters
    ----------
    optimizer : object with ``param_groups``
    step_size : int, at least 1
        Steps between two decays.
    gamma : float
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

    def __init__(
        self, optimizer: OptimizerLike, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _next_lrs(self) -> list[float]:
        decays = self.last_epoch != 0 and self.last_epoch % self.step_size == 0
        return self._scaled(self.gamma if decays else 1.0)


class MultiStepLR(_ChainableLR):
    """Decay by a factor at given steps.

    ``lr(t) = base_lr · gamma^n``, where ``n`` counts the milestones up to ``t``

    Run step by step, the current rate is multiplied by ``gamma``, as torch does, which rounds
    differently from the power.

    Parameters
    ----------
    optimizer : object with ``param_groups``
    milestones : iterable of int
        Steps at which to decay; one that occurs twice decays twice.
    gamma : float
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

    def __init__(
        self,
        optimizer: OptimizerLike,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _next_lrs(self) -> list[float]:
        return self._scaled(float(self.gamma ** self.milestones.get(self.last_epoch, 0)))


class ConstantLR(_ChainableLR):
    """Hold a fraction of the learning rate for the first steps.

    ``lr(t) = base_lr · factor`` for ``t < total_iters``, then ``base_lr``

    Run step by step, the rate is restored by a product with ``1 / factor``, as torch does, which
    rounds. With ``total_iters=0`` it is never restored, in torch too.

    Parameters
    ----------
    optimizer : object with ``param_groups``
    factor : float in [0, 1]
        Fraction that is held.
    total_iters : int
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

    def __init__(
        self,
        optimizer: OptimizerLike,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if factor > 1.0 or factor < 0:
            raise ValueError(f"factor must be in [0, 1], not {factor}")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _next_lrs(self) -> list[float]:
        if self.last_epoch == 0:
            return self._scaled(self.factor)
        return self._scaled(1.0 / self.factor if self.last_epoch == self.total_iters else 1.0)


class LinearLR(_ChainableLR):
    """Warm up (or cool down) along a straight line.

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

    def __init__(
        self,
        optimizer: OptimizerLike,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if start_factor > 1.0 or start_factor <= 0:
            raise ValueError(f"start_factor must be in (0, 1], not {start_factor}")
        if end_factor > 1.0 or end_factor < 0:
            raise ValueError(f"end_factor must be in [0, 1], not {end_factor}")
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


class ExponentialLR(_ChainableLR):
    """Decay by a factor at every step.

    ``lr(t) = base_lr · gamma^t``

    Run step by step, the current rate is multiplied by ``gamma``, as torch does, which rounds
    differently from the power.

    Parameters
    ----------
    optimizer : object with ``param_groups``
    gamma : float
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

    def __init__(self, optimizer: OptimizerLike, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _next_lrs(self) -> list[float]:
        return self._scaled(1.0 if self._is_initial else self.gamma)


class PolynomialLR(_ChainableLR):
    """Decay to zero along a power of the remaining steps.

    ``lr(t) = base_lr · (1 - min(t, T) / T)^power``, with ``T = total_iters``

    Run step by step, the current rate is multiplied by the ratio of two neighbouring values, as
    torch does, which rounds differently.

    Parameters
    ----------
    optimizer : object with ``param_groups``
    total_iters : int, at least 1
        Number of steps until zero.
    power : float
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


class CosineAnnealingLR(_ChainableLR):
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

    def _next_lrs(self) -> list[float]:
        return [schedules.cosine(self.T_cur, lr, self.T_i, self.eta_min) for lr in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Move to the next step, or to ``epoch``, which may be a fraction.

        Parameters
        ----------
        epoch : float, at least 0, optional
            For a schedule in epochs that is stepped after each batch: ``epoch + i / n_batches``.
        """
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
