"""Where the gradients of a step come from: parameters, a list, a mapping, a closure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any

from optimkit.backends.adapters import Adapter, adapter_of
from optimkit.backends.bucket import Member, Options
from optimkit.backends.memory import is_array
from optimkit.backends.rows import Rows, check_entries, spread
from optimkit.groups import Group, is_nest, leaves
from optimkit.naming import kind_of, naming, other_names
from optimkit.parameter import array_of, gradients_of
from optimkit.rule import Rule
from optimkit.state import State

LEFT_ALONE = "give None for a parameter that is to be left alone"


def labels(groups: Sequence[Group]) -> list[str]:
    """What errors call each parameter: its name, or its place."""
    found: list[str] = []
    for group in groups:
        places = map(str, range(len(found), len(found) + len(group["params"])))
        found += group.get("param_names") or places
    return [f"parameter {label}" for label in found]


def check_closure(closure: Any) -> None:
    """Raise TypeError for what a step is given in place of a closure."""
    if closure is not None and not callable(closure):
        raise TypeError(
            f"step takes a closure, not a {type(closure).__name__}; "
            "gradients are given as step(grads=...)"
        )


def evaluate(
    params: Sequence[Any], closure: Callable[[], Any], grads: Any = None
) -> tuple[Any, Any]:
    """Call the closure; return the loss, and the gradients if it gave them."""
    if grads is not None:
        raise TypeError("step takes a closure or grads, not both")
    with ExitStack() as stack:
        for adapter in {adapter_of(array_of(param)) for param in params}:
            stack.enter_context(adapter.evaluating())
        result = closure()
    if isinstance(result, tuple) and len(result) == 2:
        return result
    return result, None


def collect(groups: Sequence[Group], params: Sequence[Any], grads: Any) -> list[Any]:
    """Return the gradient of every parameter, or None, in a list of its own."""
    if grads is None:
        return gradients_of(params)
    if isinstance(grads, Mapping):
        return _by_name(names_of(groups), grads)
    if is_array(grads) or isinstance(grads, str) or not isinstance(grads, Iterable):
        raise TypeError(
            "grads must be a sequence with one gradient for each parameter, "
            f"not a single {type(grads).__name__}"
        )
    found = list(grads)
    count, others = len(found), ""
    if "param_names" in groups[0] and (count != len(params) or is_nest(found)):
        names = names_of(groups)
        nested = _spread(names, dict(leaves(found)))
        if nested.keys() == set(names):
            return _by_name(names, nested)
        if is_nest(found):
            count, others = len(nested), f"; {other_names(nested, names)}"
    if len(found) != len(params):
        raise ValueError(
            f"got {count} gradients for {len(params)} parameters{others}; {LEFT_ALONE}"
        )
    return found


def names_of(groups: Sequence[Group]) -> list[str]:
    """The names of all parameters; none where they have none."""
    return list(chain.from_iterable(group.get("param_names", ()) for group in groups))


def _by_name(names: list[str], grads: Mapping[str, Any]) -> list[Any]:
    if not names:
        raise KeyError("gradients by name need parameters with names")
    known = set(names)
    if len(known) != len(names):
        raise ValueError("gradients by name need names that differ; give a sequence instead")
    if grads.keys() != known:  # they may be nested as the parameters are
        grads = _spread(names, dict(leaves(grads)))
    if grads.keys() != known:
        raise KeyError(
            "gradients by name must have the parameters' names; "
            f"{other_names(grads, names)}; {LEFT_ALONE}"
        )
    return [grads[name] for name in names]


def _spread(names: list[str], grads: dict[str, Any]) -> dict[str, Any]:
    """Put None for each parameter of a nest in the place of None for the nest."""
    known = set(names)
    for nest in [path for path, grad in grads.items() if grad is None and path not in known]:
        inside = [name for name in names if name.startswith(f"{nest}.")]
        if inside:
            del grads[nest]
            grads.update(dict.fromkeys(inside))
    return grads


def part(
    rule: type[Rule],
    groups: Sequence[Group],
    params: Sequence[Any],
    grads: list[Any],
    state: State,
    options: Options,
) -> tuple[list[Any], list[Rows]]:
    """Part the gradients: those to step on whole, and touched rows.

    The first are `grads` itself where none is sparse, nor spread over processes in another way than
    its parameter.
    """
    whole, rows = grads, []
    arrays = list(map(array_of, params))
    adapters = list(map(adapter_of, arrays))
    owners = [g for g, group in enumerate(groups) for _ in group["params"]]
    with naming(rule.__name__, lambda: labels(groups)[i]):
        for i, (adapter, array, grad) in enumerate(zip(adapters, arrays, grads, strict=True)):
            entries = None if grad is None else adapter.entries(grad)
            if entries is None:
                if rule.needs_sparse and grad is not None:
                    check_gradient(adapter, array, grad)
                    raise RuntimeError("its gradient is dense, please consider Adam instead")
                meant = grad if grad is None else adapter.spread_as(grad, array)
                if meant is not grad:
                    whole = list(grads) if whole is grads else whole
                    whole[i] = meant
                continue
            hyper = options.of(owners[i])
            wanted = rule.sparse_gradients(hyper)
            adapter.check_parameter(array)
            check_entries(adapter, array, entries)
            if whole is grads:
                whole = list(grads)
            if wanted == "dense":
                whole[i] = spread(adapter, array, entries)
            else:
                whole[i] = None
                known = state.get(params[i]) or rule.initial_state(adapter, array, hyper)
                rule.check_state(adapter, array, known, hyper)
                rows.append(Rows(params[i], owners[i], adapter, array, known, entries))
    return whole, rows


def members_of(
    rule: type[Rule],
    groups: Sequence[Group],
    params: Sequence[Any],
    grads: Sequence[Any],
    state: State,
    hyper: Callable[[int], Any],
    adapter_for: Callable[[Any], Adapter] = adapter_of,
) -> list[Member]:
    """Check all parameters that have a gradient; `hyper` has the options of a group by number."""
    members = []
    owners = [g for g, group in enumerate(groups) for _ in group["params"]]
    with naming(rule.__name__, lambda: labels(groups)[i]):
        for i, (param, grad, owner) in enumerate(zip(params, grads, owners, strict=True)):
            if grad is None:
                continue
            array, known = array_of(param), state.get(param) or {}
            if not isinstance(known, dict):
                raise TypeError(f"its state is a {kind_of(known)}; a dict is needed")
            adapter = adapter_for(array)
            adapter.check_parameter(array)
            adapter.check_target(array, known.get("step"))
            rule.check_param(array, hyper(owner))
            grad = check_gradient(adapter, array, grad)
            if known:
                rule.check_state(adapter, array, known, hyper(owner))
            members.append(Member(i, owner, adapter, array, grad, known))
    return members


def checked(
    rule: type[Rule],
    groups: Sequence[Group],
    params: Sequence[Any],
    grads: Sequence[Any],
    state: State,
    options: Options,
) -> tuple[list[Member], list[tuple[Any, dict[str, Any]]]]:
    """Check all that is to be stepped on whole.

    Returns
    -------
    members, strangers : list
        The parameters with a gradient; and those of them, with a state made now, that had none.
    """
    members, strangers = members_of(rule, groups, params, grads, state, options.of), []
    for i, (place, owner, adapter, array, grad, known) in enumerate(members):
        if not known:
            known = rule.initial_state(adapter, array, options.of(owner))
            members[i] = Member(place, owner, adapter, array, grad, known)
            strangers.append((params[place], known))
    return members, strangers


def forget_gradients(params: Sequence[Any], set_to_none: bool) -> None:
    """Set the gradients that parameters keep to None, or else to zero in place."""
    for param in params:
        if getattr(param, "grad", None) is not None:
            if set_to_none:
                param.grad = None
            else:
                adapter_of(array_of(param)).zero_gradient(param)


def check_gradient(adapter: Adapter, array: Any, grad: Any) -> Any:
    """Return `grad` as an array like `array`, or raise the error that says why it is none."""
    grad = adapter.as_gradient(grad)
    if not (adapter.owns(grad) and isinstance(adapter, type(adapter_of(grad)))):
        raise TypeError(f"its gradient is a {kind_of(grad)}; a {kind_of(array)} is needed")
    if adapter.signature(array) == adapter.signature(grad):
        adapter.check_gradient(grad)
        return grad
    check_alike(adapter, array, grad)
    return grad


def check_alike(adapter: Adapter, array: Any, grad: Any) -> None:
    """Raise if a gradient is not of the shape and dtype and on the device of `array`."""
    shape, dtype, device = adapter.describe(array)
    grad_shape, grad_dtype, grad_device = adapter.describe(grad)
    if grad_shape != shape:
        raise ValueError(f"its gradient has shape {grad_shape}; {shape} is needed")
    if grad_dtype != dtype:
        raise TypeError(f"its gradient has dtype {grad_dtype}; {dtype} is needed")
    if grad_device != device:
        raise RuntimeError(f"its gradient is on {grad_device}; {device} is needed")
    adapter.check_gradient(grad)
