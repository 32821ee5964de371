"""Schedules as functions of the step, which rules as functions take, and optax too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Signature, signature
from types import SimpleNamespace
from typing import Any

from optimkit import lr_scheduler
from optimkit.backends.memory import is_array
from optimkit.functional.libraries import library_of
from optimkit.functional.scalars import Scalar, all_paths, known
from optimkit.functional.surroundings import Surroundings, is_unknown
from optimkit.lr_scheduler.schedules import SCHEDULES
from optimkit.naming import naming

# A function of the step is a schedule as it stands.
OF_FUNCTIONS = ("LambdaLR", "MultiplicativeLR")
SCHEDULERS = {f.__name__: name for name, f in SCHEDULES.items() if name not in OF_FUNCTIONS}


class Schedule:
    """A learning rate as a function of the number of steps taken.

    Called with a Python number it returns a float; with an array of steps, or inside a function
    that JAX or torch traces, an array.
    """

    takes_scalars = True  # a step that is not known stays in double precision

    def __init__(self, name: str, function: Callable[[Any], Any], options: dict[str, Any]) -> None:
        self._name, self._function, self._options = name, function, options

    def __call__(self, step: Any) -> Any:
        """Return the rate after so many steps.

        Parameters
        ----------
        step : int or array of int
            At least 0.
        """
        if isinstance(step, Scalar):
            return self._function(step)
        if is_array(step) and not library_of(step).is_traced(step) and not step.shape:
            step = step.item()
        if not is_array(step) and not any(map(is_unknown, self._options.values())):
            return self._function(step)
        around = Surroundings([step], self._options)
        with around.computing():
            count: Any = Scalar(step, count=True) if is_array(step) else step
            return around.kept(all_paths(lambda: self._function(count)) + 0 * count)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self._options.items())
        return f"{self._name}({options})"


def sequential(schedules: Sequence[Callable[[Any], Any]], milestones: Sequence[int]) -> Schedule:
    """Return one schedule after another, as :class:`optimkit.lr_scheduler.SequentialLR` does.

    Parameters
    ----------
    schedules : sequence of functions of the step
        Each is given the number of steps since it has begun.
    milestones : sequence of int
        The steps at which the next begins; one fewer than the schedules.

    Examples
    --------
    >>> from optimkit.functional import schedules
    >>> warmup = schedules.linear(1.0, start_factor=0.5, total_iters=2)
    >>> rate = schedules.sequential([warmup, schedules.exponential(1.0, gamma=0.5)], [2])
    >>> [rate(t) for t in range(5)]
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """
    if len(milestones) != len(schedules) - 1 or list(milestones) != sorted(milestones):
        raise ValueError(
            f"sequential: {len(schedules)} schedules need {len(schedules) - 1} milestones that do "
            f"not fall, not {list(milestones)}"
        )

    def rate(step: Any) -> Any:
        for schedule, start in zip(reversed(schedules), (*reversed(milestones), None), strict=True):
            if start is None:
                break
            if step >= start:
                return value_at(schedule, step - start)
        return value_at(schedules[0], step)

    return Schedule("sequential", rate, {"schedules": schedules, "milestones": milestones})


def value_at(schedule: Callable[[Any], Any], count: Any) -> Any:
    """Call a schedule, of ours or not, after a number of steps that may not be known."""
    if isinstance(count, Scalar) and not getattr(schedule, "takes_scalars", False):
        value = schedule(count.value)
        return Scalar(value) if is_array(value) else value
    return known("a schedule's value", schedule(count))


def _factory(name: str) -> Callable[..., Schedule]:
    scheduler, function = getattr(lr_scheduler, SCHEDULERS[name]), SCHEDULES[SCHEDULERS[name]]
    params = [x for x in signature(function).parameters.values() if x.name != "step"]
    if name == "one_cycle":  # given by its peak
        params = [x for x in params if x.name != "base_lr"]
    takes = signature(scheduler).parameters

    def make(*args: Any, **options: Any) -> Schedule:
        with naming(name):
            given = make.__signature__.bind(*args, **options).arguments  # type: ignore[attr-defined]
        given = {key: known(key, value) for key, value in given.items()}
        if not any(map(is_unknown, given.values())):  # then the scheduler says what is wrong
            group = {"lr": given.get("base_lr", given.get("max_lr"))}
            more = {"cycle_momentum": False} if "cycle_momentum" in takes else {}
            scheduler(
                SimpleNamespace(param_groups=[group]),
                **{key: value for key, value in given.items() if key in takes} | more,
            )
        return Schedule(name, lambda step: function(step, **given), dict(given))

    make.__signature__ = Signature(params)  # type: ignore[attr-defined]
    make.__name__ = make.__qualname__ = name
    make.__module__ = __name__
    make.__doc__ = f"""{function.__doc__}

    Parameters
    ----------
    {", ".join(x.name for x in params)}
        As for :class:`optimkit.lr_scheduler.{SCHEDULERS[name]}`.

    Returns
    -------
    Schedule
    """
    return make


for _name in SCHEDULERS:
    globals()[_name] = _factory(_name)

__all__ = ["Schedule", "sequential", *SCHEDULERS]
