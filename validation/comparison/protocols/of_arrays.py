"""Optimizers of mlx, Thinc, tinygrad and Chainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from optimkit.validation.comparison.candidates import (
    ABSENT,
    GROUPS,
    RATES,
    Candidate,
    Going,
    Steps,
    visible,
)
from optimkit.validation.comparison.libraries import Array, made, read

# ---------------------------------------------------------------- mlx


class _GoingMlx(Going):
    library = "mlx"

    def __init__(self, optimizer: Any, params: list[Array]) -> None:
        self.optimizer = optimizer
        self.params = {f"p{i}": made(p, "mlx") for i, p in enumerate(params)}
        self.rate = float(optimizer.learning_rate)

    def step(self, grads: list[Array | None], rate: float) -> None:
        if rate != 1:
            self.optimizer.learning_rate = self.rate * rate
        given = {f"p{i}": made(g, "mlx") for i, g in enumerate(grads) if g is not None}
        self.params = self.optimizer.apply_gradients(given, self.params)

    def values(self) -> list[Steps]:
        names = {"m": "exp_avg", "v": "exp_avg_sq"}
        held = []
        for name, param in self.params.items():
            value = read(param)
            state = {names.get(k, k): v for k, v in self.optimizer.state.get(name, {}).items()}
            held.append({"param": value} | visible(state, value.shape))
        return held


class Mlx(Candidate):
    """An mlx optimizer."""

    kind, can = "an mlx optimizer", frozenset({RATES})

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        return _GoingMlx(self.make(**self.options), params)


# ---------------------------------------------------------------- Thinc


class _GoingThinc(Going):
    def __init__(self, optimizer: Any, params: list[Array], groups: list[list[int]]) -> None:
        self.optimizer, self.params = optimizer, params
        self.rate = float(optimizer.learn_rate(0))
        self.scales = [
            next(k + 1.0 for k, group in enumerate(groups) if i in group)
            for i in range(len(params))
        ]

    def step(self, grads: list[Array | None], rate: float) -> None:
        from thinc.api import constant  # type: ignore[import-not-found,unused-ignore]

        self.optimizer.learn_rate = constant(self.rate * rate)
        for i, grad in enumerate(grads):
            if grad is not None:
                self.params[i], _ = self.optimizer(
                    (i, "param"), self.params[i], grad.copy(), lr_scale=self.scales[i]
                )
        self.optimizer.step_schedules()

    def values(self) -> list[Steps]:
        held: list[Steps] = []
        for i, param in enumerate(self.params):
            moments = {"exp_avg": self.optimizer.mom1, "exp_avg_sq": self.optimizer.mom2}
            seen = {
                n: x[i, "param"].reshape(param.shape)
                for n, x in moments.items()
                if (i, "param") in x
            }
            held.append({"param": np.array(param)} | visible(seen, param.shape))
        return held


class Thinc(Candidate):
    """A Thinc optimizer, called ``optimizer(key, weights, gradient)``."""

    kind, can = "a Thinc optimizer", frozenset({ABSENT, GROUPS, RATES})

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        return _GoingThinc(self.make(**self.options), params, groups)


# ---------------------------------------------------------------- tinygrad


class _GoingTinygrad(Going):
    library = "tinygrad"

    def __init__(self, make: Callable[[Any], Any], params: list[Array]) -> None:
        self.params = [made(p, "tinygrad") for p in params]
        self.optimizer = make(self.params)
        self.rate = self.optimizer.lr.numpy()

    def step(self, grads: list[Array | None], rate: float) -> None:
        from tinygrad import Tensor  # type: ignore[import-not-found,unused-ignore]
        from tinygrad.helpers import Context  # type: ignore[import-not-found,unused-ignore]

        if rate != 1:
            now = (self.rate * rate).astype(self.rate.dtype)
            self.optimizer.lr.assign(Tensor(now)).realize()
        for param, grad in zip(self.params, grads, strict=True):
            param.grad = made(grad, "tinygrad")
        with Context(TRAINING=1):
            self.optimizer.step()

    def values(self) -> list[Steps]:
        held: list[Steps] = []
        for i, param in enumerate(self.params):
            value = read(param)
            columns = {"exp_avg": "m", "exp_avg_sq": "v", "momentum_buffer": "b"}
            state = {
                n: getattr(self.optimizer, a)[i]
                for n, a in columns.items()
                if getattr(self.optimizer, a, None)
            }
            held.append({"param": value} | visible(state, value.shape))
        return held


class Tinygrad(Candidate):
    """A tinygrad optimizer, with ``step()`` on the gradients of its parameters."""

    kind, can = "a tinygrad optimizer", frozenset({RATES})

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        return _GoingTinygrad(lambda given: self.make(given, **self.options), params)


# ---------------------------------------------------------------- Chainer


def rate_name(optimizer: Any) -> str:
    """What it calls its learning rate, if it has one: Adam has `alpha`, which RMSprop decays by."""
    held = optimizer.hyperparam.get_dict()
    return next((name for name in ("lr", "alpha") if name in held), "")


class _GoingChainer(Going):
    def __init__(self, maker: Chainer, params: list[Array]) -> None:
        import chainer  # type: ignore[import-not-found,import-untyped,unused-ignore]

        self.link = chainer.Link()
        with self.link.init_scope():
            for i, param in enumerate(params):
                setattr(self.link, f"p{i}", chainer.Parameter(param))
        self.params = [getattr(self.link, f"p{i}") for i in range(len(params))]
        self.optimizer = maker.make(**maker.options).setup(self.link)
        self.name = rate_name(self.optimizer)
        self.rate = getattr(self.optimizer, self.name, 1.0)

    def step(self, grads: list[Array | None], rate: float) -> None:
        if self.name:
            setattr(self.optimizer, self.name, self.rate * rate)
        for param, grad in zip(self.params, grads, strict=True):
            param.grad = grad
        self.optimizer.update()

    def values(self) -> list[Steps]:
        held: list[Steps] = []
        for param in self.params:
            names = {"m": "exp_avg", "v": "exp_avg_sq"}
            state = {names.get(k, k): x for k, x in (param.update_rule.state or {}).items()}
            held.append({"param": np.array(param.array)} | visible(state, param.shape))
        return held


class Chainer(Candidate):
    """A Chainer optimizer, with ``setup(link)`` and ``update()``."""

    kind = "a Chainer optimizer"

    def __init__(self, make: Callable[..., Any], options: Mapping[str, Any]) -> None:
        super().__init__(make, options)
        self.can = frozenset({RATES} if rate_name(make(**self.options)) else ())

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        return _GoingChainer(self, params)
