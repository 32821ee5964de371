"""Are the numbers torch's? Runs optimkit beside torch.optim and says how many bits are equal.

Every setting is a process of its own, since torch chooses its kernels when it starts:
``ATEN_CPU_CAPABILITY`` says which vector instructions it may use. Parameters are 40,000 normally
distributed numbers, gradients 100 such arrays in turn. Run it, with torch installed:
``python examples/equal_to_torch.py``; it prints Markdown, after some minutes.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import os
import platform
import subprocess
import sys
from typing import Any

import numpy as np

import optimkit as ok

OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD, momentum 0.9": ("SGD", {"lr": 0.01, "momentum": 0.9}),
    "Adam": ("Adam", {}),
    "AdamW": ("AdamW", {}),
    "RMSprop": ("RMSprop", {"lr": 1e-3}),
    "NAdam": ("NAdam", {}),
    "Adagrad": ("Adagrad", {}),
}
FUSED = ("SGD", "Adam", "AdamW", "Adagrad")  # what torch has a fused kernel of on the CPU
PATHS = {
    "for-loop": {"foreach": False, "fused": False},
    "foreach": {"foreach": True, "fused": False},
    "fused": {"foreach": False, "fused": True},
}
SIZE = 40_000  # more than torch leaves to one thread


def start(dtype: str) -> Any:
    return np.random.default_rng(0).standard_normal(SIZE).astype(dtype)


@functools.cache
def drawn(which: int, dtype: str) -> Any:
    return np.random.default_rng(which + 1).standard_normal(SIZE).astype(dtype)


def gradient(step: int, dtype: str) -> Any:
    return drawn(step % 100, dtype)


def of_optimkit(name: str, options: dict[str, Any], steps: int, dtype: str) -> Any:
    weights = start(dtype)
    optimizer = getattr(ok, name)([weights], **options)
    for step in range(steps):
        optimizer.step(grads=[gradient(step, dtype)])
    return weights


def of_torch(name: str, options: dict[str, Any], steps: int, dtype: str) -> Any:
    import torch

    weights = torch.nn.Parameter(torch.from_numpy(start(dtype)))
    kind: Any = getattr(torch.optim, name)
    if name not in FUSED:
        options = {key: value for key, value in options.items() if key != "fused"}
    optimizer = kind([weights], **options)
    for step in range(steps):
        weights.grad = torch.from_numpy(gradient(step, dtype))
        optimizer.step()
    return weights.detach().numpy()


def child(exact_root: bool, threads: int, path: str, steps: int) -> dict[str, Any]:
    """What one process finds, for every optimizer and dtype."""
    import torch

    if exact_root:
        from optimkit.validation.reference.ieee import torch_with_ieee

        torch_with_ieee()
    torch.set_num_threads(threads)
    found: dict[str, Any] = {
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
    }
    for label, (name, options) in OPTIMIZERS.items():
        if path == "fused" and name not in FUSED:
            continue
        for dtype in ("float32", "float64"):
            theirs = of_torch(name, options | PATHS[path], steps, dtype)
            own = of_optimkit(name, options, steps, dtype)
            scale = np.maximum(np.abs(own), options.get("lr", 1e-3))
            found[f"{label}, {dtype}"] = {
                "equal": float(np.mean(theirs == own)),
                "apart": float(np.max(np.abs(theirs - own) / scale)),
                "bits": theirs.tobytes().hex()[:64],
            }
    return found


def measured(capability: str, *, root: bool = False, threads: int = 1, path: str = "for-loop",
             steps: int = 1000) -> dict[str, Any]:  # fmt: skip
    """Run a child in a setting; empty if this processor does not have it."""
    command = [sys.executable, __file__, "--child", str(int(root)), str(threads), path, str(steps)]
    environment = os.environ | {"ATEN_CPU_CAPABILITY": capability}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    had = {"NO AVX": "default"}.get(found["capability"], found["capability"].lower())
    return found if had == capability else {}


def cell(found: dict[str, Any], key: str) -> str:
    if key not in found:
        return "–"
    if found[key]["equal"] == 1:
        return "**all bits**"
    share = min(found[key]["equal"], 0.999)
    return f"{share:.1%}, {found[key]['apart']:.0e}"


def table(columns: dict[str, dict[str, Any]]) -> str:
    columns = {name: found for name, found in columns.items() if found}
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for dtype in ("float32", "float64"):
        lines.append(f"| **{dtype}** |" + " |" * len(columns))
        for label in OPTIMIZERS:
            cells = [cell(found, f"{label}, {dtype}") for found in columns.values()]
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(steps: int = 1000) -> None:
    ieee = measured("default", root=True, steps=steps)
    fused = measured("default", path="fused", steps=steps)
    levels = {name: measured(name, steps=steps) for name in ("default", "avx2", "avx512")}
    best = [name for name, found in levels.items() if found][-1]
    others = {name: measured(best, path=name, steps=steps) for name in PATHS if name != "for-loop"}
    two = measured(best, threads=2, steps=steps)
    same = all(two[key] == value for key, value in levels[best].items())

    print(
        f"{datetime.date.today():%d %B %Y}; torch {ieee['torch']}, NumPy {np.__version__}, "
        f"optimkit {ok.__version__}; {platform.machine()}, the CPU; {SIZE:,} numbers, {steps:,} "
        "steps. A cell says how many of the parameters have equal bits, and the largest "
        "`|difference| / max(|value|, lr)`.\n"
    )
    print("By `ATEN_CPU_CAPABILITY`; the for-loop where nothing else is said, one thread:\n")
    print(table({"default, exact root": ieee, "default, fused": fused, **levels}))
    print(f"\nBy torch's implementation, `{best}`, one thread (fused kernels are of four rules):\n")
    print(table({"for-loop": levels[best], **others}))
    print(f"\nWith two threads torch has {'the same bits' if same else 'other bits'} as with one.")


if __name__ == "__main__":
    if "--child" in sys.argv:
        root, threads, path, steps = sys.argv[2:]
        print(json.dumps(child(bool(int(root)), int(threads), path, int(steps))))
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--steps", type=int, default=1000)
        main(parser.parse_args().steps)
