"""NumPy alone: the traced rule over blocks that stay in the cache, with no large temporaries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from optimkit.backends.bucket import Bucket
from optimkit.backends.engines.base import Engine, Job, new_entries
from optimkit.backends.engines.threads import on_all_threads, shares
from optimkit.backends.trace import BOOLEAN, Program, Traced

BLOCK = 262_144  # bytes; a rule's handful of blocks fits in a core's second-level cache
OVERHEAD = 10_000  # what starting a block costs, in elements
PARALLEL = 200_000  # elements from which a second thread pays

Array = np.ndarray[Any, Any]
_Block = tuple[Sequence[Array], int, int]  # arrays, and the stretch of each


def _where(condition: Array, x1: Any, x2: Any, out: Array) -> None:
    if x1 is out:
        np.copyto(out, x2, where=~condition)
    else:
        np.copyto(out, x2)
        np.copyto(out, x1, where=condition)


def _fill(value: Any, out: Array) -> None:
    out[...] = value


FUNCTIONS: dict[str, Callable[..., Any]] = {"where": _where, "fill": _fill}


class _Instruction(NamedTuple):
    function: Callable[..., Any]
    operands: tuple[int, ...]
    result: int


class Plan(NamedTuple):
    """A program with a place for every value.

    Places are those of the columns (the inputs' arrays and the new outputs'), then scratch memory,
    then the slots.
    """

    instructions: tuple[_Instruction, ...]
    scratch: tuple[bool, ...]  # for each piece of scratch memory, whether it holds booleans
    copies: tuple[tuple[int, int], ...]  # (to, from): outputs computed elsewhere


@cache
def plan(program: Program) -> Plan:
    """Give every live value a place, reusing scratch memory once its last reader has run.

    A value that is an output is computed in place where no later operation reads the input that it
    replaces.
    """
    count, columns = len(program.inputs), program.inputs + program.new_state
    # An output that is an input is an operation too: it must be read before it is overwritten.
    operations, outputs = list(program.operations), []
    for name, value in program.outputs:
        if value < count:
            operations.append(("positive", value))
            value = count + len(operations) - 1
        outputs.append((name, value))
    program = Program(program.inputs, tuple(operations), tuple(outputs))
    live = program.live()
    last = {}
    for value, (_, *operands) in enumerate(operations, count):
        if live[value]:
            last.update({x: value for x in operands if x >= 0})
    targets: dict[int, int] = {}
    copies = []
    for name, value in outputs:
        column = columns.index(name)
        if value not in targets and last.get(column, -1) <= value:
            targets[value] = column
        else:
            copies.append((column, value))
    kept = {value for _, value in copies}
    places = list(range(count))
    scratch: list[bool] = []
    unused: dict[bool, list[int]] = {True: [], False: []}
    instructions = []
    for value, (name, *operands) in enumerate(operations, count):
        if not live[value]:
            places.append(-1)
            continue
        done = {x for x in operands if x >= count and last[x] == value and x not in kept}
        released = [places[x] for x in done if places[x] >= len(columns)]
        in_place = name != "where"  # which writes its result in two passes
        for place in released if in_place else ():
            unused[scratch[place - len(columns)]].append(place)
        boolean = name in BOOLEAN
        if value in targets:
            places.append(targets[value])
        elif unused[boolean]:
            places.append(unused[boolean].pop())
        else:
            scratch.append(boolean)
            places.append(len(columns) + len(scratch) - 1)
        for place in () if in_place else released:
            unused[scratch[place - len(columns)]].append(place)
        function = FUNCTIONS.get(name) or getattr(np, name)
        instructions.append((function, operands, places[value]))
    slots = len(columns) + len(scratch)
    return Plan(
        tuple(
            _Instruction(function, tuple(places[x] if x >= 0 else slots + ~x for x in xs), place)
            for function, xs, place in instructions
        ),
        tuple(scratch),
        tuple((column, places[value]) for column, value in copies),
    )


def _block_size(dtype: str) -> int:
    return BLOCK // np.dtype(dtype).itemsize


_local = threading.local()


def _scratch(plan: Plan, dtype: str) -> list[Array]:
    """This thread's scratch memory."""
    pools: dict[tuple[str, bool], list[Array]] = _local.__dict__.setdefault("pools", {})
    memory, used = [], {True: 0, False: 0}
    for boolean in plan.scratch:
        pool = pools.setdefault((dtype, boolean), [])
        if used[boolean] == len(pool):
            pool.append(np.empty(_block_size(dtype), "bool" if boolean else dtype))
        memory.append(pool[used[boolean]])
        used[boolean] += 1
    return memory


def _run_blocks(plan: Plan, dtype: str, slots: list[Any], blocks: Sequence[_Block]) -> None:
    scratch = _scratch(plan, dtype)
    with np.errstate(all="ignore"):
        for columns, start, stop in blocks:
            whole = stop - start == columns[0].size
            parts = columns if whole else [x[start:stop] for x in columns]
            values = [*parts, *(x[: stop - start] for x in scratch), *slots]
            for function, operands, result in plan.instructions:
                function(*[values[place] for place in operands], out=values[result])
            for target, source in plan.copies:
                values[target][...] = values[source]


def flat(view: Array) -> Array:
    """A dense array as one dimension in the order of its memory, without a copy."""
    if view.flags.c_contiguous:
        return view.reshape(-1)
    axes = sorted(range(view.ndim), key=lambda axis: -view.strides[axis])
    return view.transpose(axes).reshape(-1)


def _blocks(columns: list[list[Array]], block: int) -> Iterator[_Block]:
    for arrays in zip(*columns, strict=True):
        for start in range(0, arrays[0].size, block):
            yield arrays, start, min(start + block, arrays[0].size)


class BlockedEngine(Engine):
    name = "blocked"

    def available(self) -> bool:
        return True

    def objection(self, bucket: Bucket) -> str | None:
        if bucket.device != "cpu":
            return f"the blocked engine runs on the CPU, not on {bucket.device}"
        if bucket.dtype not in ("float32", "float64"):
            return f"the blocked engine has float32 and float64, not {bucket.dtype}"
        if not bucket.fusable:
            return "parameter and state do not lie alike in memory without gaps"
        return None

    def prepare(self, bucket: Bucket, traced: Traced) -> Job:
        program, adapter = traced.program, bucket.adapter
        steps = plan(program)
        with np.errstate(over="ignore"):
            slots = list(np.array(traced.slots, bucket.dtype))

        def flattened(name: str) -> list[Array]:
            return [flat(adapter.view(x)) for x in bucket.column(name)]

        lasting = bucket.cache.setdefault(self.name, {})  # all columns but the gradients
        for name in program.inputs:
            if name != "grad" and name not in lasting:
                lasting[name] = flattened(name)

        def job() -> list[dict[str, Any]] | None:
            columns = {**lasting, "grad": flattened("grad")}
            fresh = {
                name: [np.empty_like(adapter.view(x)) for x in bucket.arrays]
                for name in program.new_state
            }
            flats = [columns[name] for name in program.inputs]
            flats += [[flat(x) for x in column] for column in fresh.values()]
            work = list(_blocks(flats, _block_size(bucket.dtype)))
            size = sum(layout.size for layout in bucket.layouts)
            if size < max(PARALLEL, OVERHEAD * len(work)):  # many small blocks: Python is the limit
                _run_blocks(steps, bucket.dtype, slots, work)
            else:
                bounds = shares([stop - start for _, start, stop in work], OVERHEAD)
                parts = [work[i:j] for i, j in pairwise(bounds)]
                on_all_threads(partial(_run_blocks, steps, bucket.dtype, slots), parts)
            return new_entries(fresh, traced.scalars, len(bucket.arrays))

        return job


ENGINE = BlockedEngine()
