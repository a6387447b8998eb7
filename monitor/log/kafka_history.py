"""What happened to one stream, read from the end of its partition backwards."""

from contextlib import suppress

from monitor.config import KafkaSettings
from monitor.event import EventId, Stored
from monitor.log import kafka_reading, kafka_topics
from monitor.log.kafka_reading import Partition
from monitor.log.kafka_records import Place, place, stored_event
from monitor.log.protocol import Heard, Past

WINDOW_RECORDS = 2000
"""Records that are read at once."""

SCANNED_RECORDS = 50_000
"""Records of the partition, all streams', that are looked through in one place at most: the newest, and where
those hold too few, the ones from when the stream was last heard of."""

WAITED_SECONDS = 60.0
"""An event may have come to Kafka that much later than its stream was last heard of: it was in a spool."""


class KafkaHistory:
    """The History of a log on Kafka; it connects for each call.

    Args:
        kafka: name the brokers and the topics.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    async def history(
        self, source: str, job_id: str, before: int | None, limit: int, heard: Heard | None = None
    ) -> Past:
        """Return up to `limit` events of one stream, newest first, below the offset `before` if given.

        An event that was written twice is returned once, and a record that is no event isn't. Offsets are
        those of the stream's partition.

        Raises:
            LogUnavailableError: Kafka can't be reached.
            ValueError: a text that UTF-8 can't carry.
        """
        where = place(source, job_id, self._kafka.partitions)
        topic = kafka_topics.names(self._kafka).events
        async with kafka_reading.opened(self._kafka, topic, where.partition) as records:
            start, end = await records.bounds()
            if before is not None:
                end = min(end, before)
            found: dict[EventId, Stored] = {}

            async def look(start: int, end: int) -> int:
                """Look through the records from the offset `start` to `end`; return how far that went."""
                last = max(start, end - SCANNED_RECORDS)
                while end > last and len(found) < limit:
                    window = max(last, end - WINDOW_RECORDS)
                    told = await self._of_stream(records, (source, job_id), where, window, end)
                    for stored in reversed(told):
                        # The first copy is the one that counted.
                        found.pop(stored.event.id, None)
                        found[stored.event.id] = stored
                    end = window
                return end

            reached = await look(start, end)
            if len(found) < limit and reached > start and heard is not None:
                start = max(start, await records.first_since(heard.first) or 0)
                quiet_since = await records.first_since(heard.last + WAITED_SECONDS)
                if quiet_since is not None and start < quiet_since < reached:
                    reached = await look(start, quiet_since)
        newest_first = sorted(found.values(), key=lambda stored: stored.offset, reverse=True)
        if len(newest_first) >= limit:
            # A partition's first offset is 0, below which there is none.
            return Past(newest_first[:limit], newest_first[limit - 1].offset or None)
        return Past(newest_first, reached if reached > start else None)

    async def _of_stream(
        self, records: Partition, stream: tuple[str, str], where: Place, start: int, end: int
    ) -> list[Stored]:
        found = []
        async for record in records.records(start, end):
            if record.key != where.key:
                continue
            # What is no event was logged by the worker that came upon it.
            with suppress(ValueError):
                stored = stored_event(where.partition, record, self._kafka.partitions)
                # Whoever wrote it could choose any key; workers go by the attributes.
                if (stored.event.source, stored.event.job_id) == stream:
                    found.append(stored)
        return found
