"""Averages of parameters over training: stochastic weight averaging, exponential averages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import array_api_compat

from optimkit.backends import engines
from optimkit.backends.adapters import adapter_of
from optimkit.backends.bucket import Bucket, Memory, buckets, is_array
from optimkit.lr_scheduler.base import LRScheduler, OptimizerLike, check_optimizer, per_group
from optimkit.options import check_limits, closed_fraction
from optimkit.parameter import Parameter
from optimkit.rounding import float32, lerp

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Result = tuple[Any, dict[str, Any]]

# The rules, in the form of an optimizer's update: `param` is the average, `grad` the parameter as
# it is now, `step` the number of parameters averaged with this one.


def _copy(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Result:
    return grad, {}


def _swa(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Result:
    # a = a + (w - a)/n
    return param + (grad - param) / step, {}


def _swa_multi(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Result:
    # the same, where torch makes 1/n a float32 whatever the parameters are
    return lerp(param, grad, float32(1 / step), xp), {}


def _ema(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Result:
    # a = d·a + (1 - d)·w
    return hyper.decay * param + (1 - hyper.decay) * grad, {}


def _ema_multi(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Result:
    # the same, as torch rounds it for lists
    return lerp(param, grad, 1 - hyper.decay, xp), {}


class _Average:
    """A rule, as a function of one average: ``(averaged, current, num_averaged) -> averaged``."""

    def __init__(self, rule: Callable[..., Result], **hyper: float) -> None:
        self.rule = self.integer_rule = rule
        self.hyper = SimpleNamespace(**hyper)

    def __call__(self, averaged: Any, current: Any, num_averaged: Any) -> Any:
        averaged, current = _detached(averaged), _detached(current)  # no graph is recorded
        return self.rule(None, averaged, current, {}, self.hyper, num_averaged + 1)[0]


class _MultiAverage(_Average):
    """A rule, as a function of lists of arrays, that updates the first list in place."""

    def __init__(
        self, rule: Callable[..., Result], integer_rule: Callable[..., Result], **hyper: float
    ) -> None:
        super().__init__(rule, **hyper)
        self.integer_rule = integer_rule

    def __call__(self, averaged: Iterable[Any], current: Iterable[Any], num_averaged: Any) -> None:
        _Plan().prepare(self, list(averaged), list(current), int(num_averaged))()


_COPY = _Average(_copy)


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
    Polyak and Juditsky, *Acceleration of stochastic approximation by averaging*, 1992.

    Examples
    --------
    >>> get_ema_avg_fn(decay=0.75)(1.0, 5.0, 1)
    2.0
    """
    check_limits("get_ema_avg_fn", {"decay": closed_fraction}, {"decay": decay})
    return _Average(_ema, decay=decay)


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
    Polyak and Juditsky, *Acceleration of stochastic approximation by averaging*, 1992.

    Examples
    --------
    >>> import numpy as np
    >>> average = np.ones(2)
    >>> get_ema_multi_avg_fn(decay=0.75)([average], [np.array([1.0, 5.0])], 1)
    >>> average
    array([1., 2.])
    """
    check_limits("get_ema_multi_avg_fn", {"decay": closed_fraction}, {"decay": decay})
    return _MultiAverage(_ema_multi, _ema, decay=decay)


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
    return _Average(_swa)


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
    return _MultiAverage(_swa_multi, _swa)


class _Plan:
    """The buckets that averages fall into, kept from one update to the next."""

    def __init__(self) -> None:
        self.buckets: list[Bucket] = []
        self.state = {"step": 0}
        self.count = 0
        self.elsewhere: list[int] = []  # averages on another device than what they average

    def prepare(
        self, average: _Average, averages: list[Any], current: list[Any], count: int
    ) -> Callable[[], None]:
        """Make ready an update of averages of `count` parameters with the current ones."""
        self.state["step"] = count
        if not (self.count == len(averages) == len(current) and self._renew(averages, current)):
            self._make(averages, current)
        jobs = []
        for bucket in self.buckets:
            integer = bucket.dtype.rpartition(".")[2].startswith(("int", "uint", "bool"))
            rule = average.integer_rule if integer else average.rule
            jobs.append((bucket, engines.prepare(bucket, rule, average.hyper, None)[0]))

        def run() -> None:
            for bucket, job in jobs:
                job()
                bucket.adapter.touched(bucket.arrays)

        return run

    def _renew(self, averages: list[Any], current: list[Any]) -> bool:
        current = self._brought(averages, current)
        return all(
            bucket.renew(
                [averages[i] for i in bucket.indices], [current[i] for i in bucket.indices]
            )
            for bucket in self.buckets
        )

    def _make(self, averages: list[Any], current: list[Any]) -> None:
        if len(averages) != len(current):
            raise ValueError(f"got {len(current)} parameters for {len(averages)} averages")
        self.buckets = []
        self.elsewhere = []
        for i, pair in enumerate(zip(averages, current, strict=True)):
            if _is_elsewhere(*pair, label=f"parameter {i}"):
                self.elsewhere.append(i)
        current = self._brought(averages, current)
        self.count = len(averages)
        memory = Memory([adapter_of(x).extent(x) for x in averages])
        states: list[dict[str, Any]] = [self.state] * self.count
        self.buckets = buckets(list(range(self.count)), averages, current, states, memory)

    def _brought(self, averages: list[Any], current: list[Any]) -> list[Any]:
        current = list(current)
        for i in self.elsewhere:
            place = array_api_compat.device(averages[i])
            current[i] = array_api_compat.to_device(_detached(current[i]), place)
        return current


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


class AveragedModel:
    r"""Averages of the parameters of a model while it is trained.

    Parameters
    ----------
    model : torch module, optimizer, iterable or mapping
        What holds the parameters: a torch module, an optimizer (its ``param_groups``), or arrays,
        torch tensors or :class:`Parameter` in a list, or by name in a mapping or in pairs.
    device : optional
        Where the averages live; by default where the parameters do.
    avg_fn : callable, optional
        ``(averaged, current, num_averaged) -> averaged`` for one array, such as from
        :func:`get_ema_avg_fn`. Without it and `multi_avg_fn`, :func:`get_swa_avg_fn`.
    multi_avg_fn : callable, optional
        ``(averaged, current, num_averaged) -> None``, which updates the list `averaged` in place,
        such as from :func:`get_ema_multi_avg_fn`; called for each dtype and device.
    use_buffers : bool, default False
        Whether to average the buffers of a torch module too, or else copy them at each update.

    Attributes
    ----------
    module : torch module, dict or list
        The averages: a copy of the module, or arrays by name, or a list of arrays.
    n_averaged : int
        How many times the parameters have been averaged.

    Notes
    -----
    The functions of this module run on the engines, fused, with no temporary as large as a
    parameter; any other function is called with the arrays themselves.

    With a torch module this is used as torch's: it can be called, and what is not listed here is
    looked up on `module`. It is no module itself. Checkpoints have torch's keys, and go both ways.

    Differs from torch: a model of another number of parameters, shape or dtype is refused;
    `n_averaged` is an int; half precision is computed in float32 and rounded once; integer buffers
    are averaged by :func:`get_swa_avg_fn` where torch's :func:`get_swa_multi_avg_fn` fails.

    References
    ----------
    Izmailov et al., *Averaging Weights Leads to Wider Optima and Better Generalization*, 2018,
    https://arxiv.org/abs/1803.05407. Polyak and Juditsky, *Acceleration of stochastic
    approximation by averaging*, 1992.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> from optimkit.swa_utils import AveragedModel
    >>> weights = np.array([1.0, 2.0])
    >>> optimizer = ok.SGD([weights], lr=1.0)
    >>> average = AveragedModel(optimizer)
    >>> for _ in range(3):
    ...     optimizer.step(grads=[np.ones(2)])
    ...     average.update_parameters(optimizer)
    >>> weights, average.module[0]
    (array([-2., -1.]), array([-1.,  0.]))
    """

    def __init__(
        self,
        model: Any,
        device: Any = None,
        avg_fn: Callable[[Any, Any, Any], Any] | None = None,
        multi_avg_fn: Callable[[Any, Any, Any], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        model = _by_name(model)
        if _is_module(model):
            self.module = deepcopy(model)
            if device is not None:
                self.module = self.module.to(device)
        else:
            copies = [_copied(i, x, device) for i, x in enumerate(_arrays(model))]
            named = isinstance(model, Mapping)
            self.module = dict(zip(model, copies, strict=True)) if named else copies
        self.n_averaged = 0
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers
        self._prepare_instance()

    def _prepare_instance(self) -> None:
        """Set what is neither pickled nor copied."""
        self._plans = _Plan(), _Plan()  # of parameters, and of buffers to be copied

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_plans"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare_instance()

    def __getattr__(self, name: str) -> Any:
        module = self.__dict__.get("module")
        if name.startswith("__") or not _is_module(module):
            raise AttributeError(f"AveragedModel has no attribute {name!r}")
        return getattr(module, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the averaged module."""
        return self.module(*args, **kwargs)

    def parameters(self) -> Iterator[Any]:
        """Iterate over the averages of the parameters."""
        return iter(_arrays(self.module))

    def update_parameters(self, model: Any) -> None:
        """Average the current parameters of a model in; the first time, copy them.

        Parameters
        ----------
        model : torch module, optimizer, iterable or mapping
            As for the constructor, with as many parameters in the same order, or the same names.

        Raises
        ------
        ValueError, TypeError, KeyError
            If the parameters do not fit the averages. Nothing has changed then.
        """
        averages = _arrays(self.module, self.use_buffers)
        current = _arrays(self._like_module(_by_name(model)), self.use_buffers)
        parameters, buffers = self._plans
        average = self.avg_fn or self.multi_avg_fn or _DEFAULT
        jobs: list[Callable[[], None]] = []
        if self.n_averaged == 0:
            jobs = [parameters.prepare(_COPY, averages, current, 0)]
        elif isinstance(average, _Average):
            jobs = [parameters.prepare(average, averages, current, self.n_averaged)]
        else:
            parameters.prepare(_COPY, averages, current, 0)
            jobs = [lambda: self._call(average, parameters.buckets)]
        if _is_module(self.module) and not self.use_buffers:
            mine, theirs = list(self.module.buffers()), list(model.buffers())
            jobs.append(buffers.prepare(_COPY, mine, theirs, 0))
        for job in jobs:
            job()
        self.n_averaged += 1

    def _like_module(self, model: Any) -> Any:
        """Return the model, a mapping in the order of the averages."""
        if _is_module(self.module) and not _is_module(model):
            raise TypeError(f"averages of a module need the module, not a {type(model).__name__}")
        if not (isinstance(self.module, dict) and isinstance(model, Mapping)):
            return model
        if model.keys() != self.module.keys():
            names = sorted(map(str, model.keys() ^ self.module.keys()))
            raise KeyError(f"parameters and averages have other names: {', '.join(names)}")
        return {name: model[name] for name in self.module}

    def _call(self, function: Callable[..., Any], buckets: list[Bucket]) -> None:
        """Update the averages by a function of the user's."""
        count = self._count()
        for bucket in buckets:
            averages, current = (list(map(_detached, x)) for x in (bucket.arrays, bucket.grads))
            if self.multi_avg_fn is not None:
                function(averages, current, count)
            else:
                for average, now in zip(averages, current, strict=True):
                    average[...] = function(average, now, count)
            bucket.adapter.touched(bucket.arrays)

    def _count(self) -> Any:
        """Return `n_averaged` as torch has it: for a module, a tensor."""
        if not _is_module(self.module):
            return self.n_averaged
        import torch

        return torch.tensor(self.n_averaged)

    def state_dict(self) -> dict[str, Any]:
        """Return ``"n_averaged"`` and each average under ``"module."`` and its name or number.

        Arrays are references, not copies. The averaging function is not in it.
        """
        entries = self.module.state_dict() if _is_module(self.module) else dict(_named(self.module))
        averages = {f"module.{name}": value for name, value in entries.items()}
        return {"n_averaged": self._count()} | averages

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over averages from `state_dict`, of optimkit or, for a torch module, of torch.

        Raises
        ------
        KeyError, ValueError, TypeError, RuntimeError
            If names, shapes or kinds do not fit; for a torch module, as torch does.
        """
        count = int(state_dict["n_averaged"])
        saved = {
            name.removeprefix("module."): value
            for name, value in state_dict.items()
            if name != "n_averaged"
        }
        if _is_module(self.module):
            self.module.load_state_dict(saved)
        else:
            own = dict(_named(self.module))
            if own.keys() != saved.keys():
                raise KeyError(f"averages of other names: {sorted(own.keys() ^ saved.keys())}")
            for name, average in own.items():
                if not is_array(saved[name]):
                    raise TypeError(
                        f"the loaded average {name} is a {type(saved[name]).__name__}, not an array"
                    )
                if tuple(saved[name].shape) != tuple(average.shape):
                    raise ValueError(
                        f"the loaded average {name} has shape {tuple(saved[name].shape)}, "
                        f"not {tuple(average.shape)}"
                    )
            arrays = [adapter_of(x).convert(saved[name], x) for name, x in own.items()]
            for average, array in zip(own.values(), arrays, strict=True):
                average[...] = array
        self.n_averaged = count


_DEFAULT = _Average(_swa)


def _is_module(model: Any) -> bool:
    return callable(getattr(model, "parameters", None)) and hasattr(model, "buffers")


def _arrays(model: Any, use_buffers: bool = False) -> list[Any]:
    """Return the arrays that are averaged."""
    if hasattr(model, "param_groups"):
        params: Iterable[Any] = [p for group in model.param_groups for p in group["params"]]
    elif _is_module(model):
        params = [*model.parameters(), *(model.buffers() if use_buffers else ())]
    elif is_array(model) or isinstance(model, Parameter):
        params = [model]
    else:
        params = model.values() if isinstance(model, Mapping) else model
    return [param.data if type(param) is Parameter else param for param in params]


def _by_name(model: Any) -> Any:
    """Return pairs of a name and an array, as of ``named_parameters()``, as a mapping."""
    if (
        _is_module(model)
        or hasattr(model, "param_groups")
        or is_array(model)
        or isinstance(model, Parameter | Mapping)
    ):
        return model
    items = list(model)
    pairs = [isinstance(x, tuple) and len(x) == 2 and isinstance(x[0], str) for x in items]
    return dict(items) if pairs and all(pairs) else items


def _named(averages: Any) -> Iterator[tuple[str, Any]]:
    items = averages.items() if isinstance(averages, dict) else enumerate(averages)
    return ((str(name), value) for name, value in items)


def _copied(index: int, x: Any, device: Any) -> Any:
    """Return a copy of a parameter, to keep its average in."""
    try:
        adapter = adapter_of(x)
        copy = adapter.convert(x, x)
        if device is not None:
            copy = array_api_compat.to_device(copy, device)
        adapter.check_parameter(copy)
    except (TypeError, ValueError) as error:
        raise type(error)(f"AveragedModel: parameter {index}: {error}") from None
    return copy


def _detached(x: Any) -> Any:
    return x.detach() if hasattr(x, "detach") else x


def update_bn(loader: Iterable[Any], model: Any, device: Any = None) -> None:
    """Measure the statistics of batch normalization of a torch module anew, over data.

    Averaged weights need other statistics than the weights that were trained: call this once,
    after training. Each statistic becomes the plain mean over the batches.

    Parameters
    ----------
    loader : iterable
        Batches: tensors, or lists or tuples whose first member is the input.
    model : torch module or AveragedModel of one
        Without batch normalization layers, nothing is done.
    device : optional
        Where to move each batch first.

    Notes
    -----
    Differs from torch: the momentum of the layers and the mode of the model are restored when the
    model or the loader raises, too.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.BatchNorm1d(1)
    >>> update_bn([torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [4.0]])], model)
    >>> model.running_mean
    tensor([2.5000])
    """
    import torch

    batch_norm = torch.nn.modules.batchnorm._BatchNorm
    layers = [layer for layer in model.modules() if isinstance(layer, batch_norm)]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    was_training = model.training
    try:
        model.train()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
        with torch.no_grad():
            for batch in loader:
                x = batch[0] if isinstance(batch, list | tuple) else batch
                model(x if device is None else x.to(device))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        model.train(was_training)


def _anneal(strategy: str, fraction: float) -> float:
    return fraction if strategy == "linear" else (1 - math.cos(math.pi * fraction)) / 2


def swa_annealing(
    step: int,
    base_lr: float,
    swa_lr: float,
    anneal_epochs: int = 10,
    anneal_strategy: str = "cos",
) -> float:
    """From ``base_lr`` to ``swa_lr`` in ``anneal_epochs`` steps, then constant."""
    alpha = _anneal(anneal_strategy, min(1.0, step / anneal_epochs) if anneal_epochs else 1.0)
    return swa_lr * alpha + base_lr * (1 - alpha)


class SWALR(LRScheduler):
    """From the current learning rate to that of averaging, which then stays.

    ``lr(t) = α(t)·swa_lr + (1 - α(t))·base_lr`` with ``α`` rising from 0 to 1 in
    ``anneal_epochs`` steps, as ``t / T`` or ``(1 - cos(π t / T)) / 2``.

    Parameters
    ----------
    optimizer : object with ``param_groups``
    swa_lr : float or list of floats
        Final learning rate; a list gives one for each group. It is kept in the groups as
        ``"swa_lr"``.
    anneal_epochs : int, at least 0
        ``T``, steps until ``swa_lr`` is reached.
    anneal_strategy : {"cos", "linear"}
        How it is reached.
    last_epoch : int, at least -1
        Last step that was taken.

    Notes
    -----
    Like torch's, it is chainable: each step goes on from the current learning rate, whatever set
    it, and with rounding different from the closed form's (`lr_at`).

    References
    ----------
    Izmailov et al., *Averaging Weights Leads to Wider Optima and Better Generalization*, 2018,
    https://arxiv.org/abs/1803.05407.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> optimizer = SimpleNamespace(param_groups=[{"lr": 1.0}])
    >>> scheduler = SWALR(optimizer, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> for _ in range(3):
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.75]
    [0.5]
    [0.5]
    """

    schedule = staticmethod(swa_annealing)
    _not_saved: ClassVar[frozenset[str]] = LRScheduler._not_saved | {"anneal_func"}

    def __init__(
        self,
        optimizer: OptimizerLike,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        rates = per_group("swa_lr", optimizer, swa_lr)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be 'cos' or 'linear', not {anneal_strategy!r}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be an int of at least 0, not {anneal_epochs!r}")
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["swa_lr"] = rate
        self._anneal_strategy: str = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def anneal_func(self, fraction: float) -> float:
        """Return the weight of ``swa_lr`` when a fraction of the steps is done."""
        return _anneal(self._anneal_strategy, fraction)

    def _options(self, group: int) -> dict[str, Any]:
        return {
            "swa_lr": float(self.optimizer.param_groups[group]["swa_lr"]),
            "anneal_epochs": self.anneal_epochs,
            "anneal_strategy": self._anneal_strategy,
        }

    def _next_lrs(self) -> list[float]:
        step, length = self._step_count - 1, max(1, self.anneal_epochs)
        if self.anneal_epochs == 0:
            step = max(1, step)
        before = self.anneal_func(max(0, min(1, (step - 1) / length)))
        alpha = self.anneal_func(max(0, min(1, step / length)))
        lrs = []
        for group in self.optimizer.param_groups:
            lr, swa_lr = float(group["lr"]), float(group["swa_lr"])
            start = swa_lr if before == 1 else (lr - before * swa_lr) / (1 - before)
            lrs.append(swa_lr * alpha + start * (1 - alpha))
        return lrs
