"""Schedulers that rise and fall, and cycle the momentum the other way."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal

from optimkit.options import check_limits, non_negative, positive
from optimkit.typing import OptimizerLike

from . import schedules
from .base import LRScheduler
from .functions import attributes_of, check_attributes
from .groups import per_group, write_lr

CYCLE_LIMITS = {"step_size_up": positive, "step_size_down": non_negative, "gamma": non_negative}


class _MomentumCycle(LRScheduler):
    """Also sets momentum (or beta1), which falls as the rate rises."""

    cycle_momentum: bool
    use_beta1: bool

    def _begin_momentum(self, base: Sequence[float], top: Sequence[float], write: bool) -> None:
        """Find out which momentum the optimizer has; set it to its upper bound."""
        groups = self.optimizer.param_groups
        defaults = getattr(self.optimizer, "defaults", groups[0])
        self.use_beta1 = "betas" in defaults
        if not self.use_beta1 and "momentum" not in defaults:
            raise ValueError(
                "cycle_momentum=True needs an optimizer with momentum or betas; "
                "pass cycle_momentum=False for this one"
            )
        if write:
            for group, low, high in zip(groups, base, top, strict=True):
                self._write_momentum(group, high)
                group["base_momentum"], group["max_momentum"] = low, high

    def _write_momentum(self, group: dict[str, Any], momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (float(momentum), *group["betas"][1:])
        else:
            group["momentum"] = float(momentum)


class CyclicLR(_MomentumCycle):
    """Rise from ``base_lr`` to ``max_lr`` and fall back, again and again.

    ``lr(t) = base_lr + (max_lr - base_lr) · height(t) · scale``, where ``height`` is a triangle
    between 0 and 1; momentum is ``max_momentum - (max_momentum - base_momentum) · height · scale``

    Parameters
    ----------
    optimizer : object with ``param_groups``
    base_lr, max_lr : float or list of float
        Lowest and highest learning rate, for all groups or for each.
    step_size_up, step_size_down : int, above 0 and at least 0
        Steps of the rising and of the falling half; the second defaults to the first.
    mode : {"triangular", "triangular2", "exp_range"}
        ``scale``: 1, half as much with each cycle, or ``gamma^t``.
    gamma : float
        Base of ``"exp_range"``.
    scale_fn : callable, optional
        Your own ``scale``, instead of ``mode``. Only a callable object is saved in a checkpoint
        (its attributes), a function is not.
    scale_mode : {"cycle", "iterations"}
        Whether ``scale_fn`` is given the number of the cycle, from 1, or the step.
    cycle_momentum : bool
        Cycle momentum (or beta1) too.
    base_momentum, max_momentum : float or list of float
        Lowest and highest momentum.
    last_epoch : int, at least -1
        Last step that was taken.

    References
    ----------
    Smith, *Cyclical Learning Rates for Training Neural Networks*, WACV 2017,
    https://arxiv.org/abs/1506.01186

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 0.1, "momentum": 0.9}])
    >>> scheduler = CyclicLR(optimizer, base_lr=0.0, max_lr=1.0, step_size_up=2)
    >>> [scheduler.lr_at(t)[0] for t in range(6)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]
    """

    schedule = staticmethod(schedules.cyclic)
    follows_groups = False
    _not_saved: ClassVar[frozenset[str]] = LRScheduler._not_saved | {"_scale_fn_custom"}

    def __init__(
        self,
        optimizer: OptimizerLike,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        self._drive(optimizer)
        base_lrs = per_group("base_lr", optimizer, base_lr)
        self.max_lrs = per_group("max_lr", optimizer, max_lr)
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(f"mode {mode!r} is unknown and there is no scale_fn")
        down = step_size_up if step_size_down is None else step_size_down
        given = {"step_size_up": step_size_up, "step_size_down": down, "gamma": gamma}
        check_limits("CyclicLR", CYCLE_LIMITS, given)
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(f"scale_mode must be 'cycle' or 'iterations', not {scale_mode!r}")
        up = float(step_size_up)
        self.total_size = up + float(down)
        self.step_ratio = up / self.total_size
        self.mode = mode
        self.gamma = gamma
        usual = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode: str = usual if scale_fn is None else scale_mode
        self._scale_fn_custom = scale_fn
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums = per_group("base_momentum", optimizer, base_momentum)
            self.max_momentums = per_group("max_momentum", optimizer, max_momentum)
            self._begin_momentum(self.base_momentums, self.max_momentums, last_epoch == -1)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                write_lr(group, lr)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """Return the height of a cycle, from its number or from the step (``scale_mode``)."""
        return self._scale_fn_ref(x)

    @property
    def _scale_fn_ref(self) -> Callable[[float], float]:  # so torch's programs call it
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom
        return lambda x: schedules.cycle_scale(x, self.mode, self.gamma)

    def lr_at(self, step: int) -> list[float]:
        """Return the learning rates of ``step``, one for each group, changing nothing."""
        height, scale = self._height(step)
        bounds = zip(self.base_lrs, self.max_lrs, strict=True)
        return [float(base + (top - base) * height * scale) for base, top in bounds]

    def _height(self, step: int) -> tuple[float, float]:
        cycle, height = schedules.triangle(step, self.total_size, self.step_ratio)
        return height, self.scale_fn(cycle if self.scale_mode == "cycle" else step)

    def _next_lrs(self) -> list[float]:
        height, scale = self._height(self.last_epoch)
        groups = self.optimizer.param_groups
        if self.cycle_momentum and len(groups) == len(self.max_momentums):
            for group, base, top in zip(
                groups, self.base_momentums, self.max_momentums, strict=True
            ):
                self._write_momentum(group, top - (top - base) * height * scale)
        bounds = zip(self.base_lrs, self.max_lrs, strict=True)
        return [base + (top - base) * height * scale for base, top in bounds]

    def state_dict(self) -> dict[str, Any]:
        """Return the state; of ``scale_fn``, only what a callable object remembers is saved."""
        custom = self._scale_fn_custom
        return {
            **super().state_dict(),
            "_scale_fn_custom": None if custom is None else attributes_of(custom),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state from `state_dict`; a callable object gets its attributes back.

        A state that does not fit raises TypeError before anything changes.
        """
        super().load_state_dict(state_dict)
        attributes = state_dict.get("_scale_fn_custom")
        if attributes is not None and self._scale_fn_custom is not None:
            self._scale_fn_custom.__dict__.update(attributes)

    def _check_state(self, state_dict: dict[str, Any]) -> None:
        super()._check_state(state_dict)
        if self._scale_fn_custom is not None:
            check_attributes(self._scale_fn_custom, state_dict.get("_scale_fn_custom"))


class OneCycleLR(_MomentumCycle):
    """Rise to ``max_lr`` once, and fall far below the first learning rate.

    In each phase, ``lr(t)`` goes from one level to the next along half a cosine wave or a line:
    ``max_lr / div_factor`` → ``max_lr`` → ``max_lr / div_factor / final_div_factor``; with
    ``three_phase``, the fall is split at the first level. Momentum goes from ``max_momentum`` to
    ``base_momentum`` and back.

    Parameters
    ----------
    optimizer : object with ``param_groups``
    max_lr : float or list of float
        Highest learning rate, for all groups or for each.
    total_steps : int, at least 1, optional
        Length of the cycle; or give ``epochs`` and ``steps_per_epoch``.
    epochs, steps_per_epoch : int, at least 1, optional
        Their product is the length.
    pct_start : float in [0, 1]
        Fraction of the cycle that rises.
    anneal_strategy : {"cos", "linear"}
        Shape of a phase.
    cycle_momentum : bool
        Cycle momentum (or beta1) too.
    base_momentum, max_momentum : float or list of float
        Lowest and highest momentum.
    div_factor : float, above 0
        ``max_lr`` over the first learning rate.
    final_div_factor : float, above 0
        First learning rate over the last.
    three_phase : bool
        Fall to the first rate in as many steps as it rose, then to the last.
    last_epoch : int, at least -1
        Last step that was taken.

    Differs from torch: a phase of no length (``pct_start · total_steps = 1``) is passed over,
    where torch divides by zero.

    References
    ----------
    Smith and Topin, *Super-Convergence: Very Fast Training of Neural Networks Using Large
    Learning Rates*, 2018, https://arxiv.org/abs/1708.07120. Two phases are fastai's; the paper
    has three.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 0.1, "momentum": 0.9}])
    >>> scheduler = OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    >>> [round(scheduler.lr_at(t)[0], 2) for t in range(10)]
    [0.04, 0.52, 1.0, 0.95, 0.81, 0.61, 0.39, 0.19, 0.05, 0.0]
    """

    schedule = staticmethod(schedules.one_cycle)
    follows_groups = False

    def __init__(
        self,
        optimizer: OptimizerLike,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self._drive(optimizer)
        self.total_steps = self._length(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"pct_start must be a float in [0, 1], not {pct_start!r}")
        if anneal_strategy not in schedules.ANNEAL:
            raise ValueError(f"anneal_strategy must be 'cos' or 'linear', not {anneal_strategy!r}")
        given = {"div_factor": div_factor, "final_div_factor": final_div_factor}
        check_limits("OneCycleLR", dict.fromkeys(given, positive), given)
        self._anneal_func_type: str = anneal_strategy
        lr_levels = ["initial_lr", "max_lr", *["initial_lr"] * three_phase, "min_lr"]
        levels = ["max_momentum", "base_momentum", *["max_momentum"] * (1 + three_phase)]
        ends = schedules.one_cycle_ends(self.total_steps, pct_start, three_phase)
        self._schedule_phases: list[dict[str, Any]] = [
            {
                "end_step": end,
                "start_lr": start_lr,
                "end_lr": end_lr,
                "start_momentum": start_momentum,
                "end_momentum": end_momentum,
            }
            for end, (start_lr, end_lr), (start_momentum, end_momentum) in zip(
                ends, pairwise(lr_levels), pairwise(levels), strict=True
            )
        ]
        max_lrs = per_group("max_lr", optimizer, max_lr)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            base_momentums = per_group("base_momentum", optimizer, base_momentum)
            max_momentums = per_group("max_momentum", optimizer, max_momentum)
            self._begin_momentum(base_momentums, max_momentums, last_epoch == -1)
        if last_epoch == -1:
            for group, top in zip(optimizer.param_groups, max_lrs, strict=True):
                group["initial_lr"] = float(top / div_factor)
                group["max_lr"] = top
                group["min_lr"] = float(group["initial_lr"] / final_div_factor)
        super().__init__(optimizer, last_epoch)

    @staticmethod
    def _length(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ValueError("give total_steps, or both epochs and steps_per_epoch")
        counts = {"total_steps": total_steps}
        if total_steps is None:
            counts = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
        length = 1
        for name, count in counts.items():
            if not isinstance(count, int) or count <= 0:
                raise ValueError(f"{name} must be a positive int, not {count!r}")
            length *= count
        return length

    def lr_at(self, step: int) -> list[float]:
        """Return the learning rates of ``step``, one for each group, changing nothing."""
        phase, fraction = self._position(step)
        anneal = schedules.ANNEAL[self._anneal_func_type]
        start, end = phase["start_lr"], phase["end_lr"]
        return [anneal(group[start], group[end], fraction) for group in self.optimizer.param_groups]

    def _brought(self) -> bool:
        keys = {"initial_lr", "max_lr", "min_lr"}
        keys |= {"max_momentum", "base_momentum"} if self.cycle_momentum else set()
        return all(keys <= group.keys() for group in self.optimizer.param_groups)

    def _position(self, step: int) -> tuple[dict[str, Any], float]:
        """Phase that ``step`` is in, and the fraction of it that has passed."""
        ends = [phase["end_step"] for phase in self._schedule_phases]
        number, fraction = schedules.one_cycle_position(step, ends)
        return self._schedule_phases[number], fraction

    def _next_lrs(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"step {self.last_epoch} lies after the end of the cycle, which has "
                f"{self.total_steps} steps"
            )
        phase, fraction = self._position(self.last_epoch)
        anneal = schedules.ANNEAL[self._anneal_func_type]
        start, end = phase["start_lr"], phase["end_lr"]
        groups = self.optimizer.param_groups
        lrs = [anneal(group[start], group[end], fraction) for group in groups]
        if self.cycle_momentum:
            start, end = phase["start_momentum"], phase["end_momentum"]
            for group in groups:
                self._write_momentum(group, anneal(group[start], group[end], fraction))
        return lrs
