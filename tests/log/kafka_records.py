"""What a topic holds, and what a fold would count of it."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from monitor.config import KafkaSettings
from monitor.event import Event, EventId
from monitor.log import kafka_client, kafka_topics
from monitor.log.cloudevents import from_headers

Ends = dict[TopicPartition, int]
"""The offsets that follow each partition's last record."""


@asynccontextmanager
async def _reader(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(**kafka_client.options(kafka), enable_auto_commit=False)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def records(
    kafka: KafkaSettings, topic: str, partitions: int = 1, *, before: Ends | None = None
) -> list[Any]:
    """Return the records of a topic as aiokafka gives them, partition by partition; all, or those before."""
    async with _reader(kafka) as consumer:
        places = _places(topic, partitions)
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends = before or await consumer.end_offsets(places)
        found: dict[TopicPartition, list[Any]] = {place: [] for place in places}
        for place in places:
            while await consumer.position(place) < ends[place]:
                for some, batch in (await consumer.getmany(*places, timeout_ms=200)).items():
                    found[some] += [record for record in batch if record.offset < ends[some]]
        return [record for place in places for record in found[place]]


def _places(topic: str, partitions: int) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(partitions)]


async def event_ends(kafka: KafkaSettings) -> Ends:
    """Return where the events' topic ends now; that takes much less time than to read it."""
    async with _reader(kafka) as consumer:
        ends: Ends = await consumer.end_offsets(_places(kafka_topics.names(kafka).events, kafka.partitions))
    return ends


async def event_records(kafka: KafkaSettings, *, before: Ends | None = None) -> list[Any]:
    """Return the records of the events' topic, as of `records`."""
    return await records(kafka, kafka_topics.names(kafka).events, kafka.partitions, before=before)


async def events(kafka: KafkaSettings, *, before: Ends | None = None) -> list[Event]:
    """Return the events, as of `records`."""
    found = await event_records(kafka, before=before)
    return [from_headers(record.headers, record.value) for record in found]


def counted(written: Iterable[Event]) -> list[EventId]:
    """Return the ids that streams count: each one newer than the last of its receiver."""
    last: dict[tuple[str, str, str], tuple[int, int]] = {}
    ids = []
    for event in written:
        receiver, boot, sequence = event.id
        stream = event.source, event.job_id, receiver
        if last.get(stream, (0, 0)) < (boot, sequence):
            last[stream] = boot, sequence
            ids.append(event.id)
    return ids


def missing(acknowledged: Sequence[EventId], written: Iterable[Event]) -> set[EventId]:
    """Return the ids that were acknowledged and that no stream counts."""
    return set(acknowledged) - set(counted(written))
