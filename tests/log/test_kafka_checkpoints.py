import asyncio
import gc
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidTxnState, ProducerFenced

from monitor.config import LogSettings, Settings
from monitor.errors import FencedError, LogUnavailableError
from monitor.log import kafka_checkpoints, kafka_client, kafka_landmark, kafka_topics
from monitor.log.kafka_checkpoints import BATCH_BYTES, POSITION_KEY, KafkaCheckpoints
from monitor.log.kafka_consumer import HealthReader, Kept
from monitor.log.kafka_landmark import Landmark
from monitor.log.protocol import Checkpoint
from tests.kafka_broker import Brokers
from tests.log.complaints import noted_complaints


@pytest.fixture
async def settings(kafka: Brokers, tmp_path: Path) -> Settings:
    made = Settings(kafka=kafka.settings(), log=LogSettings(backend="kafka", path=tmp_path / "spool.db"))
    await kafka_topics.ensure(made)
    return made


@pytest.fixture
async def checkpoints(settings: Settings) -> AsyncIterator[KafkaCheckpoints]:
    opened = await KafkaCheckpoints.open(settings, 2)
    yield opened
    await opened.close()


async def test_a_restore_never_waits_long_before_it_looks_whether_it_is_at_its_end(
    checkpoints: KafkaCheckpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, getmany = list[int](), AIOKafkaConsumer.getmany

    async def noted(consumer: AIOKafkaConsumer, *places: Any, timeout_ms: int, **options: Any) -> Any:
        waits.append(timeout_ms)
        return await getmany(consumer, *places, timeout_ms=timeout_ms, **options)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", noted)
    await checkpoints.load()

    # Nothing was saved, so nothing ever comes: each wait passes whole, for each partition of a worker.
    assert waits
    assert max(waits) <= 100


async def test_a_restore_ends_when_kafka_goes_away_in_the_middle_of_it(
    own_kafka: Brokers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_checkpoints, "SILENT_SECONDS", 2.0)
    [broker], start = own_kafka.each, AIOKafkaConsumer.start
    settings = Settings(kafka=own_kafka.settings(), log=LogSettings(path=tmp_path / "spool.db"))
    await kafka_topics.ensure(settings)
    checkpoints = await KafkaCheckpoints.open(settings, 2)
    await checkpoints.save(7, [("a", "1", b"one")])

    async def paused(consumer: AIOKafkaConsumer) -> None:
        await start(consumer)
        broker.pause()

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(AIOKafkaConsumer, "start", paused)
        with pytest.raises(LogUnavailableError, match=r"partition 2 of .*: nothing has come for 2 s"):
            await checkpoints.load()
    broker.resume()

    assert (await checkpoints.load()).position == 7
    await checkpoints.close()


async def test_a_state_as_large_as_a_script_of_thousands_makes_it_comes_back_and_is_followed(
    settings: Settings, checkpoints: KafkaCheckpoints
) -> None:
    rows = [
        ("a", "1", b"small"),
        ("a", "2", os.urandom(kafka_topics.STATE_BYTES - 1000)),
        ("a", "3", b"last"),
    ]

    await checkpoints.save(1, rows)

    assert sorted((await checkpoints.load()).states) == rows
    async with HealthReader.open(settings) as reader:
        assert await all_of(reader) == [Kept(*row) for row in rows]


async def test_partitions_keep_apart(settings: Settings, checkpoints: KafkaCheckpoints) -> None:
    await checkpoints.save(7, [("a", "1", b"one")])
    other = await KafkaCheckpoints.open(settings, 3)

    assert Checkpoint(-1, []) == await other.load()

    await other.close()
    await checkpoints.save(8, [])
    assert Checkpoint(8, [("a", "1", b"one")]) == await checkpoints.load()


async def test_whoever_opens_them_later_fences_the_earlier_owner(
    settings: Settings, checkpoints: KafkaCheckpoints
) -> None:
    await checkpoints.save(1, [("a", "1", b"first")])
    successor = await KafkaCheckpoints.open(settings, 2)

    with pytest.raises(FencedError, match="partition 2"):
        await checkpoints.save(99, [("a", "1", b"from the grave")])

    await successor.save(2, [("a", "1", b"second")])
    with pytest.raises(LogUnavailableError):
        await checkpoints.save(99, [("a", "1", b"from the grave")])
    assert Checkpoint(2, [("a", "1", b"second")]) == await successor.load()
    await successor.close()


@pytest.mark.parametrize("batches", [1, 5])
async def test_an_owner_that_is_fenced_while_it_writes_leaves_no_complaint(
    settings: Settings, batches: int
) -> None:
    complaints = noted_complaints()
    owner = await KafkaCheckpoints.open(settings, 2)
    successor = await KafkaCheckpoints.open(settings, 2)
    states = [("a", str(number), os.urandom(BATCH_BYTES - 1000)) for number in range(batches)]

    with pytest.raises(FencedError):
        await owner.save(99, states)
    gc.collect()
    await owner.close()

    del owner
    gc.collect()
    assert complaints == []
    await successor.close()


async def test_an_owner_that_gives_up_while_it_writes_leaves_nothing_that_goes_on_trying(
    own_kafka: Brokers, settings: Settings
) -> None:
    complaints, others = noted_complaints(), asyncio.all_tasks()
    owner = await KafkaCheckpoints.open(settings, 3)
    await owner.save(1, [("a", "1", b"one")])
    own_kafka.each[0].pause()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await owner.save(2, [("a", "1", os.urandom(BATCH_BYTES - 1000)), ("a", "2", b"two")])
    await owner.close()

    del owner
    gc.collect()
    assert asyncio.all_tasks() - others == set()
    assert complaints == []


async def test_what_an_earlier_owner_had_begun_is_neither_loaded_nor_committed(settings: Settings) -> None:
    topic = kafka_topics.names(settings.kafka).health
    begun = AIOKafkaProducer(
        **kafka_client.options(settings.kafka),
        transactional_id=f"{settings.kafka.group_id}-{settings.kafka.topic_prefix}2",
    )
    await begun.start()
    await begun.begin_transaction()
    await (await begun.send(topic, b"half", key=b"a/1", partition=2))

    successor = await KafkaCheckpoints.open(settings, 2)

    assert Checkpoint(-1, []) == await successor.load()
    with pytest.raises(ProducerFenced):
        await begun.commit_transaction()
    assert Checkpoint(-1, []) == await successor.load()
    await successor.close()
    await begun.stop()


async def test_a_transaction_whose_end_the_brokers_have_forgotten_vanishes_whole_when_the_next_owner_comes(
    own_kafka: Brokers, settings: Settings, checkpoints: KafkaCheckpoints
) -> None:
    await checkpoints.save(1, [("a", "1", b"one")])
    await checkpoints.close()
    await leave_open(own_kafka, settings, {b"a/1": b"two", POSITION_KEY: b"2"})

    successor = await KafkaCheckpoints.open(settings, 2)
    async with asyncio.timeout(30):
        assert Checkpoint(1, [("a", "1", b"one")]) == await successor.load()

    await successor.save(2, [("a", "1", b"two")])
    async with HealthReader.open(settings) as reader:
        assert [kept.state for kept in await all_of(reader)] == [b"one", b"two"]
    await successor.close()


async def test_a_transaction_of_somebody_else_is_left_open_and_named(
    settings: Settings, checkpoints: KafkaCheckpoints
) -> None:
    await checkpoints.save(1, [("a", "1", b"one")])
    stranger = AIOKafkaProducer(
        **kafka_client.options(settings.kafka), transactional_id=settings.kafka.group_id
    )
    async with stranger:
        await stranger.begin_transaction()
        await stranger.send_and_wait(kafka_topics.names(settings.kafka).health, b"x", key=b"a/2", partition=2)

        with pytest.raises(LogUnavailableError, match=r"partition 2 of .*transaction stays open at offset 3"):
            await checkpoints.load()

        await stranger.commit_transaction()
    assert sorted((await checkpoints.load()).states) == [("a", "1", b"one"), ("a", "2", b"x")]


async def leave_open(kafka: Brokers, settings: Settings, records: dict[bytes, bytes]) -> None:
    """Write in a transaction of partition 2 that its coordinator has never heard of, and leave it open.

    To the partition that is the same as one whose end was forgotten.
    """
    await verify_transactions(kafka, "false")
    try:
        async with asyncio.timeout(30):
            # The broker acknowledges its new setting before it goes by it.
            while not await is_left_open(settings, records):
                pass
    finally:
        await verify_transactions(kafka, "true")


async def is_left_open(settings: Settings, records: dict[bytes, bytes]) -> bool:
    """Try it once; False where the broker has asked the coordinator."""
    producer = AIOKafkaProducer(
        **kafka_client.options(settings.kafka),
        transactional_id=f"{settings.kafka.group_id}-{settings.kafka.topic_prefix}2",
    )
    place = TopicPartition(kafka_topics.names(settings.kafka).health, 2)
    async with producer:
        await producer.begin_transaction()
        producer._txn_manager.maybe_add_partition_to_txn(place)
        producer._txn_manager.partition_added(place)
        try:
            for key, value in records.items():
                await producer.send_and_wait(place.topic, value, key=key, partition=place.partition)
        except InvalidTxnState:
            return False
        return True


async def verify_transactions(kafka: Brokers, verify: str) -> None:
    """Say whether the broker asks the coordinator for a transaction before it takes its records."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.addresses)
    await admin.start()
    try:
        wanted = {"transaction.partition.verification.enable": verify}
        await admin.alter_configs([ConfigResource(ConfigResourceType.BROKER, "1", wanted)])
    finally:
        await admin.close()


async def all_of(reader: HealthReader) -> list[Kept]:
    """Return all that is kept."""
    read: list[Kept] = []
    async with asyncio.timeout(30):
        while sum((await reader.positions()).values()) < sum((await reader.ends()).values()):
            read += await reader.read(10, 0.2)
    return read


async def test_a_checkpoint_of_which_kafka_refuses_a_part_is_not_kept_and_does_not_pass_for_kept(
    kafka: Brokers, tmp_path: Path
) -> None:
    settings = Settings(kafka=kafka.settings(partitions=1), log=LogSettings(path=tmp_path / "spool.db"))
    topic = kafka_topics.names(settings.kafka).health
    admin = AIOKafkaAdminClient(**kafka_client.options(settings.kafka))
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"max.message.bytes": "2000"})])
    await admin.close()
    checkpoints = await KafkaCheckpoints.open(settings, 0)
    await checkpoints.save(1, [("a", "1", b"small")])

    with pytest.raises(LogUnavailableError, match="partition 0"):
        await checkpoints.save(2, [("a", "1", b"x" * 5000)])
    await checkpoints.close()

    successor = await KafkaCheckpoints.open(settings, 0)
    assert Checkpoint(1, [("a", "1", b"small")]) == await successor.load()
    await successor.close()


async def test_others_can_tell_states_from_the_position(
    settings: Settings, checkpoints: KafkaCheckpoints
) -> None:
    await checkpoints.save(1, [("a", "1", b"one")])
    consumer = AIOKafkaConsumer(
        **kafka_client.options(settings.kafka), enable_auto_commit=False, isolation_level="read_committed"
    )
    consumer.assign([TopicPartition(kafka_topics.names(settings.kafka).health, 2)])
    await consumer.start()
    await consumer.seek_to_beginning()

    async with asyncio.timeout(30):
        records = [await consumer.getone() for _ in range(2)]

    await consumer.stop()
    assert [(record.key, record.value) for record in records] == [(b"a/1", b"one"), (b"~position", b"1")]


@pytest.mark.parametrize("key", [b"hello", b"no name/1", b"/1", b"\xff/1"])
async def test_what_somebody_else_wrote_beside_the_states_is_passed_over(
    settings: Settings, checkpoints: KafkaCheckpoints, key: bytes
) -> None:
    await checkpoints.save(1, [("a", "1", b"one")])
    topic = kafka_topics.names(settings.kafka).health
    async with AIOKafkaProducer(**kafka_client.options(settings.kafka)) as producer:
        await producer.send_and_wait(topic, b"{}", key=key, partition=2)

    assert Checkpoint(1, [("a", "1", b"one")]) == await checkpoints.load()
    async with HealthReader.open(settings) as reader:
        assert await all_of(reader) == [Kept("a", "1", b"one")]


@pytest.mark.parametrize(
    "value", [b"garbage", b"\xff", b"{}", b"1.5", b"true", b"-2", b"9" * 19, b"[" * 5000]
)
async def test_what_somebody_else_wrote_as_the_position_leaves_the_one_before_it(
    settings: Settings, checkpoints: KafkaCheckpoints, value: bytes
) -> None:
    topic = kafka_topics.names(settings.kafka).health
    async with AIOKafkaProducer(**kafka_client.options(settings.kafka)) as producer:
        await producer.send_and_wait(topic, value, key=POSITION_KEY, partition=2)
        assert Checkpoint(-1, []) == await checkpoints.load()
        await checkpoints.save(7, [("a", "1", b"one")])
        await producer.send_and_wait(topic, value, key=POSITION_KEY, partition=2)

    assert Checkpoint(7, [("a", "1", b"one")]) == await checkpoints.load()


async def test_an_event_that_was_folded_is_kept_with_the_position(
    settings: Settings, checkpoints: KafkaCheckpoints
) -> None:
    checkpoints.landmark = Landmark(7, "receiver-1-2")
    await checkpoints.save(7, [("a", "1", b"one")])
    other = await KafkaCheckpoints.open(settings, 3)
    await other.save(7, [])

    await checkpoints.close()
    await other.close()
    for partition, landmark in {2: Landmark(7, "receiver-1-2"), 3: None}.items():
        successor = await KafkaCheckpoints.open(settings, partition)
        assert (await successor.load()).position == 7
        assert successor.landmark == landmark
        await successor.close()


@pytest.mark.parametrize("told", [b"", b"\xff", b"1", b"{}", b"[]", b'[-1, "x"]', b"[1, 2]", b"[" * 5000])
async def test_what_somebody_else_wrote_as_an_event_that_was_folded_tells_nothing(
    settings: Settings, checkpoints: KafkaCheckpoints, told: bytes
) -> None:
    topic = kafka_topics.names(settings.kafka).health
    async with AIOKafkaProducer(**kafka_client.options(settings.kafka)) as producer:
        headers = [("other", b"x"), (kafka_landmark.HEADER, told)]
        await producer.send_and_wait(topic, b"7", key=POSITION_KEY, partition=2, headers=headers)

    assert Checkpoint(7, []) == await checkpoints.load()
    assert checkpoints.landmark is None
