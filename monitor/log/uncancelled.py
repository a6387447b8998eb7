"""Tells a cancellation that was asked for from one that leaks out of a client."""

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
