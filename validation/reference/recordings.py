"""Trajectories: what an optimizer did, at a handful of steps, and how they are kept in files."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optimkit.validation.reference.case import Case
from optimkit.validation.reference.inputs import COMPLEX, Array, number_type

FOLDER = Path(__file__).with_name("recordings")
STEPS = (1, 10, 100, 1000)  # what is compared

# State that is a number for the whole parameter; torch keeps it as a float32 tensor.
NUMBERS = ("step", "mu_product", "eta", "mu", "n_iter", "func_evals")

STRETCHES = {"float32": "f4", "float64": "f8", "float16": "u2", "bfloat16": "u2"}  # as kept

# From "0" (the first parameter) or "0.exp_avg" (its state) to the values.
Snapshot = dict[str, Array]
Trajectory = dict[int, Snapshot]


@dataclass
class Recording:
    """The trajectories of one optimizer, by case name and dtype, and where they come from."""

    origin: dict[str, Any]
    trajectories: dict[tuple[str, str], Trajectory]
    options: dict[str, str]

    def find(self, case: Case, dtype: str) -> Trajectory | None:
        """Return the trajectory of a case, or None if there is none of these very options."""
        if self.options.get(case.name) != describe(case):
            return None
        return self.trajectories.get((case.name, dtype))


def describe(case: Case) -> str:
    """Everything that a trajectory depends on, besides the code."""
    return repr((sorted(case.options.items()), case.circumstances))


def save(recording: Recording, path: Path) -> None:
    """Write a recording: one stretch of numbers for each dtype, and an index."""
    stretches: dict[str, list[Array]] = {name: [] for name in STRETCHES}
    index = []
    for (name, dtype), trajectory in recording.trajectories.items():
        steps: dict[int, list[tuple[str, str, list[int]]]] = {}
        for step, snapshot in trajectory.items():
            steps[step] = [(k, x.dtype.name, list(x.shape)) for k, x in snapshot.items()]
            for x in snapshot.values():
                flat = np.ascontiguousarray(x).reshape(-1)
                real = flat.view(flat.real.dtype)
                kind = real.dtype.name
                stretches[kind].append(real.view(STRETCHES[kind]))
        index.append((name, dtype, steps))
    header = {"origin": recording.origin, "options": recording.options, "index": index}
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    partial = path.with_suffix(".partial.npz")
    arrays: dict[str, Any] = {name: np.concatenate(x) for name, x in stretches.items() if x}
    np.savez_compressed(partial, header=text, **arrays)
    os.replace(partial, path)


def load(path: Path) -> Recording:
    """Read what `save` wrote."""
    with np.load(path) as file:
        header = json.loads(bytes(file["header"]))
        stretches = {name: file[name] for name in STRETCHES if name in file}
    used = dict.fromkeys(stretches, 0)
    trajectories: dict[tuple[str, str], Trajectory] = {}
    for name, dtype, steps in header["index"]:
        trajectory: Trajectory = {}
        for step, entries in steps.items():
            snapshot: Snapshot = {}
            for label, kind, shape in entries:
                dtype_of = number_type(kind)
                real = COMPLEX.get(kind, kind)
                size = int(np.prod(shape)) * (2 if kind in COMPLEX else 1)
                start = used[real]
                used[real] += size
                stretch = stretches[real][start : start + size]
                snapshot[label] = stretch.view(dtype_of).reshape(shape)
            trajectory[int(step)] = snapshot
        trajectories[name, dtype] = trajectory
    return Recording(header["origin"], trajectories, header["options"])


def snapshot(params: list[Array], states: list[dict[str, Any]]) -> Snapshot:
    """Copy parameters and state, given as NumPy arrays and numbers.

    Numbers become float64, which holds float32 and counts exactly. State before the first step is
    left out: some optimizers of torch make it at construction, others when it is needed.
    """
    result: Snapshot = {}
    for i, (param, state) in enumerate(zip(params, states, strict=True)):
        result[str(i)] = np.array(param, order="C")
        for name in sorted(state) if state.get("step") != 0 else ():
            number = name in NUMBERS
            if state[name] is not None:
                dtype = np.float64 if number else None
                result[f"{i}.{name}"] = np.array(state[name], dtype, order="C")
    return result
