"""Time left, what a watcher sees and a pipe does not, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from optimkit.validation.arguments import Refusal
from optimkit.validation.interruption import Interruptible, shielded, unfinished
from optimkit.validation.processes import in_processes
from optimkit.validation.progress import Forecast, duration, progress


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def run(forecast: Forecast, clock: Clock, place: int, seconds: float) -> None:
    forecast.started(place)
    clock.time += seconds
    forecast.ended(place)


def test_time_left_follows_weights_and_not_counts() -> None:
    clock = Clock()
    forecast = Forecast([("long", 90.0), ("short", 5.0), ("shorter", 5.0)], now=clock)
    assert forecast.seconds_left() == pytest.approx(100)
    run(forecast, clock, 0, 180)  # twice as long as was expected
    assert forecast.seconds_left() == pytest.approx(20, rel=0.1)
    assert forecast.share() == pytest.approx(0.9, abs=0.02)
    assert forecast.words() == "1 of 3, 19 s left"


def test_time_left_falls_while_a_piece_is_worked_on_but_not_below_what_waits() -> None:
    clock = Clock()
    forecast = Forecast([("a", 10.0), ("b", 10.0), ("c", 10.0)], now=clock)
    run(forecast, clock, 0, 10)
    forecast.started(1)
    assert forecast.names() == "b"
    clock.time += 4
    assert forecast.seconds_left() == pytest.approx(16)
    clock.time += 60
    assert forecast.seconds_left() == pytest.approx(10)
    forecast.ended(1)
    run(forecast, clock, 2, 1)
    assert forecast.seconds_left() == 0
    assert forecast.share() == 1


def test_two_at_once_take_half_as_long() -> None:
    assert Forecast([("a", 10.0), ("b", 10.0)], at_once=2).seconds_left() == pytest.approx(10, 0.1)


def test_no_work_takes_no_time() -> None:
    assert Forecast([]).seconds_left() == 0
    assert Forecast([("a", 0.0)]).seconds_left() == 0


def test_durations() -> None:
    said = [duration(s) for s in (0, 0.4, 8.3, 59.4, 60, 80, 3599, 7500)]
    assert said == [
        "1 s",
        "1 s",
        "8 s",
        "59 s",
        "1 min 0 s",
        "1 min 20 s",
        "59 min 59 s",
        "2 h 5 min",
    ]


def test_a_name_may_come_twice() -> None:
    assert [*progress([("a", 1), ("a", 2)], {"a": 3.0})] == [("a", 1), ("a", 2)]


SLOW = """
import time
from optimkit.validation.progress import progress
for name, item in progress([("first", 1), ("second", 2)]):
    print("result", item, flush=True)
    time.sleep(0.4)
"""


def test_a_pipe_sees_nothing_of_it() -> None:
    result = subprocess.run([sys.executable, "-c", SLOW], capture_output=True, text=True)
    assert result.stderr == ""
    assert result.stdout == "result 1\nresult 2\n"


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no pseudo-terminals here")
def test_a_person_sees_it_while_results_go_into_a_pipe() -> None:
    pytest.importorskip("rich", reason="progress is shown with rich")
    mine, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", SLOW],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        text=True,
    ) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                part = os.read(mine, 65536)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            seen += part
        assert process.stdout is not None
        assert process.stdout.read() == "result 1\nresult 2\n"
    os.close(mine)
    text = seen.decode()
    assert "0 of 2, 2 s left" in text
    assert "first" in text
    assert "second" in text
    assert "result" not in text
    assert text.rstrip().endswith("\x1b[2K")  # and it is gone in the end


# ---------------------------------------------------------------- in processes


def double(x: int) -> int:
    return 2 * x


def leave(x: int) -> None:
    os._exit(x)


def read(path: Path) -> str:
    return path.read_text()


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def test_results_of_processes_and_files_that_will_not_come(tmp_path: Path) -> None:
    assert dict(in_processes({"a": (double, (1,)), "b": (double, (2,))}, 2)) == {"a": 2, "b": 4}
    (tmp_path / "here.txt").write_text("text")
    work = {"a": (read, (tmp_path / "here.txt",)), "b": (read, (tmp_path / "not.txt",))}
    with pytest.raises(Refusal, match=r"not\.txt is missing: torch is ill"):
        dict(in_processes(work, 1, died=lambda: "torch is ill"))


def test_a_process_that_is_ended_is_named() -> None:
    with pytest.raises(Refusal, match="the process that worked on b was ended from outside"):
        dict(in_processes({"b": (leave, (9,))}, 1))


def test_ctrl_c_ends_the_processes_too() -> None:
    begin = time.perf_counter()
    with Interruptible() as work:
        for _ in in_processes({"short": (double, (1,)), "long": (sleep, (60,))}, 2):
            raise KeyboardInterrupt
    assert work.interrupted
    assert time.perf_counter() - begin < 30


# ---------------------------------------------------------------- Ctrl-C


def test_interruptible_ends_nothing_but_an_interrupt() -> None:
    with Interruptible() as work:
        pass
    assert not work.interrupted
    with pytest.raises(ValueError, match="x"), Interruptible() as work:
        raise ValueError("x")
    assert not work.interrupted


def test_what_is_unfinished_is_named_once_and_not_without_end() -> None:
    assert unfinished(["a", "b", "a"]) == "Interrupted: this is a part. Not done: a, b."
    assert unfinished([str(i) for i in range(14)]).endswith("10, 11 and 2 more.")


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="POSIX")
def test_processes_are_shielded_from_ctrl_c() -> None:
    asks = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    with shielded():
        inside = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True)
    outside = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True)
    assert (inside.stdout, outside.stdout) == ("True\n", "False\n")
