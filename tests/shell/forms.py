"""What the tests of the shell compare: two libraries, and an optimizer with itself."""

from __future__ import annotations

from typing import Any

import torch
from conftest import bits

import optimkit as ok

BOTH = [ok, torch.optim]  # what is written once is checked against torch by running it there too
IDS = ["optimkit", "torch"]


def tensor(*values: float) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor(values))


def frozen(opt: ok.Optimizer) -> Any:
    """Everything that must be as it was after an error."""
    params = [p for g in opt.param_groups for p in g["params"]]
    state = [
        (k, bits(v) if hasattr(v, "shape") else v)
        for p in params
        if p in opt.state
        for k, v in opt.state[p].items()
    ]
    groups = [{k: v for k, v in g.items() if k != "params"} for g in opt.param_groups]
    return [bits(p) for p in params], state, groups, list(map(id, params)), opt.step_count
