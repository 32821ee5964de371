"""Checkpoints in torch's schema: what an optimizer saves, and how it goes on from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

from optimkit.backends.adapters import adapter_of
from optimkit.backends.memory import is_array
from optimkit.gradients import labels
from optimkit.groups import Group, hyper_of
from optimkit.parameter import array_of
from optimkit.rule import Rule
from optimkit.state import State

LoadParam = Callable[[Any, Mapping[str, Any], Any, str], dict[str, Any]]


def save(groups: Sequence[Group], state: State, rule: type[Rule]) -> dict[str, Any]:
    """Return ``"state"`` by number of parameter, and ``"param_groups"`` with these numbers."""
    params = chain.from_iterable(group["params"] for group in groups)
    numbers = {id(param): i for i, param in enumerate(params)}
    saved_groups = [
        {key: value for key, value in group.items() if key != "params"}
        | {"params": [numbers[id(param)] for param in group["params"]]}
        for group in groups
    ]
    saved = {
        numbers[id(param)]: _save_param(rule, array_of(param), entries)
        for param, entries in state.items()
        if entries and id(param) in numbers
    }
    return {"state": saved, "param_groups": saved_groups}


def _save_param(rule: type[Rule], array: Any, state: dict[str, Any]) -> dict[str, Any]:
    if not rule.tensor_scalars:
        return dict(state)
    scalar = adapter_of(array).scalar
    return {
        name: scalar(value) if type(value) in (int, float) else value
        for name, value in state.items()
    }


def load(
    saved: Mapping[str, Any],
    groups: Sequence[Group],
    state: State,
    legacy: Mapping[str, Any],
    load_param: LoadParam,
) -> None:
    """Continue from what was saved: groups and state are changed in place, once all is known.

    Parameters
    ----------
    saved : mapping
    groups, state
        Those of the optimizer.
    legacy : mapping
        Options for a checkpoint that is older than they are.
    load_param : callable
        ``(array, saved, hyper, label) -> state`` of one parameter.
    """
    saved_groups = saved["param_groups"]
    if len(saved_groups) != len(groups):
        raise ValueError(
            "loaded state dict has a different number of parameter groups: "
            f"{len(saved_groups)}, not {len(groups)}"
        )
    new_groups: list[Group] = []
    new_state: list[tuple[Any, dict[str, Any]]] = []
    names = iter(labels(groups))
    for i, (group, old) in enumerate(zip(groups, saved_groups, strict=True)):
        if len(old["params"]) != len(group["params"]):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                f"optimizer's group: group {i} has {len(old['params'])} parameters there and "
                f"{len(group['params'])} here"
            )
        own = {k: group[k] for k in ("param_names",) if k in group}
        new = {**legacy, **own, **deepcopy(dict(old)), "params": group["params"]}
        new_groups.append({"params": new.pop("params")} | new)
        hyper = hyper_of(new)
        for number, param in zip(old["params"], group["params"], strict=True):
            label = next(names)
            if entries := saved["state"].get(number):
                new_state.append((param, load_param(array_of(param), entries, hyper, label)))
    for group, new in zip(groups, new_groups, strict=True):
        group.clear()
        group.update(new)
    state.replace(new_state)


def load_param(
    rule: type[Rule], array: Any, saved: Mapping[str, Any], hyper: Any, label: str
) -> dict[str, Any]:
    """Return the state of one parameter from a checkpoint."""
    adapter = adapter_of(array)
    expected = rule.initial_state(adapter, array, hyper)
    state = {}
    for name, value in saved.items():
        like = expected.get(name, array)
        if value is None:  # how torch once wrote state that is not there yet
            continue
        if name == "step":
            try:
                state[name] = int(value)
            except (TypeError, ValueError):
                raise ValueError(f"{label}: loaded step is {value!r}, no number") from None
        elif not is_array(value):
            state[name] = value
        elif not is_array(like) or (value.shape == () != tuple(array.shape)):
            state[name] = value.item()
        elif tuple(value.shape) != tuple(like.shape):
            raise ValueError(
                f"{label}: loaded {name} has shape {tuple(value.shape)}, not {tuple(like.shape)}"
            )
        else:
            state[name] = adapter.convert(value, like)
    missing = {k: v for k, v in expected.items() if k not in state}
    return state | {k: v for k, v in missing.items() if k == "step"}
