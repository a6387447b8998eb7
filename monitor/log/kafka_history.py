"""What happened to one stream, read from the end of its partition backwards."""

from contextlib import suppress

from monitor.config import KafkaSettings
from monitor.event import EventId, Stored
from monitor.log import kafka_reading, kafka_topics
from monitor.log.kafka_reading import Partition
from monitor.log.kafka_records import Place, place, stored_event

WINDOW_RECORDS = 2000
"""Records that are read at once."""

SCANNED_RECORDS = 50_000
"""Records of the partition, all streams', that one call looks through at most; a stream's older events are
found by asking for those before the oldest that came, or are reported as none."""


class KafkaHistory:
    """The History of a log on Kafka; it connects for each call.

    Args:
        kafka: name the brokers and the topics.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    async def history(self, source: str, job_id: str, before: int | None, limit: int) -> list[Stored]:
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
            start = max(start, end - SCANNED_RECORDS)
            found: dict[EventId, Stored] = {}
            while end > start and len(found) < limit:
                window = max(start, end - WINDOW_RECORDS)
                for stored in reversed(await self._of_stream(records, (source, job_id), where, window, end)):
                    # The first copy is the one that counted.
                    found.pop(stored.event.id, None)
                    found[stored.event.id] = stored
                end = window
        newest_first = sorted(found.values(), key=lambda stored: stored.offset, reverse=True)
        return newest_first[:limit]

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
