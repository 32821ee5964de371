"""Threads and forks."""

from __future__ import annotations

import hashlib
import os
import threading

import numpy as np
import pytest
from conftest import ENGINES, require_engine
from trials import FUSED, RULES, after, output, process, random

import optimkit as ok


def test_threads_step_optimizers_of_their_own() -> None:
    size = 120_000  # enough for the parallel kernels and blocks
    start, grad = random("float32", 0, (size,)), random("float32", 1, (size,))
    for name in ok.available_engines():
        expected = after(name, RULES["Adam"], [start.copy()], [[grad]] * 5)
        results: list[bytes] = []

        def work(name: str = name, results: list[bytes] = results) -> None:
            results.append(after(name, RULES["Adam"], [start.copy()], [[grad]] * 5))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [expected] * 4, name


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.parametrize("name", ENGINES)
def test_a_child_of_a_process_that_has_stepped_steps_too(name: str) -> None:
    require_engine(name)
    script = f"""
        import os, numpy as np, optimkit as ok
        x, g = np.ones(300_000), np.ones(300_000)
        opt = ok.SGD([x], lr=0.25)
        with ok.use_engine({name!r}):
            opt.step(grads=[g])
            child = os.fork()
            opt.step(grads=[g])
        assert (x == 0.5).all()
        if child == 0:
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert output(process(script, OPTIMKIT_NUM_THREADS="2")) == "7\n"


@pytest.mark.parametrize("count", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_threads_is_refused(count: str) -> None:
    running = process(
        """
        import numpy as np, optimkit as ok
        ok.SGD([np.ones(300_000)]).step(grads=[np.ones(300_000)])
        """,
        OPTIMKIT_NUM_THREADS=count,
    )
    _, err = running.communicate(timeout=120)
    assert f"OPTIMKIT_NUM_THREADS is {count!r}; it must be a positive integer" in err


@pytest.mark.parametrize("threads", ["1", "2", "3"])
@pytest.mark.parametrize("name", FUSED)
def test_the_number_of_threads_does_not_matter(name: str, threads: str) -> None:
    require_engine(name)
    script = f"""
        import hashlib, numpy as np, optimkit as ok
        rng = np.random.default_rng(0)
        x = [rng.standard_normal(n).astype("float32") for n in (300_001, 7, 40_000)]
        with ok.use_engine({name!r}):
            opt = ok.Adam(x, lr=0.1)
            for _ in range(2):
                opt.step(grads=[v * 0.5 for v in x])
        print(hashlib.sha256(b"".join(v.tobytes() for v in x)).hexdigest())
    """
    rng = np.random.default_rng(0)
    x = [rng.standard_normal(n).astype("float32") for n in (300_001, 7, 40_000)]
    with ok.use_engine("eager"):
        opt = ok.Adam(x, lr=0.1)
        for _ in range(2):
            opt.step(grads=[v * np.float32(0.5) for v in x])
    expected = hashlib.sha256(b"".join(v.tobytes() for v in x)).hexdigest()
    assert output(process(script, OPTIMKIT_NUM_THREADS=threads)).strip() == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("way", ["os.fork", "multiprocessing"])
def test_a_child_that_is_the_first_to_import_optimkit_steps(way: str) -> None:
    pytest.importorskip("torch", reason="whose OpenMP is in use before the fork")
    script = f"""
        import multiprocessing, os, sys, warnings
        import torch

        (torch.randn(4_000_000) * 2).sum()  # on several threads
        torch.randn(1_000, 1_000) @ torch.randn(1_000, 1_000)

        def child():
            import numpy as np, optimkit as ok
            x = np.ones(1_000_000, "float32")
            ok.SGD([x], lr=0.5).step(grads=[x.copy()])
            assert x[-1] == 0.5
            print("stepped", flush=True)

        warnings.simplefilter("ignore")  # of threads at a fork
        if {way!r} == "os.fork":
            if os.fork() == 0:
                child()
                os._exit(0)
            os.wait()
        else:
            process = multiprocessing.get_context("fork").Process(target=child)
            process.start()
            process.join()
    """
    threads = {"OPTIMKIT_NUM_THREADS": "1"} if way == "os.fork" else {}
    assert output(process(script, **threads)).split() == ["stepped"]
