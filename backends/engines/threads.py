"""The threads of the engines, of NumPy alone and of Numba, and how many there may be."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

Part = TypeVar("Part")
Result = TypeVar("Result")


@cache
def thread_count() -> int:
    """Threads for one step: `OPTIMKIT_NUM_THREADS`, or the processors this process may use."""
    setting = os.environ.get("OPTIMKIT_NUM_THREADS")
    if setting is not None:
        if not setting.isdigit() or int(setting) < 1:
            raise ValueError(f"OPTIMKIT_NUM_THREADS is {setting!r}; it must be a positive integer")
        return int(setting)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def shares(sizes: Sequence[int], overhead: int) -> list[int]:
    """Cut a list of pieces into a run for each thread, of about the same work.

    Parameters
    ----------
    sizes : sequence of int
        Elements of each piece.
    overhead : int
        What starting on a piece costs, in elements.

    Returns
    -------
    list of int
        Where the runs begin, and where the last one ends.
    """
    threads = thread_count()
    work = np.cumsum(np.array(sizes, np.int64) + overhead)
    if not len(work):
        return [0] * (threads + 1)
    cuts = np.searchsorted(work, work[-1] * np.arange(1, threads) / threads)
    return [0, *map(int, cuts), len(sizes)]


@cache
def _pool() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(thread_count(), thread_name_prefix="optimkit")


if hasattr(os, "register_at_fork"):  # a child has none of its parent's threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def on_all_threads(function: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """Call `function` with every part, side by side, and return the results in order."""
    others = [_pool().submit(function, part) for part in parts[1:]]
    try:
        first = [function(part) for part in parts[:1]]  # on the thread that would only wait
    finally:  # nobody writes any more once this has returned, or raised
        for other in others:
            other.exception()
    return first + [other.result() for other in others]


_parallel_region = threading.Lock()  # not every threading layer of Numba may be entered twice


def _was_forked() -> bool:
    """Whether `multiprocessing` has forked this process before this module was imported."""
    process = sys.modules.get("multiprocessing.process")
    if process is None or process.parent_process() is None:
        return False
    own = getattr(process.current_process(), "_start_method", None)
    method: str = own or sys.modules["multiprocessing"].get_start_method()
    return method == "fork"


_forked = _was_forked()  # nor, with GNU OpenMP, in the child of a process that has used it


def _after_fork() -> None:
    global _forked, _parallel_region
    _forked, _parallel_region = True, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def run_compiled(serial: Any, parallel: Any, arguments: Sequence[Any], bounds: Any) -> None:
    """Call a compiled loop: on one thread, or in parallel if there are bounds of the threads."""
    if bounds is None or _forked:
        serial(*arguments)
    else:
        with _parallel_region:
            parallel(*arguments, bounds)
