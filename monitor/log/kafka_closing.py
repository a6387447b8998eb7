"""Ends clients of Kafka, whatever state they are in."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def closed_within(seconds: float, closing: Coroutine[Any, Any, None]) -> bool:
    """Let a client stop; return whether it has, in time and without a failure.

    With Kafka away a client can take for ever, and the cancellation of its own tasks comes out of it as
    if it were the caller's: so it stops in a task of its own.
    """
    task = asyncio.create_task(closing)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        task.cancel()
    return task.done() and not task.cancelled() and task.exception() is None
