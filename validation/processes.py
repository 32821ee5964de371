"""Work in processes, each piece as soon as the file that it reads is there."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from optimkit.validation.arguments import Refusal
from optimkit.validation.interruption import shielded
from optimkit.validation.progress import Forecast, ProgressLine

Work = tuple[Callable[..., Any], tuple[Any, ...]]


def in_processes(
    work: Mapping[str, Work],
    jobs: int,
    weights: Mapping[str, float] | None = None,
    died: Callable[[], str | None] = lambda: None,
) -> Iterator[tuple[str, Any]]:
    """Run the work and yield results as they come, showing how far it is.

    Parameters
    ----------
    work : mapping of str to (callable, arguments)
        Arguments that are paths with a suffix are files that must be there first.
    jobs : int
        How many processes work.
    weights : mapping of str to float, optional
        About how many seconds each takes; 1 where nothing is said.
    died : callable
        Why no more files will come, if that is so.

    Raises
    ------
    Refusal
        If a file will never come, or a process ends without a word.
    """
    known = weights or {}
    places = {name: place for place, name in enumerate(work)}
    forecast = Forecast([(name, known.get(name, 1.0)) for name in work], jobs)
    waiting, running = dict(work), dict[Future[Any], str]()
    context = multiprocessing.get_context("spawn")
    with ProgressLine(forecast), ProcessPoolExecutor(jobs, mp_context=context) as pool:
        try:
            while waiting or running:
                ended = died()
                for name, (function, arguments) in list(waiting.items()):
                    absent = [x for x in arguments if _is_file(x) and not x.exists()]
                    if absent and ended is not None:
                        raise Refusal(f"{absent[0].name} is missing: {ended}")
                    if not absent and len(running) < jobs:  # so that what is shown is worked on
                        with shielded():
                            running[pool.submit(function, *arguments)] = name
                        forecast.started(places[name])
                        del waiting[name]
                done, _ = wait(running, timeout=0.1, return_when=FIRST_COMPLETED)
                if not running:
                    time.sleep(0.1)
                for future in done:
                    name = running.pop(future)
                    forecast.ended(places[name])
                    yield name, _result(name, future)
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _is_file(argument: Any) -> bool:
    return isinstance(argument, Path) and bool(argument.suffix)


def _result(name: str, future: Future[Any]) -> Any:
    try:
        return future.result()
    except BrokenProcessPool:
        raise Refusal(f"the process that worked on {name} was ended from outside") from None
