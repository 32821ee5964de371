"""Rules of averages, as functions and as steps that run on the engines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import array_api_compat

from optimkit.backends.adapters import adapter_of
from optimkit.backends.bucket import Bucket, Member, Options, buckets
from optimkit.backends.kept_trace import pure
from optimkit.options import check_limits, closed_fraction
from optimkit.rounding import float32, lerp
from optimkit.stepper import Stepper

Result = tuple[Any, dict[str, Any]]
Pair = tuple[list[Any], list[Any]]

# The rules, in the form of an optimizer's update: `param` is the average, `grad` the parameter as
# it is now, `step` the number of parameters averaged with this one.


@pure
def _copy(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Result:
    return grad, {}


@pure
def _swa(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Result:
    # a = a + (w - a)/n
    return param + (grad - param) / step, {}


@pure
def _swa_multi(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Result:
    # the same, where torch makes 1/n a float32 whatever the parameters are
    return lerp(param, grad, float32(1 / step), xp), {}


@pure
def _ema(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Result:
    # a = d·a + (1 - d)·w
    return hyper.decay * param + (1 - hyper.decay) * grad, {}


@pure
def _ema_multi(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Result:
    # the same, as torch rounds it for lists
    return lerp(param, grad, 1 - hyper.decay, xp), {}


class Average:
    """A rule, as a function of one average: ``(averaged, current, num_averaged) -> averaged``."""

    def __init__(self, rule: Callable[..., Result], **hyper: float) -> None:
        self.rule = self.integer_rule = rule
        self.hyper = SimpleNamespace(**hyper)

    def __call__(self, averaged: Any, current: Any, num_averaged: Any) -> Any:
        averaged, current = detached(averaged), detached(current)  # no graph is recorded
        return self.rule(None, averaged, current, {}, self.hyper, num_averaged + 1)[0]


class MultiAverage(Average):
    """A rule, as a function of lists of arrays, that updates the first list in place."""

    def __init__(
        self, rule: Callable[..., Result], integer_rule: Callable[..., Result], **hyper: float
    ) -> None:
        super().__init__(rule, **hyper)
        self.integer_rule = integer_rule

    def __call__(self, averaged: Iterable[Any], current: Iterable[Any], num_averaged: Any) -> None:
        Averager().ready(self, list(averaged), list(current), int(num_averaged))()


COPY, DEFAULT = Average(_copy), Average(_swa)


def get_ema_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], Any]:
    r"""Return the function of the exponential moving average of one array.

    ``a ← d·a + (1 - d)·w`` for an average ``a`` and a parameter ``w``, with ``d`` the `decay`.

    Parameters
    ----------
    decay : float in [0, 1], default 0.999

    Returns
    -------
    callable
        ``(averaged, current, num_averaged) -> averaged``, of arrays of any library; give it to
        :class:`AveragedModel` as `avg_fn`.

    Raises
    ------
    ValueError
        If `decay` is outside [0, 1].

    References
    ----------
    Polyak and Juditsky, *Acceleration of stochastic approximation by averaging*, 1992,
    https://doi.org/10.1137/0330046.

    Examples
    --------
    >>> get_ema_avg_fn(decay=0.75)(1.0, 5.0, 1)
    2.0
    """
    check_limits("get_ema_avg_fn", {"decay": closed_fraction}, {"decay": decay})
    return Average(_ema, decay=decay)


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], None]:
    r"""Return the function of the exponential moving average of a list of arrays, in place.

    ``a ← a + (1 - d)·(w - a)``, the same as for one array but for its rounding.

    Parameters
    ----------
    decay : float in [0, 1], default 0.999

    Returns
    -------
    callable
        ``(averaged, current, num_averaged) -> None``, of lists of arrays; give it to
        :class:`AveragedModel` as `multi_avg_fn`. It runs on the engines, fused.

    Raises
    ------
    ValueError
        If `decay` is outside [0, 1].

    References
    ----------
    Polyak and Juditsky, *Acceleration of stochastic approximation by averaging*, 1992,
    https://doi.org/10.1137/0330046.

    Examples
    --------
    >>> import numpy as np
    >>> average = np.ones(2)
    >>> get_ema_multi_avg_fn(decay=0.75)([average], [np.array([1.0, 5.0])], 1)
    >>> average
    array([1., 2.])
    """
    check_limits("get_ema_multi_avg_fn", {"decay": closed_fraction}, {"decay": decay})
    return MultiAverage(_ema_multi, _ema, decay=decay)


def get_swa_avg_fn() -> Callable[[Any, Any, Any], Any]:
    r"""Return the function of the equally weighted average of one array.

    ``a ← a + (w - a)/(n + 1)`` for an average ``a`` of ``n`` parameters and one more, ``w``.

    Returns
    -------
    callable
        ``(averaged, current, num_averaged) -> averaged``, of arrays of any library; give it to
        :class:`AveragedModel` as `avg_fn`.

    References
    ----------
    Izmailov et al., *Averaging Weights Leads to Wider Optima and Better Generalization*, 2018,
    https://arxiv.org/abs/1803.05407.

    Examples
    --------
    >>> get_swa_avg_fn()(1.0, 5.0, 3)
    2.0
    """
    return Average(_swa)


def get_swa_multi_avg_fn() -> Callable[[Any, Any, Any], None]:
    r"""Return the function of the equally weighted average of a list of arrays, in place.

    ``a ← a + (w - a)·1/(n + 1)``, with the weight rounded to float32 as in torch, for float64 too:
    for averages exact to float64, use :func:`get_swa_avg_fn`, which is what
    :class:`AveragedModel` does by default.

    Returns
    -------
    callable
        ``(averaged, current, num_averaged) -> None``, of lists of arrays; give it to
        :class:`AveragedModel` as `multi_avg_fn`. It runs on the engines, fused.

    References
    ----------
    Izmailov et al., *Averaging Weights Leads to Wider Optima and Better Generalization*, 2018,
    https://arxiv.org/abs/1803.05407.

    Examples
    --------
    >>> import numpy as np
    >>> average = np.ones(2)
    >>> get_swa_multi_avg_fn()([average], [np.array([1.0, 5.0])], 3)
    >>> average
    array([1., 2.])
    """
    return MultiAverage(_swa_multi, _swa)


class Averager:
    """Keeps, from one update of averages to the next, how they are taken."""

    def __init__(self) -> None:
        self._counter = {"step": 0}
        self._elsewhere: list[int] = []  # averages on another device than what they average
        self._begin([])

    def _begin(self, averages: list[Any]) -> None:
        # Averages of whole numbers have a rule of their own.
        kinds = [_is_integer(x) for x in averages]
        self._columns = [
            ([i for i, kind in enumerate(kinds) if kind is integer], integer, Stepper(counts=False))
            for integer in dict.fromkeys(kinds)
        ]

    @property
    def buckets(self) -> list[Bucket]:
        """The averages, and with them what they average, by dtype and device."""
        return [bucket for _, _, stepper in self._columns for bucket in stepper.buckets]

    def ready(
        self, average: Average, averages: list[Any], current: list[Any], count: int
    ) -> Callable[[], None]:
        """Make ready an update of averages of `count` parameters with the current ones."""
        self._counter["step"] = count
        options = Options([average.hyper], [0])
        if not self._columns or not self._again(averages, current, options):
            self._lay_out(averages, current, options)
        work = [
            (stepper, stepper.prepare(average.integer_rule if integer else average.rule, options))
            for _, integer, stepper in self._columns
        ]

        def run() -> None:
            for stepper, jobs in work:
                stepper.run(jobs)
                stepper.release()

        return run

    def _again(self, averages: list[Any], current: list[Any], options: Options) -> bool:
        if len(averages) != len(current):
            return False
        current = self._brought(averages, current)
        return sum(len(indices) for indices, _, _ in self._columns) == len(averages) and all(
            stepper.again(*self._pick(indices, averages, current), 0, options)
            for indices, _, stepper in self._columns
        )

    def _lay_out(self, averages: list[Any], current: list[Any], options: Options) -> None:
        if len(averages) != len(current):
            raise ValueError(f"got {len(current)} parameters for {len(averages)} averages")
        pairs = enumerate(zip(averages, current, strict=True))
        self._elsewhere = [i for i, pair in pairs if _is_elsewhere(*pair, f"parameter {i}")]
        current = self._brought(averages, current)
        extents = [adapter_of(x).extent(x) for x in averages]
        self._begin(averages)
        for indices, _, stepper in self._columns:
            params, grads = self._pick(indices, averages, current)
            members = [
                Member(i, 0, adapter_of(average), average, now, self._counter)
                for i, (average, now) in enumerate(zip(params, grads, strict=True))
            ]
            stepper.lay_out(params, grads, 0, options, buckets(members, extents))

    @staticmethod
    def _pick(indices: list[int], averages: list[Any], current: list[Any]) -> Pair:
        if len(indices) == len(averages):
            return list(averages), list(current)
        return [averages[i] for i in indices], [current[i] for i in indices]

    def _brought(self, averages: list[Any], current: list[Any]) -> list[Any]:
        current = list(current)
        for i in self._elsewhere:
            place = array_api_compat.device(averages[i])
            current[i] = array_api_compat.to_device(detached(current[i]), place)
        return current


def _is_integer(x: Any) -> bool:
    return str(x.dtype).rpartition(".")[2].startswith(("int", "uint", "bool"))


def _is_elsewhere(average: Any, current: Any, label: str) -> bool:
    """Whether the two are on different devices; raise if they cannot be averaged at all."""
    adapter = adapter_of(average)
    if not adapter.owns(current):
        raise TypeError(
            f"{label} is a {type(current).__module__}.{type(current).__qualname__}, "
            f"its average a {type(average).__module__}.{type(average).__qualname__}"
        )
    (shape, dtype, device), wanted = adapter.describe(current), adapter.describe(average)
    if shape != wanted[0]:
        raise ValueError(f"{label} has shape {shape}, its average {wanted[0]}")
    if dtype != wanted[1]:
        raise TypeError(f"{label} has dtype {dtype}, its average {wanted[1]}")
    return device != wanted[2]


def detached(x: Any) -> Any:
    return x.detach() if hasattr(x, "detach") else x
