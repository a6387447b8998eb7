"""The topics: made as configured when they aren't there, looked at and never changed when they are."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NoError, TopicAlreadyExistsError, for_code

from monitor.config import KafkaSettings, Settings
from monitor.errors import ConfigurationError, LogUnavailableError
from monitor.log import kafka_client
from monitor.log.kafka_closing import stop_in_time
from monitor.log.protocol import MOST_STATE_BYTES

RECORD_BYTES = 1_000_000
"""What a record may take, its body, attributes and a batch's frame: a little less than brokers allow."""

STATE_BYTES = MOST_STATE_BYTES + 100_000
"""What a record of a stream's state may take, its key and a batch's frame."""

_ANY_TIME = str(2**63 - 1)
_SEGMENT_BYTES = 64 * 1024 * 1024
_COMPACTED_WITHIN_MS = 15 * 60 * 1000
_SEEN_SECONDS = 10.0
_LOOK_AGAIN_SECONDS = 0.05


class Topics(NamedTuple):
    """The names of the topics."""

    events: str
    health: str
    dead_letters: str


class Layout(NamedTuple):
    """How a topic has to be. policy: its cleanup.policy. settings: all others that it is made with."""

    name: str
    partitions: int
    policy: str
    settings: Mapping[str, str]


class _Found(NamedTuple):
    """How a topic is. replicas: of the partition with the fewest. in_sync: of each, 0 without a leader."""

    partitions: int
    replicas: int
    in_sync: Mapping[int, int]
    settings: Mapping[str, str]


def names(kafka: KafkaSettings) -> Topics:
    """Return the names that the configuration's prefix makes."""
    prefix = kafka.topic_prefix
    return Topics(f"{prefix}events", f"{prefix}health", f"{prefix}dead-letters")


def layouts(settings: Settings) -> list[Layout]:
    """Return how each topic has to be.

    A record's time is the event's: brokers would refuse what is an hour ahead of their clock, be it a
    rehearsal's. Records stay as they are written: brokers that compress them would have to for each batch.
    `health` is compacted soon, since a restore reads all of it. `dead-letters` has one partition, whose
    offsets number the letters, and is compacted too: a tombstone removes a letter.
    """
    topics, partitions = names(settings.kafka), settings.kafka.partitions
    shared = {
        "min.insync.replicas": str(_copies_written(settings.kafka)),
        "message.timestamp.after.max.ms": _ANY_TIME,
        "compression.type": "producer",
    }
    kept = {"retention.ms": str(_retention_ms(settings))}
    soon = {
        "max.message.bytes": str(STATE_BYTES),
        "segment.bytes": str(_SEGMENT_BYTES),
        "max.compaction.lag.ms": str(_COMPACTED_WITHIN_MS),
        "min.cleanable.dirty.ratio": "0.2",
    }
    return [
        Layout(topics.events, partitions, "delete", shared | kept),
        Layout(topics.health, partitions, "compact", shared | soon),
        Layout(topics.dead_letters, 1, "compact,delete", shared | kept),
    ]


async def ensure(settings: Settings) -> None:
    """Make the topics that are missing, and look at those that are there.

    Raises:
        ConfigurationError: a topic is not as it has to be, or may not be made; a line for each mistake.
        LogUnavailableError: Kafka can't be reached, or can't make topics now.
    """
    async with administration(settings.kafka) as admin:
        wanted = layouts(settings)
        found = await _found(admin, wanted)
        missing = [layout for layout in wanted if layout.name not in found]
        if missing:
            if refused := await _make(admin, missing, settings.kafka):
                raise ConfigurationError(refused)
            found = await _seen(admin, wanted)
        problems = [line for layout in wanted for line in _differences(layout, found, settings)]
    if problems:
        raise ConfigurationError(problems)


async def make_missing(settings: Settings) -> None:
    """Make again what was deleted since `ensure`.

    Topics that are there aren't looked at: a process that runs goes on with them as they are.

    Raises:
        LogUnavailableError: Kafka can't be reached, or can't make topics.
    """
    async with administration(settings.kafka) as admin:
        wanted = layouts(settings)
        there = {topic["topic"] for topic in await _all_topics(admin)}
        missing = [layout for layout in wanted if layout.name not in there]
        if not missing:
            return
        if refused := await _make(admin, missing, settings.kafka):
            raise LogUnavailableError("; ".join(refused))
        await _seen(admin, wanted)


async def problems(settings: Settings) -> list[str]:
    """Return a line for each topic that isn't as it has to be, or can't be made; change nothing.

    Raises:
        ConfigurationError: the configuration's certificates or aiokafka can't be used.
        LogUnavailableError: Kafka can't be reached.
    """
    async with administration(settings.kafka) as admin:
        wanted = layouts(settings)
        found = await _found(admin, wanted)
        missing = [layout for layout in wanted if layout.name not in found]
        refused = await _make(admin, missing, settings.kafka, really=False) if missing else []
        differences = [line for layout in wanted for line in _differences(layout, found, settings)]
        return refused + differences + [line for layout in wanted for line in _shortages(layout, found)]


async def partitions(kafka: KafkaSettings, topic: str) -> int:
    """Return how many partitions a topic has, 0 if it isn't there; it isn't made by asking.

    Raises:
        LogUnavailableError: Kafka can't be reached.
    """
    async with administration(kafka) as admin:
        found = (len(one["partitions"]) for one in await _all_topics(admin) if one["topic"] == topic)
        return next(found, 0)


async def must_be_there(kafka: KafkaSettings, topic: str, wanted: int) -> None:
    """Refuse a topic that isn't there, or isn't like the configuration's.

    Args:
        kafka: where.
        topic: its name.
        wanted: how many partitions it has to have: what is in others would be passed over.

    Raises:
        LogUnavailableError: the topic isn't there, or isn't like that, or Kafka can't be reached.
    """
    found = await partitions(kafka, topic)
    if not found:
        raise LogUnavailableError(
            f"the topic {topic} isn't there yet; the service makes it at its first start"
        )
    if found != wanted:
        raise LogUnavailableError(f"the topic {topic} has {found} partitions, not {wanted} as configured")


@asynccontextmanager
async def administration(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect to ask brokers, while the context is open.

    Raises:
        LogUnavailableError: they can't be reached, or what is asked within the context fails.
    """
    admin = AIOKafkaAdminClient(**kafka_client.options(kafka))
    try:
        with kafka_client.named_failures(kafka_client.address(kafka)):
            with kafka_client.named_refusals():
                await admin.start()
            yield admin
    finally:
        await stop_in_time(admin.close())


async def _all_topics(admin: AIOKafkaAdminClient) -> list[dict[str, Any]]:
    # Asked for all of them: aiokafka's administration lets a broker make what it is asked for by name.
    topics: list[dict[str, Any]] = await admin.describe_topics()
    return topics


async def _found(admin: AIOKafkaAdminClient, wanted: list[Layout]) -> dict[str, _Found]:
    names = {layout.name for layout in wanted}
    partitions = {}
    for topic in await _all_topics(admin):
        if topic["topic"] not in names:
            continue
        error = for_code(topic["error_code"])
        if error is not NoError:
            raise error(topic["topic"])
        partitions[topic["topic"]] = topic["partitions"]
    if not partitions:
        return {}
    answers = await admin.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name) for name in partitions]
    )
    found = {}
    for answer in answers:
        for code, _, _, name, entries in (resource[:5] for resource in answer.resources):
            error = for_code(code)
            if error is not NoError:
                raise error(name)
            copies = min(len(partition["replicas"]) for partition in partitions[name])
            in_sync = {
                partition["partition"]: len(partition["isr"]) if partition["leader"] >= 0 else 0
                for partition in partitions[name]
            }
            values = {entry[0]: entry[1] for entry in entries}
            found[name] = _Found(len(partitions[name]), copies, in_sync, values)
    return found


async def _seen(admin: AIOKafkaAdminClient, wanted: list[Layout]) -> dict[str, _Found]:
    """Return the topics once the broker that was asked has heard of them all: shortly after another did."""
    async with asyncio.timeout(_SEEN_SECONDS):
        while len(found := await _found(admin, wanted)) < len(wanted):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    return found


async def _make(
    admin: AIOKafkaAdminClient, missing: list[Layout], kafka: KafkaSettings, *, really: bool = True
) -> list[str]:
    """Make topics, or only ask whether they could be; return a line for each that is refused."""
    answer = await admin.create_topics(
        [
            NewTopic(
                layout.name,
                layout.partitions,
                kafka.replication_factor,
                topic_configs={"cleanup.policy": layout.policy, **layout.settings},
            )
            for layout in missing
        ],
        validate_only=not really,
    )
    refused = []
    for name, code, message in (entry[:3] for entry in answer.topic_errors):
        error = for_code(code)
        # Another process of the service made it meanwhile, in the same way.
        if error in (NoError, TopicAlreadyExistsError):
            continue
        if getattr(error, "retriable", False):
            raise error(name)
        refused.append(f"the topic {name} can't be made: {message or error.__name__}")
    return refused


def _differences(layout: Layout, topics: Mapping[str, _Found], settings: Settings) -> list[str]:
    found = topics.get(layout.name)
    if found is None:
        return []
    kafka, lines = settings.kafka, []
    if found.partitions != layout.partitions:
        asked = "the service" if layout.partitions == 1 else "kafka.partitions"
        lines.append(f"has {found.partitions} partitions, {asked} asks for {layout.partitions}")
    if found.replicas < kafka.replication_factor:
        lines.append(
            f"has {found.replicas} replicas, kafka.replication_factor asks for {kafka.replication_factor}"
        )
    written = int(found.settings["min.insync.replicas"])
    if written < _copies_written(kafka):
        lines.append(f"has min.insync.replicas={written}, it takes {_copies_written(kafka)} to lose nothing")
    if written > found.replicas:
        lines.append(
            f"has min.insync.replicas={written} of {found.replicas} replicas: nothing can be written"
        )
    largest = int(found.settings["max.message.bytes"])
    if largest < RECORD_BYTES:
        lines.append(f"has max.message.bytes={largest}, it takes {RECORD_BYTES} to keep what comes in")
    policy = set(found.settings["cleanup.policy"].split(","))
    if policy != set(layout.policy.split(",")):
        lines.append(f"has cleanup.policy={found.settings['cleanup.policy']}, it must be {layout.policy}")
    retention = int(found.settings["retention.ms"])
    if "retention.ms" in layout.settings and 0 <= retention < _retention_ms(settings):
        lines.append(f"has retention.ms={retention}, log.retention_hours asks for {_retention_ms(settings)}")
    return [f"the topic {layout.name} {line}" for line in lines]


def _shortages(layout: Layout, topics: Mapping[str, _Found]) -> list[str]:
    """Return what a start doesn't mind: brokers that are away, and no room for the largest states."""
    found, lines = topics.get(layout.name), []
    if found is None:
        return []
    written = min(int(found.settings["min.insync.replicas"]), found.replicas)
    if short := sorted(number for number, copies in found.in_sync.items() if copies < written):
        lines.append(f"can't be written in partitions {short}: it takes {written} replicas in sync")
    # Nothing asks for as much until a stream plays a script of thousands of paragraphs.
    wanted, largest = layout.settings.get("max.message.bytes"), found.settings["max.message.bytes"]
    if wanted is not None and int(largest) < int(wanted):
        lines.append(f"has max.message.bytes={largest}, a stream with a long script takes up to {wanted}")
    return [f"the topic {layout.name} {line}" for line in lines]


def _copies_written(kafka: KafkaSettings) -> int:
    """Return how many replicas must have a write: with two, one broker may be lost."""
    return min(2, kafka.replication_factor)


def _retention_ms(settings: Settings) -> int:
    return round(settings.log.retention_hours * 3_600_000)
