"""Candidates that people write by hand: a function of one step, and a class with a method."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.compare import libraries
from optimkit.validation.compare.candidates import (
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
from optimkit.validation.compare.libraries import Array, made, read


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


class _GoingObject(Going):
    """An object with ``step`` or ``update``, which changes arrays in place or returns new ones."""

    def __init__(self, maker: Handwritten, params: list[Array]) -> None:
        self.maker, self.library = maker, maker.library
        with libraries.in_double(self.library):
            self.params: Any = [maker.parameter(p) for p in params]
            if maker.named:
                self.params = {f"p{i}": p for i, p in enumerate(self.params)}
            first = (self.params,) if maker.takes_params else ()
            self.object = maker.make(*first, **maker.options)
        self.method = next(
            getattr(self.object, name) for name in METHODS if hasattr(self.object, name)
        )
        self.rate: Any = getattr(self.object, "lr", None)

    def step(self, grads: list[Array | None], rate: float) -> None:
        if rate != 1:
            self.object.lr = self.rate * rate
        with libraries.in_double(self.library):
            given: Any = [None if g is None else made(g, self.library) for g in grads]
            if self.maker.named:
                given = {f"p{i}": g for i, g in enumerate(given)}
            result = self._called(given)
        if isinstance(result, tuple) and len(result) == 2 and type(result[0]) is type(self.params):
            result = result[0]
        if isinstance(result, list | tuple | dict) and len(result) == len(self.params):
            self.params = result

    def _called(self, grads: Any) -> Any:
        if self.maker.arguments == 2:
            return self.method(self.params, grads)
        if self.maker.arguments == 1:
            return self.method(grads)
        for param, grad in zip(self.params, grads, strict=True):
            param.grad = grad
        return self.method()

    def values(self) -> list[Steps]:
        params = self.params.values() if isinstance(self.params, dict) else self.params
        if self.maker.takes_params and self.maker.arguments == 1:  # it may keep a list of its own
            own = getattr(self.object, "params", None)
            params = own if isinstance(own, list) and len(own) == len(params) else params
        held = [
            {"param": read(getattr(p, "data", p) if isinstance(p, ok.Parameter) else p)}
            for p in params
        ]
        for name, column in vars(self.object).items():
            rows = [*column.values()] if isinstance(column, dict) else column
            if isinstance(rows, list) and len(rows) == len(held) and rows is not params:
                for steps, value in zip(held, rows, strict=True):
                    named = NAMES.get(name.strip("_"), name)
                    if named != "params":
                        steps |= visible({named: value}, steps["param"].shape)
        return held


METHODS = ("step", "update", "apply_gradients", "apply", "__call__")
NAMES = {"m": "exp_avg", "v": "exp_avg_sq", "ms": "exp_avg", "vs": "exp_avg_sq"}


class Handwritten(Candidate):
    """A class with ``step(grads)`` or ``update(params, grads)``."""

    kind = "a class with a step"

    def __init__(self, make: Callable[..., Any], options: Mapping[str, Any]) -> None:
        super().__init__(make, options)
        positional = [
            p
            for p in inspect.signature(make).parameters.values()
            if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        self.takes_params = len([p for p in positional if p.name not in options]) > 0
        self.can = frozenset()
        self._try()

    def parameter(self, array: Array) -> Any:
        """A parameter of its library; one that can have a gradient, if that is where it looks."""
        if self.library == "numpy":
            return ok.Parameter(np.array(array)) if self.arguments == 0 else np.array(array)
        return made(array, self.library)

    def _try(self) -> None:
        """Find the library, and whether parameters and gradients come in lists or by name."""
        first: Exception | None = None
        array = np.array([0.5, -0.25, 2.0], np.float32)
        for library in libraries.loaded():
            for named in (False, True):
                self.library, self.named, self.arguments = library, named, 1
                try:
                    going = self.start([array, array], [[0, 1]])
                    self.arguments = len(
                        [
                            p
                            for p in inspect.signature(going.method).parameters.values()
                            if p.default is p.empty and p.kind is not p.VAR_KEYWORD
                        ]
                    )
                    if self.arguments == 0:
                        going = self.start([array, array], [[0, 1]])
                    going.step([array, array], 1.0)
                    values = going.values()
                    if any((v["param"] != array).any() for v in values):
                        self.can |= {RATES} if isinstance(going.rate, float) else set()
                        return
                    first = first or Unusable("a step left the parameters as they were")
                except StopIteration:
                    names = ", ".join(METHODS[:-1])
                    raise Unusable(f"it has no method of {names}") from None
                except Exception as error:
                    first = first or error
        raise Unusable(_failure(first)) from first

    def start(self, params: list[Array], groups: list[list[int]]) -> _GoingObject:
        return _GoingObject(self, params)
