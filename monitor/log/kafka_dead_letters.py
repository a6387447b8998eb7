"""The dead letters on Kafka: a topic of one partition, whose offsets number the letters.

A letter's number is its offset + 1. Its key is its id; a record of that key without a value, a tombstone,
removes it, for every reader at once and in the end from the topic as well.
"""

import asyncio
import logging
from bisect import bisect_left, insort
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer

from monitor.config import KafkaSettings
from monitor.event import RETRY_RECEIVER, Event, EventId
from monitor.log import kafka_client, kafka_reading, kafka_topics
from monitor.log.cloudevents import letter_from_headers
from monitor.log.kafka_closing import stop_producer
from monitor.log.kafka_reading import Partition
from monitor.log.kafka_records import event_record, place
from monitor.log.protocol import StoredLetter, StoredLetters

ACKNOWLEDGE_SECONDS = 15.0
"""How long Kafka may take over a retry: a broker that was lost has been replaced by then."""

# The standard library's, which keeps off a command's standard output.
_log = logging.getLogger(__name__)


class KafkaDeadLetters:
    """The DeadLetters of a log on Kafka; made by `opened`. It sees what comes while it is open."""

    def __init__(self, kafka: KafkaSettings, topic: Partition) -> None:
        self._kafka, self._topic = kafka, topic
        self._read_up_to = 0
        self._numbers: list[int] = []
        self._number_of: dict[bytes, int] = {}

    async def list(self, limit: int, before: int | None) -> StoredLetters:
        """Return up to `limit` letters, newest first, below the number `before` if given.

        Raises:
            LogUnavailableError: Kafka can't be reached.
        """
        await self._catch_up()
        end = len(self._numbers) if before is None else bisect_left(self._numbers, before)
        return await self._letters(self._numbers[max(0, end - limit) : end])

    async def show(self, number: int) -> StoredLetter | None:
        """Return one letter, None if there is no such number.

        Raises:
            LogUnavailableError: Kafka can't be reached.
        """
        await self._catch_up()
        found = await self._letters([number]) if self._holds(number) else []
        return found[0] if found else None

    async def retry(self, number: int, event: Event) -> None:
        """Append the event that a letter turned out to be, then remove the letter.

        The event's id is made of the letter's, whatever id it came with: so two commands that retry one
        letter, or one that was interrupted in between and comes again, append the same event, which its
        stream counts once.

        Raises:
            LookupError: there is no such letter (any more); nothing was appended.
            LogUnavailableError: Kafka has not acknowledged all of it in time; the letter may be there still,
                and may be retried again.
        """
        stored = await self.show(number)
        if stored is None:
            raise LookupError(f"there is no dead letter {number}; was it retried already?")
        letter = str(stored.letter.id)
        again = event._replace(id=EventId(f"{RETRY_RECEIVER}-{letter}", 1, 1))
        key, partition = place(again.source, again.job_id, self._kafka.partitions)
        record, topics = event_record(again, key), kafka_topics.names(self._kafka)
        async with _producing(self._kafka) as producer:
            await producer.send_and_wait(
                topics.events,
                key=record.key,
                value=record.body,
                partition=partition,
                timestamp_ms=record.timestamp,
                headers=record.headers,
            )
            await producer.send_and_wait(topics.dead_letters, key=letter.encode(), partition=0)

    async def _catch_up(self) -> None:
        """Learn which letters have come and gone."""
        start, end = await self._topic.bounds()
        strangers = 0
        async for record in self._topic.records(max(start, self._read_up_to), end):
            if record.value is not None and not _stored(record):
                # It has no number, or a page of such records would pass for the end.
                strangers += 1
                continue
            known = self._number_of.pop(record.key, None)
            if known is not None:
                del self._numbers[bisect_left(self._numbers, known)]
            if record.value is not None:
                # A letter written twice (by the spool, after a crash) has the later one's number.
                self._number_of[record.key] = record.offset + 1
                insort(self._numbers, record.offset + 1)
        self._read_up_to = end
        if strangers:
            _log.warning("%d records in the topic are no letters of this service's", strangers)

    def _holds(self, number: int) -> bool:
        place_of_it = bisect_left(self._numbers, number)
        return self._numbers[place_of_it : place_of_it + 1] == [number]

    async def _letters(self, numbers: Sequence[int]) -> StoredLetters:
        """Read letters by their rising numbers; return them newest first."""
        if not numbers:
            return []
        wanted, found = set(numbers), StoredLetters()
        async for record in self._topic.records(numbers[0] - 1, numbers[-1]):
            if record.offset + 1 in wanted:
                found += _stored(record)
        return found[::-1]


@asynccontextmanager
async def opened(kafka: KafkaSettings) -> AsyncIterator[KafkaDeadLetters]:
    """Connect to the dead letters, while the context is open.

    Raises:
        LogUnavailableError: Kafka can't be reached, or the topic isn't there.
    """
    name = kafka_topics.names(kafka).dead_letters
    await kafka_topics.must_be_there(kafka, name, 1)
    async with kafka_reading.opened(kafka, name, 0) as topic:
        yield KafkaDeadLetters(kafka, topic)


@asynccontextmanager
async def _producing(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(**kafka_client.options(kafka), acks="all", enable_idempotence=True)
    idle = True
    try:
        with kafka_client.named_failures(kafka_client.address(kafka)):
            await producer.start()
            idle = False
            try:
                # The producer itself waits without an end, for instance for replicas to be in sync.
                async with asyncio.timeout(ACKNOWLEDGE_SECONDS):
                    yield producer
            except TimeoutError:
                raise TimeoutError(f"not acknowledged within {ACKNOWLEDGE_SECONDS:g} s") from None
        idle = True
    finally:
        await stop_producer(producer, idle=idle)


def _stored(record: Any) -> StoredLetters:
    """Return the letter that a record is; none if somebody else wrote it."""
    try:
        return [StoredLetter(record.offset + 1, letter_from_headers(record.headers, record.value))]
    except ValueError:
        return []
