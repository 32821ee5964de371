"""Checkpoints in torch's schema: what an optimizer saves, and how it goes on from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from reprlib import repr as short
from typing import Any

import numpy as np

from optimkit.backends.adapters import adapter_of
from optimkit.backends.masters import MASTER
from optimkit.backends.memory import is_array
from optimkit.gradients import labels
from optimkit.groups import Claims, Group, OptionsOfGroups
from optimkit.hooks import Hooked, called
from optimkit.naming import kind_of, naming
from optimkit.options import renewed
from optimkit.parameter import array_of
from optimkit.rule import Rule
from optimkit.state import State, step_count
from optimkit.stepper import Stepper

LoadParam = Callable[[Any, Mapping[str, Any], Any, str], dict[str, Any]]
# From a group and what was saved of it: the saved number of each parameter of the group.
Match = Callable[[Group, Mapping[str, Any]], Sequence[Any]]


def save(groups: Sequence[Group], state: State, rule: type[Rule]) -> dict[str, Any]:
    """Return ``"state"`` by number of parameter, and ``"param_groups"`` with these numbers."""
    numbers: dict[int, int] = {}
    start = 0
    for group in groups:  # as torch numbers a parameter that is in several groups
        params = enumerate(group["params"], start)
        numbers.update({id(param): i for i, param in params if id(param) not in numbers})
        start += len(group["params"])
    saved_groups = [
        {key: value for key, value in group.items() if key != "params"}
        | {"params": [numbers[id(param)] for param in group["params"]]}
        for group in groups
    ]
    names = labels(groups)
    saved = {
        number: _save_param(rule, array_of(param), entries, names[number])
        for param, entries in state.items()
        if entries and (number := numbers.get(id(param))) is not None
    } | {key: entries for key, entries in state.items() if not hasattr(key, "shape")}
    return {"state": saved, "param_groups": saved_groups}


def _save_param(rule: type[Rule], array: Any, state: dict[str, Any], label: str) -> dict[str, Any]:
    if not rule.tensor_scalars:
        return dict(state)
    scalar = adapter_of(array).scalar
    saved = {}
    for name, value in state.items():
        try:
            saved[name] = scalar(value) if type(value) in (int, float) else value
        except OverflowError:
            raise ValueError(f"{label}: its state {name} is too large: {short(value)}") from None
    return saved


def load(
    saved: Mapping[str, Any],
    groups: Sequence[Group],
    state: State,
    legacy: Mapping[str, Any],
    check: Callable[[Group], Any],
    load_param: LoadParam,
    match: Match,
) -> None:
    """Continue from what was saved: groups and state are changed in place, once all is known.

    Parameters
    ----------
    saved : mapping
    groups, state
        Those of the optimizer.
    legacy : mapping
        Options for a checkpoint that is older than they are.
    check : callable
        Returns the options of a group by attribute, or raises what is wrong with them.
    load_param : callable
        ``(array, saved, hyper, label) -> state`` of one parameter.
    match : callable
        Such as `by_name`.
    """
    saved_groups, saved_state = parts(saved)
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
        with naming(f"group {i}"):
            saved_numbers = match(group, old)
        own = {k: group[k] for k in ("params", "param_names", "differentiable") if k in group}
        new = {**legacy, **deepcopy({k: _value(v) for k, v in old.items()}), **own}
        new_groups.append({"params": new.pop("params")} | new)
        hyper = check(new)
        for number, param in zip(saved_numbers, group["params"], strict=True):
            label = next(names)
            if entries := saved_state.get(number):
                mapping(f"state of {label}", entries)
                new_state.append((param, load_param(array_of(param), entries, hyper, label)))
    numbers = {number for old in saved_groups for number in old["params"]}
    new_state += [(key, deepcopy(x)) for key, x in saved_state.items() if key not in numbers]
    for group, new in zip(groups, new_groups, strict=True):
        kept = {key: renewed(group[key], new[key]) for key in legacy if key in group}
        new.update(kept)
        group.clear()
        group.update(new)
    state.replace(new_state)


def _value(option: Any) -> Any:
    """An option without its history: where it has come from cannot be copied."""
    if type(option) is tuple:
        return tuple(map(_value, option))
    return option.detach() if getattr(option, "grad_fn", None) is not None else option


def mapping(name: str, value: Any) -> Mapping[Any, Any]:
    """Return what has been loaded as `name`; TypeError if it is no mapping."""
    if not isinstance(value, Mapping):
        raise TypeError(f"loaded {name} must be a mapping, not a {type(value).__name__}")
    return value


def parts(saved: Mapping[str, Any]) -> tuple[Sequence[Any], Mapping[Any, Any]]:
    """Return the groups and the state of what was saved, if that is their schema."""
    for key in ("state", "param_groups"):
        if key not in saved:
            raise KeyError(f"loaded state dict has no {key!r}")
    groups = saved["param_groups"]
    if not isinstance(groups, list | tuple):
        raise TypeError(f"loaded param_groups must be a list, not a {type(groups).__name__}")
    for i, group in enumerate(groups):
        if "params" not in mapping(f"group {i}", group):
            raise KeyError(f"loaded group {i} has no 'params'")
    return groups, mapping("state", saved["state"])


def as_they_stand(group: Group, saved: Mapping[str, Any]) -> Sequence[Any]:
    """Match parameters as they stand."""
    numbers: Sequence[Any] = saved["params"]
    return numbers


def by_name(group: Group, saved: Mapping[str, Any]) -> Sequence[Any]:
    """Match parameters by name where both sides have names; ValueError if these differ."""
    names, saved_names = group.get("param_names"), saved.get("param_names")
    if not names or not saved_names or list(names) == list(saved_names):
        return as_they_stand(group, saved)
    if sorted(names) != sorted(saved_names):
        here, there = set(names) - set(saved_names), set(saved_names) - set(names)
        raise ValueError(
            f"the loaded state dict has no parameters {sorted(here)}, but {sorted(there)}; "
            "load_state_dict(..., by_position=True) goes by their order alone"
        )
    numbers = dict(zip(saved_names, saved["params"], strict=True))
    return [numbers[name] for name in names]


def in_order(group: Group, saved: Mapping[str, Any]) -> Sequence[Any]:
    """Match parameters as they stand; ValueError if their names have another order."""
    numbers = as_they_stand(group, saved)
    if list(by_name(group, saved)) != list(numbers):
        raise ValueError(
            f"the state is of all parameters together, in the order {saved['param_names']}; "
            f"here they are in the order {group['param_names']}"
        )
    return numbers


def load_param(
    rule: type[Rule], array: Any, saved: Mapping[str, Any], hyper: Any, label: str
) -> dict[str, Any]:
    """Return the state of one parameter from a checkpoint."""
    adapter = adapter_of(array)
    expected = rule.initial_state(adapter, array, hyper)
    state = {}
    for name, value in saved.items():
        like = expected.get(name, array)
        if value is None and name != "step":  # how torch once wrote state that is not there yet
            continue
        if name == "step":
            with naming(label, "loaded step"):
                state[name] = step_count(value)
        elif not is_array(value):
            if is_array(like) and name in expected:
                raise TypeError(f"{label}: loaded {name} is a {kind_of(value)}, not an array")
            state[name] = value
        elif "complex" in (kind := str(value.dtype)) and "complex" not in str(array.dtype):
            raise TypeError(f"{label}: loaded {name} has dtype {kind}, but the parameter is real")
        elif isinstance(value, np.ndarray) and value.dtype.kind in "OSUmM":
            raise TypeError(f"{label}: loaded {name} has dtype {kind}, which holds no numbers")
        elif not is_array(like) or (value.shape == () != tuple(array.shape)):
            state[name] = value.item()
        elif tuple(value.shape) != tuple(like.shape):
            raise ValueError(
                f"{label}: loaded {name} has shape {tuple(value.shape)}, not {tuple(like.shape)}"
            )
        else:
            with naming(label, f"loaded {name}"):
                state[name] = adapter.convert(value, like)
    if MASTER in expected and MASTER not in state:  # saved by who does without
        state[MASTER] = expected[MASTER]
    if "step" in saved and not rule.counts_steps:
        raise ValueError(f"{label}: loaded a step count, which {rule.__name__} does not keep")
    if missing := [name for name in expected if name not in saved and name not in ("step", MASTER)]:
        raise ValueError(
            f"{label}: the loaded state has no {', '.join(missing)}; "
            f"it has {', '.join(saved)}, as another optimizer's"
        )
    return {k: v for k, v in expected.items() if k == "step"} | state


class Checkpointed(Rule, Hooked):
    """Can be saved and can go on, as a state dict or as a whole."""

    param_groups: list[Group]

    @property
    def state(self) -> State:
        return self._state

    @state.setter
    def state(self, state: Mapping[Any, dict[str, Any]]) -> None:
        # `optimizer.state = defaultdict(dict)` is how torch's users begin anew.
        self._state = State(state)

    def _begin(self) -> None:
        """Set what is neither pickled nor copied."""
        self.step_count = 0
        self._without_hooks()
        self._state = State()
        self._stepper = Stepper(self.counts_steps)
        self._options = OptionsOfGroups()
        self._claims: Claims | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state and the options in torch's schema.

        Returns
        -------
        dict
            ``"state"``, from the number of a parameter to its state, and ``"param_groups"``, with
            the numbers under ``"params"``. Arrays are references, not copies.
        """
        for hook in called(self._optimizer_state_dict_pre_hooks):
            hook(self)
        self._stepper.recount()
        result = save(self.param_groups, self.state, type(self))
        for hook in called(self._optimizer_state_dict_post_hooks):
            changed = hook(self, result)
            if changed is not None:
                result = changed
        return result

    match_saved = staticmethod(by_name)

    def load_state_dict(self, state_dict: Mapping[str, Any], *, by_position: bool = False) -> None:
        """Continue from a state dict of optimkit or torch.

        Arrays are copied to the kind, dtype and device of their parameter. Options that an older
        checkpoint lacks get the default of the constructor.

        Parameters
        ----------
        state_dict : dict
            From `state_dict`, of an optimizer with groups of the same lengths. Within a group,
            parameters that have names there and here are matched by name, others by position.
        by_position : bool, default False
            Match by position whatever the names are. Parameters keep their own.

        Raises
        ------
        ValueError
            If groups, names or shapes do not fit. Nothing has changed then.
        KeyError
            If ``"state"`` or ``"param_groups"`` is missing.
        """
        saved = dict(mapping("state dict", state_dict))
        for hook in called(self._optimizer_load_state_dict_pre_hooks):
            changed = hook(self, saved)
            if changed is not None:
                saved = changed
        match = as_they_stand if by_position else self.match_saved
        groups, legacy, check = self.param_groups, self.legacy(), self.check_changed
        load(saved, groups, self.state, legacy, check, self._load_param, match)
        self._stepper.forget()
        for hook in called(self._optimizer_load_state_dict_post_hooks):
            hook(self)

    def _load_param(
        self, array: Any, saved: Mapping[str, Any], hyper: Any, label: str
    ) -> dict[str, Any]:
        """Return the state of one parameter from a checkpoint."""
        return load_param(type(self), array, saved, hyper, label)

    def __getstate__(self) -> dict[str, Any]:
        self._stepper.recount()
        # A step in the object itself is the class's, as a torch scheduler has wrapped it: its own.
        own = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        first = {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}
        return first | {k: v for k, v in own.items() if k not in ("step", "step_count")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "_stepper" in vars(self):  # as programs change part of it: hooks and the count remain
            self._stepper.forget()
            self._claims = None
        else:
            self._begin()
        for name, value in state.items():
            setattr(self, name, value)
