"""Optimizers of JAX: optax transformations, and triples of functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from optimkit.validation.comparison import libraries
from optimkit.validation.comparison.candidates import (
    RATE_NAMES,
    RATES,
    RESUME,
    Candidate,
    Going,
    Steps,
    visible,
)
from optimkit.validation.comparison.libraries import Array, made, read


class _OfFunctions(Candidate):
    """What is made of its options alone, its learning rate among them, and made anew for another.

    What it has collected so far goes on in what is made anew, as with a schedule.
    """

    def __init__(self, make: Callable[..., Any], options: Mapping[str, Any]) -> None:
        super().__init__(make, options)
        known = (name for name in RATE_NAMES[:-2] if isinstance(options.get(name), float | int))
        self.rate = next(known, "")
        self.can = frozenset({RESUME, *({RATES} if self.rate else ())})

    def at(self, rate: float) -> Any:
        """It, with so many times its learning rate."""
        if rate == 1:
            return self.make(**self.options)
        return self.make(**self.options | {self.rate: self.options[self.rate] * rate})


class _GoingTransformation(Going):
    library = "jax"

    def __init__(self, maker: Transform, params: list[Array]) -> None:
        self.maker, self.compiled = maker, cache(self._compiled)
        with libraries.in_double("jax"):
            self.params = [made(p, "jax") for p in params]
            self.state = maker.at(1).init(self.params)

    def _compiled(self, rate: float) -> Any:
        import jax

        transformation = self.maker.at(rate)

        def stepped(grads: Any, state: Any, params: Any) -> Any:
            updates, state = transformation.update(grads, state, params)
            return [p + u for p, u in zip(params, updates, strict=True)], state

        return jax.jit(stepped)

    def step(self, grads: list[Array | None], rate: float) -> None:
        with libraries.in_double("jax"):
            given = [made(g, "jax") for g in grads if g is not None]
            self.params, self.state = self.compiled(rate)(given, self.state, self.params)

    def values(self) -> list[Steps]:
        held = [{"param": read(p)} for p in self.params]
        for part in _parts(self.state):
            for name, column in part._asdict().items():
                if isinstance(column, list) and len(column) == len(held):
                    for steps, value in zip(held, column, strict=True):
                        steps |= visible({OPTAX.get(name, name): value}, steps["param"].shape)
        return held

    def resumed(self) -> Going:
        other = _GoingTransformation(self.maker, [read(p) for p in self.params])
        other.state = self.state
        return other


OPTAX = {"mu": "exp_avg", "nu": "exp_avg_sq", "trace": "momentum_buffer"}


def _parts(state: Any) -> list[Any]:
    if hasattr(state, "_asdict"):
        return [state]
    return [part for item in state for part in _parts(item)] if isinstance(state, tuple) else []


class Transform(_OfFunctions):
    """An optax GradientTransformation."""

    kind = "an optax transformation"

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        return _GoingTransformation(self, params)


# ---------------------------------------------------------------- init, update and get_params


class _GoingTriple(Going):
    library = "jax"

    def __init__(self, maker: Triple, state: Any) -> None:
        self.maker, self.state, self.steps = maker, state, 0
        self.update, self.params = cache(self._compiled), maker.at(1)[2]

    def _compiled(self, rate: float) -> Any:
        import jax

        return jax.jit(self.maker.at(rate)[1])

    def step(self, grads: list[Array | None], rate: float) -> None:
        given = [made(g, "jax") for g in grads if g is not None]
        self.state = self.update(rate)(self.steps, given, self.state)
        self.steps += 1

    def values(self) -> list[Steps]:
        return [{"param": read(p)} for p in self.params(self.state)]

    def resumed(self) -> Going:
        other = _GoingTriple(self.maker, self.state)
        other.steps = self.steps
        return other


class Triple(_OfFunctions):
    """Functions ``init(params)``, ``update(i, grads, state)`` and ``get_params(state)``.

    As `jax.example_libraries.optimizers` has them; `i` counts from 0.
    """

    kind = "a triple of JAX functions"

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        with libraries.in_double("jax"):
            return _GoingTriple(self, self.at(1)[0]([made(p, "jax") for p in params]))
