"""Averages of the parameters of a model while it is trained."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterator, Mapping
from inspect import signature
from typing import Any

import array_api_compat

from optimkit.backends.adapters import adapter_of
from optimkit.backends.memory import is_array
from optimkit.groups import CONTAINERS, is_nest, leaves, named, refilled
from optimkit.naming import naming, other_names
from optimkit.parameter import Parameter, array_of
from optimkit.state import step_count
from optimkit.swa_utils.averages import Averager
from optimkit.swa_utils.averaging import Averaging


class AveragedModel(Averaging, ABC):
    r"""Averages of the parameters of a model while it is trained.

    Parameters
    ----------
    model : torch module, optimizer, iterable or mapping
        What holds the parameters: a torch module, an optimizer (its ``param_groups``), or arrays,
        torch tensors or :class:`Parameter` in a list, by name in a mapping or in pairs, or in
        nested dicts, lists and tuples, as an optimizer takes them.
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
        The averages: a copy of the module, or a list or dict of arrays, nested as `model` is.
    n_averaged : int
        How many times the parameters have been averaged; for a torch module a buffer, as torch's.

    Notes
    -----
    The functions of this module run on the engines, fused, with no temporary as large as a
    parameter; any other function is called with the arrays themselves.

    Of a torch module this is a torch module itself, as torch's is. Checkpoints have torch's keys,
    and go both ways.

    To go on with a model that has got more parameters, make an average of it anew and give it what
    is known: ``new.load_state_dict(new.state_dict() | old.state_dict())``. Averages of what has
    come in begin with the values that it has now, in an equally weighted average as if it had had
    them from the beginning.

    Differs from torch: a model of another number of parameters, shape or dtype is refused; half
    precision is computed in float32 and rounded once; integer buffers are averaged by
    :func:`get_swa_avg_fn` where torch's :func:`get_swa_multi_avg_fn` fails.

    References
    ----------
    Izmailov et al., *Averaging Weights Leads to Wider Optima and Better Generalization*, 2018,
    https://arxiv.org/abs/1803.05407. Polyak and Juditsky, *Acceleration of stochastic
    approximation by averaging*, 1992, https://doi.org/10.1137/0330046.

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
        self._begin(avg_fn, multi_avg_fn, use_buffers)
        model = _nest_of(model)
        named(model)  # refuses what has one name for two
        copies = [_copied(name, x, device) for name, x in leaves(model)]
        self.module = refilled(model, iter(copies))
        self.n_averaged: Any = 0

    def __new__(cls, model: Any = None, *args: Any, **kwargs: Any) -> Any:
        if cls is AveragedModel and _is_module(model):
            from optimkit.swa_utils.averaged_module import AveragedModule  # which needs torch

            AveragedModel.register(AveragedModule)
            return AveragedModule(model, *args, **kwargs)
        return super().__new__(cls)

    __new__.__signature__ = signature(__init__)  # type: ignore[attr-defined]  # for help()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_averagers"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._averagers = Averager(), Averager()

    def parameters(self) -> Iterator[Any]:
        """Iterate over the averages of the parameters."""
        return iter(_bare(_read(self.module)))

    def _columns(self, model: Any) -> tuple[list[Any], list[Any]]:
        """The averages, and what of the model they are averages of."""
        own, current = _read(self.module), _read(_nest_of(model))
        if isinstance(own, Mapping) and isinstance(current, Mapping):
            _check_names(own, current, "parameters")
            current = [current[name] for name in own]
        return _bare(own), _bare(current)

    def state_dict(self) -> dict[str, Any]:
        """Return ``"n_averaged"`` and each average under ``"module."`` and its name or number.

        Arrays are references, not copies. The averaging function is not in it.
        """
        averages = {f"module.{name}": value for name, value in leaves(self.module)}
        return {"n_averaged": self.n_averaged} | averages

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over averages from `state_dict`.

        Raises
        ------
        KeyError, ValueError, TypeError
            If names, shapes or kinds do not fit.
        """
        with naming("AveragedModel: n_averaged"):
            count = step_count(state_dict["n_averaged"])
        saved = {
            name.removeprefix("module."): value
            for name, value in state_dict.items()
            if name != "n_averaged"
        }
        own = dict(leaves(self.module))
        _check_names(own, saved, "loaded averages")
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


def _is_module(model: Any) -> bool:
    return callable(getattr(model, "parameters", None)) and hasattr(model, "buffers")


def _nest_of(model: Any) -> Any:
    """Return the parameters of a model, in the mapping or the list that they are in."""
    if hasattr(model, "param_groups"):
        return [param for group in model.param_groups for param in group["params"]]
    if _is_module(model):
        return list(model.parameters())
    if is_array(model) or isinstance(model, Parameter):
        return [model]
    return model if isinstance(model, CONTAINERS) else list(model)


def _read(nest: Any) -> Any:
    """Return what is in a nest: by name or path, or in a list where it has neither."""
    items = nest.values() if isinstance(nest, Mapping) else nest
    return dict(leaves(nest)) if is_nest(items) else nest


def _bare(items: Any) -> list[Any]:
    """Return the arrays themselves, in a list."""
    items = items.values() if isinstance(items, Mapping) else items
    return [x.data if type(x) is Parameter else x for x in items]


def _check_names(own: Mapping[str, Any], others: Mapping[str, Any], what: str) -> None:
    """Raise KeyError if there are other names than those of the averages."""
    if own.keys() != others.keys():
        raise KeyError(
            f"{what} must have the averages' names; {other_names(others, own)}; of a model that "
            "has grown, make an average anew and load into it new.state_dict() | old.state_dict()"
        )


def _copied(name: str, x: Any, device: Any) -> Any:
    """Return a copy of a parameter, to keep its average in."""
    with naming(f"AveragedModel: parameter {name}"):
        x = array_of(x)
        adapter = adapter_of(x)
        copy = adapter.convert(x, x)
        if device is not None:
            copy = array_api_compat.to_device(copy, device)
        adapter.check_parameter(copy)
    return copy
