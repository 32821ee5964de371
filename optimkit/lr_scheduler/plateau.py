"""The scheduler that watches a metric instead of the step."""

import math
from typing import Any, ClassVar, Literal

from optimkit.options import check_limits, fraction, non_negative, number
from optimkit.typing import OptimizerLike

from .base import LRScheduler
from .groups import rate_of, write_lr


def _number(metric: Any) -> float:
    """Return a metric as a float; an array may have any number of axes of length 1."""
    shape = getattr(metric, "shape", ())
    return float(metric[(0,) * len(shape)] if shape and math.prod(shape) == 1 else metric)


class ReduceLROnPlateau(LRScheduler):
    """Reduce the learning rate when a metric has stopped improving.

    After more than ``patience`` steps without improvement, ``lr ← max(lr · factor, min_lr)``

    Parameters
    ----------
    optimizer : object with ``param_groups``
    mode : {"min", "max"}
        Whether a lower or a higher metric is better.
    factor : float in [0, 1)
        What the learning rate is multiplied by.
    patience : int, at least 0
        Number of steps without improvement that are let pass.
    threshold : float
        How much better than the best counts as better.
    threshold_mode : {"rel", "abs"}
        Whether ``threshold`` is a fraction of the best metric or an absolute difference.
    cooldown : int, at least 0
        Steps after a reduction during which nothing is counted.
    min_lr : float or list of float
        Lower bound of the learning rate, for all groups or for each.
    eps : float, at least 0
        A reduction by no more than this is not made.
    verbose : bool, keyword only
        Print each reduction. Torch no longer has it; guides from before 2.7 show it.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 1.0}])
    >>> scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=1, verbose=True)
    >>> for loss in [3.0, 2.0, 2.0, 2.0, 2.0]:
    ...     scheduler.step(loss)
    step 4: learning rate of group 0 reduced from 1 to 0.5
    >>> scheduler.get_last_lr()
    [0.5]
    """

    limits = {
        "factor": fraction,
        "patience": non_negative,
        "threshold": number,
        "cooldown": non_negative,
        "eps": non_negative,
    }
    torch_name = "ReduceLROnPlateau"
    _not_saved: ClassVar[frozenset[str]] = LRScheduler._not_saved | {"verbose"}

    def __init__(
        self,
        optimizer: OptimizerLike,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: list[float] | float = 0,
        eps: float = 1e-8,
        *,
        verbose: bool = False,
    ) -> None:
        self._drive(optimizer)
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', not {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold_mode must be 'rel' or 'abs', not {threshold_mode!r}")
        groups = optimizer.param_groups
        self.default_min_lr: float | None = None
        if isinstance(min_lr, (list, tuple)):
            if len(min_lr) != len(groups):
                raise ValueError(f"min_lr has {len(min_lr)} values for {len(groups)} groups")
            self.min_lrs = list(min_lr)
        else:
            self.default_min_lr = min_lr
            self.min_lrs = [min_lr] * len(groups)
        self.factor = factor
        self.patience = patience
        self.cooldown = cooldown
        self.eps = eps
        self.mode = mode
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.verbose = verbose
        self.last_epoch = 0
        check_limits(type(self).__name__, self.limits, vars(self))
        self._last_lr = [rate_of(group) for group in groups]
        self._reset()

    def _reset(self) -> None:
        self.best: float = self.mode_worse
        self.cooldown_counter: int = 0
        self.num_bad_epochs: int = 0

    @property
    def in_cooldown(self) -> bool:
        """Whether a reduction is so recent that nothing is counted."""
        return self.cooldown_counter > 0

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Take note of a metric; call it after validation.

        Parameters
        ----------
        metrics : float or array of one element
            What ``mode`` is about.
        epoch : int, optional
            Deprecated, as in torch: the number of this step.
        """
        current = _number(metrics)
        if epoch is not None:
            self._warn_epoch()
        step = self.last_epoch + 1 if epoch is None else epoch
        better = self._is_better(current, self.best)
        cooling = self.in_cooldown
        bad_epochs = 0 if better or cooling else self.num_bad_epochs + 1
        cooldown = self.cooldown_counter - cooling
        if bad_epochs > self.patience:
            self._reduce_lr(step)  # before anything else changes, for it may raise
            bad_epochs, cooldown = 0, self.cooldown
        self.last_epoch, self.num_bad_epochs, self.cooldown_counter = step, bad_epochs, cooldown
        if better:
            self.best = current
        self._last_lr = [rate_of(group) for group in self.optimizer.param_groups]

    def extended(self, make: Any) -> LRScheduler:
        """Raise TypeError: there is nothing to be made anew, groups that are added are followed."""
        raise TypeError(
            "ReduceLROnPlateau follows groups that are added, from the rate that they have; where "
            "min_lr is a list, set min_lrs anew"
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state from `state_dict`, this library's or torch's."""
        super().load_state_dict(state_dict)
        self.mode_worse = math.inf if self.mode == "min" else -math.inf

    def _is_better(self, metric: float, best: float) -> bool:
        sign = -1.0 if self.mode == "min" else 1.0
        if self.threshold_mode == "rel":
            bound = best * (1.0 + sign * self.threshold)
        else:
            bound = best + sign * self.threshold
        return metric < bound if self.mode == "min" else metric > bound

    def _reduce_lr(self, step: int) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"min_lr has {len(self.min_lrs)} values for {len(groups)} parameter groups; "
                    "set min_lrs anew after adding a group"
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for i, (group, min_lr) in enumerate(zip(groups, self.min_lrs, strict=True)):
            before = rate_of(group)
            after = float(max(before * self.factor, min_lr))
            if before - after > self.eps:
                write_lr(group, after)
                if self.verbose:
                    print(
                        f"step {step}: learning rate of group {i} reduced "
                        f"from {before:g} to {after:g}"
                    )
