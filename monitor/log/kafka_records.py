"""Where an event goes in Kafka, and what its record is."""

from functools import lru_cache
from typing import Any, NamedTuple

from aiokafka.partitioner import murmur2

from monitor.event import Event, Stored
from monitor.log.cloudevents import Headers, from_headers, letter_to_headers, to_headers
from monitor.log.protocol import DeadLetter


class Record(NamedTuple):
    """What is written to a topic. timestamp: Unix milliseconds."""

    key: bytes
    body: bytes
    timestamp: int
    headers: Headers


class Place(NamedTuple):
    """A stream's key, and the number of its partition."""

    key: bytes
    partition: int


# The hash is Python, and a live stream comes again and again.
@lru_cache(maxsize=65536)
def place(source: str, job_id: str, partitions: int) -> Place:
    """Return where a stream is kept: in the partition that any Kafka client's default gives its key.

    Raises:
        ValueError: text that UTF-8 can't carry.
    """
    key = f"{source}/{job_id}".encode()
    return Place(key, (murmur2(key) & 0x7FFF_FFFF) % partitions)


def event_record(event: Event, key: bytes) -> Record:
    """Return an event's record.

    Raises:
        ValueError: as `to_headers`.
    """
    return Record(key, event.body, int(event.received * 1000), to_headers(event))


def stored_event(partition: int, record: Any, partitions: int) -> Stored:
    """Return the event that one of aiokafka's records is.

    Args:
        partition: where it was read.
        record: of the topic of events.
        partitions: how many the topic has.

    Raises:
        ValueError: it is none: somebody else who may write to the topic wrote it. The text says why.
    """
    if record.value is None:
        raise ValueError("it has no body")
    event = from_headers(record.headers, record.value)
    if place(event.source, event.job_id, partitions).partition != partition:
        # Two partitions would each make a stream of it, and perhaps two workers show them.
        raise ValueError("its stream belongs to another partition")
    return Stored(partition, record.offset, event)


def letter_record(letter: DeadLetter) -> Record:
    """Return a dead letter's record. Its key is its id, so that a tombstone removes this one alone.

    Raises:
        ValueError: as `to_headers`.
    """
    return Record(
        str(letter.id).encode(), letter.body, int(letter.received * 1000), letter_to_headers(letter)
    )
