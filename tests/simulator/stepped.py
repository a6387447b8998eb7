"""A pace whose time moves only when a stream waits."""

import asyncio

from monitor.clock import SystemClock
from monitor.simulator.pace import Pace

BEGUN = 1_750_000_000.25


class SteppedPace(Pace):
    """A pace without real waiting: its own time steps to whatever is waited for.

    Each look at the clock takes `latency` of its seconds.
    """

    def __init__(self, speed: float, latency: float = 0.003) -> None:
        super().__init__(speed, SystemClock(), 1.0)
        self._latency = latency
        self.elapsed = 0.0

    @property
    def simulated(self) -> float:
        return self.elapsed * self._speed

    def now(self) -> float:
        self.elapsed += self._latency
        return BEGUN + self.elapsed

    async def until_clock(self, time: float) -> None:
        self.elapsed = max(self.elapsed, time - BEGUN)

    async def sleep(self, seconds: float) -> None:
        self.elapsed += max(0.0, seconds)
        await asyncio.sleep(0)
