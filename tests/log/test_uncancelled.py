import asyncio

import pytest

from monitor.errors import LogUnavailableError
from monitor.log.uncancelled import cancelled, uncancelled


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


async def test_whoever_is_cancelled_while_he_waits_for_the_end_of_a_task_hears_of_it() -> None:
    release = asyncio.Event()

    async def slow_to_end() -> None:
        try:
            await _forever()
        finally:
            await release.wait()

    task = asyncio.create_task(slow_to_end())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(cancelled(task))
    await asyncio.sleep(0)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()
    await cancelled(task)
    assert task.cancelled()


async def test_what_a_task_ended_with_before_it_was_cancelled_is_told() -> None:
    async def fail() -> None:
        raise LookupError("gone")

    task = asyncio.create_task(fail())
    await asyncio.wait({task})

    with pytest.raises(LookupError, match="gone"):
        await cancelled(task)


async def _forever() -> None:
    await asyncio.Event().wait()
