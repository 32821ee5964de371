"""What every scheduler shares: stepping, state, and the order of the two steps."""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from inspect import signature
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from optimkit.options import Limit, check_limits, last_step
from optimkit.typing import OptimizerLike

from .groups import check_optimizer, check_rate, rate_of, write_lr
from .restoring import members, restored_on_error


@cache
def option_names(schedule: Callable[..., float]) -> tuple[str, ...]:
    """Return the arguments of a schedule that follow ``step`` and ``base_lr``."""
    return tuple(signature(schedule).parameters)[2:]


_hook_counts: WeakKeyDictionary[Any, list[int]] = WeakKeyDictionary()


def steps_taken(optimizer: Any, watch: bool = False) -> int | None:
    """Return how many steps the optimizer has taken; None if that is not known.

    Its own ``step_count`` is read where it has one. Otherwise ``watch=True`` registers a
    post-hook that counts from then on.
    """
    if hasattr(optimizer, "step_count"):
        return int(optimizer.step_count)
    if not hasattr(optimizer, "register_step_post_hook"):
        return None
    if watch and optimizer not in _hook_counts:
        count = _hook_counts[optimizer] = [0]

        def count_step(*_: object) -> None:
            count[0] += 1

        optimizer.register_step_post_hook(count_step)
    return _hook_counts[optimizer][0] if optimizer in _hook_counts else None


def _steps_of(scheduler: Any) -> int:
    """The step that a scheduler is at; of those that have no count, what is in them knows it."""
    if hasattr(scheduler, "last_epoch"):
        return int(scheduler.last_epoch)
    return _steps_of(scheduler._schedulers[0])


class LRScheduler:
    """Base class: subclass it and write ``get_lr``.

    ``get_lr`` returns one learning rate for each parameter group, at ``self.last_epoch``. It may
    use ``self.base_lrs`` (closed form) or the groups' current rates (chainable form, so that
    several schedulers can act on one optimizer). A subclass that has both forms may add
    ``_get_closed_form_lr``, which ``step(epoch)`` then uses.

    Groups that are added later come in by `extended`.

    Creating a scheduler takes step 0 and so writes the learning rates: create it before loading
    the optimizer's checkpoint.

    Parameters
    ----------
    optimizer : object with ``param_groups``
        A list of dicts that hold ``"lr"``: an optimkit or torch optimizer, or your own.
    last_epoch : int, at least -1
        Last step that was taken. The default, -1, begins; anything else needs
        ``"initial_lr"`` in each group. Creating takes the next step, so it is one less than the
        ``last_epoch`` of a scheduler at that place; what goes on exactly is a loaded state.

    Attributes
    ----------
    schedule : function or None
        The closed form, a pure function of the step (see `schedules`).
    base_lrs : list of float
        Initial learning rate of each group.
    last_epoch : int
        Current step.

    Differs from torch: the optimizer's ``step`` is not patched; rates are Python floats, also
    where the optimizer holds its rate in a tensor (which is then filled in place); a step that
    raises leaves the scheduler, those in it, and the groups as they were.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> class HarmonicLR(LRScheduler):
    ...     def get_lr(self):
    ...         return [lr / (1 + self.last_epoch) for lr in self.base_lrs]
    >>> scheduler = HarmonicLR(SimpleNamespace(param_groups=[{"lr": 1.0}]))
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    schedule: ClassVar[Callable[..., float] | None] = None
    limits: ClassVar[Mapping[str, Limit]] = {}
    follows_groups: ClassVar[bool] = True  # whether groups may be added once there is a scheduler
    _not_saved: ClassVar[frozenset[str]] = frozenset({"optimizer", "_steps_at_start"})
    torch_name: ClassVar[str] = "LRScheduler"  # what it is for torch
    _is_initial: bool = False
    _get_lr_called_within_step: bool = False

    def __init__(self, optimizer: OptimizerLike, last_epoch: int = -1) -> None:
        self._drive(optimizer)
        check_limits(type(self).__name__, {"last_epoch": last_step}, {"last_epoch": last_epoch})
        check_limits(type(self).__name__, self.limits, vars(self))
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", rate_of(group))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param_groups[{i}] has no 'initial_lr', which last_epoch={last_epoch} needs: "
                    "load the optimizer's checkpoint first, or begin with last_epoch=-1"
                )
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._steps_at_start = steps_taken(optimizer, watch=True)
        self._initial_step()

    def _drive(self, optimizer: OptimizerLike) -> None:
        """Set the optimizer, and be torch's scheduler as well if it is torch's."""
        check_optimizer(optimizer)
        for group in optimizer.param_groups:
            check_rate(group)
        self.optimizer = optimizer
        if isinstance(optimizer, getattr(sys.modules.get("torch.optim"), "Optimizer", ())):
            from .torch_scheduler import TorchScheduler

            self.__class__ = TorchScheduler.of(type(self))

    def get_last_lr(self) -> list[float]:
        """Return the learning rates that the last step set, one for each group."""
        return self._last_lr

    def get_lr(self) -> list[float]:
        """Compute the learning rates of the current step; to look at them use `get_last_lr`."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "get_lr() computes a step anew; get_last_lr() returns the current learning rates",
                UserWarning,
                stacklevel=2,
            )
        return self._next_lrs()

    def lr_at(self, step: int) -> list[float]:
        """Return the closed form at ``step`` for each group, changing nothing.

        Raises NotImplementedError where there is none: composites, `ReduceLROnPlateau` and
        subclasses that set no ``schedule``.
        """
        if self.schedule is None:
            raise NotImplementedError(f"{type(self).__name__} has no closed form")
        lrs = enumerate(self.base_lrs)
        return [float(self.schedule(step, lr, **self._options(i))) for i, lr in lrs]

    def step(self, epoch: int | None = None) -> None:
        """Move to the next step; call it after the optimizer's.

        Parameters
        ----------
        epoch : int, optional
            Deprecated, as in torch: the step to jump to, by the closed form where there is one.
        """
        self._check_groups()
        if self._step_count == 1:
            self._check_order()
        self._step_count += 1
        try:
            if epoch is not None:
                self._warn_epoch()
            self._update_lr(epoch)
        except BaseException:
            self._step_count -= 1
            raise

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer, under torch's keys; lists and dicts are copied."""
        return {
            key: value.copy() if isinstance(value, (list, dict)) else value
            for key, value in self.__dict__.items()
            if key not in self._not_saved
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state from `state_dict`, this library's or torch's; it is not changed.

        A state that does not fit raises KeyError, TypeError or ValueError before anything changes.
        """
        self._check_state(state_dict)
        for key, value in state_dict.items():
            if key not in self._not_saved:
                self.__dict__[key] = value.copy() if isinstance(value, (list, dict)) else value

    def extended(self, make: Callable[[Any], "LRScheduler"]) -> "LRScheduler":
        """Return this schedule made anew, with the groups that the optimizer has got since.

        Call it when a group has been added. The rate that the group has, or its ``"initial_lr"``,
        is its initial one, and it joins where the others are, with the bits of a group that was
        there from the beginning: the schedule is made and gone through again, up to this step.

        Parameters
        ----------
        make : callable
            ``optimizer -> scheduler``, how this one was made.

        Returns
        -------
        LRScheduler
            The one to step from now on.

        Raises
        ------
        TypeError
            If `make` returns a scheduler of another kind.
        ValueError
            If a group would not get the rate that it has: this was made in another way, or rates
            have been set by something else, too. Nothing has changed then.
        """
        groups, known = self.optimizer.param_groups, self.get_last_lr()
        with restored_on_error(self):
            rates = list(map(rate_of, groups))
            for group in groups:
                write_lr(group, group.get("initial_lr", rate_of(group)))
            fresh = make(self.optimizer)
            if type(fresh) is not type(self):
                raise TypeError(
                    f"make returned a {type(fresh).__name__}; a {type(self).__name__} is needed"
                )
            for each in (fresh, *members(fresh)):
                vars(each).pop("_steps_at_start", None)  # these steps are none of a training
            for _ in range(_steps_of(fresh), _steps_of(self)):
                fresh.step()
            for i, (group, rate, _) in enumerate(zip(groups, rates, known, strict=False)):
                if rate_of(group) != rate:
                    raise ValueError(
                        f"{type(self).__name__}: made anew, group {i} would have the rate "
                        f"{rate_of(group)!r} and not {rate!r}: make(optimizer) has to be how the "
                        "scheduler was made, and nothing else may set the rates"
                    )
        return fresh

    def _check_state(self, state_dict: dict[str, Any]) -> None:
        """Raise if the state does not fit, before anything of it is taken over."""
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"{type(self).__name__}: a state is a dict, not a {type(state_dict).__name__}"
            )

    def _options(self, group: int) -> dict[str, Any]:
        """Return the arguments of ``schedule`` for a group: attributes of the same names."""
        return {name: getattr(self, name) for name in option_names(self.schedule)}

    def _next_lrs(self) -> list[float]:
        raise NotImplementedError(f"{type(self).__name__} must define get_lr()")

    def _scaled(self, ratio: float) -> list[float]:
        """Return the current learning rates times a number."""
        return [rate_of(group) * ratio for group in self.optimizer.param_groups]

    def _update_lr(self, epoch: int | None = None) -> None:
        before = self.last_epoch
        self._get_lr_called_within_step = True
        try:
            if epoch is None:
                self.last_epoch = before + 1
                lrs = self.get_lr()
            else:
                self.last_epoch = epoch
                lrs = getattr(self, "_get_closed_form_lr", self.get_lr)()
            self._write(lrs)
        except BaseException:
            self.last_epoch = before
            raise
        finally:
            self._get_lr_called_within_step = False

    def _write(self, lrs: Sequence[float]) -> None:
        groups = self.optimizer.param_groups
        self._check_count(len(lrs))
        self._last_lr = rates = list(map(float, lrs))
        for i, group in enumerate(groups):
            if type(group["lr"]) is float:
                group["lr"] = rates[i]
            else:  # a tensor rounds
                write_lr(group, rates[i])
                rates[i] = rate_of(group)

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def _begin(self) -> None:
        """Take step 0 again, scaling the current learning rates."""
        self.last_epoch = -1
        self._initial_step()

    def _begin_phase(self) -> None:
        """Take step 0 at a milestone of a `SequentialLR`, from the initial learning rates."""
        self._update_lr(0)

    def _check_groups(self) -> None:
        """Raise if there are groups that the schedule does not know."""
        if not self.follows_groups and not self._brought():
            self._check_count(len(self.base_lrs))

    def _brought(self) -> bool:
        """Whether every group has what the schedule reads from it."""
        return False

    def _check_count(self, count: int) -> None:
        groups = len(self.optimizer.param_groups)
        if count != groups:
            raise ValueError(
                f"{type(self).__name__} has {count} learning rates for {groups} parameter groups; "
                "it does not follow groups that are added after it was created: take them in by "
                "scheduler = scheduler.extended(make), where make(optimizer) is how it was made"
            )

    def _check_order(self) -> None:
        steps, before = steps_taken(self.optimizer), vars(self).pop("_steps_at_start", None)
        if steps is not None and steps == before:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the first "
                "learning rate of the schedule is skipped; call optimizer.step() first",
                UserWarning,
                stacklevel=3,
            )

    def _warn_epoch(self) -> None:
        warnings.warn(
            "step(epoch) is deprecated: call step() without an argument, once for each step",
            UserWarning,
            stacklevel=3,
        )
