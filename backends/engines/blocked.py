"""NumPy alone: the traced rule over blocks that stay in the cache, with no large temporaries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from optimkit.backends.bucket import Bucket
from optimkit.backends.engines.base import Engine, Job, Write, fresh_columns, new_entries, rounded
from optimkit.backends.engines.source import arithmetic
from optimkit.backends.engines.threads import on_all_threads, shares
from optimkit.backends.masters import held
from optimkit.backends.memory import flat
from optimkit.backends.program import Kind, Program, Traced

BLOCK = 262_144  # bytes; a rule's handful of blocks fits in a core's second-level cache
OVERHEAD = 10_000  # what starting a block costs, in elements
PARALLEL = 200_000  # elements from which a second thread pays

Array = np.ndarray[Any, Any]
_Block = tuple[Sequence[Array], int, int, int]  # arrays, the stretch of each, their unit


def _where(condition: Array, x1: Any, x2: Any, out: Array) -> None:
    if x1 is out:
        np.copyto(out, x2, where=~condition)
    else:
        np.copyto(out, x2)
        np.copyto(out, x1, where=condition)


def _fill(value: Any, out: Array) -> None:
    out[...] = value


def _held(master: Array, param: Array, out: Array, *, stored: Any) -> None:
    out[...] = held(np, master, param.astype(stored))


FUNCTIONS: dict[str, Callable[..., Any]] = {"where": _where, "fill": _fill}


class _Instruction(NamedTuple):
    function: Callable[..., Any]
    operands: tuple[int, ...]
    result: int


class Recipe(NamedTuple):
    """A program with a place for every value.

    Places are those of the columns (the inputs' arrays and the new outputs'), then scratch memory,
    then the slots.
    """

    instructions: tuple[_Instruction, ...]
    scratch: tuple[bool, ...]  # for each piece of scratch memory, whether it holds booleans
    copies: tuple[tuple[int, int], ...]  # (to, from): outputs computed elsewhere


@cache
def recipe_of(program: Program, stored: Any) -> Recipe:
    """Give every live value a place, reusing scratch memory once its last reader has run.

    `stored` is the dtype of the parameters themselves.

    A value that is an output is computed in place where no later operation reads the input that it
    replaces.
    """
    count, columns = len(program.inputs), program.columns
    # An output that is an input is an operation too: it must be read before it is overwritten.
    operations, outputs = list(program.operations), []
    for name, value in program.outputs:
        if value < count:
            operations.append(("positive", value))
            value = count + len(operations) - 1
        outputs.append((name, value))
    program = Program(program.inputs, tuple(operations), tuple(outputs))
    values, live = program.values, program.live()
    results = range(count, count + len(operations))
    last = {x: value for value in results if live[value] for x in values[value].operands}
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
    for value in results:
        name, operands, kind, _ = values[value]
        if not live[value]:
            places.append(-1)
            continue
        done = {x for x in operands if x in results and last[x] == value and x not in kept}
        released = [places[x] for x in done if places[x] >= len(columns)]
        in_place = name != "where"  # which writes its result in two passes
        for place in released if in_place else ():
            unused[scratch[place - len(columns)]].append(place)
        boolean = kind is Kind.BOOLEAN
        if value in targets:
            places.append(targets[value])
        elif unused[boolean]:
            places.append(unused[boolean].pop())
        else:
            scratch.append(boolean)
            places.append(len(columns) + len(scratch) - 1)
        for place in () if in_place else released:
            unused[scratch[place - len(columns)]].append(place)
    first_slot = len(columns) + len(scratch)
    places += range(first_slot, first_slot + len(values) - len(places))
    functions = FUNCTIONS | {"held": partial(_held, stored=stored)}
    instructions = [
        _Instruction(
            functions.get(values[value].operation) or getattr(np, values[value].operation),
            tuple(places[x] for x in values[value].operands),
            places[value],
        )
        for value in results
        if live[value]
    ]
    return Recipe(
        tuple(instructions),
        tuple(scratch),
        tuple((column, places[value]) for column, value in copies),
    )


def _block_size(dtype: str) -> int:
    return BLOCK // np.dtype(dtype).itemsize


_local = threading.local()


def _scratch(recipe: Recipe, dtype: str) -> list[Array]:
    """This thread's scratch memory."""
    pools: dict[tuple[str, bool], list[Array]] = _local.__dict__.setdefault("pools", {})
    memory, used = [], {True: 0, False: 0}
    for boolean in recipe.scratch:
        pool = pools.setdefault((dtype, boolean), [])
        if used[boolean] == len(pool):
            pool.append(np.empty(_block_size(dtype), "bool" if boolean else dtype))
        memory.append(pool[used[boolean]])
        used[boolean] += 1
    return memory


def _run_blocks(
    recipe: Recipe, dtype: str, slots: list[list[Any]], written: list[int], blocks: Sequence[_Block]
) -> None:
    scratch = _scratch(recipe, dtype)
    with np.errstate(all="ignore"):
        for columns, start, stop, unit in blocks:
            uniform = all(x.dtype == dtype for x in columns)
            whole = stop - start == columns[0].size
            parts = columns if whole else [x[start:stop] for x in columns]
            worked = parts if uniform else [x.astype(dtype, copy=False) for x in parts]
            values = [*worked, *(x[: stop - start] for x in scratch), *slots[unit]]
            for function, operands, result in recipe.instructions:
                function(*[values[place] for place in operands], out=values[result])
            for target, source in recipe.copies:
                values[target][...] = values[source]
            for column in () if uniform else written:
                if worked[column] is not parts[column]:
                    parts[column][...] = worked[column]  # half precision is rounded once, here


def _blocks(columns: list[list[Array]], units: list[int], block: int) -> Iterator[_Block]:
    for unit, *arrays in zip(units, *columns, strict=True):
        for start in range(0, arrays[0].size, block):
            yield arrays, start, min(start + block, arrays[0].size), unit


class BlockedEngine(Engine):
    name = "blocked"

    def lack(self) -> str | None:
        return None

    def job(self, bucket: Bucket, traces: Sequence[Traced]) -> Job:
        program, adapter, dtype = traces[0].program, bucket.adapter, arithmetic(bucket.dtypes)
        written = [program.columns.index(name) for name, _ in program.outputs]
        recipe = recipe_of(program, adapter.view(bucket.arrays[0]).dtype)
        slots = list(map(list, rounded(traces, dtype)))
        run = partial(_run_blocks, recipe, dtype, slots, written)

        def flattened(name: str) -> list[Array]:
            return [flat(adapter.view(x)) for x in bucket.home(name)]

        lasting = bucket.cache.setdefault(self.name, {})  # all columns but the gradients
        for name in program.inputs:
            if name != "grad" and name not in lasting:
                lasting[name] = flattened(name)

        def begin() -> Write:
            columns = {**lasting, "grad": flattened("grad")}
            fresh = fresh_columns(bucket, program.new_state)
            flats = [columns[name] for name in program.inputs]
            flats += [[flat(x) for x in column] for column in fresh.values()]
            units = [0] * len(bucket.arrays) if bucket.rows is None else bucket.rows.tolist()
            work = list(_blocks(flats, units, _block_size(dtype)))

            def write() -> list[dict[str, Any]] | None:
                if sum(bucket.sizes) < max(PARALLEL, OVERHEAD * len(work)):
                    run(work)  # Python is the limit of small blocks
                else:
                    bounds = shares([stop - start for _, start, stop, _ in work], OVERHEAD)
                    parts = [work[i:j] for i, j in pairwise(bounds)]
                    on_all_threads(run, parts)
                return new_entries(bucket, fresh, traces)

            return write

        return begin


ENGINE = BlockedEngine()
