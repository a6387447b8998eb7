"""Reading a stretch of a partition, outside of any group."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from monitor.config import KafkaSettings
from monitor.log import kafka_client
from monitor.log.kafka_closing import stop_consumer

POLL_MS = 500

FETCH_WAIT_MS = 20
"""What is read next may be far from the end, where a fetch waits: it would be in the way."""

SILENT_SECONDS = 15.0
"""How long nothing may come of what is known to be there: time for a partition to get another leader, and
for a request or two that stay unanswered."""


class Bounds(NamedTuple):
    """A partition's records: from the offset `start` to before `end`."""

    start: int
    end: int


class Partition:
    """One partition, to be read from any place; made by `opened`."""

    def __init__(self, kafka: KafkaSettings, consumer: AIOKafkaConsumer, place: TopicPartition) -> None:
        self._kafka, self._consumer, self._place = kafka, consumer, place

    async def bounds(self) -> Bounds:
        """Return what there is to read now.

        Raises:
            LogUnavailableError: Kafka can't be reached.
        """
        with kafka_client.named_failures(kafka_client.address(self._kafka)):
            starts = await self._consumer.beginning_offsets([self._place])
            ends = await self._consumer.end_offsets([self._place])
            return Bounds(starts[self._place], ends[self._place])

    async def first_since(self, time: float) -> int | None:
        """Return the offset of the first record that is no older than a time (Unix s); None if all are older.

        Raises:
            LogUnavailableError: Kafka can't be reached.
        """
        with kafka_client.named_failures(kafka_client.address(self._kafka)):
            found = await self._consumer.offsets_for_times({self._place: max(0, int(time * 1000))})
        return None if found[self._place] is None else found[self._place].offset

    async def records(self, start: int, end: int) -> AsyncIterator[Any]:
        """Yield aiokafka's records from the offset `start` to before `end`; some may be gone by now.

        Raises:
            LogUnavailableError: Kafka can't be reached, or nothing has come for SILENT_SECONDS.
        """
        self._consumer.seek(self._place, start)
        self._consumer.resume(self._place)
        position = start
        while position < end:
            with kafka_client.named_failures(kafka_client.address(self._kafka)):
                records, position = await self._next(position)
            for record in records:
                if record.offset < end:
                    yield record

    async def _next(self, position: int) -> tuple[list[Any], int]:
        """Return the records that come next, perhaps none, and the position behind them.

        Raises:
            TimeoutError: nothing came.
        """
        records: list[Any] = []
        reached = position
        topic, number = self._place
        silent = f"nothing has come of partition {number} of {topic} for {SILENT_SECONDS:g} s"
        async with kafka_client.within(SILENT_SECONDS, silent):
            while reached == position:
                found = await self._consumer.getmany(self._place, timeout_ms=POLL_MS)
                records = found.get(self._place, [])
                reached = await self._consumer.position(self._place)
        return records, reached


@asynccontextmanager
async def opened(kafka: KafkaSettings, topic: str, partition: int) -> AsyncIterator[Partition]:
    """Connect to read a partition, while the context is open.

    Raises:
        LogUnavailableError: Kafka can't be reached.
    """
    consumer = AIOKafkaConsumer(
        **kafka_client.options(kafka),
        enable_auto_commit=False,
        # As workers read events: nothing that is written here waits for a transaction of somebody else.
        isolation_level="read_uncommitted",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        # Where records expire while they are read, what is left of them is read.
        auto_offset_reset="earliest",
    )
    try:
        with kafka_client.named_failures(kafka_client.address(kafka)):
            await consumer.start()
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        # Nothing is fetched before somebody says from where.
        consumer.pause(place)
        yield Partition(kafka, consumer, place)
    finally:
        await stop_consumer(consumer)
