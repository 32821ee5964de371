"""Optimizers of JAX: optax transformations, and triples of functions."""

from __future__ import annotations

from typing import Any

from optimkit.validation.comparison import libraries
from optimkit.validation.comparison.candidates import RESUME, Candidate, Going, Steps, visible
from optimkit.validation.comparison.libraries import Array, made, read


class _GoingTransformation(Going):
    library = "jax"

    def __init__(self, transformation: Any, params: list[Array]) -> None:
        import jax

        self.transformation = transformation
        with libraries.in_double("jax"):
            self.params = [made(p, "jax") for p in params]
            self.state = transformation.init(self.params)

        self.compiled = jax.jit(self._stepped)

    def _stepped(self, grads: Any, state: Any, params: Any) -> Any:
        updates, state = self.transformation.update(grads, state, params)
        return [p + u for p, u in zip(params, updates, strict=True)], state

    def step(self, grads: list[Array | None], rate: float) -> None:
        with libraries.in_double("jax"):
            given = [made(g, "jax") for g in grads if g is not None]
            self.params, self.state = self.compiled(given, self.state, self.params)

    def values(self) -> list[Steps]:
        held = [{"param": read(p)} for p in self.params]
        for part in _parts(self.state):
            for name, column in part._asdict().items():
                if isinstance(column, list) and len(column) == len(held):
                    for steps, value in zip(held, column, strict=True):
                        steps |= visible({OPTAX.get(name, name): value}, steps["param"].shape)
        return held

    def resumed(self) -> Going:
        other = _GoingTransformation(self.transformation, [read(p) for p in self.params])
        other.state = self.state
        return other


OPTAX = {"mu": "exp_avg", "nu": "exp_avg_sq", "trace": "momentum_buffer"}


def _parts(state: Any) -> list[Any]:
    if hasattr(state, "_asdict"):
        return [state]
    return [part for item in state for part in _parts(item)] if isinstance(state, tuple) else []


class Transform(Candidate):
    """An optax GradientTransformation."""

    kind, can = "an optax transformation", frozenset({RESUME})

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        return _GoingTransformation(self.make(**self.options), params)


# ---------------------------------------------------------------- init, update and get_params


class _GoingTriple(Going):
    library = "jax"

    def __init__(self, triple: Any, state: Any) -> None:
        import jax

        self.triple, self.state, self.steps = triple, state, 0
        self.update = jax.jit(triple[1])

    def step(self, grads: list[Array | None], rate: float) -> None:
        given = [made(g, "jax") for g in grads if g is not None]
        self.state = self.update(self.steps, given, self.state)
        self.steps += 1

    def values(self) -> list[Steps]:
        return [{"param": read(p)} for p in self.triple[2](self.state)]

    def resumed(self) -> Going:
        other = _GoingTriple(self.triple, self.state)
        other.steps = self.steps
        return other


class Triple(Candidate):
    """Functions ``init(params)``, ``update(i, grads, state)`` and ``get_params(state)``.

    As `jax.example_libraries.optimizers` has them; `i` counts from 0.
    """

    kind, can = "a triple of JAX functions", frozenset({RESUME})

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        with libraries.in_double("jax"):
            triple = self.make(**self.options)
            return _GoingTriple(triple, triple[0]([made(p, "jax") for p in params]))
