import asyncio

import pytest

from monitor.errors import LogUnavailableError
from monitor.log.uncancelled import uncancelled


async def test_the_cancellation_of_somebody_elses_task_is_a_failure() -> None:
    inner = asyncio.create_task(asyncio.sleep(60))
    inner.cancel()

    async def wait() -> None:
        await inner

    with pytest.raises(LogUnavailableError):
        await uncancelled(wait())


async def test_a_cancellation_that_was_asked_for_stays_one() -> None:
    task = asyncio.create_task(uncancelled(_forever()))
    await asyncio.sleep(0)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def _forever() -> None:
    await asyncio.Event().wait()
