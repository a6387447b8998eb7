"""Ends clients of Kafka, whatever state they are in."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
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
    if task.done():
        look_at(task)


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Let a consumer stop, and end what its own way of stopping leaves behind while Kafka is away."""
    await stop_in_time(consumer.stop())
    # With a fetch that waits to be tried again, or when it takes too long, the consumer stops half way: its
    # client would go on for as long as the process, and connect again once Kafka is back.
    fetcher = consumer._fetcher  # noqa: SLF001
    if fetcher is not None:
        for task in (fetcher._fetch_task, *fetcher._pending_tasks):  # noqa: SLF001
            task.cancel()
    await stop_in_time(consumer._client.close())  # noqa: SLF001


async def stop_producer(producer: AIOKafkaProducer, *, idle: bool) -> None:
    """Let a producer stop, and end what it still tries to send: by itself it would try without an end.

    Args:
        producer: a transaction of it that is under way stays uncommitted.
        idle: whether all that it was given was acknowledged, or has failed.
    """
    if not idle:
        await stop_in_time(_stop_sending(producer))
    await stop_in_time(producer.stop())


def look_at(ended: "asyncio.Future[Any]") -> None:
    """Ask a future that is done for its failure: of one that nobody asks for, asyncio complains."""
    if not ended.cancelled():
        ended.exception()


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
            look_at(batch._drain_waiter)  # noqa: SLF001
        # As it does of a transaction, whose end nobody waits for once a part of it has failed.
        transaction = producer._txn_manager._transaction_waiter  # noqa: SLF001
        if transaction is not None and transaction.done():
            look_at(transaction)
