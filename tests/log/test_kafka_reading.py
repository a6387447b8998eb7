import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from monitor.config import KafkaSettings, LogSettings, Settings
from monitor.errors import LogUnavailableError
from monitor.log import kafka_client, kafka_reading, kafka_topics
from monitor.log.kafka import KafkaLog
from monitor.log.kafka_reading import Partition
from tests.kafka_broker import Brokers
from tests.log.making import event

HANGING_SECONDS = 60.0
"""So long nothing takes but what would never end."""


async def filled(kafka: KafkaSettings, folder: Path, events: int) -> str:
    """Write events to the one partition; return the topic."""
    log = await KafkaLog.open(Settings(kafka=kafka, log=LogSettings(path=folder / "spool.db")))
    await log.append([event(log.next_id(), body=b"%d" % number) for number in range(events)])
    await log.close()
    return kafka_topics.names(kafka).events


@pytest.fixture
async def ten(kafka: Brokers, tmp_path: Path) -> tuple[KafkaSettings, str]:
    """A partition of ten events, on the broker that all tests share."""
    settings = kafka.settings(partitions=1)
    return settings, await filled(settings, tmp_path, 10)


async def bodies(partition: Partition, start: int, end: int) -> list[int]:
    async with asyncio.timeout(HANGING_SECONDS):
        return [int(record.value) async for record in partition.records(start, end)]


async def test_a_stretch_is_read_and_no_more(ten: tuple[KafkaSettings, str]) -> None:
    async with kafka_reading.opened(*ten, 0) as partition:
        assert await partition.bounds() == (0, 10)
        assert await bodies(partition, 3, 6) == [3, 4, 5]
        assert await bodies(partition, 0, 2) == [0, 1]
        assert await bodies(partition, 9, 9) == []


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_what_somebody_else_has_compressed_is_read(ten: tuple[KafkaSettings, str], codec: str) -> None:
    settings, topic = ten
    async with AIOKafkaProducer(**kafka_client.options(settings), compression_type=codec) as producer:
        await producer.send_and_wait(topic, b"0" * 1000 + b"10", partition=0)

    async with kafka_reading.opened(settings, topic, 0) as partition:
        assert await bodies(partition, 0, 11) == list(range(11))


async def test_a_fetch_at_the_end_is_not_long_in_the_way_of_what_is_read_next(
    ten: tuple[KafkaSettings, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = list[int]()

    def noted(**options: Any) -> AIOKafkaConsumer:
        waits.append(options["fetch_max_wait_ms"])
        return AIOKafkaConsumer(**options)

    monkeypatch.setattr(kafka_reading, "AIOKafkaConsumer", noted)
    async with kafka_reading.opened(*ten, 0) as partition:
        assert await partition.bounds() == (0, 10)

    # Hundreds of dead letters are retried one by one, each read from where it is.
    [wait] = waits
    assert wait <= 100


async def test_reading_ends_when_kafka_goes_away(
    own_kafka: Brokers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_reading, "SILENT_SECONDS", 2.0)
    settings = own_kafka.settings(partitions=1)
    topic = await filled(settings, tmp_path, 10)

    async with kafka_reading.opened(settings, topic, 0) as partition:
        start, end = await partition.bounds()
        own_kafka.each[0].pause()
        with pytest.raises(LogUnavailableError, match=r"127\.0\.0\.1:\d+: nothing has come of partition 0"):
            await bodies(partition, start, end)
        own_kafka.each[0].resume()


async def test_what_is_left_is_read_when_records_expire_before_they_are_reached(
    ten: tuple[KafkaSettings, str],
) -> None:
    settings, topic = ten
    async with kafka_reading.opened(settings, topic, 0) as partition:
        start, end = await partition.bounds()
        await expire(settings, topic, before=8)

        assert await bodies(partition, start, end) == [8, 9]


async def test_a_stretch_that_has_expired_is_empty(ten: tuple[KafkaSettings, str]) -> None:
    settings, topic = ten
    async with kafka_reading.opened(settings, topic, 0) as partition:
        start, end = await partition.bounds()
        await expire(settings, topic, before=10)

        assert await bodies(partition, start, end) == []


async def expire(settings: KafkaSettings, topic: str, *, before: int) -> None:
    """Remove the records below an offset, as brokers do with what is older than the retention."""
    admin = AIOKafkaAdminClient(**kafka_client.options(settings))
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before)})
    finally:
        await admin.close()
