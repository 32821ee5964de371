"""One array of a tree, and what a rule makes of it: nothing that it is given changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import array_api_compat as compat
import numpy as np

from optimkit.backends.adapters import Adapter, adapter_of
from optimkit.backends.masters import MASTER, on_masters
from optimkit.backends.memory import HALF, is_array
from optimkit.backends.trace import NotTraceable, checked, trace
from optimkit.functional.scalars import all_paths
from optimkit.gradients import check_alike, check_gradient
from optimkit.naming import kind_of
from optimkit.rule import Rule

FLOATING = re.compile(r"b?float(16|32|64|80|96|128)|c?longdouble|complex\d+")


class Entry(NamedTuple):
    """What a rule keeps under a name: an array of this shape and dtype, or a number."""

    shape: tuple[int, ...] | None
    dtype: str
    late: bool  # whether `init` makes none, but the first step


def check_param(rule: type[Rule], adapter: Adapter, param: Any, hyper: Any) -> None:
    """Raise if the rule has no step for this array."""
    if not FLOATING.fullmatch(dtype := adapter.describe(param)[1]):
        raise TypeError(f"its dtype is {dtype}; a real or complex floating dtype is needed")
    if adapter_of(param).spreads:
        raise TypeError(
            "it is a DTensor, of which each process has a part; functions step on to_local() or "
            "full_tensor(), and the classes on parts"
        )
    if compat.is_torch_array(param) and param.layout != compat.array_namespace(param).strided:
        raise TypeError(f"its layout is {param.layout}; a dense array is needed")
    rule.check_param(param, hyper)


def checked_gradient(adapter: Adapter, param: Any, grad: Any) -> Any:
    """Return a gradient as an array like the parameter, or raise what is wrong with it."""
    base = adapter_of(param)
    if base.entries(grad) is not None:
        raise RuntimeError("its gradient is sparse; a dense array is needed")
    if adapter is base:
        return check_gradient(base, param, grad)
    if not is_array(grad) or adapter_of(grad) is not base:
        raise TypeError(f"its gradient is a {kind_of(grad)}; a {kind_of(param)} is needed")
    check_alike(adapter, param, grad)
    return grad


def first_state(rule: type[Rule], adapter: Adapter, param: Any, hyper: Any) -> dict[str, Any]:
    """Return the state before the first step: with zeros for what that will add to it."""
    state: dict[str, Any] = all_paths(lambda: rule.initial_state(adapter, param, hyper))
    state.pop("step", None)
    with adapter.running_on(param):
        view = adapter.view(param)
        xp, views = adapter.namespace(view), {"param": view}
        for name, value in state.items():
            if is_array(value):  # as a rule may begin with the parameter itself
                view = adapter.view(value)
                state[name] = adapter.wrap(_own(xp, view, views), value)
        for name, like in _late(rule, adapter, param, state, hyper).items():
            state[name] = adapter.wrap(xp.zeros_like(like), param)
    return state


def entries_of(rule: type[Rule], adapter: Adapter, param: Any, hyper: Any) -> dict[str, Entry]:
    """Return what there is in the state of a parameter."""
    begun = all_paths(lambda: rule.initial_state(adapter, param, hyper))
    found = {}
    for name, value in first_state(rule, adapter, param, hyper).items():
        shape = tuple(value.shape) if is_array(value) else None
        dtype = adapter.describe(value)[1] if is_array(value) else ""
        found[name] = Entry(shape, dtype, name not in begun)
    return found


def _late(
    rule: type[Rule], adapter: Adapter, param: Any, state: Mapping[str, Any], hyper: Any
) -> dict[str, Any]:
    """Arrays that the first step adds to a state, as views that are like them."""
    update = update_of(rule, hyper)
    arrays = tuple(name for name, value in state.items() if is_array(value))
    scalars = {name: value for name, value in state.items() if name not in arrays}
    whole = adapter.view(state.get(MASTER, param))

    def names() -> dict[str, Any]:
        program = trace(update, arrays, scalars, hyper, 1).program
        return dict.fromkeys(program.new_state, whole)

    def called() -> dict[str, Any]:
        zeros = adapter.wrap(adapter.namespace(whole).zeros_like(adapter.view(param)), param)
        new = stepped(rule, adapter, param, zeros, state, (), hyper, 1)[1]
        return {k: adapter.view(v) for k, v in new.items() if k not in state and is_array(v)}

    try:
        return dict(all_paths(names))
    except NotTraceable:
        return called()


def update_of(rule: type[Rule], hyper: Any) -> Any:
    """The rule, for options that may ask for masters."""
    return on_masters(rule.update) if getattr(hyper, "master_dtype", None) else rule.update


def stepped(
    rule: type[Rule],
    adapter: Adapter,
    param: Any,
    grad: Any,
    state: Mapping[str, Any],
    late: tuple[str, ...],
    hyper: Any,
    step: Any,
) -> tuple[Any, dict[str, Any]]:
    """Return a parameter after a step, and its new state: arrays of the user's kind, and numbers.

    Parameters
    ----------
    late : tuple of str
        State that the rule is not given at the first step.
    step : int or Scalar
        The 1-based count.
    """
    update = update_of(rule, hyper)
    with adapter.running_on(param):
        owners = {"param": param, "grad": grad} | {k: v for k, v in state.items() if is_array(v)}
        views = {name: adapter.view(x) for name, x in owners.items()}
        xp, dtype = adapter.namespace(views["param"]), views["param"].dtype
        half = adapter.layout(param).dtype in HALF
        arrays = {k: xp.astype(v, xp.float32) for k, v in views.items()} if half else views
        given = {name: arrays.get(name, value) for name, value in state.items()}

        def call() -> Any:
            known = given
            if late and step == 1:
                known = {name: value for name, value in given.items() if name not in late}
            return checked(update(xp, arrays["param"], arrays["grad"], known, hyper, step))

        new_param, new_state = all_paths(call)
        result = {}
        for name, value in {"param": new_param, **new_state}.items():
            if not (is_array(value) or isinstance(value, np.generic)):
                if name in views:
                    raise TypeError(f"update returned {name} as a {kind_of(value)}")
                result[name] = value
                continue
            wanted = views.get(name)
            if wanted is not None and value.shape != wanted.shape:
                what = "a parameter" if name == "param" else f"state {name}"
                raise ValueError(
                    f"update returned {what} of shape {value.shape}; {wanted.shape} is needed"
                )
            kept = dtype if wanted is None else wanted.dtype
            value = xp.asarray(value) if isinstance(value, np.generic) else value
            value = xp.astype(value, kept) if value.dtype != kept else value
            result[name] = adapter.wrap(_own(xp, value, views | arrays), param)
        return result.pop("param"), result


def _own(xp: Any, value: Any, others: Mapping[str, Any]) -> Any:
    """Return `value` in memory that none of the others has, where a library lets memory change."""
    if compat.is_jax_array(value):
        return value
    is_view = getattr(value, "base", None) is not None or getattr(value, "_base", None) is not None
    if not is_view and not any(value is x for x in others.values()):
        return value
    return value.clone() if compat.is_torch_array(value) else xp.asarray(value, copy=True)


__all__ = [
    "Entry",
    "check_param",
    "checked_gradient",
    "entries_of",
    "first_state",
    "stepped",
]
