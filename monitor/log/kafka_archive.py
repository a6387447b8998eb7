"""All events on Kafka, read outside of any group, beside the workers that may be running."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

from monitor.config import Settings
from monitor.event import Stored
from monitor.log import kafka_reading, kafka_topics
from monitor.log.kafka_reading import Bounds, Partition
from monitor.log.kafka_records import stored_event
from monitor.log.protocol import Progress

_TOLD = 500
"""Records between two words on progress."""


class _Part(NamedTuple):
    """One partition, and what of it there was when the archive was opened."""

    number: int
    records: Partition
    bounds: Bounds


class KafkaArchive:
    """The Archive of a log on Kafka; made by `opened`. It counts records, of all partitions.

    Args:
        parts: the partitions.
    """

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = parts
        self.total = sum(part.bounds.end - part.bounds.start for part in parts)
        self._done = 0

    async def events(self, progress: Progress) -> AsyncIterator[Stored]:
        """Yield each event, of all partitions' next ones that which was received first.

        Partitions keep their order; an event that was written twice is yielded twice, as workers read it.

        Raises:
            LogUnavailableError: Kafka can't be reached, or says nothing for long.
        """
        async with AsyncExitStack() as reading:
            read = {
                part.number: await reading.enter_async_context(aclosing(self._events(part, progress)))
                for part in self._parts
            }
            firsts = [(number, await anext(events, None)) for number, events in read.items()]
            waiting = [(stored.event.received, number, stored) for number, stored in firsts if stored]
            heapify(waiting)
            while waiting:
                _, number, stored = waiting[0]
                yield stored
                following = await anext(read[number], None)
                if following is None:
                    heappop(waiting)
                else:
                    heapreplace(waiting, (following.event.received, number, following))
        progress(self.total)

    async def _events(self, part: _Part, progress: Progress) -> AsyncGenerator[Stored]:
        async for record in part.records.records(*part.bounds):
            self._done += 1
            if self._done % _TOLD == 0:
                progress(self._done)
            # What is no event was logged by the worker that came upon it.
            with suppress(ValueError):
                yield stored_event(part.number, record, len(self._parts))


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[KafkaArchive]:
    """Connect to all partitions of events, while the context is open.

    Raises:
        LogUnavailableError: Kafka can't be reached, or the topic isn't there.
    """
    topic = kafka_topics.names(settings.kafka).events
    await kafka_topics.must_be_there(settings.kafka, topic, settings.kafka.partitions)
    async with AsyncExitStack() as connected:
        parts = []
        for number in range(settings.kafka.partitions):
            opening = kafka_reading.opened(settings.kafka, topic, number)
            records = await connected.enter_async_context(opening)
            parts.append(_Part(number, records, await records.bounds()))
        yield KafkaArchive(parts)
