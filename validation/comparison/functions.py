"""Candidates that are a function of one step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np

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
    place_of,
    visible,
)
from optimkit.validation.comparison.forms import ROLES, STATE, order_of
from optimkit.validation.comparison.libraries import Array, made, read

# What candidates are tried on first: some take matrices alone.
TRIALS = tuple(np.array(x, np.float32) for x in ([0.5, -0.25, 2], [[0.5, -0.25, 2], [1, 3, -2]]))


class Zeros(dict[str, Any]):
    """A state that has zeros for whatever is asked of it first."""

    def __init__(self, like: Any) -> None:
        super().__init__()
        self.like = like

    def __missing__(self, name: str) -> Any:
        self[name] = self.like * 0
        return self[name]


def failure(error: Exception | None) -> str:
    """What is said of a candidate whose first steps failed."""
    if error is None or isinstance(error, Unusable):
        return f"its first steps failed: {error}"
    said = f"its first steps failed: {type(error).__name__}: {error}{place_of(error)}"
    if isinstance(error, KeyError):
        said += "; its state is empty at first: write state.get('m', 0) in place of state['m'], and"
        said += " around a function that is compiled, step(param, grad, state or {'m': 0 * param}"
        said += ", t)"
    if isinstance(error, TypeError) and "required positional argument" in str(error):
        name = str(error).partition(".__init__")[0].rpartition(".")[2]
        said += "; give what else it needs in a function, such as "
        said += f"def made(params, lr): return {name}(params, 100, lr)"
    return said


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
                given = made(grad, self.library)
                roles = (self.params[i], given, self.states[i], self.steps[i])
                result = self.maker.make(*(roles[k] for k in self.maker.order), **options)
                self.maker.check_gradients([given], [grad])
            if ROLES.index(STATE) not in self.maker.order:
                result = result, self.states[i]
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
    """A function ``(param, grad, state, step) -> (param, state)``.

    Where all of its arguments have names that are known, they may come in another order, and state
    and step may be missing.
    """

    kind = "a function of one step"

    def __init__(
        self, make: Callable[..., Any], options: Mapping[str, Any], arguments: list[str]
    ) -> None:
        super().__init__(make, options)
        self.rate = next((name for name in RATE_NAMES if name in options), None)
        self.can = frozenset({ABSENT, RESUME} | ({RATES, GROUPS} if self.rate else set()))
        order = order_of(arguments)
        self.order = order or [*range(len(ROLES))]
        if order is None:
            self.kind += f", called with ({', '.join(ROLES)}) as its ({', '.join(arguments)})"
        self.library, self.state = self._tried()

    def lacks(self, need: str) -> str:
        return "it takes no lr"

    def _tried(self) -> tuple[str, Callable[[Any], Any]]:
        """The first library and the first kind of empty state with which it runs."""
        first: Exception | None = None
        called = self.kind.partition(",")[2]
        how = f"; it was{called}" if called else ""
        empty: Callable[[Any], Any] = getattr(self.make, "init", lambda p: {})
        kinds: list[Callable[[Any], Any]] = [empty, Zeros, lambda p: None]
        for array, library, state in product(TRIALS, libraries.loaded(), kinds):
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
            except Unusable as error:
                raise Unusable(f"{error}{how}") from error
            except Exception as error:
                first = first or error
        raise Unusable(failure(first) + how) from first

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        return _GoingFunction(self, params, groups)
