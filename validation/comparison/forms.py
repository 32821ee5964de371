"""The forms in which people write a step, by the names of its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

from optimkit.validation.comparison.protocols.signatures import parameters_of

PARAM, GRAD, STATE, STEP = ROLES = ("param", "grad", "state", "step")
# What people call the arguments of a step.
NAMES = {
    PARAM: ("param", "params", "parameter", "parameters", "p", "w", "weight", "weights", "x",
            "theta"),
    GRAD: ("grad", "grads", "gradient", "gradients", "g", "dw", "dx", "dtheta"),
    STATE: ("state", "states", "opt_state", "s", "cache", "memory", "slots"),
    STEP: ("step", "t", "k", "i", "iteration", "iter", "count", "step_count"),
}  # fmt: skip
CONFIGS = ("config", "cfg", "conf")


def role_of(name: str) -> str | None:
    """What an argument of this name is."""
    return next((role for role, names in NAMES.items() if name.lower() in names), None)


def roles_of(arguments: Collection[str]) -> list[str] | None:
    """What each of several arguments is; None if one is not known, or two are the same."""
    found = [role for name in arguments if (role := role_of(name))]
    return found if len({*found}) == len(arguments) else None


def order_of(arguments: Collection[str]) -> list[int] | None:
    """Where each argument stands among `ROLES`, if all names are known."""
    found = roles_of(arguments)
    return [ROLES.index(role) for role in found] if found else None


def required(function: Callable[..., Any]) -> list[str]:
    """The arguments that have no default."""
    return [
        p.name
        for p in parameters_of(function).values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]


class SteppedFunction:
    """A function ``(params, grads, state)`` or ``(params, grads)``, in any order, as an object.

    Its options are attributes.
    """

    def __init__(
        self, function: Callable[..., Any], roles: list[str], empty: Any, options: Mapping[str, Any]
    ) -> None:
        self._function, self._roles, self._options = function, roles, [*options]
        self._state, self._begun, self._count = empty, False, 0
        vars(self).update(options)

    def update(self, params: Any, grads: Any) -> Any:
        """Take a step; return what is new, or None if it was done in place."""
        if not self._begun and hasattr(self._function, "init"):
            self._state = self._function.init(params)
        self._begun, self._count = True, self._count + 1
        given = {PARAM: params, GRAD: grads, STATE: self._state, STEP: self._count}
        options = {name: getattr(self, name) for name in self._options}
        result = self._function(*(given[role] for role in self._roles), **options)
        if STATE in self._roles and isinstance(result, tuple) and len(result) == 2:
            result, self._state = result
        return result


def stepping(function: Callable[..., Any], roles: list[str]) -> Iterator[Callable[..., Any]]:
    """What makes such objects, with each kind of empty state."""
    for empty in (dict, lambda: None) if STATE in roles else (dict,):

        def make(*, _empty: Any = empty, **options: Any) -> SteppedFunction:
            return SteppedFunction(function, roles, _empty(), options)

        yield make


class SentGenerator:
    """A generator that is sent gradients, as an object."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator
        next(generator)

    def step(self, grads: Any) -> Any:
        """Take a step."""
        return self._generator.send(grads)


def sending(function: Callable[..., Any]) -> Callable[..., Any]:
    """What makes such objects of a function ``(params, ...)`` that yields."""

    def make(params: Any, **options: Any) -> SentGenerator:
        return SentGenerator(function(params, **options))

    return make


class _Config(dict[str, Any]):
    """The options and the state of a parameter in one, as the courses have it."""

    given: Mapping[str, Any] = {}


def of_config(thing: Any, options: Collection[str]) -> Callable[..., Any] | None:
    """A function ``(w, dw, config) -> (w, config)`` as one of one step; None if it is none.

    Its options are those of `options` that it puts into an empty `config`.
    """
    names = [*parameters_of(thing)]
    if len(names) != 3 or names[2] not in CONFIGS or roles_of(names[:2]) != [PARAM, GRAD]:
        return None
    try:
        config = thing(np.ones(2), np.ones(2), {})[1]
        defaults = {k: v for k, v in config.items() if k in options and isinstance(v, int | float)}
    except Exception:  # what is wrong is said where it is tried
        defaults = {}

    def step(param: Any, grad: Any, state: Any, step: int, **given: Any) -> Any:
        changed = {k: v for k, v in given.items() if getattr(state, "given", {}).get(k) != v}
        new, config = thing(param, grad, {**state, **changed})
        kept = _Config(config)
        kept.given = given
        return new, kept

    arguments = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in ROLES]
    arguments += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value)
        for name, value in defaults.items()
    ]
    step.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    step.__name__ = getattr(thing, "__name__", "step")
    return step
