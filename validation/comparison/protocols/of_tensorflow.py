"""Optimizers of Keras 3, over any of its backends, and TensorFlow's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from optimkit.validation.comparison import libraries
from optimkit.validation.comparison.candidates import (
    RATE_NAMES,
    RATES,
    Candidate,
    Going,
    Steps,
    visible,
)
from optimkit.validation.comparison.libraries import Array, made, read

MOMENTS = {"_momentums": "exp_avg", "_velocities": "exp_avg_sq", "m": "exp_avg", "v": "exp_avg_sq"}


class _GoingKeras(Going):
    def __init__(self, optimizer: Any, params: list[Array]) -> None:
        import keras  # type: ignore[import-not-found,unused-ignore]

        self.optimizer, self.library = optimizer, keras.backend.backend()
        with libraries.in_double(self.library):
            self.params = [keras.Variable(p, dtype=str(p.dtype)) for p in params]
            self.optimizer.build(self.params)
        self.rate = float(optimizer.learning_rate)

    def step(self, grads: list[Array | None], rate: float) -> None:
        import keras

        if rate != 1:
            self.optimizer.learning_rate = self.rate * rate
        given = [keras.ops.convert_to_tensor(g) for g in grads]
        self.optimizer.apply(given, self.params)

    def values(self) -> list[Steps]:
        held: list[Steps] = [{"param": _of_variable(p)} for p in self.params]
        for name in ("_momentums", "_velocities"):
            column = getattr(self.optimizer, name, None) or []
            for steps, value in zip(held, column, strict=False):
                steps |= visible({MOMENTS[name]: _of_variable(value)}, steps["param"].shape)
        return held


def _of_variable(variable: Any) -> Array:
    return read(variable.value)


class Keras(Candidate):
    """A Keras 3 optimizer."""

    kind, can = "a Keras optimizer", frozenset({RATES})

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        return _GoingKeras(self.make(**self.options), params)


class _GoingTensorFlow(Going):
    library = "tensorflow"

    def __init__(self, maker: TensorFlow, params: list[Array]) -> None:
        self.factor = 1.0
        name = next((name for name in RATE_NAMES if name in maker.options), None)
        options = dict(maker.options)
        if name:
            rate = options[name]
            options[name] = lambda: rate * self.factor  # they ask for it at every step
        self.optimizer = maker.make(**options)
        self.params = [made(p, "tensorflow") for p in params]

    def step(self, grads: list[Array | None], rate: float) -> None:
        import tensorflow  # type: ignore[import-not-found,import-untyped,unused-ignore]

        self.factor = rate
        given = [None if g is None else tensorflow.constant(g) for g in grads]
        self.optimizer.apply_gradients(zip(given, self.params, strict=True))

    def values(self) -> list[Steps]:
        held = []
        for param in self.params:
            value = read(param)
            slots = {n: self.optimizer.get_slot(param, n) for n in self.optimizer.get_slot_names()}
            state = {MOMENTS.get(n, n): np.array(x) for n, x in slots.items() if x is not None}
            held.append({"param": value} | visible(state, value.shape))
        return held


class TensorFlow(Candidate):
    """An optimizer of ``tf.compat.v1.train``."""

    kind, can = "a TensorFlow optimizer", frozenset({RATES})

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        return _GoingTensorFlow(self, params)
