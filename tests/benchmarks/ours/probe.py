"""Measures for how long the event loop lets nobody else run."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from monitor.clock import stopwatch

_SECONDS = 0.001


class LoopProbe:
    """What the event loop's other tasks have seen. longest: seconds that they waited in vain."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def _run(self) -> None:
        while True:
            began = stopwatch()
            await asyncio.sleep(_SECONDS)
            self.longest = max(self.longest, stopwatch() - began - _SECONDS)


@contextlib.asynccontextmanager
async def probing() -> AsyncIterator[LoopProbe]:
    """Watch the event loop while the context is open."""
    probe = LoopProbe()
    task = asyncio.create_task(probe._run())
    # Its own start is nobody's hold.
    await asyncio.sleep(10 * _SECONDS)
    probe.longest = 0.0
    try:
        yield probe
    finally:
        await asyncio.sleep(10 * _SECONDS)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
