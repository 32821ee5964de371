"""Rules as pure functions over nested containers of arrays of any library, JAX's included."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from inspect import Parameter, Signature, signature
from pkgutil import iter_modules
from typing import Any

from optimkit import algorithms
from optimkit.functional.transformation import OF_CLASSES, Transformation
from optimkit.naming import naming
from optimkit.rule import Rule


def of(rule: type[Rule], /, **options: Any) -> Transformation:
    """Return a rule as functions.

    Parameters
    ----------
    rule : type
        A subclass of :class:`optimkit.Optimizer` with an `update` of its own.
    **options
        Arguments of its constructor: numbers; or arrays without a value yet, inside
        ``jax.jit``, ``jax.vmap`` or ``torch.func.vmap``; or functions of the number of steps taken.
    """
    if not (isinstance(rule, type) and issubclass(rule, Rule)):
        raise TypeError(f"of takes the class of an optimizer, not {rule!r}")
    if (reason := objection(rule)) is not None:
        raise TypeError(f"{rule.__name__} is no function of gradients: {reason}")
    if chosen := [name for name in OF_CLASSES if name in options]:
        raise TypeError(
            f"{rule.__name__}: {chosen[0]} chooses how an optimizer of arrays steps; "
            "a rule as functions has no such option"
        )
    return Transformation(rule, options)


def objection(rule: type[Rule]) -> str | None:
    """Why a rule cannot be had as functions, or None."""
    if rule.needs_sparse:
        return "its gradients are sparse; adam takes dense ones"
    if hasattr(rule, "minimize"):
        return "its step evaluates the loss again; use the class, with step(closure)"
    if rule.update is Rule.update:
        return "it defines no update(xp, param, grad, state, hyper, step)"
    return None


@cache
def rules() -> dict[str, type[Rule]]:
    """Every rule of the library, by the lower-case name of its class."""
    found = {}
    for module in iter_modules(algorithms.__path__):
        full = f"{algorithms.__name__}.{module.name}"
        for name, value in vars(import_module(full)).items():
            if isinstance(value, type) and issubclass(value, Rule) and value.__module__ == full:
                found[name.lower()] = value
    return found


@cache
def _function_of(name: str) -> Callable[..., Transformation]:
    rule = rules()[name]

    def function(*args: Any, **options: Any) -> Transformation:
        with naming(name):
            bound = function.__signature__.bind(*args, **options)  # type: ignore[attr-defined]
        return of(rule, **bound.arguments)

    params = [
        x
        for x in signature(rule).parameters.values()
        if x.name not in ("params", *OF_CLASSES) and x.kind is not Parameter.VAR_KEYWORD
    ]
    function.__signature__ = Signature(params)  # type: ignore[attr-defined]
    function.__name__ = function.__qualname__ = name
    function.__module__ = __name__
    function.__doc__ = f"""Return the rule of :class:`optimkit.{rule.__name__}` as functions.

    Parameters
    ----------
    {", ".join(x.name for x in params)}
        As for the class; a function of the number of steps taken does for a number.

    Returns
    -------
    Transformation
    """
    return function


def __getattr__(name: str) -> Any:
    """The function of each rule, made when it is first named."""
    if name not in rules():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if (reason := objection(rules()[name])) is not None:
        raise AttributeError(f"{rules()[name].__name__} is no function of gradients: {reason}")
    return _function_of(name)


def __dir__() -> list[str]:
    return ["Transformation", "of", *(name for name in rules() if objection(rules()[name]) is None)]
