"""Ends clients of Kafka, whatever state they are in."""

import asyncio
from collections.abc import Coroutine
from typing import Any

CLOSE_SECONDS = 5.0
"""How long a client may take to end well; if Kafka is away, it would take for ever."""


async def stop_in_time(stopping: Coroutine[Any, Any, None]) -> None:
    """Let a client stop, and go on without it if that takes too long or fails.

    The cancellation of a client's own tasks comes out of it as if it were the caller's: so it stops in a
    task of its own.
    """
    task = asyncio.create_task(stopping)
    try:
        await asyncio.wait({task}, timeout=CLOSE_SECONDS)
    finally:
        task.cancel()
    if task.done() and not task.cancelled():
        # Looked at, or asyncio complains of a failure that nobody asked for.
        task.exception()
