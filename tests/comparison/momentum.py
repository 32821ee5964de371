"""An optimizer as people write it by hand, for what is held against a rule."""

from __future__ import annotations

from typing import Any

import numpy as np


class InPlace:
    """Momentum, in place."""

    def __init__(self, params: Any, lr: float = 0.01, momentum: float = 0.9) -> None:
        self.params, self.lr, self.momentum = params, lr, momentum
        self.v = [np.zeros_like(p) for p in params]

    def step(self, grads: Any) -> None:
        for param, v, grad in zip(self.params, self.v, grads, strict=True):
            v *= self.momentum
            v += grad
            param -= self.lr * v
