"""What a step costs beside its arithmetic, and what a program pays to begin."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import tracemalloc
from importlib.util import find_spec
from typing import Any

import optimkit as ok
from optimkit.backends.engines import host_engines
from optimkit.norms import nonfinite
from optimkit.validation.bench.bounds.steps import ours
from optimkit.validation.bench.measure import Bound, Step, Timings, measure, tensors, turns
from optimkit.validation.bench.workloads import WORKLOADS, arrays


def trace_time() -> Bound:
    """Cost of tracing AdamW once, as a bucket does when an option changes."""
    from optimkit.backends.trace import trace

    hyper = ok.AdamW.bind()
    names = ("exp_avg", "exp_avg_sq")

    def once() -> None:
        trace(ok.AdamW.update, names, {}, hyper, 3)

    seconds = measure({"trace": once}, 51)["trace"]
    return Bound("tracing a bucket (AdamW)", seconds * 1e6, 30, "µs")


def overhead() -> list[Bound]:
    """Python's share of a step a tensor: the growth of the time with the number of tensors of 1."""
    bounds = []
    kinds = ["arrays"] + (["torch tensors"] if find_spec("torch") else [])
    for kind in kinds:
        steps = {}
        for count in (100, 1100):
            sizes = [1] * count
            if kind == "arrays":
                steps[str(count)] = ours("AdamW", {}, sizes, host_engines()[0])
            else:
                steps[str(count)] = ok.AdamW(tensors(sizes)).step
        # No rest: no other library's threads are about, and a core that has slept is slow at first.
        seconds = measure(steps, 31, rest=0)
        each = (seconds["1100"] - seconds["100"]) / 1000
        bounds.append(Bound(f"overhead a tensor and step ({kind})", each * 1e6, 2, "µs"))
    return bounds


def being_torchs() -> list[Bound]:
    """A step of an optimizer that is torch's as well, over one of the plain class.

    Of 300 tensors of 64; no hook is registered and no profiler is on.
    """
    if not find_spec("torch"):
        return []
    optimizer: ok.Optimizer = ok.AdamW(tensors([64] * 300))
    kinds = {"torch's": type(optimizer), "plain": ok.AdamW}

    def step_as(kind: type[ok.Optimizer]) -> Step:
        def step() -> None:
            optimizer.__class__ = kind
            optimizer.step()

        return step

    taken = turns({name: step_as(kind) for name, kind in kinds.items()}, 201, rest=0)
    timings = Timings("AdamW", "plain", turns={"300x64": taken})
    return [timings.bound("a step as a torch.optim.Optimizer / else", 1.05, "300x64", "torch's")]


FIRST_STEP = """
import time, numpy as np, optimkit as ok
optimizer, grads = ok.AdamW([np.ones(1_000_000, np.float32)]), [np.ones(1_000_000, np.float32)]
start = time.perf_counter()
optimizer.step(grads=grads)
print(time.perf_counter() - start)
"""


def first_step() -> list[Bound]:
    """Seconds of the first fused step of a process, import of Numba included."""
    if "numba" not in host_engines():
        return []
    cold, warm = first_step_seconds(FIRST_STEP)
    return [
        Bound("first fused step, cold", cold, 3, "s"),
        Bound("first fused step, from the disk cache", warm, 1, "s"),
    ]


def first_step_seconds(code: str) -> tuple[float, float]:
    """What a program prints as its seconds: with no kernel on the disk, and with it; medians."""
    cold, warm = [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as cache:
            env = os.environ | {"OPTIMKIT_CACHE_DIR": cache}
            cold.append(float(_python(code, env)))
            warm.append(float(_python(code, env)))
    return statistics.median(cold), statistics.median(warm)


def _python(code: str, env: dict[str, str] | None = None) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


def import_time() -> Bound:
    """`import optimkit` over `import numpy`, from bytecode, processes taking turns."""
    times: dict[str, list[float]] = {"numpy": [], "optimkit": []}
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    for turn in range(16):
        for name, values in times.items():
            code = f"import time; t = time.perf_counter(); import {name}; "
            seconds = float(_python(code + "print(time.perf_counter() - t)", env))
            values += [seconds] if turn else []  # the first import may compile the bytecode
    ratio = statistics.median(times["optimkit"]) / statistics.median(times["numpy"])
    return Bound("import optimkit / import numpy", ratio, 1.6)


def wrappers() -> list[Bound]:
    """What accumulation and the look at gradients add to a call of 300x64."""
    sizes = WORKLOADS["300x64"]
    grads = arrays(sizes, 1e-2)

    def step(optimizer: Any) -> Step:
        return lambda: optimizer.step(grads=grads)

    steps: dict[str, Step] = {
        "AdamW": step(ok.AdamW(arrays(sizes, 1))),
        "added up": step(ok.accumulate(ok.AdamW(arrays(sizes, 1)), sys.maxsize)),
        "looked at": step(ok.skip_nonfinite(ok.AdamW(arrays(sizes, 1)))),
    }
    what = {
        "added up": "a micro-batch of accumulate / a step of AdamW, 300x64",
        "looked at": "a step of skip_nonfinite(AdamW) / of AdamW, 300x64",
    }
    bounds = {"added up": 2.0, "looked at": 3.0}
    timings = Timings("wrappers", "AdamW", turns={"300x64": turns(steps, 31, rest=0)})
    found = [
        timings.bound(what[name], bounds[name], "300x64", name)
        for name in ("added up", "looked at")
    ]
    return found + ([finite_check()] if find_spec("torch") else [])


def finite_check() -> Bound:
    """The look at the gradients of 300 tensors of 64, against torch's norm of all of them."""
    import torch

    grads = [param.grad for param in tensors(WORKLOADS["300x64"])]

    def norm() -> bool:
        norms = torch._foreach_norm(grads)
        return bool(torch.isfinite(torch.linalg.vector_norm(torch.stack(norms))))

    steps: dict[str, Step] = {"torch": norm, "optimkit": lambda: nonfinite(grads, grads)}
    timings = Timings("finite", "torch", turns={"300x64": turns(steps, 31, rest=0)})
    what = "a look for gradients that are not finite / torch's norm, 300x64"
    return timings.bound(what, 1.0, "300x64", "optimkit")


def peak_memory() -> list[Bound]:
    """Largest memory a step of AdamW on one array of 10M takes, over the array's own."""
    bounds = []
    for engine in host_engines():
        param, grad = arrays([10_000_000], 1)[0], arrays([10_000_000], 1)[0]
        optimizer = ok.AdamW([param])
        with ok.use_engine(engine):
            optimizer.step(grads=[grad])
            tracemalloc.start()
            optimizer.step(grads=[grad])
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        bound = None if engine == "eager" else 0.05
        what = f"memory a step takes / the parameter's ({engine})"
        bounds.append(Bound(what, peak / param.nbytes, bound))
    return bounds


def costs() -> list[Bound]:
    """What a step costs beside its arithmetic, and what a program pays to begin."""
    begun = [*first_step(), import_time()]
    return [trace_time(), *overhead(), *being_torchs(), *wrappers(), *begun, *peak_memory()]
