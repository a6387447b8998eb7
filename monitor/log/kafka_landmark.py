"""An event of a topic by which the topic is known again: a position says nothing of which topic it is in.

A topic that was deleted and made anew has the old one's name and, once it has grown, its offsets. Its id
would tell, but aiokafka speaks no version of the protocol that has it. What is at an offset tells as well.
"""

import json
from typing import Any, NamedTuple

from monitor.config import Settings
from monitor.event import Stored
from monitor.log import kafka_reading, kafka_topics
from monitor.log.cloudevents import from_headers as from_event_headers

HEADER = "event"

Headers = list[tuple[str, bytes]]


class Landmark(NamedTuple):
    """An event that was folded: the offset at which it is, and its id as its record has it."""

    offset: int
    event_id: str

    @classmethod
    def of(cls, stored: Stored) -> "Landmark":
        """Return the landmark that an event makes."""
        return cls(stored.offset, str(stored.event.id))


def to_headers(landmark: Landmark | None) -> Headers:
    """Return the headers that a position's record has."""
    return [] if landmark is None else [(HEADER, json.dumps(landmark).encode())]


def from_headers(headers: Headers) -> Landmark | None:
    """Return what `to_headers` wrote; None where it wrote nothing, or somebody else did."""
    for name, value in headers:
        if name == HEADER:
            try:
                offset, event_id = json.loads(value)
            except (ValueError, TypeError, RecursionError):
                return None
            is_one = type(offset) is int and offset >= 0 and type(event_id) is str
            return Landmark(offset, event_id) if is_one else None
    return None


async def is_there(settings: Settings, partition: int, landmark: Landmark) -> bool:
    """Return whether a partition of events has the landmark still, or had it before it expired.

    Raises:
        LogUnavailableError: Kafka can't be reached.
    """
    topic = kafka_topics.names(settings.kafka).events
    offset = landmark.offset
    async with kafka_reading.opened(settings.kafka, topic, partition) as events:
        if offset >= (await events.bounds()).end:
            return False
        found = [_id_of(record) async for record in events.records(offset, offset + 1)]
        if found:
            return found == [landmark.event_id]
        return offset < (await events.bounds()).start


def _id_of(record: Any) -> str | None:
    """Return the id of the event that one of aiokafka's records is; None if it is none."""
    try:
        return str(from_event_headers(record.headers, record.value or b"").id)
    except ValueError:
        return None
