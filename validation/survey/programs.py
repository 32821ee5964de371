"""Implementations that need more than a name to be called."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

import numpy as np


def __getattr__(name: str) -> Any:
    if name in ("timm", "chainer"):
        return _timm() if name == "timm" else _chainer()
    if name == "CompiledAdam":
        return _compiled()
    raise AttributeError(name)


def _timm() -> ModuleType:
    """timm's optimizers without its models, which need a torchvision that fits torch's build."""
    if "timm" not in sys.modules:
        found = importlib.util.find_spec("timm")
        if found is None:
            raise ImportError("timm is not installed")
        for name, place in (("timm", ""), ("timm.models", "/models")):
            stand_in = ModuleType(name)
            stand_in.__path__ = [x + place for x in found.submodule_search_locations or ()]
            stand_in.group_parameters = None  # type: ignore[attr-defined]
            sys.modules[name] = stand_in
    return importlib.import_module("timm.optim")


def _chainer() -> ModuleType:
    """Chainer's optimizers, with the one table that NumPy 2 took away and that it reads."""
    if not hasattr(np, "sctypes"):
        kinds: dict[str, list[Any]] = {
            "int": [np.int8, np.int16, np.int32, np.int64],
            "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
            "float": [np.float16, np.float32, np.float64],
            "complex": [np.complex64, np.complex128],
            "others": [bool, object, bytes, str, np.void],
        }
        np.sctypes = kinds  # type: ignore[attr-defined]
    return importlib.import_module("chainer.optimizers")


def _compiled() -> type:
    """torch's Adam, whose step is compiled."""
    import torch

    class CompiledAdam(torch.optim.Adam):
        def __init__(self, params: Any, lr: float = 1e-3, betas: Any = (0.9, 0.999),
                     eps: float = 1e-8) -> None:  # fmt: skip
            super().__init__(params, lr, betas, eps)
            self.compiled = torch.compile(super().step)

        def step(self, closure: Any = None) -> Any:
            return self.compiled()

    return CompiledAdam


def adam_of_torch(
    param: Any,
    grad: Any,
    state: Any,
    step: int,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> Any:
    """torch's function `torch.optim.adam.adam`."""
    import torch
    from torch.optim.adam import adam

    columns = {name: state.get(name, torch.zeros_like(param)) for name in ("exp_avg", "exp_avg_sq")}
    first, second = ([column] for column in columns.values())
    counts = [torch.tensor(float(step - 1))]
    adam(
        [param], [grad], first, second, [], counts, foreach=False, amsgrad=False, beta1=betas[0],
        beta2=betas[1], lr=lr, weight_decay=0.0, eps=eps, maximize=False,
    )  # fmt: skip
    return param, columns
