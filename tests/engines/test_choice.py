"""How an engine is chosen."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import optimkit as ok
from optimkit.backends import engines
from optimkit.backends.engines import choice, eager
from optimkit.backends.engines import numba as numba_engine


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The engines that ran, in order."""
    names: list[str] = []

    def watch(engine: Any, name: str) -> None:
        job = engine.job

        def watched(*args: Any) -> Any:
            names.append(name)
            return job(*args)

        monkeypatch.setattr(engine, "job", watched)

    for name in engines.NAMES:
        watch(eager if name == "eager" else choice._engine(name), name)
    monkeypatch.delenv("OPTIMKIT_ENGINE", raising=False)
    return names


def one_step(**options: Any) -> None:
    ok.SGD([np.ones(4)], **options).step(grads=[np.ones(4)])


def test_the_fastest_engine_runs_unless_told_otherwise(used: list[str]) -> None:
    one_step()
    one_step(fused=None)
    one_step(fused=True)
    one_step(fused=False)
    fastest = ok.available_engines()[0]
    assert used == [fastest, fastest, fastest, "eager"]


def test_available_engines_are_in_order() -> None:
    names = ok.available_engines()
    assert names == [name for name in ("numba", "blocked", "eager") if name in names]
    assert names[-2:] == ["blocked", "eager"]


def test_use_engine_nests_and_ends(used: list[str]) -> None:
    with ok.use_engine("eager"):
        one_step()
        with ok.use_engine("blocked"):
            one_step()
        one_step()
    with pytest.raises(ZeroDivisionError), ok.use_engine("eager"):
        raise ZeroDivisionError
    one_step()
    assert used == ["eager", "blocked", "eager", ok.available_engines()[0]]


def test_use_engine_is_this_threads_alone(used: list[str]) -> None:
    with ok.use_engine("eager"):
        thread = threading.Thread(target=one_step)
        thread.start()
        thread.join()
    assert used == [ok.available_engines()[0]]


def test_the_environment_chooses_for_a_process(
    used: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTIMKIT_ENGINE", "blocked")
    one_step()
    with ok.use_engine("eager"):  # what is said closer by counts
        one_step()
    monkeypatch.setenv("OPTIMKIT_ENGINE", "")
    one_step()
    assert used == ["blocked", "eager", ok.available_engines()[0]]


def test_an_unknown_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.ones(1)
    with pytest.raises(ValueError, match=r"use_engine.*'warp'.*eager"), ok.use_engine("warp"):
        pass
    monkeypatch.setenv("OPTIMKIT_ENGINE", "warp")
    with pytest.raises(ValueError, match=r"OPTIMKIT_ENGINE.*'warp'"):
        ok.SGD([x]).step(grads=[np.ones(1)])
    assert x.tolist() == [1.0]


def test_an_engine_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_engine, "can_compile", lambda: False)
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    assert "numba" not in ok.available_engines()
    with pytest.raises(RuntimeError, match=r"'numba'.*fused"), ok.use_engine("numba"):
        pass
    one_step(fused=True)  # blocked is a fused engine too


def test_fused_contradicts_eager() -> None:
    with ok.use_engine("eager"), pytest.raises(RuntimeError, match="fused=True"):
        one_step(fused=True)
