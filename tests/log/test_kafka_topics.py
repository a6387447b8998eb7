import asyncio
import contextlib
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from monitor.config import KafkaSettings, LogSettings, Settings
from monitor.errors import ConfigurationError, LogUnavailableError
from monitor.log import kafka_client, kafka_topics
from tests.kafka_broker import Brokers, bring_back


@pytest.fixture
def settings(kafka: Brokers) -> Settings:
    return Settings(kafka=kafka.settings(), log=LogSettings(retention_hours=2))


def changed(settings: Settings, **kafka: object) -> Settings:
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update=kafka)})


async def make(kafka: KafkaSettings, name: str, partitions: int, **configuration: str) -> None:
    admin = AIOKafkaAdminClient(**kafka_client.options(kafka))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configuration)])
    finally:
        await admin.close()


async def test_topics_are_made_as_configured_and_looking_at_them_finds_nothing(settings: Settings) -> None:
    assert await kafka_topics.problems(settings) == []
    await kafka_topics.ensure(settings)

    await kafka_topics.ensure(settings)
    assert await kafka_topics.problems(settings) == []


async def test_looking_makes_nothing(settings: Settings) -> None:
    await kafka_topics.problems(settings)

    # Were they there, then with as many partitions as the broker gives by default.
    assert await kafka_topics.problems(changed(settings, partitions=7)) == []


async def test_a_client_that_asks_for_a_topic_by_its_name_has_no_broker_make_it(settings: Settings) -> None:
    topic = kafka_topics.names(settings.kafka).health
    options = kafka_client.options(settings.kafka) | {"request_timeout_ms": 500}

    async with AIOKafkaProducer(**options) as producer:
        with pytest.raises(UnknownTopicOrPartitionError):
            await producer.partitions_for(topic)

    assert await kafka_topics.partitions(settings.kafka, topic) == 0


async def test_processes_that_start_together_make_them_once(settings: Settings) -> None:
    await asyncio.gather(*(kafka_topics.ensure(settings) for _ in range(3)))

    assert await kafka_topics.problems(settings) == []


async def test_each_difference_is_one_line(settings: Settings) -> None:
    await kafka_topics.ensure(settings)
    events, health, letters = kafka_topics.names(settings.kafka)

    other = changed(settings, partitions=7, replication_factor=3).model_copy(
        update={"log": LogSettings(retention_hours=3)}
    )

    short = "retention.ms=7200000, log.retention_hours asks for 10800000"
    thin = "1 replicas, kafka.replication_factor asks for 3"
    unsafe = "min.insync.replicas=1, it takes 2 to lose nothing"
    assert await kafka_topics.problems(other) == [
        f"the topic {events} has 4 partitions, kafka.partitions asks for 7",
        f"the topic {events} has {thin}",
        f"the topic {events} has {unsafe}",
        f"the topic {events} has {short}",
        f"the topic {health} has 4 partitions, kafka.partitions asks for 7",
        f"the topic {health} has {thin}",
        f"the topic {health} has {unsafe}",
        f"the topic {letters} has {thin}",
        f"the topic {letters} has {unsafe}",
        f"the topic {letters} has {short}",
    ]
    with pytest.raises(ConfigurationError):
        await kafka_topics.ensure(other)


async def test_a_health_topic_that_is_not_compacted_is_refused(settings: Settings) -> None:
    health = kafka_topics.names(settings.kafka).health
    await make(settings.kafka, health, 4, **{"cleanup.policy": "delete"})

    with pytest.raises(ConfigurationError, match=f"{health} has cleanup.policy=delete, it must be compact"):
        await kafka_topics.ensure(settings)


async def test_a_topic_without_room_for_large_bodies_is_refused(settings: Settings) -> None:
    events = kafka_topics.names(settings.kafka).events
    await make(settings.kafka, events, 4, **{"max.message.bytes": "50000", "retention.ms": "-1"})

    with pytest.raises(ConfigurationError, match=f"{events} has max.message.bytes=50000, it takes 1000000"):
        await kafka_topics.ensure(settings)


async def test_topics_that_brokers_compress_are_taken(settings: Settings) -> None:
    events, health, _ = kafka_topics.names(settings.kafka)
    await make(settings.kafka, events, 4, **{"compression.type": "zstd", "retention.ms": "-1"})
    await make(settings.kafka, health, 4, **{"cleanup.policy": "compact", "compression.type": "lz4"})

    await kafka_topics.ensure(settings)

    # All that is amiss is something else.
    assert await kafka_topics.problems(settings) == [
        f"the topic {health} has max.message.bytes=1048588, a stream with a long script takes up to 8000000"
    ]


async def test_a_health_topic_without_room_for_the_largest_states_is_told_of_and_refuses_no_start(
    settings: Settings,
) -> None:
    health = kafka_topics.names(settings.kafka).health
    await make(settings.kafka, health, 4, **{"cleanup.policy": "compact", "max.message.bytes": "1048588"})
    await kafka_topics.ensure(settings)

    assert await kafka_topics.problems(settings) == [
        f"the topic {health} has max.message.bytes=1048588, a stream with a long script takes up to 8000000"
    ]


async def test_more_retention_than_asked_for_is_fine(settings: Settings) -> None:
    await kafka_topics.ensure(settings)

    less = settings.model_copy(update={"log": LogSettings(retention_hours=1)})

    assert await kafka_topics.problems(less) == []


async def test_topics_that_cannot_be_made_are_refused(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"can't be made: .*replication factor"):
        await kafka_topics.ensure(changed(settings, replication_factor=3))


async def test_topics_that_could_not_be_made_are_told_of_before_anybody_makes_them(
    settings: Settings,
) -> None:
    wanting = changed(settings, replication_factor=3)
    names = kafka_topics.names(settings.kafka)

    found = await kafka_topics.problems(wanting)

    assert [line.partition(" can't be made: ")[0] for line in found] == [
        f"the topic {name}" for name in names
    ]
    assert [await kafka_topics.partitions(settings.kafka, name) for name in names] == [0, 0, 0]


async def test_a_kafka_that_cannot_be_reached_is_named(settings: Settings) -> None:
    with pytest.raises(LogUnavailableError, match=r"Kafka at 127\.0\.0\.1:1"):
        await kafka_topics.ensure(changed(settings, bootstrap_servers="127.0.0.1:1"))


@pytest.mark.xdist_group("brokers")
async def test_brokers_that_are_away_are_told_of_where_nothing_can_be_written_and_refuse_no_start(
    three_kafkas: Brokers, tmp_path: Path
) -> None:
    kafka = three_kafkas.settings(partitions=3).model_copy(update={"replication_factor": 2})
    settings = Settings(kafka=kafka, log=LogSettings(path=tmp_path / "spool.db"))
    await kafka_topics.ensure(settings)
    assert await kafka_topics.problems(settings) == []
    lost = three_kafkas.each[2]
    lost.kill()
    try:
        found: list[str] = []
        async with asyncio.timeout(60):
            while not found:
                # As long as the others count it in, it may be the one that is asked.
                with contextlib.suppress(LogUnavailableError):
                    found = await kafka_topics.problems(settings)

        assert all("it takes 2 replicas in sync" in line for line in found)
        await kafka_topics.ensure(settings)
    finally:
        await asyncio.to_thread(bring_back, lost)
