"""An implementation in a process of its own: how long its first step takes, and how much memory.

``python -m optimkit.validation.bench.alone IMPLEMENTATION OPTIMIZER``
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from optimkit.validation.bench.implementations import Implementation, every
from optimkit.validation.bench.workloads import Given

ELEMENTS = 4_000_000  # of one parameter: far more than what a process takes for other things


@dataclass
class Alone:
    """What an implementation took by itself.

    Attributes
    ----------
    first : float
        Seconds of the first step, with nothing compiled before; libraries are imported.
    cached : float, optional
        The same with its kernels in its cache; None for one that keeps none.
    memory : float, optional
        The most a later step takes beside parameter, gradient and state, over the parameter's size;
        None where the system does not tell.
    """

    first: float
    cached: float | None
    memory: float | None


def alone(implementation: Implementation, optimizer: str) -> Alone:
    """Run an implementation in processes of its own.

    Raises
    ------
    RuntimeError
        If it fails there, with the last line of what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        env = dict(os.environ)
        if implementation.cache:
            env[implementation.cache] = folder
        cold = _child(implementation.name, optimizer, env)
        warm = _child(implementation.name, optimizer, env) if implementation.cache else None
    return Alone(cold["first"] or 0.0, warm["first"] if warm else None, cold["memory"])


def _child(name: str, optimizer: str, env: dict[str, str]) -> dict[str, float | None]:
    command = [sys.executable, "-W", "ignore", "-m", __name__, name, optimizer]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise RuntimeError(said[-1])
    found: dict[str, float | None] = json.loads(done.stdout.splitlines()[-1])
    return found


def peak(step: Callable[[], object]) -> int | None:
    """Bytes by which a step's resident memory rises above what it was; None if not told."""
    marks, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what steps before have left to be used again
        marks.write_text("5", encoding="ascii")
        before = _kilobytes(status, "VmRSS")
        step()
        return max(0, _kilobytes(status, "VmHWM") - before) * 1024
    except (OSError, AttributeError, StopIteration):  # no Linux, or not its C library
        return None


def _kilobytes(status: Path, name: str) -> int:
    lines = status.read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def main(name: str, optimizer: str) -> None:
    """Step it, and print what it took as JSON."""
    implementation = next(one for one in every() if one.name == name)
    given = Given([ELEMENTS])
    made = implementation.make(optimizer, given)
    start = time.perf_counter()
    made.step()
    first = time.perf_counter() - start
    made.step()
    bytes_taken = peak(made.step)
    memory = None if bytes_taken is None else bytes_taken / (4 * ELEMENTS)
    print(json.dumps(asdict(Alone(first, None, memory))))


if __name__ == "__main__":
    main(*sys.argv[1:])
