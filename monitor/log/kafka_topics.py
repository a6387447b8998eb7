"""The topics: their names."""

from typing import NamedTuple

from monitor.config import KafkaSettings


class Topics(NamedTuple):
    """The names of the topics."""

    events: str
    health: str
    dead_letters: str


def names(kafka: KafkaSettings) -> Topics:
    """Return the names that the configuration's prefix makes."""
    prefix = kafka.topic_prefix
    return Topics(f"{prefix}events", f"{prefix}health", f"{prefix}dead-letters")
