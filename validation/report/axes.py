"""From numbers to places on a chart, and the numbers that are worth a label."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST_TICKS = 6


def number(x: float, significant: int = 3) -> str:
    """A number in few characters: 0.0123, 12,345, 1.2e-7, ∞."""
    if math.isnan(x):
        return "not a number"
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    if x == 0 or 1e-3 <= abs(x) < 1e6:
        digits = max(0, significant - 1 - math.floor(math.log10(abs(x)))) if x else 0
        said, exponent = f"{x:,.{digits}f}", ""
    else:
        said, _, power = f"{x:.{significant - 1}e}".partition("e")
        exponent = f"e{int(power)}"
    if "." in said:
        said = said.rstrip("0").rstrip(".")
    return (said + exponent).replace("-", "−")


@dataclass(frozen=True)
class Tick:
    """A place of an axis, what stands there, and a power of ten's exponent."""

    at: float
    label: str
    exponent: str = ""


@dataclass(frozen=True)
class Axis:
    """Numbers between two ends, laid out between two places.

    Attributes
    ----------
    low, high : float
        The ends; of a logarithmic axis their decimal logarithms, as 10^-324 is no float.
    log : bool
    start, end : float
        Where the ends are on the chart.
    step : float
        What lies between two labels of a plain axis.
    """

    low: float
    high: float
    log: bool
    start: float
    end: float
    step: float

    @classmethod
    def over(
        cls,
        values: Iterable[float],
        log: bool,
        start: float,
        end: float,
        snap: bool = False,
    ) -> Axis:
        """The axis that has room for these values, of which there is one at least.

        With `snap` it goes on to the next round number on both sides.
        """
        kept = [math.log10(v) if log else v for v in values]
        low, high = min(kept), max(kept)
        if low == high:
            room = 0.5 if log else abs(low) / 2 or 0.5
            low, high = (low, high) if snap and not log and low == 0 else (low - room, high + room)
            high = high if high > low else low + 1
        if log and high - low < 1:  # two labels at least
            places = [at for at, _ in _small_logs(low, high)]
            low = max(x for x in places if x <= low)
            high = min(x for x in places if x >= high and x > low)
        step = 1.0 if log else _step(high - low)
        if snap and (not log or high - low >= 1):
            low, high = math.floor(low / step) * step, math.ceil(high / step) * step
        return cls(low, high, log, start, end, step)

    def at(self, value: float) -> float:
        """Where a value is on the chart."""
        share = ((math.log10(value) if self.log else value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def _at_exponent(self, exponent: float) -> float:
        return self.start + (exponent - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[Tick]:
        """The round numbers of it, no more than there is room for."""
        if not self.log:
            step = self.step
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            return [Tick(self.at(k * step), _stepped(k, step)) for k in range(first, last + 1)]
        first, last = math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9)
        if last - first >= 1:
            every = max(1, -(-(last - first) // MOST_TICKS))
            powers = [k for k in range(first, last + 1) if k % every == 0]
            return [Tick(self._at_exponent(k), "10", f"{k}".replace("-", "−")) for k in powers]
        return [
            Tick(self._at_exponent(at), label)
            for at, label in _small_logs(self.low, self.high)
            if self.low - 1e-9 <= at <= self.high + 1e-9
        ]


def _stepped(k: int, step: float) -> str:
    """So many steps, in as many digits as tell one from the next."""
    value = float(f"{k * step:.12g}")
    digits = math.floor(math.log10(abs(k)) + 1) if k else 1
    return number(value, min(digits + 1, 15))


def _small_logs(low: float, high: float) -> list[tuple[float, str]]:
    """Logarithms of 1, 2 and 5 times powers of ten, from below these to above them, and labels."""
    return [
        (k + math.log10(m), number(m * 10.0**k) if -4 < k < 7 else f"{m}e{k}".replace("-", "−"))
        for k in range(math.floor(low) - 1, math.ceil(high) + 2)
        for m in (1, 2, 5)
    ]


def _step(span: float) -> float:
    """The round number of which there are a few in a span."""
    rough = span / (MOST_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))


def drawable(value: float, log: bool) -> bool:
    """Whether a value has a place on an axis."""
    return math.isfinite(value) and (value > 0 if log else abs(value) < 1e300)


def shortened(text: str, room: int) -> str:
    """The text, or its beginning and its end where it has more characters than there is room."""
    half = (room - 1) // 2
    return text if len(text) <= room else f"{text[: room - 1 - half]}…{text[len(text) - half :]}"


def thinned(count: int, most: int) -> Sequence[int]:
    """Places among so many, evenly spread, with both ends."""
    if count <= most:
        return range(count)
    return sorted({round(k * (count - 1) / (most - 1)) for k in range(most)})
