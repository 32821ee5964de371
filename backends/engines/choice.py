"""The engines there are, fastest first, and the choice between them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from optimkit.backends.bucket import Bucket
from optimkit.backends.engines import eager
from optimkit.backends.engines.base import Divided, Engine, Job
from optimkit.backends.kept_trace import KeptTrace
from optimkit.backends.kernel_cache import CannotCompile
from optimkit.backends.program import Traced
from optimkit.backends.trace import NotTraceable

FUSED = ("cuda", "numba", "blocked")  # each a module of this folder
NAMES = (*FUSED, eager.NAME)

_override: ContextVar[str | None] = ContextVar("optimkit_engine", default=None)


@cache
def _engine(name: str) -> Engine:
    engine: Engine = import_module(f"optimkit.backends.engines.{name}").ENGINE
    return engine


def available_engines() -> list[str]:
    """Return the names of the engines that can run here, fastest first.

    Examples
    --------
    >>> import optimkit as ok
    >>> ok.available_engines()[-1]
    'eager'
    """
    return [name for name in NAMES if _lack(name) is None]


def host_engines() -> list[str]:
    """Return those that run arrays in the host's memory, the fastest first."""
    return [name for name in NAMES if name != "cuda" and _lack(name) is None]


_given_up: dict[str, str] = {}  # what has turned out not to work here, and how


def _lack(name: str) -> str | None:
    """Why an engine cannot be used here, or None."""
    return _given_up.get(name) or (_engine(name).lack() if name in FUSED else None)


def works(name: str) -> bool:
    """Whether an engine can be used here."""
    return _lack(name) is None


def _give_up(engine: Engine, error: CannotCompile) -> None:
    if engine.name not in _given_up:
        _given_up[engine.name] = f"it has failed before: {error}"
        warnings.warn(
            f"the engine {engine.name!r} does not work here and is not used any more: {error}",
            RuntimeWarning,
            stacklevel=2,
        )


def _check(name: str, origin: str) -> str:
    if name not in NAMES:
        raise ValueError(f"{origin}: no engine is called {name!r}; there are {', '.join(NAMES)}")
    if (lack := _lack(name)) is not None:
        raise RuntimeError(
            f"{origin}: the engine {name!r} is not available here: {lack}; "
            f"there are {', '.join(available_engines())}"
        )
    return name


@contextmanager
def use_engine(name: str) -> Iterator[None]:
    """Use one engine for every step inside the context, wherever it can run the parameter.

    What it cannot run, such as a rule that is not elementwise, goes to the eager engine. The
    environment variable ``OPTIMKIT_ENGINE`` does the same for a process; it is read when an
    optimizer lays out its parameters.

    Parameters
    ----------
    name : {"cuda", "numba", "blocked", "eager"}

    Raises
    ------
    ValueError
        If there is no such engine.
    RuntimeError
        If it is not available here.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> weights = np.ones(3)
    >>> with ok.use_engine("eager"):
    ...     ok.SGD([weights], lr=0.5).step(grads=[np.ones(3)])
    >>> weights
    array([0.5, 0.5, 0.5])
    """
    token = _override.set(_check(name, "use_engine"))
    try:
        yield
    finally:
        _override.reset(token)


def forced_engine() -> str | None:
    """Return the engine that `use_engine` or ``OPTIMKIT_ENGINE`` asks for."""
    return _override.get() or _setting()


def _setting() -> str | None:
    name = os.environ.get("OPTIMKIT_ENGINE")
    return _check(name, "OPTIMKIT_ENGINE") if name else None


def _traces(bucket: Bucket, update: Callable[..., Any]) -> list[Traced]:
    """The trace of the rule for each unit of the bucket."""
    kept: dict[int, KeptTrace] = bucket.cache.get("traces", {})
    known: dict[int, KeptTrace] = {}
    traces = []
    for hyper, step, scalars in bucket.units:
        place = id(hyper)
        found = kept.get(place)
        if found is None or found.hyper is not hyper or found.update is not update:
            found = kept[place] = KeptTrace(update, bucket.names, hyper)
        known[place] = found
        traces.append(found(scalars, step))
    bucket.cache["traces"] = known
    return traces


def choose(bucket: Bucket, update: Callable[..., Any], native: bool = False) -> Job:
    """Make ready one step of the rule `update` over a bucket, on the engine that is to run it.

    A `native` rule is called, where it is not traced, with what the library itself computes with.

    Raises
    ------
    RuntimeError
        If the option `fused` is True and no fused engine can run it.
    Divided
        If parts of the bucket have to be stepped on apart.
    """
    engine, traces, objections = _decide(bucket, update)
    while engine is not None:
        try:
            return bucket.at_home(engine.job(bucket, traces))
        except CannotCompile as error:
            _give_up(engine, error)
            engine, objections = _able(bucket, _forced_for(bucket))
    _check_eager(bucket, update, native, objections)
    return eager.job(bucket, update, native)


def chosen(bucket: Bucket, update: Callable[..., Any], native: bool = False) -> tuple[str, str]:
    """Return the name of the engine that `choose` begins with, and why it is none before that.

    Raises
    ------
    RuntimeError, Divided
        As `choose` does.
    """
    engine, _, objections = _decide(bucket, update)
    if engine is None:
        _check_eager(bucket, update, native, objections)
    elsewhere = f"not on {bucket.device}"  # an engine for other devices explains nothing
    reasons = [text for text in objections if not text.endswith(elsewhere)]
    return eager.NAME if engine is None else engine.name, "; ".join(reasons)


def _decide(
    bucket: Bucket, update: Callable[..., Any]
) -> tuple[Engine | None, list[Traced], list[str]]:
    """The engine of the next step, None for the eager one; its traces; what others object to."""
    forced = _forced_for(bucket)
    fused = getattr(bucket.units[0].hyper, "fused", None)
    if fused is False or forced == eager.NAME:
        return None, [], [f"the {eager.NAME} engine was asked for"]
    try:
        traces = _traces(bucket, update)
    except NotTraceable as reason:
        return None, [], [f"the rule is not elementwise ({reason})"]
    if len(traces) > 1:
        _check_one_program(traces)
    engine, objections = bucket.cache.get(("engine", forced)) or _able(bucket, forced)
    return engine, traces, objections


def _forced_for(bucket: Bucket) -> str | None:
    """The engine that is asked for; of the environment's, what it was at the first step."""
    if (forced := _override.get()) is not None:
        return forced
    if "setting" not in bucket.cache:
        bucket.cache["setting"] = _setting()
    setting: str | None = bucket.cache["setting"]
    return setting


def _check_eager(
    bucket: Bucket, update: Callable[..., Any], native: bool, objections: list[str]
) -> None:
    """Raise RuntimeError if the eager engine will not do."""
    if bucket.device.startswith("cuda") and bucket.adapter.is_capturing(0):
        raise RuntimeError(
            f"this step cannot be captured in a CUDA graph, as it runs on the {eager.NAME} engine: "
            + "; ".join(objections)
        )
    if (lack := lack_of_parts(bucket, update, native)) is not None:
        raise RuntimeError(lack)
    if getattr(bucket.units[0].hyper, "fused", None) is True:
        raise RuntimeError(f"fused=True, but no fused engine can run this: {'; '.join(objections)}")


def lack_of_parts(bucket: Bucket, update: Callable[..., Any], native: bool) -> str | None:
    """Why a rule cannot do with the parts of parameters that this process has; None if it can.

    Native rules are given arrays that compute over all processes.
    """
    if "whole" not in bucket.cache:
        bucket.cache["whole"] = bucket.adapter.is_whole(bucket.arrays)
    if native or bucket.cache["whole"]:
        return None
    try:
        _traces(bucket, update)
    except NotTraceable as reason:
        return (
            f"the rule is not elementwise ({reason}), so it needs all of a parameter, of which "
            "each process has a part (a sharded DTensor): optimize it by an elementwise rule, "
            "such as AdamW, or replicate it"
        )
    return None


def _able(bucket: Bucket, forced: str | None) -> tuple[Engine | None, list[str]]:
    """The first engine that can run a bucket, and what those before it object to."""
    found: tuple[Engine | None, list[str]] = None, []
    for name in FUSED if forced is None else (forced,):
        engine = _engine(name)
        objection = engine.objection(bucket)
        if objection is None:  # before that, to ask may import much
            objection = _lack(name)
            if objection is not None and (bucket.device != "cpu" or find_spec(name)):
                _warn(f"on {bucket.device} the engine {name!r} cannot be used: {objection}")
        if objection is None:
            found = engine, found[1]
            break
        found[1].append(f"{name}: {objection}")
    bucket.cache["engine", forced] = found
    return found


@cache
def _warn(text: str) -> None:
    """Say once that a step is slower than it might be, and why."""
    warnings.warn(text, RuntimeWarning, stacklevel=2)


def _check_one_program(traces: list[Traced]) -> None:
    program = traces[0].program
    if any(traced.program != program for traced in traces):
        parts: dict[Any, list[int]] = {}
        for unit, traced in enumerate(traces):
            parts.setdefault(traced.program, []).append(unit)
        raise Divided(list(parts.values()))
