"""A case, run with torch.optim by whichever of its paths."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optimkit.backends.memory import HALF
from optimkit.validation.reference.case import Case
from optimkit.validation.reference.inputs import (
    Array,
    gradients,
    has_gradient,
    number_type,
    objective,
    parameters,
    rate_factor,
    touched_rows,
)
from optimkit.validation.reference.recordings import NUMBERS, Snapshot, Trajectory, snapshot

FOR_LOOP = {"foreach": False, "fused": False}
# What torch can compute a step by, and the arguments that ask for it.
PATHS: dict[str, Mapping[str, bool]] = {
    "for-loop": FOR_LOOP,
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}


def ieee_paths(dtype: str) -> Mapping[str, bool]:
    """Return by which path torch rounds once what it computes: in half precision, the fused one.

    There its for-loop rounds after each operation; the fused path computes a step in float32.
    """
    return PATHS["fused"] if dtype in HALF else FOR_LOOP


def tensor(torch: Any, array: Array) -> Any:
    """A tensor on the memory of an array, bfloat16 included."""
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def numbers(x: Any) -> Any:
    """The NumPy array of a tensor, bfloat16 included; anything else as it is."""
    if not hasattr(x, "detach"):
        return x
    x = x.detach()
    if str(x.dtype) == "torch.bfloat16":
        import torch

        return x.view(torch.int16).numpy().view(number_type("bfloat16"))
    return x.numpy()


class TorchRun:
    """A case under way with torch.optim.

    Attributes
    ----------
    params : list of torch.nn.Parameter
    optimizer : torch.optim.Optimizer

    Parameters
    ----------
    torch : module
    case : Case
    dtype : str
    steps : int
        How many steps it will take at most.
    paths : mapping
        Which of torch's paths: some of `PATHS`; what an optimizer does not take is left out.
    """

    def __init__(
        self,
        torch: Any,
        case: Case,
        dtype: str,
        steps: int,
        paths: Mapping[str, bool] = FOR_LOOP,
    ) -> None:
        self.torch, self.setting = torch, case.circumstances
        begin = parameters(self.setting, dtype)
        self.params = [torch.nn.Parameter(tensor(torch, x.copy())) for x in begin]
        kind = getattr(torch.optim, case.optimizer)
        known = inspect.signature(kind).parameters
        groups = [{"params": [self.params[i] for i in group]} for group in self.setting.groups]
        chosen = {name: value for name, value in paths.items() if name in known}
        self.optimizer = kind(groups, **case.options, **chosen)
        self.rates = [g["lr"] * (k + 1) for k, g in enumerate(self.optimizer.param_groups)]
        self.gradients = gradients(self.setting, dtype, steps)

    def takes(self, path: str) -> bool:
        """Whether the optimizer can be asked for a path."""
        return path in self.optimizer.defaults

    def arrange(self, step: int) -> None:
        """Set the learning rates and the gradients of a step."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * (rate_factor(step) if self.setting.scheduled else 1.0)
        if self.setting.closure:
            return
        for i, param in enumerate(self.params):
            grad = tensor(self.torch, self.gradients[i][step - 1, ...].copy())
            if self.setting.sparse:
                rows = self.torch.from_numpy(touched_rows(self.setting, i, step))
                grad = self.torch.sparse_coo_tensor(
                    rows[None], grad[: len(rows)], param.shape, check_invariants=True
                )
            param.grad = grad if has_gradient(self.setting, i, step) else None

    def step(self) -> None:
        """Take the step that was arranged."""
        with warnings.catch_warnings():
            # of torch's own call, that a sparse tensor which it makes is not checked
            warnings.filterwarnings("ignore", "Sparse invariant checks")
            if self.setting.closure:
                self.optimizer.step(self._closure)
            else:
                self.optimizer.step()

    def _closure(self) -> float:
        loss, columns = objective([p.detach().numpy() for p in self.params])
        for param, grad in zip(self.params, columns, strict=True):
            param.grad = self.torch.from_numpy(grad)
        return loss

    def snapshot(self) -> Snapshot:
        """Return where parameters and state are."""
        states = [
            {
                name: numbers(value)
                for name, value in self.optimizer.state.get(param, {}).items()
                if name in NUMBERS or not self.setting.closure
            }
            for param in self.params
        ]
        return snapshot([numbers(param) for param in self.params], states)


def trajectory(
    torch: Any,
    case: Case,
    dtype: str,
    steps: Sequence[int],
    paths: Mapping[str, bool] | None = None,
) -> Trajectory:
    """Run a case with torch.optim; without `paths`, by those of the IEEE setting."""
    paths = ieee_paths(dtype) if paths is None else paths
    steps = [step for step in steps if step <= case.circumstances.longest]
    run = TorchRun(torch, case, dtype, max(steps), paths)
    result: Trajectory = {}
    for step in range(1, max(steps) + 1):
        run.arrange(step)
        run.step()
        if step in steps:
            result[step] = run.snapshot()
    return result
