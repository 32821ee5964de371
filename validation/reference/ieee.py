"""PyTorch as IEEE 754 has it: run in a process of its own, it writes recordings.

``python -m optimkit.validation.reference.ieee FOLDER`` with ``ATEN_CPU_CAPABILITY=default`` in the
environment. Torch then computes without fused multiply-add; one thread, the for-loop path, and a
correctly rounded square root in place of MKL's, which is off by one unit in many values. What is
left is the formula, each operation rounded once.
"""

from __future__ import annotations

import argparse
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
from optimkit.validation.reference.cases import OPTIMIZERS, cases_of
from optimkit.validation.reference.recordings import Recording, describe, save
from optimkit.validation.reference.torch_runs import numbers, tensor, trajectory


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
            result = tensor(torch, np.asarray(np.sqrt(numbers(x))))
        return result if out is None else out.copy_(result)

    torch.sqrt = torch.Tensor.sqrt = sqrt  # type: ignore[assignment,method-assign]
    torch.Tensor.sqrt_ = lambda x: x.copy_(sqrt(x))  # type: ignore[assignment,method-assign]
    return torch


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
