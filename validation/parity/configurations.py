"""Random configurations of schedulers: options, nests, and what happens on the way."""

import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

Random = random.Random


@dataclass
class Decay:
    """A factor that remembers its base, so that a checkpoint saves it."""

    base: float

    def __call__(self, t: float) -> float:
        return float(self.base**t)


def halves(t: float) -> float:
    """A factor without attributes, which no checkpoint saves."""
    return 1.0 / (1 + t)


@dataclass(frozen=True)
class Spec:
    """A scheduler to build: its name, its options, and the schedulers in it."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    children: tuple["Spec", ...] = ()

    def names(self) -> Iterator[str]:
        """Names of this scheduler and of those in it."""
        yield self.name
        for child in self.children:
            yield from child.names()

    def build(self, module: ModuleType, optimizer: Any, **extra: Any) -> Any:
        """Create it from ``torch.optim.lr_scheduler`` or ``optimkit.lr_scheduler``."""
        options = {**copy.deepcopy(self.options), **extra}
        children = [child.build(module, optimizer) for child in self.children]
        if self.name == "ChainedScheduler":
            return module.ChainedScheduler(children, **options)
        if self.name == "SequentialLR":
            return module.SequentialLR(optimizer, children, **options)
        if self.name == "LRScheduler":
            return harmonic(module)(optimizer, **options)
        return getattr(module, self.name)(optimizer, **options)


def harmonic(module: ModuleType) -> Any:
    """Return a scheduler as a user would write it."""

    def get_lr(self: Any) -> list[float]:
        return [lr / (1 + self.last_epoch) for lr in self.base_lrs]

    return type("HarmonicLR", (module.LRScheduler,), {"get_lr": get_lr})


def _factor(rng: Random, groups: int) -> Any:
    one = rng.choice([Decay(rng.uniform(0.8, 1.1)), halves])
    return rng.choice([one, [Decay(rng.uniform(0.8, 1.1)) for _ in range(groups)]])


def _per_group(rng: Random, groups: int, low: float, high: float) -> float | list[float]:
    if rng.random() < 0.5:
        return rng.uniform(low, high)
    return [rng.uniform(low, high) for _ in range(groups)]


def _momentum(rng: Random, groups: int, momentum: bool) -> dict[str, Any]:
    if not momentum or rng.random() < 0.2:
        return {"cycle_momentum": False}
    return {
        "base_momentum": _per_group(rng, groups, 0.6, 0.8),
        "max_momentum": _per_group(rng, groups, 0.8, 0.99),
    }


def _cyclic(rng: Random, groups: int, momentum: bool) -> dict[str, Any]:
    options = _momentum(rng, groups, momentum) | {
        "base_lr": _per_group(rng, groups, 1e-4, 1e-2),
        "max_lr": _per_group(rng, groups, 1e-2, 1.0),
        "step_size_up": rng.randint(1, 12),
        "step_size_down": rng.choice([None, rng.randint(1, 12)]),
        "mode": rng.choice(["triangular", "triangular2", "exp_range"]),
        "gamma": rng.uniform(0.9, 1.0),
    }
    if rng.random() < 0.3:
        options |= {"scale_fn": rng.choice([Decay(rng.uniform(0.8, 1.0)), halves])}
        options |= {"scale_mode": rng.choice(["cycle", "iterations"])}
    return options


def _one_cycle(rng: Random, groups: int, momentum: bool) -> dict[str, Any]:
    length = rng.choice(
        [
            {"total_steps": rng.randint(8, 60)},
            {"epochs": rng.randint(2, 6), "steps_per_epoch": rng.randint(4, 10)},
        ]
    )
    return _momentum(rng, groups, momentum) | {
        **length,
        "max_lr": _per_group(rng, groups, 1e-3, 1.0),
        "pct_start": rng.choice([0.0, 0.3, 1.0, rng.random()]),
        "anneal_strategy": rng.choice(["cos", "linear"]),
        "div_factor": rng.uniform(2.0, 50.0),
        "final_div_factor": rng.choice([1e4, rng.uniform(2.0, 1e5)]),
        "three_phase": rng.random() < 0.4,
    }


def _plateau(rng: Random, groups: int, momentum: bool) -> dict[str, Any]:
    return {
        "mode": rng.choice(["min", "max"]),
        "factor": rng.uniform(0.1, 0.9),
        "patience": rng.randint(0, 3),
        "threshold": rng.choice([1e-4, 0.05, 0.0]),
        "threshold_mode": rng.choice(["rel", "abs"]),
        "cooldown": rng.randint(0, 3),
        "min_lr": rng.choice([0, _per_group(rng, groups, 1e-4, 1e-2)]),
        "eps": rng.choice([1e-8, 1e-3]),
    }


# Options of each scheduler: (generator, number of groups, whether there is momentum) -> options.
DRAW: dict[str, Callable[[Random, int, bool], dict[str, Any]]] = {
    "LRScheduler": lambda r, g, m: {},
    "LambdaLR": lambda r, g, m: {"lr_lambda": _factor(r, g)},
    "MultiplicativeLR": lambda r, g, m: {"lr_lambda": _factor(r, g)},
    "StepLR": lambda r, g, m: {"step_size": r.randint(1, 9), "gamma": r.uniform(0.1, 1.1)},
    "MultiStepLR": lambda r, g, m: {
        "milestones": [r.randint(0, 25) for _ in range(r.randint(0, 6))],
        "gamma": r.uniform(0.1, 1.1),
    },
    "ConstantLR": lambda r, g, m: {
        "factor": r.choice([1.0 / 3, 1.0, r.uniform(0.01, 1.0)]),
        "total_iters": r.randint(1, 12),
    },
    "LinearLR": lambda r, g, m: {
        "start_factor": r.choice([1.0, r.uniform(0.01, 1.0)]),
        "end_factor": r.choice([0.0, 1.0, r.random()]),
        "total_iters": r.randint(1, 20),
    },
    "ExponentialLR": lambda r, g, m: {"gamma": r.uniform(0.5, 1.05)},
    "PolynomialLR": lambda r, g, m: {
        "total_iters": r.randint(1, 25),
        "power": r.choice([1.0, 2.0, r.uniform(0.3, 3.0)]),
    },
    "CosineAnnealingLR": lambda r, g, m: {
        "T_max": r.randint(1, 12),
        "eta_min": r.choice([0.0, r.uniform(0.0, 1e-2)]),
    },
    "CosineAnnealingWarmRestarts": lambda r, g, m: {
        "T_0": r.randint(1, 8),
        "T_mult": r.randint(1, 3),
        "eta_min": r.choice([0.0, r.uniform(0.0, 1e-2)]),
    },
    "CyclicLR": _cyclic,
    "OneCycleLR": _one_cycle,
    "ReduceLROnPlateau": _plateau,
}
COMPOSITES = ("SequentialLR", "ChainedScheduler")
SINGLE = tuple(name for name in DRAW if name != "ReduceLROnPlateau")


def draw_spec(rng: Random, name: str, groups: int, momentum: bool, depth: int = 3) -> Spec:
    """Draw the options of a scheduler, and what is in it, nested up to ``depth``."""
    if name not in COMPOSITES:
        return Spec(name, DRAW[name](rng, groups, momentum))
    n_children = rng.randint(1, 3)
    children = []
    for i in range(n_children):
        # torch cannot begin a composite at a milestone: few of those, the others come first
        nests = depth > 1 and rng.random() < (0.5 if i == 0 or name != "SequentialLR" else 0.05)
        child = rng.choice(COMPOSITES if nests else SINGLE)
        children.append(draw_spec(rng, child, groups, momentum, depth - 1))
    options = {}
    if name == "SequentialLR":
        options = {"milestones": sorted(rng.randint(1, 20) for _ in range(n_children - 1))}
    return Spec(name, options, tuple(children))


@dataclass(frozen=True)
class Configuration:
    """One run: an optimizer, a scheduler, and what happens at which step."""

    spec: Spec
    lrs: tuple[float, ...]
    kind: str
    host: str
    steps: int
    events: dict[int, tuple[str, Any]]
    metrics: tuple[float, ...]


def draw_configuration(rng: Random, name: str) -> Configuration:
    """Draw a run of the scheduler of this name."""
    groups = rng.randint(1, 3)
    kind = rng.choice(["momentum", "betas", "neither"])
    spec = draw_spec(rng, name, groups, kind != "neither")
    steps = rng.randint(10, 40)
    events: dict[int, tuple[str, Any]] = {}
    for _ in range(rng.randint(0, 3)):
        events[rng.randrange(steps)] = (rng.choice(["resume", "exchange"]), None)
    chance = rng.random()
    if chance < 0.15 and name not in COMPOSITES:
        jump: float = rng.randint(0, 30)
        if name == "CosineAnnealingWarmRestarts" and rng.random() < 0.5:
            jump = rng.uniform(0, 30)
        events[rng.randrange(steps)] = ("jump", jump)
    elif chance < 0.3 and name not in (*COMPOSITES, "ReduceLROnPlateau"):
        events[rng.randrange(steps)] = ("last_epoch", None)
    elif chance < 0.4:
        events[rng.randrange(steps)] = ("add group", rng.uniform(0.01, 1.0))
    metrics = tuple(rng.choice([rng.gauss(0, 1), 1.0, float("nan")]) for _ in range(steps))
    lrs = tuple(rng.choice([0.1, 1.0, 10 ** rng.uniform(-4, 0)]) for _ in range(groups))
    host = rng.choice(["torch", "plain", "optimkit"])
    return Configuration(spec, lrs, kind, host, steps, events, metrics)


TYPICAL: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        Spec("LRScheduler"),
        Spec("LambdaLR", {"lr_lambda": halves}),
        Spec("MultiplicativeLR", {"lr_lambda": halves}),
        Spec("StepLR", {"step_size": 30}),
        Spec("MultiStepLR", {"milestones": [30, 80]}),
        Spec("ConstantLR", {"total_iters": 10**6}),
        Spec("LinearLR", {"total_iters": 10**6}),
        Spec("ExponentialLR", {"gamma": 0.999}),
        Spec("PolynomialLR", {"total_iters": 10**6, "power": 0.9}),
        Spec("CosineAnnealingLR", {"T_max": 10**6}),
        Spec("CosineAnnealingWarmRestarts", {"T_0": 50, "T_mult": 2}),
        Spec("CyclicLR", {"base_lr": 1e-3, "max_lr": 0.1}),
        Spec("OneCycleLR", {"max_lr": 0.1, "total_steps": 10**6}),
        Spec(
            "SequentialLR",
            {"milestones": [100]},
            (Spec("LinearLR", {"total_iters": 100}), Spec("CosineAnnealingLR", {"T_max": 10**6})),
        ),
        Spec(
            "ChainedScheduler",
            {},
            (Spec("ConstantLR", {"total_iters": 100}), Spec("ExponentialLR", {"gamma": 0.999})),
        ),
        Spec("ReduceLROnPlateau", {"patience": 10}),
    )
}
