"""Every scheduler beside torch's, on random configurations, compared with ``==``.

`compare_with_torch` draws configurations (schedulers, nests of them, parameter groups, and what
happens on the way: save and resume, jumps, added groups), runs both libraries through each, and
compares every learning rate, momentum and state dict. `step_costs` times a step of each.
"""

import copy
import pickle
import random
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any

import optimkit.lr_scheduler as ours

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
        "total_iters": r.randint(0, 12),
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


class PlainOptimizer:
    """The least that a scheduler works on."""

    def __init__(self, lrs: tuple[float, ...], options: dict[str, Any]) -> None:
        self.defaults = options
        self.param_groups: list[dict[str, Any]] = [{"lr": lr, **options} for lr in lrs]

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the groups."""
        return {"param_groups": copy.deepcopy(self.param_groups)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the groups."""
        self.param_groups = copy.deepcopy(state["param_groups"])


def make_optimizer(host: str, kind: str, lrs: tuple[float, ...]) -> Any:
    """Create an optimizer of this library, with this kind of momentum, one group for each rate."""
    if host == "plain":
        options: dict[str, Any] = {"momentum": 0.5, "betas": (0.9, 0.999)}
        return PlainOptimizer(lrs, {kind: options[kind]} if kind in options else {})
    sgd: Any
    adam: Any
    adagrad: Any
    parameter: Callable[[], Any]
    if host == "torch":
        import torch

        sgd, adam, adagrad = torch.optim.SGD, torch.optim.Adam, torch.optim.Adagrad
        parameter = partial(torch.zeros, 1)
    else:
        import numpy as np

        from optimkit.algorithms.adagrad import Adagrad
        from optimkit.algorithms.adam import Adam
        from optimkit.algorithms.sgd import SGD

        sgd, adam, adagrad = SGD, Adam, Adagrad
        parameter = partial(np.zeros, 1)
    groups = [{"params": [parameter()], "lr": lr} for lr in lrs]
    if kind == "momentum":
        return sgd(groups, lr=0.1, momentum=0.5)
    return adam(groups) if kind == "betas" else adagrad(groups)


def add_group(optimizer: Any, lr: float) -> None:
    """Add a parameter group with this learning rate, and no more than a user would give."""
    if isinstance(optimizer, PlainOptimizer):
        optimizer.param_groups.append({"lr": lr, **optimizer.defaults})
        return
    parameter = copy.deepcopy(optimizer.param_groups[0]["params"][0])
    optimizer.add_param_group({"params": [parameter], "lr": lr})


class Side:
    """One library's optimizer and scheduler in a run."""

    def __init__(self, module: ModuleType, host: str, configuration: Configuration) -> None:
        self.module, self.host, self.configuration = module, host, configuration
        self.lrs = configuration.lrs
        self.create()

    def create(self) -> None:
        """Begin, or begin again in a new process that is about to load a checkpoint."""
        self.optimizer = make_optimizer(self.host, self.configuration.kind, self.lrs)
        self.scheduler = self.configuration.spec.build(self.module, self.optimizer)

    def rates(self) -> list[tuple[str, Any]]:
        """Everything a scheduler sets, by name."""
        values: list[tuple[str, Any]] = [("last lr", list(self.scheduler.get_last_lr()))]
        for i, group in enumerate(self.optimizer.param_groups):
            values += [(f"groups[{i}][{k!r}]", group[k]) for k in sorted(group) if k != "params"]
        return values

    def step(self, t: int) -> None:
        """Take a step, and what the configuration has for this one (but not a checkpoint)."""
        event, value = self.configuration.events.get(t, ("", None))
        plateau = self.configuration.spec.name == "ReduceLROnPlateau"
        arguments: list[Any] = [self.configuration.metrics[t]] if plateau else []
        if event == "jump":
            arguments.append(value)
        elif event == "add group":
            add_group(self.optimizer, value)
        elif event == "last_epoch":
            last = self.scheduler.last_epoch
            self.scheduler = self.configuration.spec.build(
                self.module, self.optimizer, last_epoch=last
            )
        self.scheduler.step(*arguments)


def exchange(one: Side, other: Side, crossed: bool) -> None:
    """Save both sides, begin again and resume, each from its own state or from the other's."""
    states = [pickle.loads(pickle.dumps(side.scheduler.state_dict())) for side in (one, other)]
    if crossed:
        states.reverse()
    for side, state in zip((one, other), states, strict=True):
        saved = copy.deepcopy(side.optimizer.state_dict())
        side.create()
        side.optimizer.load_state_dict(saved)
        side.scheduler.load_state_dict(state)


@dataclass
class Comparison:
    """What was compared, and what was found."""

    torch_version: str
    seed: int
    configurations: int = 0
    values: int = 0
    checkpoints: int = 0
    same_errors: int = 0
    torch_gave_up: int = 0
    mismatches: int = 0
    first_mismatch: str | None = None
    schedulers: Counter[str] = field(default_factory=Counter)

    def note(self, configuration: Configuration, what: str) -> None:
        """Count a mismatch and keep the first."""
        self.mismatches += 1
        self.first_mismatch = self.first_mismatch or f"{what} in {configuration}"


# Errors of torch where the schedule is defined and optimkit goes on (docs/lr_scheduler_notes.md).
GAVE_UP = (NotImplementedError, ZeroDivisionError)
# What a scheduler that does not follow an added group raises, at a later step.
DOES_NOT_FOLLOW = (ValueError, KeyError)


def _attempt(action: Callable[[], None]) -> Exception | None:
    try:
        action()
    except Exception as error:
        return error
    return None


def _compare(configuration: Configuration, theirs: ModuleType, result: Comparison) -> None:
    result.configurations += 1
    result.schedulers.update(set(configuration.spec.names()))
    sides: list[Side] = []

    def both(where: str, actions: Sequence[Callable[[], Any]]) -> bool:
        """Whether both went through; if not, whether that is as it should be is noted."""
        reference, own = (_attempt(action) for action in actions)
        if reference is None and own is None:
            return True
        if isinstance(reference, GAVE_UP) and (own is None or isinstance(own, DOES_NOT_FOLLOW)):
            result.torch_gave_up += 1
        elif type(reference) is type(own):
            result.same_errors += 1
        else:
            result.note(configuration, f"{where}: torch {reference!r}, optimkit {own!r}")
        return False

    def create(module: ModuleType, host: str) -> None:
        sides.append(Side(module, host, configuration))

    # torch's schedulers accept torch's optimizers only
    makers = [partial(create, theirs, "torch"), partial(create, ours, configuration.host)]
    if not both("creation", makers):
        return
    torch_side, own_side = sides
    for t in range(configuration.steps):
        event = configuration.events.get(t, ("", None))[0]
        if event in ("resume", "exchange") and len(torch_side.optimizer.param_groups) == len(
            configuration.lrs
        ):
            result.checkpoints += 1
            exchange(torch_side, own_side, event == "exchange")
        if not both(f"step {t}", [partial(side.step, t) for side in sides]):
            return
        reference, own = torch_side.rates(), dict(own_side.rates())
        shared = [(name, value) for name, value in reference if name in own]
        result.values += len(shared)
        for name, value in shared:
            if own[name] != value:
                what = f"step {t}, {name}: torch {value!r}, optimkit {own[name]!r}"
                result.note(configuration, what)
                return
    state, own_state = torch_side.scheduler.state_dict(), own_side.scheduler.state_dict()
    if state != own_state:
        result.note(configuration, f"state: torch {state}, optimkit {own_state}")


def compare_with_torch(n_configurations: int = 1000, seed: int = 0) -> Comparison:
    """Run random configurations of every scheduler in both libraries and compare with ``==``.

    Parameters
    ----------
    n_configurations : int
        Number of runs, shared evenly among the sixteen schedulers; composites get a triple share.
    seed : int
        The same seed draws the same configurations.
    """
    import torch

    rng = Random(seed)
    result = Comparison(torch.__version__, seed)
    names = [*DRAW, *COMPOSITES * 3]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(n_configurations):
            configuration = draw_configuration(rng, names[i % len(names)])
            _compare(configuration, torch.optim.lr_scheduler, result)
    return result


# Long enough that nothing reaches its end while it is timed.
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


def step_costs(groups: int = 1, rounds: int = 200, calls: int = 20) -> dict[str, float]:
    """Time of a scheduler's step over that of torch's, by name; below 1 is faster.

    Both drive torch optimizers in this process, by turns; each figure is a ratio of medians.
    """
    import torch

    ratios = {}
    for name, spec in TYPICAL.items():
        arguments = (1.0,) if name == "ReduceLROnPlateau" else ()
        schedulers = []
        for module in (torch.optim.lr_scheduler, ours):
            optimizer = make_optimizer("torch", "momentum", (0.1,) * groups)
            schedulers.append(spec.build(module, optimizer))
            optimizer.step()
        times: tuple[list[int], list[int]] = ([], [])
        for _ in range(rounds):
            for scheduler, taken in zip(schedulers, times, strict=True):
                begin = time.perf_counter_ns()
                for _ in range(calls):
                    scheduler.step(*arguments)
                taken.append(time.perf_counter_ns() - begin)
        ratios[name] = statistics.median(times[1]) / statistics.median(times[0])
    return ratios
