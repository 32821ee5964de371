"""Averages of the parameters of a model while it is trained."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import signature
from typing import Any

import array_api_compat

from optimkit.backends.adapters import adapter_of
from optimkit.backends.memory import is_array
from optimkit.naming import naming
from optimkit.parameter import Parameter
from optimkit.state import step_count
from optimkit.swa_utils.averages import Averager
from optimkit.swa_utils.averaging import Averaging


class AveragedModel(Averaging, ABC):
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
        How many times the parameters have been averaged; for a torch module a buffer, as torch's.

    Notes
    -----
    The functions of this module run on the engines, fused, with no temporary as large as a
    parameter; any other function is called with the arrays themselves.

    Of a torch module this is a torch module itself, as torch's is. Checkpoints have torch's keys,
    and go both ways.

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
        model = _by_name(model)
        copies = [_copied(i, x, device) for i, x in enumerate(_arrays(model))]
        named = isinstance(model, Mapping)
        self.module = dict(zip(model, copies, strict=True)) if named else copies
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
        return iter(_arrays(self.module))

    def _columns(self, model: Any) -> tuple[list[Any], list[Any]]:
        """The averages, and what of the model they are averages of."""
        model = _by_name(model)
        if isinstance(self.module, dict) and isinstance(model, Mapping):
            if model.keys() != self.module.keys():
                names = sorted(map(str, model.keys() ^ self.module.keys()))
                raise KeyError(f"parameters and averages have other names: {', '.join(names)}")
            model = {name: model[name] for name in self.module}
        return _arrays(self.module), _arrays(model)

    def state_dict(self) -> dict[str, Any]:
        """Return ``"n_averaged"`` and each average under ``"module."`` and its name or number.

        Arrays are references, not copies. The averaging function is not in it.
        """
        averages = {f"module.{name}": value for name, value in _named(self.module)}
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


def _is_module(model: Any) -> bool:
    return callable(getattr(model, "parameters", None)) and hasattr(model, "buffers")


def _arrays(model: Any) -> list[Any]:
    """Return the arrays that are averaged."""
    if hasattr(model, "param_groups"):
        params: Iterable[Any] = [p for group in model.param_groups for p in group["params"]]
    elif _is_module(model):
        params = model.parameters()
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
    with naming(f"AveragedModel: parameter {index}"):
        adapter = adapter_of(x)
        copy = adapter.convert(x, x)
        if device is not None:
            copy = array_api_compat.to_device(copy, device)
        adapter.check_parameter(copy)
    return copy
