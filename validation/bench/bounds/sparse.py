"""What a step on a sparse gradient costs: by the size of the table, and beside torch.

``python -m optimkit.validation.bench.bounds.sparse``
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.threads import one_thread

TABLES = (10_000, 100_000, 1_000_000)  # rows
WIDTH = 16


def step_times(
    tables: Iterable[int] = TABLES,
    touched: int = 100,
    width: int = WIDTH,
    rounds: int = 200,
    optimizer: str = "SparseAdam",
) -> dict[int, dict[str, float]]:
    """Time one step on `touched` random rows, duplicates included, of tables of each size.

    The steps of all sizes and of torch take turns, so that whatever else the machine does falls on
    all of them. Torch has one thread: more make so small a step slower, and at times much.

    Returns
    -------
    dict
        From the number of rows to the median seconds: ``"numpy"`` for a NumPy table, ``"tensor"``
        for a torch tensor and ``"torch"`` for torch.optim, the last two where torch is installed.
    """
    steps: dict[tuple[int, str], Callable[[], object]] = {}
    for rows in tables:
        rng = np.random.default_rng(rows)
        places = rng.integers(0, rows, touched)
        values = rng.standard_normal((touched, width), np.float32)
        steps[rows, "numpy"] = _numpy_step(optimizer, rows, places, values)
        if find_spec("torch") is not None:
            steps[rows, "tensor"] = _torch_step(ok, optimizer, rows, places, values)
            steps[rows, "torch"] = _torch_step(None, optimizer, rows, places, values)
    times: dict[tuple[int, str], list[float]] = {key: [] for key in steps}
    with one_thread():
        for step in steps.values():
            step()  # the state is made, the kernel compiled
        for _ in range(rounds):
            for key, step in steps.items():
                start = time.perf_counter()
                step()
                times[key].append(time.perf_counter() - start)
    return {
        rows: {who: statistics.median(x) for (size, who), x in times.items() if size == rows}
        for rows in tables
    }


def ratios(times: dict[int, dict[str, float]]) -> dict[str, float]:
    """Return how the times of `step_times` compare.

    Returns
    -------
    dict
        ``"numpy, 1000000 / 10000 rows"``: the largest table relative to the smallest, 1 if the
        cost does not depend on the table; ``"tensor / torch, 10000 rows"`` and the like: relative
        to torch.optim, below 1 if we are faster.
    """
    small, large = min(times), max(times)
    result = {
        f"{who}, {large} / {small} rows": times[large][who] / times[small][who]
        for who in times[small]
    }
    for rows, row in times.items():
        result |= {
            f"{who} / torch, {rows} rows": row[who] / row["torch"]
            for who in ("numpy", "tensor")
            if "torch" in row
        }
    return result


def _numpy_step(optimizer: str, rows: int, places: Any, values: Any) -> Callable[[], object]:
    table = np.zeros((rows, values.shape[1]), np.float32)
    run = getattr(ok, optimizer)([table], lr=1e-3)
    return lambda: run.step(grads=[ok.RowSparse(places, values, table.shape)])


def _torch_step(
    library: Any, optimizer: str, rows: int, places: Any, values: Any
) -> Callable[[], object]:
    import torch

    table = torch.nn.Parameter(torch.zeros(rows, values.shape[1]))
    run = getattr(library or torch.optim, optimizer)([table], lr=1e-3)
    indices, entries = torch.from_numpy(places)[None], torch.from_numpy(values)

    def step() -> None:
        table.grad = torch.sparse_coo_tensor(indices, entries, table.shape, check_invariants=False)
        run.step()

    return step


def main() -> None:
    """Print times and ratios."""
    for optimizer in ("SparseAdam", "SGD", "Adagrad"):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse invariant checks")  # in torch's Adagrad
            times = step_times(optimizer=optimizer)
        print(optimizer)
        for rows, row in times.items():
            timed = ", ".join(f"{who} {seconds * 1e6:.0f}" for who, seconds in row.items())
            print(f"  {rows:>9,} rows: {timed} µs")
        for name, ratio in ratios(times).items():
            print(f"  {name:<40} {ratio:.2f}")


if __name__ == "__main__":
    main()
