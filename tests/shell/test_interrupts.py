"""A step that is interrupted leaves all as it was, or as it is after, or says how far it was."""

from __future__ import annotations

import signal
import threading
from typing import Any

import numpy as np
import pytest
from conftest import bits

import optimkit as ok
from optimkit.backends.adapters.numpy import NumPyAdapter

SIZES = [5, 300_000, 17, 2_000, 1]


def parameters() -> list[Any]:
    """Of two dtypes, and so of two buckets."""
    kinds = ("float32", "float64")
    return [np.ones(n, kinds[i % 2]) for i, n in enumerate(SIZES)]


def snapshot(opt: ok.Optimizer, params: list[Any]) -> list[bytes]:
    found = []
    for x in params:
        state = opt.state.get(x, {})
        entries = [bits(v) if hasattr(v, "shape") else repr(v).encode() for v in state.values()]
        found.append(b"".join([bits(x), *entries]))
    return found


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers here")
@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="no signals")
def test_interrupts_at_any_moment(engine: str) -> None:
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    rng = np.random.default_rng(0)
    before_handler = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    try:
        for _ in range(60):
            params, twins = parameters(), parameters()
            grads = [np.full_like(x, 0.5) for x in params]
            opt, twin = ok.AdamW(params), ok.AdamW(twins)
            for each in (opt, twin):
                each.step(grads=grads)
            before = snapshot(opt, params)
            twin.step(grads=grads)
            after = snapshot(twin, twins)
            notes: list[str] | None = None
            try:
                signal.setitimer(signal.ITIMER_REAL, float(rng.uniform(5e-6, 2e-3)))
                opt.step(grads=grads)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt as error:
                interrupted += 1
                notes = getattr(error, "__notes__", [])
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            found = snapshot(opt, params)
            if found not in (before, after):
                assert notes, "it moved some parameters and does not say which"
                check(notes[0], found, before, after)
    finally:
        signal.signal(signal.SIGALRM, before_handler)
    assert interrupted > 5


def check(note: str, found: list[bytes], before: list[bytes], after: list[bytes]) -> None:
    """What the note says of each parameter is so."""
    updated, parts = (
        {int(word) for word in text.split("]")[0].split(",") if word.strip()}
        for text in note.split("[")[1:3]
    )
    for i, x in enumerate(found):
        if i in updated:
            assert x == after[i]
        elif i not in parts:
            assert x == before[i]


def test_the_note_says_how_far_it_was(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    params = parameters()
    opt = ok.SGD(params, lr=1.0)
    grads = [np.ones_like(x) for x in params]
    calls = []

    def touched(self: Any, arrays: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(NumPyAdapter, "touched", touched)
    with pytest.raises(KeyboardInterrupt) as caught:
        opt.step(grads=grads)
    (note,) = caught.value.__notes__
    assert "numbers [0, 2, 4] have been updated, [1, 3] perhaps" in note
