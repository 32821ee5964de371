"""PyTorch as IEEE 754 has it: run in a process of its own, it writes recordings.

``python -m optimkit.validation.reference.ieee FOLDER`` with ``ATEN_CPU_CAPABILITY=default`` in the
environment. Torch then computes without fused multiply-add; one thread, the for-loop path, and a
correctly rounded square root in place of MKL's, which is off by one unit in many values. What is
left is the formula, each operation rounded once.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np

from optimkit.validation.parity import digits, functions
from optimkit.validation.reference.case import Case
from optimkit.validation.reference.cases import OPTIMIZERS, cases_of
from optimkit.validation.reference.inputs import (
    gradients,
    has_gradient,
    objective,
    parameters,
    rate_factor,
    touched_rows,
)
from optimkit.validation.reference.recordings import (
    NUMBERS,
    Recording,
    Trajectory,
    describe,
    save,
    snapshot,
)


def start(
    folder: Path, optimizers: Sequence[str], steps: Sequence[int], errors: IO[str]
) -> subprocess.Popen[str]:
    """Start the process that writes ``OPTIMIZER.npz`` for each, and two files for the rest."""
    command = [sys.executable, "-m", "optimkit.validation.reference.ieee", str(folder)]
    command += ["--steps", *map(str, steps), "--only", *optimizers]
    environment = os.environ | {"ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stderr=errors, text=True)


def origin() -> dict[str, Any]:
    """Return what must stand beside a number: versions, processor setting, device."""
    import torch

    return {
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "device": "cpu",
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "path": "foreach=False, fused=False",
        "sqrt": "correctly rounded (numpy " + np.__version__ + ")",
    }


def torch_with_ieee() -> Any:
    """Put torch into the IEEE setting for the rest of the process, and return it."""
    import torch

    torch.set_num_threads(1)
    capability = torch.backends.cpu.get_cpu_capability()
    if capability not in ("DEFAULT", "NO AVX"):
        raise RuntimeError(
            f"torch's CPU capability is {capability}; set ATEN_CPU_CAPABILITY=default before the "
            "process starts"
        )

    def sqrt(x: Any, *, out: Any = None) -> Any:
        with np.errstate(all="ignore"):
            result = torch.from_numpy(np.asarray(np.sqrt(x.detach().numpy())))
        return result if out is None else out.copy_(result)

    torch.sqrt = torch.Tensor.sqrt = sqrt  # type: ignore[assignment,method-assign]
    torch.Tensor.sqrt_ = lambda x: x.copy_(sqrt(x))  # type: ignore[assignment,method-assign]
    return torch


def trajectory(torch: Any, case: Case, dtype: str, steps: Sequence[int]) -> Trajectory:
    """Run a case with torch.optim."""
    setting = case.circumstances
    params = [torch.nn.Parameter(torch.from_numpy(x)) for x in parameters(setting, dtype)]
    kind = getattr(torch.optim, case.optimizer)
    paths = {"foreach": False, "fused": False}
    paths = {k: v for k, v in paths.items() if k in inspect.signature(kind).parameters}
    optimizer = kind(
        [{"params": [params[i] for i in g]} for g in setting.groups], **case.options, **paths
    )
    rates = [group["lr"] * (k + 1) for k, group in enumerate(optimizer.param_groups)]
    steps = [step for step in steps if step <= setting.longest]
    grads = gradients(setting, dtype, max(steps))

    def closure() -> float:
        loss, columns = objective([p.detach().numpy() for p in params])
        for p, g in zip(params, columns, strict=True):
            p.grad = torch.from_numpy(g)
        return loss

    result: Trajectory = {}
    for step in range(1, max(steps) + 1):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * (rate_factor(step) if setting.scheduled else 1.0)
        if setting.closure:
            optimizer.step(closure)
        else:
            for i, p in enumerate(params):
                given = has_gradient(setting, i, step)
                grad = torch.from_numpy(grads[i][step - 1, ...].copy())
                if setting.sparse:
                    rows = torch.from_numpy(touched_rows(setting, i, step))
                    grad = torch.sparse_coo_tensor(
                        rows[None], grad[: len(rows)], p.shape, check_invariants=True
                    )
                p.grad = grad if given else None
            optimizer.step()
        if step in steps:
            states = [
                {
                    k: v.numpy() if torch.is_tensor(v) else v
                    for k, v in state.items()
                    if k in NUMBERS or not setting.closure
                }
                for state in (optimizer.state.get(p, {}) for p in params)
            ]
            result[step] = snapshot([p.detach().numpy() for p in params], states)
    return result


def record(torch: Any, optimizer: str, steps: Sequence[int], path: Path) -> None:
    """Run every case of an optimizer and write the file."""
    cases = [case for case in cases_of(optimizer) if case.peer]
    trajectories = {
        (case.name, dtype): trajectory(torch, case, dtype, steps)
        for case in cases
        for dtype in case.dtypes
    }
    options = {case.name: describe(case) for case in cases}
    save(Recording(origin(), trajectories, options), path)


def main() -> None:
    """Write the recordings that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", required=True)
    parser.add_argument("--only", nargs="+", default=list(OPTIMIZERS))
    arguments = parser.parse_args()
    torch = torch_with_ieee()
    if find_spec("sklearn") is not None:
        text = json.dumps({"origin": origin(), "runs": digits.record()}, indent=1)
        partial = arguments.folder / "digits.partial"
        partial.write_text(text + "\n")
        os.replace(partial, arguments.folder / "digits.json")
    functions.record(arguments.folder, origin())
    for optimizer in arguments.only:
        record(torch, optimizer, arguments.steps, arguments.folder / f"{optimizer}.npz")


if __name__ == "__main__":
    main()
