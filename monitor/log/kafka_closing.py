"""Ends clients of Kafka, whatever state they are in."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

CLOSE_SECONDS = 5.0
"""How long a client may take to end well; if Kafka is away, it would take for ever."""

_SENT_SECONDS = 2.0
"""How long a producer may take to hear of what it has sent; what it hasn't heard of then has failed."""


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


async def stop_producer(producer: AIOKafkaProducer, *, idle: bool) -> None:
    """Let a producer stop, and end what it still tries to send: by itself it would try without an end.

    Args:
        producer: one without transactions.
        idle: whether all that it was given was acknowledged, or has failed.
    """
    if not idle:
        await stop_in_time(_stop_sending(producer))
    await stop_in_time(producer.stop())


async def _stop_sending(producer: AIOKafkaProducer) -> None:
    # aiokafka has no public way to give up what waits.
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_SENT_SECONDS):
                await producer._sender.close()  # noqa: SLF001
    finally:
        accumulator = producer._message_accumulator  # noqa: SLF001
        waiting = list(chain.from_iterable(accumulator._batches.values()))  # noqa: SLF001
        # A batch that was sent once takes itself from those under way at its end; one that is to be sent
        # again isn't among them, and would fail over that.
        accumulator._pending_batches.update(waiting)  # noqa: SLF001
        accumulator.fail_all(KafkaError("the producer was stopped"))
        for batch in waiting:
            # Of what was not sent yet, or is to be sent again, aiokafka fails a future of its own too.
            batch._drain_waiter.exception()  # noqa: SLF001
