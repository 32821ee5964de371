"""Steps on a CUDA device: the fused kernel beside torch's, CuPy's and optax's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from itertools import cycle
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.backends.engines.cuda.text import OPTIONS
from optimkit.validation.bench.bounds.costs import first_step_seconds
from optimkit.validation.bench.measure import Bound, Timings
from optimkit.validation.bench.workloads import ON_DEVICE

OPTIMIZERS: dict[str, dict[str, Any]] = {"AdamW": {}, "SGD": {"lr": 1e-3, "momentum": 0.9}}
SUBJECTS = ("costs", *OPTIMIZERS, "clipping")
WARM = 12  # steps before the first that counts: by then traces are kept
STREAMS = {"AdamW": 7, "SGD": 5}  # values read and written of each element
TURN = 0.02  # seconds of steps that a candidate runs before the next has its turn

Step = Callable[[], Any]


def _on_device(sizes: list[int], scale: float) -> list[Any]:
    """Tensors of random numbers."""
    import torch

    random = torch.Generator("cuda").manual_seed(0)
    return [scale * torch.randn(size, generator=random, device="cuda") for size in sizes]


def _tensors(sizes: list[int]) -> list[Any]:
    params = _on_device(sizes, 1)
    for param, grad in zip(params, _on_device(sizes, 1e-2), strict=True):
        param.grad = grad
    return params


def _candidates(name: str, options: dict[str, Any], sizes: list[int]) -> dict[str, Step]:
    """Every way to take the step, by name."""
    import torch

    steps: dict[str, Step] = {}
    adapted = getattr(ok, name)(_tensors(sizes), **options)
    steps["cuda, tensors"] = adapted.step
    if name == "AdamW":
        steps |= _captured(name, options, sizes)
    for peer, flags in {
        "fused": {"fused": True},
        "foreach": {"foreach": True},
        "capturable": {"foreach": True, "capturable": True},
    }.items():
        if peer != "capturable" or name != "SGD":
            optimizer = getattr(torch.optim, name)(_tensors(sizes), **options, **flags)
            steps[f"torch {peer}"] = optimizer.step
    if find_spec("cupy") is not None:
        import cupy

        def arrays(scale: float) -> list[Any]:
            return [cupy.from_dlpack(x) for x in _on_device(sizes, scale)]

        grads = arrays(1e-2)
        turns = cycle([grads, [grad[:] for grad in grads]])
        ours, eager = (getattr(ok, name)(arrays(1), **options) for _ in range(2))
        steps["cuda, CuPy"] = lambda: ours.step(grads=next(turns))

        def reference() -> None:
            with ok.use_engine("eager"):
                eager.step(grads=grads)

        steps["CuPy eager"] = reference
    if find_spec("optax") is not None:
        steps |= _optax(name, options, sizes)
    return steps


def _clipping(sizes: list[int]) -> dict[str, Step]:
    """Ways to clip gradients by their norm, which they never reach."""
    import torch
    from torch.nn.utils import clip_grad_norm_

    params = _tensors(sizes)
    steps: dict[str, Step] = {
        "cuda, tensors": lambda: ok.clip_grad_norm_(params, 1e-3),
        "torch foreach": lambda: clip_grad_norm_(params, 1e-3, foreach=True),
        "torch for-loop": lambda: clip_grad_norm_(params, 1e-3, foreach=False),
    }
    if find_spec("cupy") is not None:
        import cupy

        arrays = [cupy.from_dlpack(x) for x in _on_device(sizes, 1e-2)]
        steps["cuda, CuPy"] = lambda: ok.clip_grad_norm_(arrays, 1e-3)
    torch.cuda.synchronize()
    return steps


def _captured(name: str, options: dict[str, Any], sizes: list[int]) -> dict[str, Step]:
    """A step as a CUDA graph: ours, and torch's fused kernel."""
    import torch

    ours = getattr(ok, name)(_tensors(sizes), **options, capturable=True)
    peer = getattr(torch.optim, name)(_tensors(sizes), **options, capturable=True, fused=True)
    steps: dict[str, Step] = {}
    for title, optimizer in {"cuda, graph": ours, "torch fused, graph": peer}.items():
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                optimizer.step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            optimizer.step()
        held = optimizer, graph
        steps[title] = partial(_replay, *held)
    return steps


def _replay(optimizer: Any, graph: Any) -> None:
    graph.replay()


def _optax(name: str, options: dict[str, Any], sizes: list[int]) -> dict[str, Step]:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax
    import optax

    if jax.default_backend() != "gpu":
        return {}
    rule = {
        "AdamW": lambda: optax.adamw(1e-3, weight_decay=1e-2),
        "SGD": lambda: optax.sgd(1e-3, momentum=0.9),
    }[name]()
    params = [jax.dlpack.from_dlpack(x) for x in _on_device(sizes, 1)]
    grads = [jax.dlpack.from_dlpack(x) for x in _on_device(sizes, 1e-2)]
    params = jax.tree.map(lambda x: x.copy(), params)
    held = [params, rule.init(params)]

    @partial(jax.jit, donate_argnums=(0, 1))
    def advance(params: Any, state: Any, grads: Any) -> Any:
        updates, state = rule.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    def step() -> None:
        held[:] = advance(*held, grads)

    step.finish = partial(jax.block_until_ready, held)  # type: ignore[attr-defined]
    return {"optax, jit": step}


def _turn(step: Step, repeats: int) -> tuple[float, float]:
    """Seconds of a step until the device is done, and until the host may go on."""
    import torch

    finish = getattr(step, "finish", torch.cuda.synchronize)
    finish()
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    queued = time.perf_counter()
    finish()
    return (time.perf_counter() - start) / repeats, (queued - start) / repeats


def tables(name: str, rounds: int, workloads: list[str]) -> tuple[Timings, Timings]:
    """Measure one optimizer: times of a step, and of what the host does for it."""
    import torch

    place = f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    reference = "torch foreach" if name == "clipping" else "torch fused"
    whole = Timings(name, reference, where=place)
    host = Timings(f"{name}, host", reference, where=place)
    for workload in workloads:
        sizes = ON_DEVICE[workload]
        clipping = name == "clipping"
        steps = _clipping(sizes) if clipping else _candidates(name, OPTIMIZERS[name], sizes)
        repeats = {}
        for candidate, step in steps.items():
            for _ in range(WARM):
                step()
            repeats[candidate] = max(1, min(100, int(TURN / _turn(step, 1)[0])))
        for _ in range(rounds):
            turn = {name: _turn(step, repeats[name]) for name, step in steps.items()}
            for table, column in ((whole, 0), (host, 1)):
                seconds = {name: both[column] for name, both in turn.items()}
                table.turns.setdefault(workload, []).append(seconds)
        steps.clear()
        torch.cuda.empty_cache()
        if find_spec("cupy") is not None:
            import cupy

            cupy.get_default_memory_pool().free_all_blocks()
    return whole, host


COPY = """\
extern "C" __global__ void optimkit(float4 *p, float4 *m, float4 *v, const float4 *g,
                                    unsigned long long n)
{
    for (unsigned long long i = blockIdx.x * 256ull + threadIdx.x; i < n; i += gridDim.x * 256ull) {
        const float4 a = p[i], b = m[i], c = v[i], d = g[i];
        p[i] = d, m[i] = a, v[i] = b;
        if (c.x == 1e30f)
            p[i] = c;
    }
}
"""


def copy_seconds(elements: int, rounds: int) -> float:
    """Seconds of a plain kernel that moves what a step of AdamW does: the median."""
    import torch

    from optimkit.backends.engines.cuda.images import driver, loaded

    arrays = [torch.zeros(elements, device="cuda") for _ in range(4)]
    kernel = loaded(COPY, "optimkit", 0)
    values = np.array([*(x.data_ptr() for x in arrays), elements // 4], np.uint64)
    addresses = values.ctypes.data + 8 * np.arange(5, dtype=np.uint64)
    blocks, stream = 32 * driver().processors(0), torch.cuda.current_stream().cuda_stream

    def step() -> None:
        driver().launch(0, kernel, blocks, 256, stream, addresses.ctypes.data)

    step()
    return float(np.median([_turn(step, 10)[0] for _ in range(rounds)]))


FIRST_STEP = """
import time, torch, optimkit as ok
param = torch.ones(1_000_000, device="cuda", requires_grad=True)
param.grad = torch.ones_like(param)
optimizer = ok.AdamW([param])
torch.cuda.synchronize()
start = time.perf_counter()
optimizer.step()
torch.cuda.synchronize()
print(time.perf_counter() - start)
"""


def costs() -> list[Bound]:
    """What a first step and a launch take."""
    from optimkit.backends.engines.cuda.driver import DRIVERS

    cold, warm = first_step_seconds(FIRST_STEP)
    bounds = [
        Bound("first step, cold", cold, 1, "s"),
        Bound("first step, from the disk cache", warm, 0.1, "s"),
    ]
    for kind in DRIVERS:
        with suppress(Exception):  # a binding that is not there
            bounds.append(
                Bound(f"a launch by {kind.__name__}", _launch_seconds(kind()) * 1e6, None, "µs")
            )
    return bounds


def _launch_seconds(driver: Any) -> float:
    import torch

    text = 'extern "C" __global__ void optimkit(unsigned long long) {}'
    options = (*OPTIONS, f"--gpu-architecture=sm_{driver.capability(0)}")
    kernel = driver.load(0, driver.compile(text, options).cubin, "optimkit")
    number = np.zeros(1, np.uint64)
    addresses = np.array([number.ctypes.data], np.uint64)
    times = []
    for _ in range(50):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(100):
            driver.launch(0, kernel, 1, 32, 0, addresses.ctypes.data)
        times.append((time.perf_counter() - start) / 100)
    torch.cuda.synchronize()
    return float(np.median(times))


def figures(whole: Timings, host: Timings, rounds: int) -> list[Bound]:
    """What the tables must show."""
    bounds = []
    if whole.optimizer == "clipping":
        return [
            whole.bound(f"clipping, {workload}: {name} / torch", 1.0, workload, name)
            for workload in whole.turns
            for name in whole.candidates(workload)
            if name.startswith("cuda")
        ]
    for workload in whole.turns:
        what = f"{whole.optimizer}, {workload}: "
        for candidate in ("cuda, tensors", "cuda, CuPy"):
            if candidate in whole.candidates(workload):
                bounds += [
                    whole.bound(f"{what}{candidate} / {peer}", most, workload, candidate, peer)
                    for peer, most in {"torch fused": 1.0, "torch foreach": 0.6}.items()
                ]
                count = len(ON_DEVICE[workload])
                spent = host.seconds(workload, candidate) * 1e6
                bounds.append(
                    Bound(f"{what}{candidate}, host time a tensor", spent / count, None, "µs")
                )
        if workload == "100M":
            seconds, size = whole.seconds(workload, "cuda, tensors"), ON_DEVICE[workload][0]
            moved = 4e-12 * STREAMS[whole.optimizer] * size / seconds
            bounds.append(Bound(f"{what}memory traffic", moved, None, "TB/s"))
            if whole.optimizer == "AdamW":
                share = seconds / copy_seconds(size, rounds)
                bounds.append(Bound(f"{what}time / that of the same traffic", share, 1 / 0.85))
    return bounds
