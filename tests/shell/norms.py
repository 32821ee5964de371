"""Gradients to measure and to clip."""

import math
from typing import Any

import numpy as np
import torch

ORDERS = [2.0, 1.0, math.inf, -math.inf, 0.0, 0.5, 3.0, -1.0, 2, "inf"]
SHAPES = [(3, 5), (), (5_000,), (64, 65), (1,)]

# How far torch's norm may be off: it adds in the gradients' precision, on 16 lanes, so that up to
# 5,000 / 16 roundings follow one another; powers and roots add a few.
TORCH_ERROR = {"float16": 320 * 2**-11, "float32": 320 * 2**-24, "float64": 320 * 2**-53}


def gradients(dtype: str = "float32", shapes: Any = SHAPES) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    if dtype.startswith("complex"):
        arrays = [x + 1j * rng.standard_normal(x.shape) for x in arrays]
    return [np.asarray(x, dtype) for x in arrays]


def with_gradients(arrays: list[np.ndarray]) -> list[torch.nn.Parameter]:
    params = [torch.nn.Parameter(torch.zeros(x.shape, dtype=torch.tensor(x).dtype)) for x in arrays]
    for param, x in zip(params, arrays, strict=True):
        param.grad = torch.tensor(x)
    return params
