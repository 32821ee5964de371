"""Methods that search along lines, ours and torch's, on problems with known minima."""

from __future__ import annotations

import numpy as np
import torch

from optimkit.algorithms.lbfgs import LBFGS
from optimkit.algorithms.nonlinear_cg import NonlinearCG

WOLFE = dict(line_search_fn="strong_wolfe")


class Run:
    """An optimizer on a problem; remembers every point at which the closure was called."""

    def __init__(self, method, problem, **options):
        self.problem, self.points = problem, []
        self.x = np.array(problem.start)
        self.optimizer = method([self.x], **options)

    def closure(self):
        self.points.append(self.x.copy())
        loss, grad = self.problem.evaluate(self.x)
        return loss, [grad]

    def step(self):
        return self.optimizer.step(self.closure)

    @property
    def state(self):
        return self.optimizer.state[self.x]


class TorchRun(Run):
    """The same with torch's own optimizer."""

    def __init__(self, problem, **options):
        self.problem, self.points = problem, []
        self.tensor = torch.tensor(problem.start, dtype=torch.float64, requires_grad=True)
        self.x = self.tensor.detach().numpy()
        self.optimizer = torch.optim.LBFGS([self.tensor], **options)

    def closure(self):
        loss, [grad] = super().closure()
        self.tensor.grad = torch.from_numpy(grad)
        return torch.tensor(loss, dtype=torch.float64)

    @property
    def state(self):
        return self.optimizer.state[self.tensor]


def solved(problem, x, gtol=1e-5):
    return np.abs(problem.grad(x)).max() <= gtol


FITTED = ("rosenbrock", "beale", "logistic_regression", "linear_regression")


METHODS = {
    "lbfgs": (LBFGS, dict(lr=0.01)),
    "lbfgs, line search": (LBFGS, WOLFE),
    "cg": (NonlinearCG, {}),
    "cg, hager_zhang": (NonlinearCG, dict(variant="hager_zhang")),
}


def mapped(function, value):
    """Apply a function to every array of a state."""
    if isinstance(value, dict):
        return {key: mapped(function, item) for key, item in value.items()}
    if isinstance(value, list):
        return [mapped(function, item) for item in value]
    return function(value) if hasattr(value, "shape") and value.shape else value


def as_lists(state):
    """The same state with lists for arrays, so that it compares."""
    return mapped(lambda array: np.asarray(array).tolist(), state)
