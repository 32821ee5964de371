"""What is stepped: tensors of which sizes, and what they hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Workloads = dict[str, list[int]]  # from a name to the elements of the tensors

# Elements of the parameters, in the order in which the models have them.
RESNET_50 = [9_408, 64, 64]
for _width, _blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
    for _block in range(_blocks):
        _entering = 64 if _width == 64 else 2 * _width
        _entering = 4 * _width if _block else _entering
        RESNET_50 += [_entering * _width, _width, _width, 9 * _width * _width, _width, _width]
        RESNET_50 += [4 * _width * _width, 4 * _width, 4 * _width]
        if not _block:
            RESNET_50 += [4 * _entering * _width, 4 * _width, 4 * _width]
RESNET_50 += [2_048_000, 1_000]
GPT_2_SMALL = [50_257 * 768, 1_024 * 768]
for _ in range(12):
    GPT_2_SMALL += [768, 768, 768 * 2_304, 2_304, 768 * 768, 768]
    GPT_2_SMALL += [768, 768, 768 * 3_072, 3_072, 3_072 * 768, 768]
GPT_2_SMALL += [768, 768]
MLP = [64 * 48, 48, 48 * 32, 32, 32 * 10, 10]  # a small network in plain NumPy
# As networks of interatomic potentials have them: 30 blocks of three layers of 128, a radial basis
# of 16, and single numbers such as a scale and a shift.
PHYSICS = 30 * [128 * 128, 128, 128 * 128, 128, 128 * 128, 128, 128 * 16, 16, 1, 1]

WORKLOADS: Workloads = {
    "mlp": MLP,
    "300x64": [64] * 300,
    "300x1000": [1_000] * 300,
    "1M": [1_000_000],
    "mix": [64] * 100 + [4_096] * 50 + [250_000] * 40,
    "10M": [10_000_000],
    "physics": PHYSICS,
    "resnet50": RESNET_50,
    "gpt2": GPT_2_SMALL,
}
ON_DEVICE: Workloads = {
    "1000x64": [64] * 1_000,
    "resnet50": RESNET_50,
    "gpt2": GPT_2_SMALL,
    "100M": [100_000_000],
}
CLASSES = {
    "many small tensors": ("300x64", "300x1000", "physics", "1000x64"),
    "small models": ("mlp",),
    "large arrays": ("1M", "10M", "100M"),
    "models": ("mix", "resnet50", "gpt2"),
}
OTHERS = "shapes of your own"  # the class of all that is not in the tables
# Of torch.optim, with what is said beside its defaults.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "Adam": {},
    "AdamW": {},
    "SGD": {"lr": 1e-3, "momentum": 0.9},
    "Adagrad": {},
    "Adadelta": {},
    "Adamax": {},
    "ASGD": {},
    "NAdam": {},
    "RAdam": {},
    "RMSprop": {},
    "Rprop": {},
}


def classes(names: Iterable[str]) -> dict[str, list[str]]:
    """The classes that some workloads belong to."""
    left = [*names]
    tabled = {name for workloads in CLASSES.values() for name in workloads}
    found = {title: [n for n in left if n in workloads] for title, workloads in CLASSES.items()}
    found[OTHERS] = [name for name in left if name not in tabled]
    return {title: workloads for title, workloads in found.items() if workloads}


def described(sizes: list[int]) -> str:
    """How many tensors of how many elements."""
    total = sum(sizes)
    many = f"{total / 1e6:,.1f} million" if total >= 1e6 else f"{total:,}"
    return f"{len(sizes)} tensor{'s' * (len(sizes) > 1)}, {many} elements"


def arrays(sizes: list[int], scale: float) -> list[Array]:
    """Random numbers, the same ones at each call."""
    random = np.random.default_rng(0)
    return [(scale * random.standard_normal(n)).astype(np.float32) for n in sizes]


@dataclass
class Given:
    """Parameters to start from, and gradients, which all implementations are given alike.

    The gradients are of size 0.5 to 1.5: where an implementation puts its ε changes nothing there.
    """

    sizes: list[int]

    @cached_property
    def starts(self) -> list[Array]:
        random = np.random.default_rng(0)
        return [random.standard_normal(n, np.float32) for n in self.sizes]

    @cached_property
    def grads(self) -> list[Array]:
        """Nobody may write to them."""
        random = np.random.default_rng(1)
        found = []
        for size in self.sizes:
            values = random.random(size, np.float32) - np.float32(0.5)
            found.append(values + np.copysign(np.float32(0.5), values))
        return found
