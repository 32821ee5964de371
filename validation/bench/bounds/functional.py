"""Rules as functions under ``jax.jit``, beside optax."""

from __future__ import annotations

from typing import Any

from optimkit import functional
from optimkit.validation.bench.measure import Bound, Step, Timings, turns
from optimkit.validation.bench.workloads import Workloads, arrays

BOUND = 1.1  # of optax's time
PEER = "optax"


def _candidates(sizes: list[int]) -> dict[str, Step]:
    """The same AdamW three times: a step, updates that are added, and optax's updates."""
    import jax
    import optax

    ours, theirs = functional.adamw(lr=1e-3), optax.adamw(1e-3, weight_decay=1e-2)
    params = {f"layer {i}": jax.numpy.asarray(x) for i, x in enumerate(arrays(sizes, 1))}
    grads = {f"layer {i}": jax.numpy.asarray(x) for i, x in enumerate(arrays(sizes, 1e-2))}

    def added(transformation: Any) -> Any:
        def step(params: Any, grads: Any, state: Any) -> Any:
            updates, state = transformation.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        return step

    def run(function: Any, state: Any) -> Step:
        compiled, held = jax.jit(function), [params, state]
        finish: Any = jax.block_until_ready

        def step() -> None:
            held[:] = compiled(held[0], grads, held[1])
            finish(held)

        return step

    return {
        "step": run(ours.step, ours.init(params)),
        "update": run(added(ours), ours.init(params)),
        PEER: run(added(theirs), theirs.init(params)),
    }


def table(rounds: int, workloads: Workloads) -> Timings:
    """Measure the workloads."""
    found = Timings("AdamW as a function", PEER, "under jax.jit")
    for workload, sizes in workloads.items():
        found.turns[workload] = turns(_candidates(sizes), rounds)
    return found


def bounds(found: Timings) -> list[Bound]:
    """What the table must show."""
    return [
        found.bound(f"AdamW as a function, {workload}: step / {PEER}", BOUND, workload, "step")
        for workload in found.turns
    ]
