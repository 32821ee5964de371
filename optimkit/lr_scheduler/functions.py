"""Schedules that are functions of the user's."""

import types
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from optimkit.typing import OptimizerLike

from . import schedules
from .base import LRScheduler
from .groups import check_optimizer, rate_of

Factor = Callable[[int], float]


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

    follows_groups = False
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
        pairs = zip(self.optimizer.param_groups, self.lr_lambdas, strict=True)
        return [rate_of(group) * f(self.last_epoch) for group, f in pairs]
