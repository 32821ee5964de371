"""Optimizers by torch's protocol, torch's and ours."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from optimkit.validation.comparison.candidates import (
    ABSENT,
    GROUPS,
    RATES,
    RESUME,
    SPARSE,
    Candidate,
    Going,
    Steps,
    visible,
)
from optimkit.validation.comparison.libraries import Array, made, read
from optimkit.validation.comparison.probes import Loss


def _has_rate(group: Mapping[str, Any]) -> bool:
    """Whether a group has a learning rate: some optimizers let None stand for one of their own."""
    return group.get("lr") is not None


class _GoingOptimizer(Going):
    def __init__(self, maker: TorchProtocol, params: list[Any], groups: list[list[int]]) -> None:
        self.maker, self.params, self.groups = maker, params, groups
        single = len(groups) == 1
        given: Any = params if single else [{"params": [params[i] for i in g]} for g in groups]
        self.optimizer = maker.make(given, **maker.options)
        found = self.optimizer.param_groups
        self.rates = [
            group["lr"] * (k + 1) if _has_rate(group) else None for k, group in enumerate(found)
        ]

    def step(self, grads: list[Any], rate: float) -> None:
        for group, base in zip(self.optimizer.param_groups, self.rates, strict=True):
            if base is not None:
                group["lr"] = base * rate if rate != 1 else base
        if self.maker.ours:
            given = [copy.deepcopy(g) for g in grads]
            self.optimizer.step(grads=given)
            self.maker.check_gradients(given, grads)
            return
        for param, grad in zip(self.params, grads, strict=True):
            param.grad = None if grad is None else made(grad, "torch")
        given = [param.grad for param in self.params]
        self.optimizer.step()
        self.maker.check_gradients(given, grads)

    def search(self, loss: Loss) -> None:
        (param,) = self.params

        def closure() -> Any:
            value, grad = loss(read(param).ravel())
            grad = grad.reshape(tuple(param.shape))
            if self.maker.ours:
                return value, [grad]
            param.grad = made(grad, "torch")
            return made(np.asarray(value), "torch")

        self.optimizer.step(closure)

    def values(self) -> list[Steps]:
        held = []
        for param in self.params:
            value = read(param)
            state = self.optimizer.state.get(param, {})
            held.append({"param": value} | visible(state, value.shape))
        return held

    def resumed(self) -> Going:
        params = [self.maker.parameter(read(param)) for param in self.params]
        other = _GoingOptimizer(self.maker, params, self.groups)
        other.optimizer.load_state_dict(self.optimizer.state_dict())
        return other


class TorchProtocol(Candidate):
    """An optimizer made of parameters, with ``step`` and ``param_groups``."""

    def __init__(self, make: Callable[..., Any], options: Mapping[str, Any], ours: bool) -> None:
        super().__init__(make, options)
        self.ours, self.kind = ours, "an optimkit optimizer" if ours else "a torch optimizer"
        group = self.group()
        rates = {GROUPS, RATES} if _has_rate(group) or not group else set()
        self.can = frozenset({ABSENT, RESUME, SPARSE, *rates})

    def lacks(self, need: str) -> str:
        return "its groups have no lr"

    def parameter(self, array: Array) -> Any:
        if self.ours:
            return np.array(array)
        import torch

        return torch.nn.Parameter(made(array, "torch"))

    def group(self) -> dict[str, Any]:
        """The options of a group that it makes: the rate, and those that its class takes."""
        with contextlib.suppress(Exception):  # what is wrong is said where it is tried
            made_of: Any = self.make([self.parameter(np.ones(2, np.float32))], **self.options)
            taken = {"lr", *inspect.signature(type(made_of)).parameters}
            return {k: v for k, v in made_of.param_groups[0].items() if k in taken}
        return {}

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        return _GoingOptimizer(self, [self.parameter(p) for p in params], groups)
