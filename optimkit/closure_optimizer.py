"""Optimizers that evaluate the loss themselves, as often as they need: line searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from optimkit.backends.adapters import adapter_of
from optimkit.backends.memory import is_array
from optimkit.backends.rows import check_entries, spread
from optimkit.checkpoint import in_order
from optimkit.engine_uses import EngineUse
from optimkit.gradients import check_gradient, collect, evaluate, labels, names_of
from optimkit.naming import naming
from optimkit.optimizer import Optimizer
from optimkit.options import check_limits, count
from optimkit.parameter import array_of

Evaluate = Callable[[Any], tuple[float, Any]]


class ClosureOptimizer(Optimizer):
    """Base of the optimizers whose step needs a closure.

    A subclass defines ``minimize(xp, x, evaluate, state, hyper) -> (x, state, loss)`` on the flat
    real vector `x` of all parameters, which form a single group of one dtype and device.
    ``evaluate(x)`` puts `x` into the parameters, calls the closure and returns the loss, a float,
    and a fresh flat gradient. The state belongs to the first parameter, as in torch.
    """

    memory: ClassVar[Mapping[str, str]] = {}  # what a state has after a step, a key of `KINDS`
    counts_steps = False
    tensor_scalars = False
    differentiable = False
    match_saved = staticmethod(in_order)

    @staticmethod
    def minimize(
        xp: Any, x: Any, evaluate: Evaluate, state: Mapping[str, Any], hyper: Any
    ) -> tuple[Any, dict[str, Any], float]:
        """Return the vector after a step, the new state, and the loss before it."""
        raise NotImplementedError("define minimize(xp, x, evaluate, state, hyper)")

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add the only group of parameters.

        Raises
        ------
        ValueError
            If there is a group already, or the parameters differ in dtype or device.
        RuntimeError
            If ``fused=True``.
        """
        name = type(self).__name__
        if self.param_groups:
            raise ValueError(f"{name} doesn't support per-parameter options (parameter groups)")
        super().add_param_group(param_group)
        layouts = [adapter_of(x).layout(x) for x in map(array_of, self._params())]
        kinds = {(layout.dtype, layout.device) for layout in layouts}
        if len(kinds) > 1:
            self._discard()
            raise ValueError(f"{name} needs parameters of one dtype and device, not {kinds}")
        if self.param_groups[0]["fused"]:
            self._discard()
            raise RuntimeError(f"fused=True, but no fused engine can run the steps of {name}")

    def engines(self) -> list[EngineUse]:
        """Say that all parameters are stepped eagerly, as one vector."""
        params = names_of(self.param_groups) or range(len(self._params()))
        reason = "all parameters are one vector, which a search moves along"
        return [EngineUse("eager", list(params), reason)]

    def check_spread(self, arrays: Sequence[Any], hyper: Any) -> None:
        raise RuntimeError(
            f"{type(self).__name__} takes all parameters for one vector, which those that are "
            "spread over processes (DTensors) do not form"
        )

    def _discard(self) -> None:
        self.param_groups.clear()
        self._claims = None

    def _step(self, closure: Callable[[], Any] | None = None, grads: Any = None) -> Any:
        name = type(self).__name__
        if closure is None:
            raise TypeError(f"{name}.step needs a closure that re-evaluates the model")
        group = self.param_groups[0]
        hyper = self.check_changed(group)
        whole = {option: limit for option, limit in self.limits.items() if limit is count}
        check_limits(name, whole, vars(hyper))  # a number of times is never a rounding error below
        self.check_options(hyper)
        params, arrays = group["params"], list(map(array_of, group["params"]))
        adapters = list(map(adapter_of, arrays))
        names = labels(self.param_groups)
        for adapter, array, label in zip(adapters, arrays, names, strict=True):
            with naming(name, label):
                adapter.check_parameter(array)
        losses: list[Any] = []

        def flatten(columns: list[Any]) -> Any:
            return xp.concat([xp.reshape(column, (-1,)) for column in columns])

        def put(x: Any) -> None:
            start = 0
            for adapter, array in zip(adapters, arrays, strict=True):
                view = adapter.view(array)
                stop = start + adapter.layout(array).size
                adapter.write(array, view, xp.reshape(x[start:stop], view.shape))
                adapter.touched([array])
                start = stop

        def gradient(i: int, grad: Any) -> Any:
            if grad is None:
                return xp.zeros_like(adapters[i].view(arrays[i]))
            with naming(name, names[i]):
                entries = adapters[i].entries(grad)
                if entries is not None:
                    check_entries(adapters[i], arrays[i], entries)
                    grad = spread(adapters[i], arrays[i], entries)
                return adapters[i].view(check_gradient(adapters[i], arrays[i], grad))

        def evaluated(x: Any) -> tuple[float, Any]:
            put(x)
            loss, given = evaluate(params, closure, grads)
            found = collect(self.param_groups, params, given)
            losses.append(loss)
            return _number(name, loss), flatten([gradient(i, grad) for i, grad in enumerate(found)])

        with np.errstate(all="ignore"), adapters[0].running_on(arrays[0]):
            views = [adapter.view(array) for adapter, array in zip(adapters, arrays, strict=True)]
            xp = adapters[0].namespace(views[0])
            start = flatten(views)
            if not start.size:  # there is nothing to move along
                evaluated(start)
                return losses[0]
            kept = self.state.get(params[0], {})
            with naming(name, names[0]):
                self._check_memory(kept, start.shape[0], adapters[0].owns)
            read = {key: value for key, value in kept.items() if key in self.memory}
            known = _each_array(adapters[0].view, read)
            try:
                x, state, _ = self.minimize(xp, start, evaluated, known, hyper)
            except BaseException:
                put(start)
                raise
            put(x)
        self.state[params[0]] = kept | _each_array(adapters[0].wrap, state)
        return losses[0]

    def _check_memory(
        self, state: Mapping[str, Any], size: int, owns: Callable[[Any], bool]
    ) -> None:
        """Raise if the state is none to go on from; before the first iteration there is little."""
        for key, kind in self.memory.items():
            if key in state and not KINDS[kind](state[key], size, owns):
                raise TypeError(f"its state {key} is {state[key]!r}; it must be {kind}")
        missing = [key for key in self.memory if key not in state]
        if missing and state.get("n_iter", 0) != 0:
            raise ValueError(f"its state has no {', '.join(missing)}")

    def _load_param(
        self, array: Any, saved: Mapping[str, Any], hyper: Any, label: str
    ) -> dict[str, Any]:
        adapter = adapter_of(array)
        real = adapter.wrap(adapter.view(array))

        def load(value: Any) -> Any:
            return value.item() if value.shape == () else adapter.convert(value, real)

        with naming(label, "loaded state"):
            loaded: dict[str, Any] = _each_array(load, dict(saved))
        return loaded


def _is_number(value: Any, size: int, owns: Callable[[Any], bool]) -> bool:
    return isinstance(value, Real) or (owns(value) and tuple(value.shape) == ())


def _is_vector(value: Any, size: int, owns: Callable[[Any], bool]) -> bool:
    return owns(value) and tuple(value.shape) == (size,)


def _list_of(one: Callable[..., bool]) -> Callable[..., bool]:
    return lambda value, *of: isinstance(value, list) and all(one(each, *of) for each in value)


KINDS: dict[str, Callable[..., bool]] = {
    "a number": _is_number,
    "a list of numbers": _list_of(_is_number),
    "a vector of all parameters": _is_vector,
    "a list of vectors of all parameters": _list_of(_is_vector),
}


def _number(name: str, loss: Any) -> float:
    """Return what a closure returned for the loss as a number."""
    try:
        return float(loss.item() if hasattr(loss, "item") else loss)
    except (OverflowError, RuntimeError, TypeError, ValueError):
        raise TypeError(f"{name}: the closure must return the loss, not {loss!r}") from None


def _each_array(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply `function` to every array in a nest of dicts and lists."""
    if isinstance(value, dict):
        return {key: _each_array(function, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_each_array(function, item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return function(value) if is_array(value) else value
