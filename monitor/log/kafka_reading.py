"""Reading a stretch of a partition, outside of any group."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from monitor.config import KafkaSettings
from monitor.errors import LogUnavailableError
from monitor.log import kafka_client
from monitor.log.kafka_closing import stop_in_time

POLL_MS = 500


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
        with named_failures(self._kafka):
            starts = await self._consumer.beginning_offsets([self._place])
            ends = await self._consumer.end_offsets([self._place])
            return Bounds(starts[self._place], ends[self._place])

    async def records(self, start: int, end: int) -> AsyncIterator[Any]:
        """Yield aiokafka's records from the offset `start` to before `end`; some may be compacted away.

        Raises:
            LogUnavailableError: Kafka can't be reached.
        """
        with named_failures(self._kafka):
            self._consumer.seek(self._place, start)
            while await self._consumer.position(self._place) < end:
                batches = await self._consumer.getmany(self._place, timeout_ms=POLL_MS)
                for record in batches.get(self._place, []):
                    if record.offset < end:
                        yield record


@asynccontextmanager
async def opened(kafka: KafkaSettings, topic: str, partition: int) -> AsyncIterator[Partition]:
    """Connect to read a partition, while the context is open.

    Raises:
        LogUnavailableError: Kafka can't be reached.
    """
    consumer = AIOKafkaConsumer(
        **kafka_client.options(kafka), enable_auto_commit=False, isolation_level="read_committed"
    )
    try:
        with named_failures(kafka):
            await consumer.start()
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        yield Partition(kafka, consumer, place)
    finally:
        await stop_in_time(consumer.stop())


@contextmanager
def named_failures(kafka: KafkaSettings) -> Iterator[None]:
    """Turn what aiokafka raises into LogUnavailableError with the address."""
    try:
        yield
    except (KafkaError, TimeoutError, OSError) as error:
        told = str(error) or type(error).__name__
        raise LogUnavailableError(f"Kafka at {kafka.bootstrap_servers}: {told}") from error
