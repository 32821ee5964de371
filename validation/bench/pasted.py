"""Optimizers in plain NumPy, as people paste them into their programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optimkit.validation.bench.workloads import Array

State = dict[str, Any]


def adam(
    params: list[Array],
    grads: list[Array],
    state: State,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    decay: float = 0.0,
) -> None:
    if not state:
        state.update(
            t=0, m=[np.zeros_like(p) for p in params], v=[np.zeros_like(p) for p in params]
        )
    state["t"] += 1
    for i, (p, g) in enumerate(zip(params, grads, strict=True)):
        m = state["m"][i] = beta1 * state["m"][i] + (1 - beta1) * g
        v = state["v"][i] = beta2 * state["v"][i] + (1 - beta2) * g**2
        m_hat = m / (1 - beta1 ** state["t"])
        v_hat = v / (1 - beta2 ** state["t"])
        if decay:
            p -= lr * decay * p
        p -= lr * m_hat / (np.sqrt(v_hat) + eps)


def adamw(params: list[Array], grads: list[Array], state: State) -> None:
    adam(params, grads, state, decay=1e-2)


def sgd(
    params: list[Array], grads: list[Array], state: State, lr: float = 1e-3, momentum: float = 0.9
) -> None:
    if not state:
        state.update(v=[np.zeros_like(p) for p in params])
    for i, (p, g) in enumerate(zip(params, grads, strict=True)):
        state["v"][i] = momentum * state["v"][i] + g
        p -= lr * state["v"][i]


def adagrad(
    params: list[Array], grads: list[Array], state: State, lr: float = 1e-2, eps: float = 1e-10
) -> None:
    if not state:
        state.update(G=[np.zeros_like(p) for p in params])
    for i, (p, g) in enumerate(zip(params, grads, strict=True)):
        state["G"][i] += g**2
        p -= lr * g / (np.sqrt(state["G"][i]) + eps)


def rmsprop(
    params: list[Array],
    grads: list[Array],
    state: State,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
) -> None:
    if not state:
        state.update(v=[np.zeros_like(p) for p in params])
    for i, (p, g) in enumerate(zip(params, grads, strict=True)):
        v = state["v"][i] = alpha * state["v"][i] + (1 - alpha) * g**2
        p -= lr * g / (np.sqrt(v) + eps)


PASTED: dict[str, Callable[[list[Array], list[Array], State], None]] = {
    "Adam": adam,
    "AdamW": adamw,
    "SGD": sgd,
    "Adagrad": adagrad,
    "RMSprop": rmsprop,
}
