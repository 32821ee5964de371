"""What the pages of schedulers show beside the example: values of the options that matter.

A scheduler that is not in the tables has a page as well: with its example, and with a curve for
each value of its options that are true or false or one of a few words.
"""

from __future__ import annotations

import typing
from typing import Any

from optimkit.validation.explain.subjects import signature

VARIATIONS: dict[str, dict[str, tuple[Any, ...]]] = {
    "StepLR": {"step_size": (10, 25, 50), "gamma": (0.1, 0.5, 0.8)},
    "MultiStepLR": {
        "milestones": ([50], [30, 60, 90], [30, 60, 60]),
        "gamma": (0.1, 0.5, 0.8),
    },
    "ConstantLR": {"factor": (0.1, 1 / 3, 0.8), "total_iters": (10, 50)},
    "LinearLR": {
        "start_factor": (0.01, 1 / 3, 1.0),
        "end_factor": (0.1, 0.5, 1.0),
        "total_iters": (10, 50, 100),
    },
    "ExponentialLR": {"gamma": (0.9, 0.95, 0.99)},
    "PolynomialLR": {"power": (0.5, 1.0, 2.0, 4.0), "total_iters": (50, 100)},
    "CosineAnnealingLR": {"T_max": (25, 50, 100), "eta_min": (0.0, 0.02, 0.05)},
    "CosineAnnealingWarmRestarts": {
        "T_0": (10, 25, 50),
        "T_mult": (1, 2, 3),
        "eta_min": (0.0, 0.05),
    },
    "CyclicLR": {"step_size_up": (10, 25), "step_size_down": (5, 25, 45)},
    "OneCycleLR": {
        "pct_start": (0.1, 0.3, 0.5),
        "div_factor": (2.0, 10.0, 25.0),
    },
    "ReduceLROnPlateau": {"factor": (0.1, 0.5), "patience": (3, 10, 30), "cooldown": (0, 20)},
    "SWALR": {"anneal_epochs": (0, 10, 50), "swa_lr": (0.01, 0.05)},
}

# Options that the variations of another option go with.
BESIDE = {"CyclicLR": {"mode": {"gamma": 0.97}}}

WHEN = {
    "ChainedScheduler": "For factors that act at once, such as a slow decay under a warmup.",
    "ConstantLR": "For a few careful steps at first, where a ramp is more than is needed.",
    "CosineAnnealingLR": (
        "The usual choice when the number of steps is known: slow at both ends, no option to tune. "
        "It rises again after `T_max` steps, so make that all of them. Mostly behind a warmup."
    ),
    "CosineAnnealingWarmRestarts": (
        "For runs that may stop at any time: each period ends in a usable model. The ends of "
        "periods are also what snapshot ensembles average."
    ),
    "CyclicLR": (
        "For finding how large a rate may be, and for runs without an end. Momentum falls while "
        "the rate rises."
    ),
    "ExponentialLR": "For an even decay without an end in sight; `gamma` is the factor of a step.",
    "LRScheduler": "To write one of your own.",
    "LambdaLR": "For a formula of your own, in closed form: the factor at step `t`.",
    "LinearLR": (
        "For a warmup, at the head of a `SequentialLR`: adaptive methods know little in their "
        "first steps. With `start_factor=1` and a small `end_factor`, for a linear decay."
    ),
    "MultiStepLR": "For known recipes, such as ResNet's decay at epochs 30, 60 and 90.",
    "MultiplicativeLR": "For a formula of your own, as the ratio of a step to the one before.",
    "OneCycleLR": (
        "For short runs at a rate that would be too large to stay at. Step it after each batch; it "
        "refuses to go on after `total_steps`."
    ),
    "PolynomialLR": "For a decay that ends at zero at a known step; `power=1` is the line of BERT.",
    "ReduceLROnPlateau": (
        "When the length of the run is not known, and a validation loss is. It reacts late, by "
        "`patience`, and to noise: what it sees should be smooth."
    ),
    "SWALR": "For the last part of a run whose parameters are averaged, with `AveragedModel`.",
    "SequentialLR": "For a warmup before anything else: the schedule of most large models.",
    "StepLR": "For a decay by stages, as older recipes have it.",
}


def variations(cls: type) -> dict[str, tuple[Any, ...]]:
    """From options to the values that are shown beside one another."""
    found = dict(VARIATIONS.get(cls.__name__, {}))
    hints = typing.get_type_hints(cls.__init__)
    for name, parameter in signature(cls).items():
        words = typing.get_args(hints.get(name))
        if words and all(isinstance(word, str) for word in words):
            found.setdefault(name, words)
        elif isinstance(parameter.default, bool) and name not in ("cycle_momentum", "verbose"):
            found.setdefault(name, (False, True))
    return found
