"""Schedulers made of schedulers: one after the other, or all at once."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, ClassVar

from optimkit.options import check_limits, last_step, rising_numbers
from optimkit.typing import OptimizerLike

from .base import LRScheduler
from .groups import rate_of, write_lr
from .plateau import ReduceLROnPlateau
from .restoring import members, put_back, restored_on_error, snapshot


class _Composite(LRScheduler):
    """Holds schedulers of one optimizer, and saves and loads them with itself."""

    _not_saved: ClassVar[frozenset[str]] = LRScheduler._not_saved | {"_schedulers", "_family"}
    _schedulers: Sequence[LRScheduler]

    def _adopt(
        self, schedulers: Sequence[LRScheduler], optimizer: OptimizerLike | None
    ) -> OptimizerLike:
        name = type(self).__name__
        if len(schedulers) < 1:
            raise ValueError(f"{name} needs at least one scheduler")
        for i, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(f"{name}: scheduler {i} has no attribute 'optimizer'")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    f"{name}: scheduler {i} is a ReduceLROnPlateau, whose step() needs a metric; "
                    "step it by itself"
                )
            optimizer = scheduler.optimizer if optimizer is None else optimizer
            if scheduler.optimizer is not optimizer:
                raise ValueError(
                    f"{name}: scheduler {i} ({type(scheduler).__name__}) belongs to another "
                    "optimizer"
                )
        assert optimizer is not None
        self._schedulers = schedulers
        self._drive(optimizer)
        return optimizer

    def _check_groups(self) -> None:
        for scheduler in self._to_come():
            if isinstance(scheduler, LRScheduler):
                scheduler._check_groups()

    def _to_come(self) -> Sequence[LRScheduler]:
        """Those that the next steps need."""
        return self._schedulers

    def _reset_lr(self) -> None:
        for group in self.optimizer.param_groups:
            write_lr(group, group.setdefault("initial_lr", rate_of(group)))

    def state_dict(self) -> dict[str, Any]:
        """Return the state, with that of each scheduler under ``_schedulers``."""
        return {**super().state_dict(), "_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state from `state_dict`; it is not changed.

        A state that does not fit raises KeyError, TypeError or ValueError before anything changes.
        """
        with restored_on_error(self):
            super().load_state_dict(state_dict)
            states = state_dict["_schedulers"]
            for scheduler, state in zip(self._schedulers, states, strict=True):
                scheduler.load_state_dict(state)

    def _check_state(self, state_dict: dict[str, Any]) -> None:
        super()._check_state(state_dict)
        name = type(self).__name__
        if "_schedulers" not in state_dict:
            raise KeyError(f"{name}: the state has no '_schedulers'")
        states = state_dict["_schedulers"]
        if len(states) != len(self._schedulers):
            raise ValueError(
                f"the state holds {len(states)} schedulers, this {name} {len(self._schedulers)}"
            )
        for scheduler, state in zip(self._schedulers, states, strict=True):
            if isinstance(scheduler, LRScheduler):
                scheduler._check_state(state)


class SequentialLR(_Composite):
    """Run schedulers one after the other.

    ``lr(t) = lr_k(t - milestone_k)``, with ``k`` the number of milestones up to ``t``

    Parameters
    ----------
    optimizer : object with ``param_groups``
    schedulers : list of schedulers
        In the order in which they run; all on ``optimizer``. They may be composites.
    milestones : list of int, at least 0, not falling
        Step at which each but the first begins, from its own step 0.
    last_epoch : int, at least -1
        As in torch it moves only this scheduler's own count: to resume, load a state dict.

    Differs from torch: a composite may begin at a milestone (torch raises NotImplementedError);
    it begins at the initial learning rates. As in torch, a composite that comes *first* takes one
    step when it is adopted, so it runs one step ahead of the others.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from optimkit.lr_scheduler import ExponentialLR, LinearLR
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 1.0}])
    >>> warm_up = LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> decay = ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler = SequentialLR(optimizer, [warm_up, decay], milestones=[2])
    >>> lrs = scheduler.get_last_lr()
    >>> for _ in range(4):
    ...     scheduler.step()
    ...     lrs += scheduler.get_last_lr()
    >>> lrs
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: OptimizerLike,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        self._adopt(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"{len(schedulers)} schedulers need {len(schedulers) - 1} milestones, "
                f"not {len(milestones)}"
            )
        self._milestones = milestones
        limits = {"milestones": rising_numbers, "last_epoch": last_step}
        check_limits("SequentialLR", limits, {"milestones": milestones, "last_epoch": last_epoch})
        self.last_epoch = last_epoch + 1
        self._reset_lr()
        self.recursive_undo()
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def _to_come(self) -> Sequence[LRScheduler]:
        return self._schedulers[bisect_right(self._milestones, self.last_epoch + 1) :]

    def recursive_undo(self, sched: LRScheduler | None = None) -> None:
        """Take back the step that each scheduler took when it was created."""
        scheduler = self if sched is None else sched
        if hasattr(scheduler, "_schedulers"):
            for inner in scheduler._schedulers:
                self.recursive_undo(inner)
        else:
            scheduler.last_epoch -= 1

    def step(self) -> None:  # type: ignore[override]
        """Move to the next step; at a milestone, the next scheduler begins."""
        self._check_groups()
        step = self.last_epoch + 1
        index = bisect_right(self._milestones, step)
        scheduler = self._schedulers[index]
        if index > 0 and self._milestones[index - 1] == step:
            with restored_on_error(self):
                scheduler._begin_phase()
        else:
            scheduler.step()
        self.last_epoch = step
        self._last_lr = scheduler.get_last_lr()

    def _begin(self) -> None:
        self.last_epoch = 0
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._begin()
        self._last_lr = first.get_last_lr()

    def _begin_phase(self) -> None:
        self._reset_lr()
        self._begin()


class ChainedScheduler(_Composite):
    """Run schedulers all at once, each on the learning rate that the one before left.

    ``lr(t) = base_lr · ratio_1(t) · ratio_2(t) ···`` for schedulers that scale the current rate

    Parameters
    ----------
    schedulers : sequence of schedulers
        In the order in which they act; all on the same optimizer. They may be composites. One
        that sets the rate in closed form (LambdaLR, CyclicLR, OneCycleLR,
        CosineAnnealingWarmRestarts) undoes what those before it did.
    optimizer : object with ``param_groups``, optional
        The optimizer; by default the first scheduler's.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from optimkit.lr_scheduler import ConstantLR, ExponentialLR
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 1.0}])
    >>> held = ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> decay = ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler = ChainedScheduler([held, decay])
    >>> lrs = scheduler.get_last_lr()
    >>> for _ in range(3):
    ...     scheduler.step()
    ...     lrs += scheduler.get_last_lr()
    >>> lrs
    [0.5, 0.25, 0.25, 0.125]
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: OptimizerLike | None = None
    ) -> None:
        groups = self._adopt(schedulers, optimizer).param_groups
        self._family = members(self)
        self._last_lr = [rate_of(group) for group in groups]

    def step(self) -> None:  # type: ignore[override]
        """Take a step of each scheduler, in order; if one raises, none has taken it."""
        self._check_groups()
        taken = snapshot(self, self._family)
        try:
            for scheduler in self._schedulers:
                scheduler.step()
        except BaseException:
            put_back(taken)
            raise
        self._last_lr = [rate_of(group) for group in self.optimizer.param_groups]

    def _begin(self) -> None:
        for scheduler in self._schedulers:
            scheduler._begin()
        self._last_lr = [rate_of(group) for group in self.optimizer.param_groups]

    def _begin_phase(self) -> None:
        self._reset_lr()
        self._begin()
