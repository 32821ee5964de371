"""Averages by name, and the values that go into them."""

from typing import Any

import numpy as np
import torch

from optimkit import swa_utils
from optimkit.swa_utils import AveragedModel

SHAPES = [(3, 5), (), (120_000,), (0, 4), (64, 64)]

# What makes the averaging function, by name: arguments of AveragedModel from a library.
AVERAGES: dict[str, Any] = {
    "swa": lambda lib: {},
    "swa single": lambda lib: {"avg_fn": lib.get_swa_avg_fn()},
    "swa multi": lambda lib: {"multi_avg_fn": lib.get_swa_multi_avg_fn()},
}
for _decay in (0.0, 0.25, 0.5, 0.9, 0.999, 1.0):  # on both sides of where lerp changes its end
    AVERAGES[f"ema single {_decay}"] = lambda lib, d=_decay: {"avg_fn": lib.get_ema_avg_fn(d)}
    AVERAGES[f"ema multi {_decay}"] = lambda lib, d=_decay: {
        "multi_avg_fn": lib.get_ema_multi_avg_fn(d)
    }


def values(seed: int, dtype: str = "float32") -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape) for shape in SHAPES]
    if dtype.startswith("complex"):
        arrays = [x + 1j * rng.standard_normal(x.shape) for x in arrays]
    return [np.asarray(x, dtype) for x in arrays]


def averaged(name: str, dtype: str = "float32", convert: Any = np.array) -> list[Any]:
    model = AveragedModel(list(map(convert, values(0, dtype))), **AVERAGES[name](swa_utils))
    for seed in range(1, 6):
        model.update_parameters(list(map(convert, values(seed, dtype))))
    return list(model.parameters())


def network(dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    torch.manual_seed(0)
    layers = [torch.nn.Linear(4, 300), torch.nn.BatchNorm1d(300), torch.nn.Linear(300, 2)]
    return torch.nn.Sequential(*layers).to(dtype)
