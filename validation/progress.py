"""How far some work is and how long it will take, where a person is watching.

It is shown on standard error from the start, and taken away at the end; where standard error is no
terminal, nothing is shown, so that results can be piped while it is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")

PRIOR = 0.1  # of all the weight: how long it counts what was expected before anything was done


class Forecast:
    """How long some work will take, from the weights of what is done.

    Parameters
    ----------
    pieces : sequence of (str, float)
        For each piece of work its name, and about how many seconds it takes; once some of it is
        done only the proportions matter.
    at_once : int
        How many pieces are worked on at once.
    now : callable
        A clock.
    """

    def __init__(
        self,
        pieces: Sequence[tuple[str, float]],
        at_once: int = 1,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.pieces, self.at_once, self.now = list(pieces), at_once, now
        self.begin = self.last = now()
        self.running: list[int] = []
        self.done: list[int] = []

    def started(self, place: int) -> None:
        """The piece at this place is being worked on."""
        self.running.append(place)

    def ended(self, place: int) -> None:
        """The piece at this place is done."""
        self.running.remove(place)
        self.done.append(place)
        self.last = self.now()

    def _weight(self, places: Iterable[int]) -> float:
        return sum(self.pieces[place][1] for place in places)

    def seconds_left(self) -> float:
        """How long the rest will take, by what the pieces so far have taken for their weights."""
        every = range(len(self.pieces))
        whole, done = self._weight(every), self._weight(self.done)
        if whole <= 0:
            return 0.0
        prior = PRIOR * whole
        pace = (self.last - self.begin + prior / self.at_once) / (done + prior)
        waiting = self._weight(set(every) - {*self.done, *self.running})
        return max(pace * (whole - done) - (self.now() - self.last), pace * waiting, 0.0)

    def share(self) -> float:
        """How much of the whole time has gone by, from 0 to 1."""
        gone = self.now() - self.begin
        return gone / max(gone + self.seconds_left(), 1e-9)

    def words(self) -> str:
        """What of it is said: how many pieces, and the time left."""
        return f"{len(self.done)} of {len(self.pieces)}, {duration(self.seconds_left())} left"

    def names(self) -> str:
        """What is being worked on."""
        return ", ".join(self.pieces[place][0] for place in self.running)


def duration(seconds: float) -> str:
    """A time as one would say it: 8 s, 1 min 20 s, 2 h 5 min."""
    whole = max(round(seconds), 1)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


class ProgressLine:
    """Shows a forecast for as long as its block runs: ``with ProgressLine(forecast): ...``."""

    def __init__(self, forecast: Forecast) -> None:
        self.forecast = forecast
        self.live: Any = None

    def __enter__(self) -> Forecast:
        if sys.stderr is not None and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self.live = Live(
                console=Console(stderr=True),
                get_renderable=self._line,
                transient=True,
                # Lines that are printed meanwhile stand above; but those of a pipe stay there.
                redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
            )
            self.live.start(refresh=True)
        return self.forecast

    def __exit__(self, *error: object) -> None:
        if self.live is not None:
            self.live.stop()

    def _line(self) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_column(no_wrap=True)
        line.add_column(no_wrap=True)
        line.add_column(no_wrap=True, overflow="ellipsis")
        line.add_row(
            ProgressBar(total=1.0, completed=self.forecast.share(), width=24),
            Text(self.forecast.words(), "cyan"),
            Text(self.forecast.names(), "dim"),
        )
        return line


@contextmanager
def watching(name: str, seconds: float) -> Iterator[None]:
    """Show one piece of work, which takes about so many seconds, for as long as the block runs."""
    with ProgressLine(Forecast([(name, seconds)])) as forecast:
        forecast.started(0)
        yield


def progress(
    items: Sequence[tuple[str, Item]], weights: Mapping[str, float] | None = None
) -> Iterator[tuple[str, Item]]:
    """Yield named items one by one, and show how long those that follow will take.

    Parameters
    ----------
    items : sequence of (str, object)
    weights : mapping of str to float, optional
        For each name about how many seconds its item takes; 1 where nothing is said.

    Examples
    --------
    >>> from optimkit.validation.progress import progress
    >>> [name for name, _ in progress([("first", 1), ("second", 2)])]
    ['first', 'second']
    """
    known = weights or {}
    with ProgressLine(Forecast([(name, known.get(name, 1.0)) for name, _ in items])) as forecast:
        for place, item in enumerate(items):
            forecast.started(place)
            yield item
            forecast.ended(place)
