"""Parameters in all the forms in which a user may give them, and the options of a group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from numbers import Real
from operator import is_, itemgetter
from types import SimpleNamespace
from typing import Any

import numpy as np

from optimkit.backends.bucket import Options
from optimkit.backends.memory import Territory, is_array, share_memory
from optimkit.parameter import Parameter, array_of, is_torchs

Group = dict[str, Any]
CONTAINERS = (Mapping, list, tuple)
PLAIN = {float, int, bool, str, type(None)}  # what an option is as it stands


def as_groups(params: Any) -> list[Any]:
    """Read the constructor's `params` as a list of groups."""
    if isinstance(params, str) or is_array(params) or isinstance(params, Parameter):
        raise TypeError(
            "params argument given to the optimizer should be an iterable of arrays, tensors, "
            f"Parameters or dicts, but got {type(params).__name__}"
        )
    if isinstance(params, Mapping) and params:
        return [{"params": params}]
    if not isinstance(params, Iterable):
        raise TypeError(f"params must be an iterable, not {type(params).__name__}")
    if isinstance(params, set | frozenset):
        raise TypeError("params must have an order; a set has none, so give a list")
    items = list(params)
    if not items:
        raise ValueError("optimizer got an empty parameter list")
    groups = [isinstance(item, Mapping) and not _is_layer(item) for item in items]
    if any(groups) and not all(groups):
        raise TypeError("params mixes parameters and group dicts")
    return items if all(groups) else [{"params": items}]


def _is_layer(item: Mapping[Any, Any]) -> bool:
    """Whether a mapping in the place of a group holds parameters itself."""
    held = list(item.values())
    return (
        "params" not in item
        and bool(held)
        and all(is_array(x) or isinstance(x, (Parameter, *CONTAINERS)) for x in held)
    )


def leaves(nest: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """What is in nested mappings, lists, tuples and pairs of a name and a value, by its path."""
    if not isinstance(nest, CONTAINERS):
        yield path, nest
        return
    if isinstance(nest, Mapping):
        items = list(nest.items())
    else:
        items = list(nest if nest and all(map(_is_pair, nest)) else enumerate(nest))
    for key, value in items:
        yield from leaves(value, f"{path}.{key}" if path else str(key))


def refilled(nest: Any, values: Iterator[Any]) -> Any:
    """A nest of the same keys around other values, which come in the order of `leaves`."""
    if not isinstance(nest, CONTAINERS):
        return next(values)
    if isinstance(nest, Mapping):
        return {key: refilled(value, values) for key, value in nest.items()}
    if nest and all(map(_is_pair, nest)):
        return {key: refilled(value, values) for key, value in nest}
    held = [refilled(value, values) for value in nest]
    if isinstance(nest, list):
        return held
    return nest._make(held) if hasattr(nest, "_make") else tuple(held)


def is_nest(items: Iterable[Any]) -> bool:
    """Whether there are containers among these, so that `leaves` has names for what is inside."""
    return any(map(_is_container, set(map(type, items))))


@cache
def _is_container(kind: type) -> bool:
    return issubclass(kind, CONTAINERS)


def _is_pair(item: Any) -> bool:
    """Whether this is a name, and what has it."""
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)


def named(params: Any) -> tuple[list[Any], list[str] | None]:
    """Read a group's ``"params"``: the parameters, and their names if they have any.

    In nested containers, the name of a parameter is its path.
    """
    if isinstance(params, set | frozenset):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering "
            "of a set changes between runs; please use a list instead"
        )
    if is_array(params) or isinstance(params, Parameter):
        return [params], _own_names([params])
    if isinstance(params, str) or not isinstance(params, Iterable):
        raise TypeError(f"params must be arrays, not {type(params).__name__}")
    if not isinstance(params, Mapping):
        params = list(params)
        pairs = list(map(_is_pair, params))
        if any(pairs) and not all(pairs):
            raise ValueError(
                "all optimizer params should be with/without names; some names are missing"
            )
        if not is_nest(params):
            return params, _own_names(params)
    names, items = map(list, zip(*leaves(params), strict=True)) if params else ([], [])
    if len(set(names)) != len(names):
        raise ValueError(f"parameter names must differ, not {names}")
    return items, names


def _own_names(params: list[Any]) -> list[str] | None:
    """The names that parameters bring with them, if all do and these differ."""
    own = [item.name for item in params if isinstance(item, Parameter) and item.name is not None]
    return own if own and len(own) == len(params) == len(set(own)) else None


def check_names(groups: Iterable[Group]) -> None:
    """Raise ValueError for a name that is there twice, unless tensors have it, as in torch."""
    known: dict[str, tuple[int, Any]] = {}
    for i, group in enumerate(groups):
        for name, param in zip(group.get("param_names", ()), group["params"], strict=False):
            j, other = known.setdefault(name, (i, param))
            if other is not param and not (is_torchs(other) and is_torchs(param)):
                raise ValueError(
                    f"parameters need names that differ: {name!r} is in group {j} and in group "
                    f'{i}; name what is in a group, as in {{"params": {{"head": layer}}}}'
                )


def parted(group: Any) -> tuple[Group, list[Any], list[str] | None]:
    """The options of a group that a user gives, its parameters, and their names."""
    if not isinstance(group, Mapping):
        raise TypeError(f"param_group must be a dict, but got {type(group).__name__}")
    if "params" not in group:
        raise KeyError("param_group has no 'params'")
    options = {key: value for key, value in group.items() if key != "params"}
    params, names = named(group["params"])
    return options, params, options.pop("param_names", None) or names


def shown(groups: Iterable[Group]) -> str:
    """The options of all groups, as torch shows them."""
    text = ""
    for i, group in enumerate(groups):
        text += f"\nParameter Group {i}\n"
        for key in sorted(group.keys() - {"params"}):
            text += f"    {key}: {group[key]}\n"
    return text


class Claims:
    """The parameters of an optimizer, each there once and in memory of its own."""

    def __init__(self, params: Iterable[Any] = ()) -> None:
        self._params: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._territory = Territory()
        for i, param in enumerate(params):
            for j in self._add([param]):
                other = self._params[j]
                if other is param and i != j:
                    raise ValueError(
                        f"parameters {j} and {i} are one; none may appear more than once, "
                        "or in more than one group"
                    )
                if i != j and share_memory(array_of(other), array_of(param)):
                    raise ValueError(f"parameters {j} and {i} share memory; pass a copy")

    @property
    def extents(self) -> list[tuple[int, int]]:
        """The memory of each parameter when it was added."""
        return self._territory.extents

    def with_more(self, params: list[Any], before: Callable[[], list[Any]]) -> Claims:
        """Take these parameters in, too; `before` says which others there are at present.

        Where two seem to be one, all are looked at again, one by one, to find out which: one may
        have been exchanged, or have moved, since it came.
        """
        return Claims([*before(), *params]) if self._add(params) else self

    def _add(self, params: list[Any]) -> list[int]:
        """Add parameters; return the numbers of those that may be one, or have memory in common."""
        numbers = range(len(self._params), len(self._params) + len(params))
        known = [self._numbers.setdefault(id(x), i) for x, i in zip(params, numbers, strict=True)]
        self._params += params
        repeated = [j for j, i in zip(known, numbers, strict=True) if i != j]
        return repeated or self._territory.claim(list(map(array_of, params)))


def _number(name: str, value: Any) -> Any:
    """An option as a Python number where it is one in another guise (a 0-d array, say)."""
    if isinstance(value, tuple | list):
        return tuple(_number(name, v) for v in value)
    if isinstance(value, type) or not (isinstance(value, np.generic) or is_array(value)):
        return float(value) if isinstance(value, Real) and type(value) not in PLAIN else value
    size = 1
    for n in value.shape:
        size *= n
    if size != 1:
        raise ValueError(f"{name} must be one number, not {value!r}")
    return value.item() if hasattr(value, "item") else float(value)


def _lasts(value: Any) -> bool:
    """Whether an option stays what it is, so that it has changed only if there is another."""
    return type(value) in PLAIN or isinstance(value, np.generic)


def hyper_of(group: Mapping[str, Any], names: Iterable[str]) -> SimpleNamespace:
    """Return the options of these names as attributes, numbers as Python's.

    What else is in a group is the user's, whose own rule may read it where it is plain.
    """
    hyper = SimpleNamespace(sparse=False)
    options = vars(hyper)
    options.update({key: value for key, value in group.items() if type(value) in PLAIN})
    for key in names:
        value = group[key]
        options[key] = value if type(value) in PLAIN else _number(key, value)
    return hyper


class Hyper:
    """The options of a group as attributes, kept for as long as none of them changes."""

    def __init__(self, group: Group, values: SimpleNamespace) -> None:
        self.values = values
        self._pick = itemgetter(*(name for name in vars(values) if name in group))
        self._options, self._names = self._pick(group), tuple(group)
        self._lasting = all(
            all(map(_lasts, value)) if type(value) is tuple else _lasts(value)
            for value in self._options
        )

    def still(self, group: Group) -> bool:
        """Whether these are the options of `group` as it is now."""
        try:
            return (
                self._lasting
                and tuple(group) == self._names
                and all(map(is_, self._pick(group), self._options))
            )
        except KeyError:
            return False


class OptionsOfGroups:
    """The options of all groups, kept for as long as none changes; equal ones are one object.

    Attributes
    ----------
    differentiable : bool
        Whether a group asks for steps that gradients flow through.
    """

    def __init__(self) -> None:
        self.differentiable = False
        self._known: list[Hyper] = []
        self._options = Options([], [])

    def renew(self, groups: list[Group], check: Callable[[Group], SimpleNamespace]) -> Options:
        """Return the options as they are now; `check` reads those of a group that have changed."""
        known = self._known
        if len(known) == len(groups) and all(map(Hyper.still, known, groups)):
            return self._options
        kept: list[Hyper | None] = [*known, *[None] * (len(groups) - len(known))]
        self._known = [
            hyper if hyper is not None and hyper.still(group) else Hyper(group, check(group))
            for hyper, group in zip(kept, groups, strict=False)
        ]
        values: list[SimpleNamespace] = []
        numbers: dict[Any, int] = {}
        of_group = []
        for hyper in self._known:
            number = numbers.setdefault(_key(hyper.values), len(values))
            if number == len(values):
                values.append(hyper.values)
            of_group.append(number)
        self.differentiable = any(hyper.differentiable for hyper in values)
        self._options = Options(values, of_group)
        return self._options


def _key(hyper: SimpleNamespace) -> Any:
    """The same for options that a rule cannot tell apart: 1 and 1.0 it can."""
    options = vars(hyper)
    key = (*options, *options.values(), *map(type, options.values()))
    try:
        hash(key)
    except TypeError:
        return id(hyper)
    return key
