"""A small network on scikit-learn's handwritten digits, trained twice from the same start.

Once in NumPy, with backpropagation written out and optimkit; once in torch, with autograd and
torch.optim. Same weights, same batches, float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.reference.inputs import Array

SIZES = (64, 32, 10)  # pixels, hidden units, digits
TRAIN, BATCH, EPOCHS = 1437, 64, 20
RUNS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.2, "momentum": 0.9},
    "Adam": {"lr": 0.005},
    "AdamW": {"lr": 0.005, "weight_decay": 0.05},
}
# Matrix products add their terms in the order that suits the processor, and exponentials differ in
# the last bit between libraries; training amplifies this a little. Seen: 1e-5 and no image.
LOSS_TOLERANCE = 1e-2  # relative, of the mean loss of an epoch
ACCURACY_TOLERANCE = 0.01  # of the images kept for the test


@dataclass
class Training:
    """How a training went."""

    loss: list[float]
    accuracy: float


def data() -> tuple[Array, Array, Array, Array]:
    """Return images and digits to train with, then those to test with."""
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    order = np.argsort(np.random.PCG64(7).random_raw(len(digits)), kind="stable")
    x, y = (images[order] / 16).astype(np.float32), digits[order]
    return x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:]


def weights() -> list[Array]:
    """Return the start: matrices and biases, uniform within 1 / sqrt(inputs)."""
    result = []
    for layer, (n, m) in enumerate(pairwise(SIZES)):
        uniform = np.random.PCG64(layer).random_raw(n * m) / 2.0**63 - 1
        result += [
            (uniform / np.sqrt(n)).astype(np.float32).reshape(n, m),
            np.zeros(m, np.float32),
        ]
    return result


def batches(epoch: int) -> list[Array]:
    """Return which images each step of an epoch sees."""
    order = np.argsort(np.random.PCG64(100 + epoch).random_raw(TRAIN), kind="stable")
    return [order[i : i + BATCH] for i in range(0, TRAIN - BATCH + 1, BATCH)]


def loss_and_gradients(params: list[Array], x: Array, y: Array) -> tuple[float, list[Array]]:
    """Return the mean cross-entropy of the network, and its gradients by backpropagation."""
    w1, b1, w2, b2 = params
    hidden = np.maximum(x @ w1 + b1, 0)
    scores = hidden @ w2 + b2
    scores = scores - scores.max(axis=1, keepdims=True)
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    rows = np.arange(len(y))
    loss = -float(log_p[rows, y].mean())
    d_scores = np.exp(log_p)
    d_scores[rows, y] -= 1
    d_scores /= np.float32(len(y))
    d_hidden = (d_scores @ w2.T) * (hidden > 0)
    return loss, [x.T @ d_hidden, d_hidden.sum(axis=0), hidden.T @ d_scores, d_scores.sum(axis=0)]


def _accuracy(params: list[Array], x: Array, y: Array) -> float:
    w1, b1, w2, b2 = params
    scores = np.maximum(x @ w1 + b1, 0) @ w2 + b2
    return float((scores.argmax(axis=1) == y).mean())


def _train(step: Callable[[Array, Array], float], x: Array, y: Array) -> list[float]:
    return [
        float(np.mean([step(x[batch], y[batch]) for batch in batches(epoch)]))
        for epoch in range(EPOCHS)
    ]


def with_optimkit(name: str) -> Training:
    """Train the NumPy network."""
    x, y, x_test, y_test = data()
    params = weights()
    optimizer = getattr(ok, name)(params, **RUNS[name])

    def step(x: Array, y: Array) -> float:
        return float(optimizer.step(lambda: loss_and_gradients(params, x, y)))

    return Training(_train(step, x, y), _accuracy(params, x_test, y_test))


def with_torch(name: str, library: Any = None, **options: Any) -> tuple[Training, list[Array]]:
    """Train the torch network, with torch.optim or another library of optimizers.

    Returns the curve and the final weights.
    """
    import torch

    x, y, x_test, y_test = data()
    params = [torch.nn.Parameter(torch.from_numpy(w)) for w in weights()]
    optimizer = getattr(library or torch.optim, name)(params, **RUNS[name], **options)

    def step(x: Array, y: Array) -> float:
        w1, b1, w2, b2 = params
        scores = torch.relu(torch.from_numpy(x) @ w1 + b1) @ w2 + b2
        loss = torch.nn.functional.cross_entropy(scores, torch.from_numpy(y))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.item()

    curve = _train(step, x, y)
    final = [p.detach().numpy() for p in params]
    return Training(curve, _accuracy(final, x_test, y_test)), final


def record() -> dict[str, dict[str, Any]]:
    """Train every torch network: with torch.optim, and with optimkit in its place.

    To be called in the IEEE setting, where both must arrive at the same weights.
    """
    result = {}
    for name in RUNS:
        curve, theirs = with_torch(name, foreach=False, fused=False)
        _, own = with_torch(name, ok)
        same = sum(
            int((a.view("u4") == b.view("u4")).sum()) for a, b in zip(theirs, own, strict=True)
        )
        result[name] = {
            "loss": curve.loss,
            "accuracy": curve.accuracy,
            "weights": sum(w.size for w in theirs),
            "same_weights": same,
        }
    return result


def agree(own: Training, reference: Mapping[str, Any]) -> bool:
    """Whether two trainings went the same way, within what the order of sums explains."""
    return (
        len(own.loss) == len(reference["loss"])
        and np.allclose(own.loss, reference["loss"], rtol=LOSS_TOLERANCE, atol=1e-4)
        and abs(own.accuracy - reference["accuracy"]) <= ACCURACY_TOLERANCE
    )
