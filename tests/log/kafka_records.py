"""What a topic holds, and what a fold would count of it."""

from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from monitor.config import KafkaSettings
from monitor.event import Event, EventId
from monitor.log import kafka_client, kafka_topics
from monitor.log.cloudevents import from_headers


async def records(kafka: KafkaSettings, topic: str, partitions: int = 1) -> list[Any]:
    """Return all records of a topic as aiokafka gives them, partition by partition."""
    consumer = AIOKafkaConsumer(**kafka_client.options(kafka), enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(places)
        found: dict[TopicPartition, list[Any]] = {place: [] for place in places}
        for place in places:
            while await consumer.position(place) < ends[place]:
                for some, batch in (await consumer.getmany(*places, timeout_ms=200)).items():
                    found[some] += batch
        return [record for place in places for record in found[place]]
    finally:
        await consumer.stop()


async def event_records(kafka: KafkaSettings) -> list[Any]:
    """Return all records of the events' topic."""
    return await records(kafka, kafka_topics.names(kafka).events, kafka.partitions)


async def events(kafka: KafkaSettings) -> list[Event]:
    """Return all events, partition by partition."""
    return [from_headers(record.headers, record.value) for record in await event_records(kafka)]


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
