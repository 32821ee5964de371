"""Candidates that people write by hand as a class with a method, or what one can be made of."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.comparison import libraries
from optimkit.validation.comparison.candidates import (
    ABSENT,
    RATE_NAMES,
    RATES,
    Candidate,
    Going,
    Steps,
    Unusable,
    visible,
)
from optimkit.validation.comparison.forms import GRAD, PARAM, STEP, required, roles_of
from optimkit.validation.comparison.functions import TRIALS, failure
from optimkit.validation.comparison.libraries import Array, made, read

LIST, NAMES, ONE = "lists", "mappings by name", "one array an object"  # what it is called with
SIZES = (["n"], ["size"], ["dim"], ["n_params"], ["num_params"])  # made for so many numbers
METHODS = ("step", "update", "update_params", "apply_gradients", "apply", "__call__")
OWN = "The parameters were read from its attribute params; the arrays that it was given were not "
OWN += "changed."
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
        self.shapes = [p.shape for p in params]
        with libraries.in_double(self.library):
            self.params = _packed([maker.parameter(self._flat(p)) for p in params], maker.form)
            first = self.params.size if maker.sized else self.params
            self.object = maker.make(*([first] if maker.takes_params else []), **maker.options)
        self.steps = 0
        self.method = self.object
        if not inspect.isfunction(self.object):
            self.method = next(
                getattr(self.object, name) for name in METHODS if hasattr(self.object, name)
            )
        held = {name: getattr(self.object, name, None) for name in RATE_NAMES[:4]}
        self.rates = {name: rate for name, rate in held.items() if isinstance(rate, float)}

    def step(self, grads: list[Array | None], rate: float) -> None:
        self.steps += 1
        for name, first in self.rates.items():
            setattr(self.object, name, first * rate)
        with libraries.in_double(self.library):
            given = [None if g is None else made(self._flat(g), self.library) for g in grads]
            result = self._called(given)
        self.maker.check_gradients(given, [None if g is None else self._flat(g) for g in grads])
        if isinstance(result, tuple) and len(result) == 2 and type(result[0]) is type(self.params):
            result = result[0]
        alike = isinstance(result, list | tuple | dict) is (self.maker.form != ONE)
        if result is not None and alike and len(_unpacked(result)) == self.count:
            self.params = result

    def _flat(self, array: Array) -> Array:
        return array.ravel() if self.maker.sized else array

    def _called(self, grads: list[Any]) -> Any:
        if not self.maker.arguments:
            for param, grad in zip(_unpacked(self.params), grads, strict=True):
                param.grad = grad
            return self.method()
        given = _packed(grads, self.maker.form)
        if self.maker.form == NAMES:
            given = {name: grad for name, grad in given.items() if grad is not None}
        known = {PARAM: self.params, GRAD: given, STEP: self.steps}
        return self.method(*(known[role] for role in self.maker.arguments))

    def values(self) -> list[Steps]:
        params = _unpacked(self.params)
        if self.maker.takes_params and len(self.maker.arguments) == 1:  # it may keep its own list
            own = getattr(self.object, "params", None)
            if isinstance(own, list) and len(own) == len(params) and own is not self.params:
                if any(x is not y for x, y in zip(own, params, strict=True)):
                    self.maker.remark(OWN)
                params = own
        arrays = [read(p.data if isinstance(p, ok.Parameter) else p) for p in params]
        if self.maker.sized:
            arrays = [x.reshape(shape) for x, shape in zip(arrays, self.shapes, strict=True)]
        held = [{"param": x} for x in arrays]
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

    def __init__(
        self,
        make: Callable[..., Any],
        options: Mapping[str, Any],
        forms: tuple[str, ...] = (LIST, NAMES, ONE),
    ) -> None:
        super().__init__(make, options)
        first = [name for name in required(make) if name not in options][:1]
        self.takes_params, self.sized = bool(first), first in SIZES
        self.forms = (ONE,) if self.sized else forms
        self._try()

    def parameter(self, array: Array) -> Any:
        """A parameter of its library; one that can have a gradient, if that is where it looks."""
        if self.library == "numpy":
            return ok.Parameter(np.array(array)) if not self.arguments else np.array(array)
        return made(array, self.library)

    def _try(self) -> None:
        """Find the library, and what it is called with."""
        first: Exception | None = None
        for array, library, form in product(TRIALS, libraries.loaded(), self.forms):
            self.library, self.form, self.arguments = library, form, [GRAD]
            try:
                method = self.start([array, array], [[0, 1]]).method
                self.arguments = _arguments(required(method))
                going = self.start([array, array], [[0, 1]])
                going.step([array, array], 1.0)
                if any((v["param"] != array).any() for v in going.values()):
                    self._settle(going)
                    return
                first = first or Unusable("a step left the parameters as they were")
            except StopIteration:
                names = ", ".join(METHODS[:-1])
                raise Unusable(f"it has no method of {names}") from None
            except Exception as error:
                first = first or error
        raise Unusable(failure(first)) from first

    def _settle(self, going: _GoingObject | _GoingObjects) -> None:
        """Say what it is and can, now that it has taken a step."""
        if inspect.isfunction(going.method):
            self.kind = "a function that makes a step"
        rates = {RATES} if going.rates else set()
        self.can = frozenset(rates | ({ABSENT} if self.form == NAMES and self.arguments else set()))

    def start(self, params: list[Array], groups: list[list[int]]) -> _GoingObject | _GoingObjects:
        if self.form == ONE:
            return _GoingObjects([_GoingObject(self, [p]) for p in params])
        return _GoingObject(self, params)


def _arguments(names: list[str]) -> list[str]:
    """What a method is called with: by its names if all are known, or else by their number."""
    roles = roles_of(names)
    if roles and GRAD in roles and {*roles} <= {PARAM, GRAD, STEP}:
        return roles
    return [[], [GRAD], [PARAM, GRAD]][len(names)] if len(names) < 3 else [GRAD]
