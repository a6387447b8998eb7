"""Tells whose a cancellation is: asked for, leaked out of a client, or of whoever waits for a task's end."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from monitor.errors import LogUnavailableError

T = TypeVar("T")


async def uncancelled(work: Coroutine[Any, Any, T]) -> T:
    """Do work and return what it returns; a cancellation that nobody here asked for is a failure.

    aiokafka waits for its own tasks, and when one of them was cancelled, so is whoever called. A group
    of tasks would take that for an orderly end, and a task by itself ends without a word.

    Raises:
        LogUnavailableError: the client was cancelled inside.
    """
    try:
        return await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise LogUnavailableError("the client has cancelled a call") from None


async def cancelled(task: asyncio.Task[None]) -> None:
    """Cancel a task and return once it has ended; whoever is cancelled meanwhile hears of it.

    Raises:
        Exception: what the task ended with, if it wasn't the cancellation.
    """
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
