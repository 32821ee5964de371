"""Under what conditions something was found: what must stand beside every number."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import optimkit as ok
from optimkit.backends.engines import host_engines

# Distributions that decide about numbers and times, and what they are called.
LIBRARIES = {
    "numpy": "NumPy",
    "numba": "Numba",
    "torch": "torch",
    "cupy-cuda13x": "CuPy",
    "cupy-cuda12x": "CuPy",
}


def here(libraries: Sequence[str] = (), threads: int | None = None) -> dict[str, str]:
    """Return the conditions of what is running.

    Parameters
    ----------
    libraries : sequence of str
        Further distributions whose versions matter, such as "optax".
    threads : int, optional
        How many threads compute.
    """
    found = {
        "date": time.strftime("%Y-%m-%d %H:%M %Z"),
        "command": command(),
        "optimkit": ok.__version__,
        "engines": ", ".join(host_engines()),
        "Python": platform.python_version(),
        **versions({**LIBRARIES, **{name: name for name in libraries}}),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "device": "cpu",
    }
    capability = torch_capability()
    if capability:
        found["torch's CPU capability"] = capability
    if threads is not None:
        found["threads"] = str(threads)
    return found


def command() -> str:
    """The command as it was typed, the program by its name alone."""
    program = Path(sys.argv[0]).name
    start = ["python", "-m", "optimkit"] if program == "__main__.py" else [program]
    return shlex.join([*start, *sys.argv[1:]])


def versions(distributions: Mapping[str, str]) -> dict[str, str]:
    """The versions of those that are installed, by what they are called."""
    found = {}
    for distribution, name in distributions.items():
        try:
            found[name] = version(distribution)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's name, and how many of it this process may use."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        name = next(models, name)
    except OSError:  # no Linux
        pass
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {count} cores"


def torch_capability() -> str | None:
    """Which vector instructions torch uses, if it is imported: importing it takes seconds."""
    if "torch" not in sys.modules:
        return None
    import torch

    return str(torch.backends.cpu.get_cpu_capability())
