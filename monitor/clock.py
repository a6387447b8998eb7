"""The only source of "now": everything else receives the time as a parameter or a `Clock`."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Tells the wall-clock time."""

    def now(self) -> float:
        """Return the time in Unix seconds, to the microsecond: what a log keeps of it."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return the time in Unix seconds."""
        # As `round` to six digits, which takes ten times as long; this is asked for with each request.
        return time.time_ns() // 1000 / 1_000_000


@dataclass(frozen=True, slots=True)
class RehearsalClock:
    """A clock that runs `speed` times as fast as the machine's since `origin`.

    For rehearsals against the simulator: a day of streams in minutes, with every time-out of the
    configuration meaning what it says. Two processes with the same origin and speed agree.

    Args:
        origin: Unix seconds at which this clock and the machine's agree.
        speed: seconds of this clock for each second of the machine's.
    """

    origin: float
    speed: float

    def now(self) -> float:
        """Return the rehearsal's time in Unix seconds."""
        return round(self.origin + (time.time() - self.origin) * self.speed, 6)


def stopwatch() -> float:
    """Return seconds of a steady counter, for measuring how long something took."""
    return time.perf_counter()


class Seldom:
    """Lets what comes again and again happen at once, and then only once in a while.

    Args:
        seconds: from one time to the next, at least.
        counter: tells seconds that have gone by, from wherever it counts.
    """

    def __init__(self, seconds: float, counter: Callable[[], float] = stopwatch) -> None:
        self._seconds = seconds
        self._counter = counter
        self._last = -math.inf

    def is_due(self) -> bool:
        """Whether it is to happen now; the next time is then that much later."""
        now = self._counter()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True
