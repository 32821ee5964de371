"""Torch's results: those of a process that computes them now, or files that are kept."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optimkit.replacing import replacing
from optimkit.validation.arguments import Refusal
from optimkit.validation.parity import functions
from optimkit.validation.parity.tiers import found as tiers
from optimkit.validation.processes import Work, in_processes
from optimkit.validation.reference import ieee, manifest
from optimkit.validation.reference.cases import OPTIMIZERS, cases_of
from optimkit.validation.reference.recordings import FOLDER, STEPS

DIGITS = "digits.json"
NEEDS_TORCH = ("stock", "drift", "oracle")  # the tiers whose numbers are kept
SAID = {
    "same": "the same bits as before",
    "other": "other bits than before",
    "new": "new",
}


def files(names: Sequence[str]) -> list[str]:
    """The recordings that a check of these optimizers reads."""
    return [*(f"{name}.npz" for name in names), functions.FILE, DIGITS, tiers.FILE]


@contextmanager
def torch_results(
    live: bool, names: Sequence[str], steps: Sequence[int], kept: Path = FOLDER
) -> Iterator[tuple[Path, Callable[[], str | None]]]:
    """Give the folder with torch's results, and a function that tells why no more will come."""
    if not live:
        yield kept, lambda: f"the recordings are not there; {manifest.MADE_BY}"
        return
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as errors:
        process = ieee.start(Path(folder), names, steps, errors)

        def died() -> str | None:
            if process.poll() is None:
                return None
            errors.seek(0)
            return (
                f"torch's process ended with status {process.returncode}: {errors.read()[-2000:]}"
            )

        try:
            yield Path(folder), died
        finally:
            process.terminate()
            process.wait()


def record(names: Sequence[str], jobs: int, console: Any, folder: Path = FOLDER) -> int:
    """Write the recordings anew, and say whether they have the bits of those before.

    Parameters
    ----------
    names : sequence of str
        Optimizers that torch has too.
    jobs : int
        How many processes measure.
    console : rich.console.Console
    folder : Path
        Where they are kept.

    Raises
    ------
    Refusal
        If the folder may not be written, if what is kept of other optimizers is damaged or of other
        conditions, or if a process ends without results.
    """
    folder.mkdir(exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise Refusal(f"{folder} may not be written; record in a clone of the repository")
    everything = {name for name in OPTIMIZERS if any(case.peer for case in cases_of(name))}
    origin, kept = _conditions(), None
    if not everything <= set(names):  # or else all is made anew, whatever is there
        kept = folder / tiers.FILE
        manifest.check(folder, [tiers.FILE])
        if unlike := tiers.mixed(kept, names, origin):
            raise Refusal(
                f"{tiers.FILE} is of other conditions ({unlike}); {manifest.MADE_BY}, without "
                "names, makes all of it anew"
            )
    measured = tiers.TierFindings()
    with torch_results(True, names, STEPS) as (made, died):
        waiting: dict[str, Work] = {
            name: (_moved, (made / name, folder)) for name in files(names) if name != tiers.FILE
        }
        waiting |= tiers.work(NEEDS_TORCH, names, True, False, [])
        for name, result in in_processes(waiting, jobs, died=died):
            if tiers.SEPARATOR in name:
                measured.add(name, result)
    with replacing(folder / tiers.FILE) as new:
        tiers.keep(measured, origin, kept, Path(new))
    for name, said in manifest.update(folder, files(names)).items():
        console.print(f"{name}: {SAID[said]}", highlight=False)
    failures = [*measured.failures()]
    for failure in failures:
        console.print(f"✗ {failure}", markup=False, highlight=False)
    return 1 if failures else 0


def _moved(path: Path, folder: Path) -> str:
    """Copy a finished file: the one in the folder is the old one or the new one."""
    with replacing(folder / path.name) as new:
        Path(new).write_bytes(path.read_bytes())
    return path.name


def _conditions() -> dict[str, Any]:
    """Under what conditions ordinary torch computed."""
    import torch

    return {
        "torch": torch.__version__,
        "CPU capability": torch.backends.cpu.get_cpu_capability(),
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "date": time.strftime("%Y-%m-%d"),
    }
