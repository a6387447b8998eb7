"""When a simulated stream's next step is due, in three times: simulated, real, and the receiver's clock's."""

import asyncio

from monitor.clock import Clock


class StoppedError(Exception):
    """The simulation was told to stop while a stream waited."""


class Pace:
    """Waits for simulated times and for seconds of the receiver's clock, until it is told to stop.

    Must be built inside a running event loop.

    Args:
        speed: simulated seconds for each real one.
        clock: the receiver's.
        clock_speed: its seconds for each real one.
    """

    def __init__(self, speed: float, clock: Clock, clock_speed: float) -> None:
        self._speed = speed
        self._clock = clock
        self._clock_speed = clock_speed
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._stop = asyncio.Event()

    @property
    def simulated(self) -> float:
        """Simulated seconds since the start of the run."""
        return (self._loop.time() - self._begun) * self._speed

    def now(self) -> float:
        """Return the time of the receiver's clock, Unix seconds."""
        return self._clock.now()

    def stop(self) -> None:
        """End all waiting, now and later, by StoppedError."""
        self._stop.set()

    async def until(self, simulated: float) -> None:
        """Wait for a simulated time.

        Raises:
            StoppedError: the simulation was told to stop.
        """
        await self.sleep((simulated - self.simulated) / self._speed)

    async def until_clock(self, time: float) -> None:
        """Wait until the receiver's clock shows at least `time`.

        Raises:
            StoppedError: the simulation was told to stop.
        """
        while (left := time - self._clock.now()) > 0:
            await self.sleep(left / self._clock_speed)

    async def sleep(self, seconds: float) -> None:
        """Wait real seconds; not at all for zero or less.

        Raises:
            StoppedError: the simulation was told to stop.
        """
        if self._stop.is_set():
            raise StoppedError
        if seconds <= 0:
            return
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return
        raise StoppedError
