"""Who takes the step: the engines and their peers, one table.

An implementation has a name, what must be installed for it, which optimizers it has, and how one of
them is made. To add a peer, add a line to `PEERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from itertools import cycle
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.backends.engines import host_engines
from optimkit.validation.bench.measure import Step, on_engine
from optimkit.validation.bench.pasted import PASTED
from optimkit.validation.bench.workloads import OPTIMIZERS, Array, Given


@dataclass
class Stepping:
    """An optimizer that has its parameters and gradients: its step, and what has become of them."""

    step: Step
    params: Callable[[], list[Array]]


@dataclass(frozen=True)
class Implementation:
    """A way to take the step.

    Attributes
    ----------
    name : str
        A word, as on the command line.
    needs : str
        The module that must be installed; empty for NumPy alone.
    optimizers : container of str
        Those that it has, by our names, with the same update for the same options.
    make : callable
        From the optimizer's name and what it is given to a `Stepping`.
    what : str
        What it is, in a line.
    ours : bool
    asked : str
        Why it runs only if it is named; empty if it always runs.
    cache : str
        The environment variable that says where it keeps compiled kernels; empty if it keeps none.
    """

    name: str
    needs: str
    optimizers: Container[str]
    make: Callable[[str, Given], Stepping]
    what: str
    ours: bool = False
    asked: str = ""
    cache: str = ""

    def lack(self, optimizer: str = "") -> str:
        """Why it is not here, or has not this optimizer; empty if it can run."""
        if self.needs and find_spec(self.needs) is None:
            return f"{self.needs} is not installed"
        if optimizer and optimizer not in self.optimizers:
            return f"has no {optimizer} with this update"
        return ""


# ---------------------------------------------------------------- ours


def _ours(engine: str, name: str, given: Given) -> Stepping:
    params = [np.array(x) for x in given.starts]
    optimizer = getattr(ok, name)(params, **OPTIMIZERS[name])
    # A model makes new arrays at each step: two sets take turns, so that none is recognized.
    grads = cycle([given.grads, [grad[:] for grad in given.grads]])
    return Stepping(on_engine(engine, lambda: optimizer.step(grads=next(grads))), lambda: params)


def _our_tensors(engine: str, name: str, given: Given) -> Stepping:
    params = _tensors(given)
    optimizer = getattr(ok, name)(params, **OPTIMIZERS[name])
    return Stepping(on_engine(engine, optimizer.step), lambda: [p.numpy() for p in params])


def engines() -> list[Implementation]:
    """The engines here, fastest first, and the first of them on torch tensors."""
    here = host_engines()
    kept = {"numba": "OPTIMKIT_CACHE_DIR"}
    ways = [(engine, engine, "", _ours, "NumPy arrays") for engine in here]
    ways.append((f"{here[0]}-tensors", here[0], "torch", _our_tensors, "torch tensors"))
    return [
        Implementation(
            name,
            needs,
            OPTIMIZERS,
            partial(make, engine),
            f"optimkit, the engine {engine}, {arrays}",
            ours=True,
            cache=kept.get(engine, ""),
        )
        for name, engine, needs, make, arrays in ways
    ]


# ---------------------------------------------------------------- torch


def _tensors(given: Given) -> list[Any]:
    import torch

    params = [torch.tensor(x) for x in given.starts]
    for param, grad in zip(params, given.grads, strict=True):
        param.grad = torch.from_numpy(grad)
    return params


def _torch(flags: dict[str, Any], name: str, given: Given) -> Stepping:
    import torch

    params = _tensors(given)
    optimizer = getattr(torch.optim, name)(params, **OPTIMIZERS[name], **flags)
    return Stepping(optimizer.step, lambda: [p.numpy() for p in params])


def _compiled(name: str, given: Given) -> Stepping:
    import torch

    made = _torch({"foreach": True}, name, given)
    return Stepping(torch.compile(made.step), made.params)


def _deepspeed(name: str, given: Given) -> Stepping:
    from deepspeed.ops.adam import (  # type: ignore[import-not-found,unused-ignore]
        DeepSpeedCPUAdam,
    )

    params, decoupled = _tensors(given), name == "AdamW"
    decay = 1e-2 if decoupled else 0.0
    optimizer = DeepSpeedCPUAdam(params, lr=1e-3, weight_decay=decay, adamw_mode=decoupled)
    return Stepping(optimizer.step, lambda: [p.numpy() for p in params])


# ---------------------------------------------------------------- others


def _optax_rules() -> dict[str, Any]:
    import optax

    return {
        "Adam": optax.adam(1e-3),
        "AdamW": optax.adamw(1e-3, weight_decay=1e-2),
        "SGD": optax.sgd(1e-3, momentum=0.9),
        "Adagrad": optax.adagrad(1e-2, initial_accumulator_value=0.0, eps=1e-10),
        "Adadelta": optax.adadelta(1.0, rho=0.9, eps=1e-6),
        "Adamax": optax.adamax(2e-3),
        "RAdam": optax.radam(1e-3),
        "RMSprop": optax.rmsprop(1e-2, decay=0.99, eps_in_sqrt=False),
    }


@cache
def _optax_rule(name: str) -> tuple[Any, Any]:
    """The transformation and its step, which is compiled once for all arrays of a shape."""
    import jax
    import optax

    rule = _optax_rules()[name]

    @partial(jax.jit, donate_argnums=(0, 1))
    def advance(params: Any, state: Any, grads: Any) -> Any:
        updates, state = rule.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return rule, advance


def _optax(name: str, given: Given) -> Stepping:
    import jax

    rule, advance = _optax_rule(name)
    grads = [jax.numpy.asarray(x) for x in given.grads]
    params = [jax.numpy.array(x) for x in given.starts]
    held = [params, rule.init(params)]

    def step() -> None:
        held[:] = advance(*held, grads)
        jax.block_until_ready(held)  # type: ignore[no-untyped-call,unused-ignore]

    return Stepping(step, lambda: [np.asarray(x) for x in held[0]])


def _thinc(name: str, given: Given) -> Stepping:
    import thinc.api as thinc  # type: ignore[import-not-found,unused-ignore]

    decay = 1e-2 if name == "AdamW" else 0.0
    optimizer = thinc.Adam(
        1e-3, L2=decay, beta1=0.9, beta2=0.999, eps=1e-8, grad_clip=0.0, use_averages=False
    )
    params = [np.array(x) for x in given.starts]
    grads = [np.array(x) for x in given.grads]

    def step() -> None:
        for i, (param, own, grad) in enumerate(zip(params, grads, given.grads, strict=True)):
            np.copyto(own, grad)  # a step writes zeros over it
            optimizer((i, ""), param, own)

    return Stepping(step, lambda: params)


def _scikit_learn(name: str, given: Given) -> Stepping:
    from sklearn.neural_network import _stochastic_optimizers as theirs

    params = [np.array(x) for x in given.starts]
    optimizer = (
        theirs.AdamOptimizer(params)
        if name == "Adam"
        else theirs.SGDOptimizer(params, 1e-3, momentum=0.9, nesterov=False)
    )
    return Stepping(lambda: optimizer.update_params(params, given.grads), lambda: params)


def _pasted(name: str, given: Given) -> Stepping:
    params, state = [np.array(x) for x in given.starts], dict[str, Any]()
    return Stepping(lambda: PASTED[name](params, given.grads, state), lambda: params)


FUSED_IN_TORCH = ("SGD", "Adam", "AdamW", "Adagrad")
IN_OPTAX = ("Adam", "AdamW", "SGD", "Adagrad", "Adadelta", "Adamax", "RAdam", "RMSprop")

PEERS = [
    Implementation(
        "torch-fused",
        "torch",
        FUSED_IN_TORCH,
        partial(_torch, {"fused": True}),
        "torch.optim with fused=True",
    ),
    Implementation(
        "torch-foreach",
        "torch",
        OPTIMIZERS,
        partial(_torch, {"foreach": True}),
        "torch.optim with foreach=True",
    ),
    Implementation(
        "torch-for-loop",
        "torch",
        OPTIMIZERS,
        partial(_torch, {"foreach": False}),
        "torch.optim as it is by default on a processor",
    ),
    Implementation(
        "torch-compiled",
        "torch",
        OPTIMIZERS,
        _compiled,
        "torch.compile of a step with foreach=True",
        asked="compiling a step of 300 tensors takes minutes",
        cache="TORCHINDUCTOR_CACHE_DIR",
    ),
    Implementation(
        "optax", "optax", IN_OPTAX, _optax, "optax under jax.jit, parameters and state donated"
    ),
    Implementation(
        "thinc",
        "thinc",
        ("Adam", "AdamW"),
        _thinc,
        "Thinc's compiled Adam; a copy of the gradients, which it overwrites, included",
    ),
    Implementation(
        "deepspeed",
        "deepspeed",
        ("Adam", "AdamW"),
        _deepspeed,
        "DeepSpeedCPUAdam",
        asked="it compiles its extension first, which takes a minute",
    ),
    Implementation(
        "scikit-learn",
        "sklearn",
        ("Adam", "SGD"),
        _scikit_learn,
        "the NumPy code in scikit-learn's MLPClassifier",
    ),
    Implementation("numpy", "", PASTED, _pasted, "plain NumPy, as people paste it"),
]
# What the others are timed against, the first that is there.
REFERENCES = ("torch-fused", "torch-for-loop", "torch-foreach")


def every() -> list[Implementation]:
    """The engines and all peers, here or not."""
    return [*engines(), *PEERS]


def reference_of(chosen: list[Implementation]) -> str:
    """What the others are timed against."""
    peers = [implementation.name for implementation in chosen if not implementation.ours]
    return next((name for name in REFERENCES if name in peers), peers[0] if peers else "eager")
