"""Optimkit beside a run of torch's, from the same place at each step, and how far they may part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.backends.trace import trace
from optimkit.validation.parity.tiers.bounds import CORRECT, NEIGHBOUR, bounds, roundings
from optimkit.validation.parity.trajectories import real
from optimkit.validation.reference.case import Case
from optimkit.validation.reference.inputs import Array
from optimkit.validation.reference.recordings import NUMBERS
from optimkit.validation.reference.torch_runs import TorchRun, numbers


class Twin:
    """Optimkit's optimizer beside a run of torch's, on tensors of its own.

    Attributes
    ----------
    optimizer : optimkit.Optimizer
    params : list of torch.Tensor
    roundings : int
        How many operations of the rule round, as far as a bound was asked for.
    """

    def __init__(self, run: TorchRun, case: Case) -> None:
        self.run, self.roundings = run, 0
        self.params = [param.detach().clone() for param in run.params]
        groups = [{"params": [self.params[i] for i in g]} for g in run.setting.groups]
        self.kind = getattr(ok, case.optimizer)
        self.optimizer = self.kind(groups, **case.options)

    def pairs(self) -> list[tuple[Any, Any]]:
        """Torch's parameters and ours."""
        return list(zip(self.run.params, self.params, strict=True))

    def synchronize(self) -> None:
        """Take over torch's learning rates, parameters, gradients and state."""
        theirs = self.run.optimizer
        for group, own in zip(theirs.param_groups, self.optimizer.param_groups, strict=True):
            own["lr"] = group["lr"]
        for param, twin in self.pairs():
            twin.copy_(param.detach())
            # a copy: with Nesterov's momentum torch's foreach adds to the gradients themselves
            twin.grad = None if param.grad is None else param.grad.clone()
            for name, value in theirs.state.get(param, {}).items():
                state = self.optimizer.state[twin]
                if name in NUMBERS:
                    state[name] = int(value) if name == "step" else float(value)
                elif name in state:
                    state[name].copy_(value)
                elif value is not None:
                    state[name] = value.clone()

    def limits(self, dtype: str) -> dict[tuple[int, str], Array]:
        """Return how far apart the step that comes may be, for each parameter and its state."""
        found = {}
        for group, indices in zip(
            self.optimizer.param_groups, self.run.setting.groups, strict=True
        ):
            hyper = self.optimizer.check_changed(group)
            for i in indices:
                if self.params[i].grad is not None:
                    for name, limit in self._limits(self.params[i], hyper, dtype).items():
                        found[i, name] = limit
        return found

    def _limits(self, twin: Any, hyper: Any, dtype: str) -> Mapping[str, Array]:
        grad = twin.grad
        rows: Any = ...
        if grad.is_sparse:
            grad = grad.coalesce()
            rows, grad = numbers(grad.indices()[0]), grad.values()
            hyper.sparse = True
        param, known = numbers(twin), self.optimizer.state[twin]
        state = {name: numbers(value) for name, value in known.items()}
        state = state or self.kind.init(np, param, hyper)
        step = int(state.pop("step", 0)) + 1
        columns = {name: real(x[rows]) for name, x in state.items() if isinstance(x, np.ndarray)}
        scalars = {name: x for name, x in state.items() if name not in columns}
        columns |= {"param": real(param[rows]), "grad": real(numbers(grad))}
        names = tuple(name for name in columns if name not in ("param", "grad"))
        traced = trace(self.kind.update, names, scalars, hyper, step)
        self.roundings = max(self.roundings, roundings(traced.program))
        real_dtype = columns["param"].dtype.name
        own = bounds(traced, columns, real_dtype, CORRECT)
        theirs = bounds(traced, columns, real_dtype, NEIGHBOUR)
        limits = {name: own[name] + theirs[name] for name in own}
        if isinstance(rows, np.ndarray):
            for name, limit in limits.items():
                whole = np.zeros(param.shape)
                whole[rows] = limit.reshape(len(rows), -1)
                limits[name] = whole.reshape(-1)
        return limits
