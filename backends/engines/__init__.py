"""The engines, fastest first, and the choice between them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from typing import Any

from optimkit.backends.bucket import Bucket
from optimkit.backends.engines.base import Engine, Job
from optimkit.backends.trace import NotTraceable, Traced, trace, trace_all_steps

__all__ = ["available_engines", "forced_engine", "prepare", "use_engine"]

FUSED = ("numba", "blocked")
NAMES = (*FUSED, "eager")
PATIENCE = 8  # steps with the same options before a rule is traced for all steps, which costs more
ELSEWHERE = {"cuda": "CuPy arrays and CUDA tensors run on eager"}

_override: ContextVar[str | None] = ContextVar("optimkit_engine", default=None)


@cache
def _engine(name: str) -> Engine:
    engine: Engine = import_module(f"{__name__}.{name}").ENGINE
    return engine


def available_engines() -> list[str]:
    """Return the names of the engines that can run here, fastest first.

    Examples
    --------
    >>> import optimkit as ok
    >>> ok.available_engines()[-1]
    'eager'
    """
    return [name for name in FUSED if _engine(name).available()] + ["eager"]


def _check(name: str, origin: str) -> str:
    if name in ELSEWHERE:
        raise RuntimeError(f"{origin}: there is no engine {name!r} here yet; {ELSEWHERE[name]}")
    if name not in NAMES:
        raise ValueError(f"{origin}: no engine is called {name!r}; there are {', '.join(NAMES)}")
    if name != "eager" and not _engine(name).available():
        raise RuntimeError(
            f"{origin}: the engine {name!r} is not available here; "
            f"there are {', '.join(available_engines())} (pip install 'optimkit[fused]')"
        )
    return name


@contextmanager
def use_engine(name: str) -> Iterator[None]:
    """Use one engine for every step inside the context, wherever it can run the parameter.

    What it cannot run, such as an array with gaps in memory or a rule that is not elementwise, goes
    to the eager engine. The environment variable ``OPTIMKIT_ENGINE`` does the same for a process;
    it is read when an optimizer lays out its parameters.

    Parameters
    ----------
    name : {"numba", "blocked", "eager"}

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


def _traced(bucket: Bucket, update: Callable[..., Any], hyper: Any) -> Traced:
    """Trace the rule; for all steps at once, where it keeps coming with the same options."""
    rule, options, seen = bucket.cache.get("traced", (None, None, 0))
    if rule is not update or options is not hyper:
        seen = 0
    if not callable(seen):
        traced = trace(update, bucket.names, bucket.scalars, hyper, bucket.step)
        seen += 1
        if seen == PATIENCE:
            seen = _for_all_steps(bucket, update, hyper, traced) or seen
        bucket.cache["traced"] = update, hyper, seen
        return traced
    try:
        kept: Traced = seen(bucket.step)
        return kept
    except (ArithmeticError, NotTraceable):  # what is wrong at this step the rule says itself
        return trace(update, bucket.names, bucket.scalars, hyper, bucket.step)


def _for_all_steps(
    bucket: Bucket, update: Callable[..., Any], hyper: Any, traced: Traced
) -> Callable[[int], Traced] | None:
    """Return what gives the trace at any step, or None if that is not known.

    `traced` is the trace at the bucket's step. Our own rules depend on their arguments alone, while
    a user's may read a number elsewhere: that is traced at every step.
    """
    if bucket.scalars or not str(update.__module__).startswith("optimkit."):
        return None
    try:
        at = trace_all_steps(update, bucket.names, hyper)
    except (NotTraceable, TypeError):
        return None
    again = at(bucket.step)
    same = again == traced and list(map(type, again.slots)) == list(map(type, traced.slots))
    return at if same else None


def prepare(
    bucket: Bucket,
    update: Callable[..., Any],
    hyper: Any,
    fused: bool | None,
    native: bool = False,
) -> tuple[Job, str]:
    """Make ready one step of the rule `update` over a bucket, on the engine that is to run it.

    A `native` rule is called, where it is not traced, with what the library itself computes with.

    Returns
    -------
    job, name
        The step, and the name of its engine.

    Raises
    ------
    RuntimeError
        If `fused` is True and no fused engine can run it.
    """
    cache, forced = bucket.cache, _override.get()
    if forced is None:
        if "setting" not in cache:
            cache["setting"] = _setting()
        forced = cache["setting"]
    names = FUSED if forced is None else (forced,)
    objections = []
    if fused is not False and names != ("eager",):
        try:
            traced = _traced(bucket, update, hyper)
        except NotTraceable as reason:
            objections.append(f"the rule is not elementwise ({reason})")
        else:
            for name in names:
                engine = _engine(name)
                objection = engine.objection(bucket) if engine.available() else "not available"
                if objection is None:
                    return engine.prepare(bucket, traced), name
                objections.append(f"{name}: {objection}")
    else:
        objections.append("the eager engine was asked for")
    if fused is True:
        raise RuntimeError(f"fused=True, but no fused engine can run this: {'; '.join(objections)}")
    from optimkit.backends.engines import eager

    return eager.prepare(bucket, update, hyper, native), "eager"
