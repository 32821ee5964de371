"""Candidates that people write by hand: a function of one step, and a class with a method."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.comparison import libraries
from optimkit.validation.comparison.candidates import (
    ABSENT,
    GROUPS,
    RATE_NAMES,
    RATES,
    RESUME,
    Candidate,
    Going,
    Steps,
    Unusable,
    visible,
)
from optimkit.validation.comparison.libraries import Array, made, read


class Zeros(dict[str, Any]):
    """A state that has zeros for whatever is asked of it first."""

    def __init__(self, like: Any) -> None:
        super().__init__()
        self.like = like

    def __missing__(self, name: str) -> Any:
        self[name] = self.like * 0
        return self[name]


def _failure(error: Exception | None) -> str:
    said = str(error) if isinstance(error, Unusable) else f"{type(error).__name__}: {error}"
    return f"its first steps failed: {said}"


class _GoingFunction(Going):
    def __init__(self, maker: Function, params: list[Array], groups: list[list[int]]) -> None:
        self.maker, self.library = maker, maker.library
        with libraries.in_double(self.library):
            self.params = [made(p, self.library) for p in params]
            self.states = [maker.state(p) for p in self.params]
        self.steps = [0] * len(params)
        self.factors = [
            next(k + 1 for k, g in enumerate(groups) if i in g) for i in range(len(params))
        ]

    def step(self, grads: list[Array | None], rate: float) -> None:
        for i, grad in enumerate(grads):
            if grad is None:
                continue
            self.steps[i] += 1
            options = dict(self.maker.options)
            if self.maker.rate:
                options[self.maker.rate] *= self.factors[i] * rate
            with libraries.in_double(self.library):
                result = self.maker.make(
                    self.params[i],
                    made(grad, self.library),
                    self.states[i],
                    self.steps[i],
                    **options,
                )
            if not (isinstance(result, tuple) and len(result) == 2):
                raise Unusable(
                    f"it returned a {type(result).__name__}; it should return (param, state)"
                )
            self.params[i], self.states[i] = result

    def values(self) -> list[Steps]:
        held = []
        for param, state in zip(self.params, self.states, strict=True):
            value = read(param)
            parts = state if isinstance(state, Mapping) else {}
            held.append({"param": value} | visible(parts, value.shape))
        return held

    def resumed(self) -> Going:
        return copy.deepcopy(self)


class Function(Candidate):
    """A function ``(param, grad, state, step) -> (param, state)``."""

    kind = "a function of one step"

    def __init__(self, make: Callable[..., Any], options: Mapping[str, Any]) -> None:
        super().__init__(make, options)
        self.rate = next((name for name in RATE_NAMES if name in options), None)
        self.can = frozenset({ABSENT, RESUME} | ({RATES, GROUPS} if self.rate else set()))
        self.library, self.state = self._tried()

    def _tried(self) -> tuple[str, Callable[[Any], Any]]:
        """The first library and the first kind of empty state with which it runs."""
        first: Exception | None = None
        array = np.array([0.5, -0.25, 2.0], np.float32)
        empty: Callable[[Any], Any] = getattr(self.make, "init", lambda p: {})
        kinds: list[Callable[[Any], Any]] = [empty, Zeros, lambda p: None]
        for library in libraries.loaded():
            for state in kinds:
                try:
                    self.library, self.state = library, state
                    going = _GoingFunction(self, [array], [[0]])
                    for _ in range(2):
                        going.step([array], 1.0)
                    shape = going.values()[0]["param"].shape
                    if shape == array.shape:
                        own = libraries.library_of(going.params[0])  # of what it made of it
                        return own if own in libraries.LIBRARIES else library, state
                    first = first or Unusable(f"a parameter of shape (3,) became one of {shape}")
                except Unusable:
                    raise
                except Exception as error:
                    first = first or error
        raise Unusable(_failure(first)) from first

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        return _GoingFunction(self, params, groups)


LIST, NAMES, ONE = "lists", "mappings by name", "one array an object"  # what it is called with
METHODS = ("step", "update", "update_params", "apply_gradients", "apply", "__call__")
MOMENTS = {"m": "exp_avg", "v": "exp_avg_sq", "ms": "exp_avg", "vs": "exp_avg_sq"}


def _packed(arrays: list[Any], form: str) -> Any:
    if form == NAMES:
        return {f"p{i}": array for i, array in enumerate(arrays)}
    return arrays if form == LIST else arrays[0]


def _unpacked(held: Any) -> list[Any]:
    if isinstance(held, dict):
        return [*held.values()]
    return [*held] if isinstance(held, list | tuple) else [held]


class _GoingObject(Going):
    """An object with ``step`` or ``update``, which changes arrays in place or returns new ones."""

    def __init__(self, maker: Handwritten, params: list[Array]) -> None:
        self.maker, self.library, self.count = maker, maker.library, len(params)
        with libraries.in_double(self.library):
            self.params = _packed([maker.parameter(p) for p in params], maker.form)
            first = (self.params,) if maker.takes_params else ()
            self.object = maker.make(*first, **maker.options)
        self.method = next(
            getattr(self.object, name) for name in METHODS if hasattr(self.object, name)
        )
        held = {name: getattr(self.object, name, None) for name in RATE_NAMES[:4]}
        self.rates = {name: rate for name, rate in held.items() if isinstance(rate, float)}

    def step(self, grads: list[Array | None], rate: float) -> None:
        for name, first in self.rates.items():
            setattr(self.object, name, first * rate)
        with libraries.in_double(self.library):
            given = [None if g is None else made(g, self.library) for g in grads]
            result = self._called(given)
        if isinstance(result, tuple) and len(result) == 2 and type(result[0]) is type(self.params):
            result = result[0]
        alike = isinstance(result, list | tuple | dict) is (self.maker.form != ONE)
        if result is not None and alike and len(_unpacked(result)) == self.count:
            self.params = result

    def _called(self, grads: list[Any]) -> Any:
        if self.maker.arguments == 0:
            for param, grad in zip(_unpacked(self.params), grads, strict=True):
                param.grad = grad
            return self.method()
        given = _packed(grads, self.maker.form)
        return self.method(*([self.params, given] if self.maker.arguments == 2 else [given]))

    def values(self) -> list[Steps]:
        params = _unpacked(self.params)
        if self.maker.takes_params and self.maker.arguments == 1:  # it may keep a list of its own
            own = getattr(self.object, "params", None)
            params = own if isinstance(own, list) and len(own) == len(params) else params
        held = [{"param": read(p.data if isinstance(p, ok.Parameter) else p)} for p in params]
        for name, column in vars(self.object).items():
            rows = _unpacked(column)
            named = MOMENTS.get(name.strip("_"), name)
            if len(rows) == len(held) and named not in ("params", "param"):
                for steps, value in zip(held, rows, strict=True):
                    steps |= visible({named: value}, steps["param"].shape)
        return held


class _GoingObjects(Going):
    """One object for each parameter."""

    def __init__(self, each: list[_GoingObject]) -> None:
        self.each, self.library = each, each[0].library
        self.method, self.rates = each[0].method, each[0].rates

    def step(self, grads: list[Array | None], rate: float) -> None:
        for going, grad in zip(self.each, grads, strict=True):
            going.step([grad], rate)

    def values(self) -> list[Steps]:
        return [steps for going in self.each for steps in going.values()]


class Handwritten(Candidate):
    """A class with ``step(grads)`` or ``update(params, grads)``."""

    kind = "a class with a step"

    def __init__(self, make: Callable[..., Any], options: Mapping[str, Any]) -> None:
        super().__init__(make, options)
        required = _required(make)
        self.takes_params = any(name not in options for name in required)
        self._try()

    def parameter(self, array: Array) -> Any:
        """A parameter of its library; one that can have a gradient, if that is where it looks."""
        if self.library == "numpy":
            return ok.Parameter(np.array(array)) if self.arguments == 0 else np.array(array)
        return made(array, self.library)

    def _try(self) -> None:
        """Find the library, and what it is called with."""
        first: Exception | None = None
        array = np.array([0.5, -0.25, 2.0], np.float32)
        for library in libraries.loaded():
            for form in (LIST, NAMES, ONE):
                self.library, self.form, self.arguments = library, form, 1
                try:
                    self.arguments = len(_required(self.start([array, array], [[0, 1]]).method))
                    going = self.start([array, array], [[0, 1]])
                    going.step([array, array], 1.0)
                    values = going.values()
                    if any((v["param"] != array).any() for v in values):
                        self.can = frozenset({RATES} if going.rates else ())
                        return
                    first = first or Unusable("a step left the parameters as they were")
                except StopIteration:
                    names = ", ".join(METHODS[:-1])
                    raise Unusable(f"it has no method of {names}") from None
                except Exception as error:
                    first = first or error
        raise Unusable(_failure(first)) from first

    def start(self, params: list[Array], groups: list[list[int]]) -> _GoingObject | _GoingObjects:
        if self.form == ONE:
            return _GoingObjects([_GoingObject(self, [p]) for p in params])
        return _GoingObject(self, params)


def _required(function: Callable[..., Any]) -> list[str]:
    """The arguments that have no default."""
    return [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
