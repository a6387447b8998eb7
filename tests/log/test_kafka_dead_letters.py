from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from monitor.config import LogSettings, Settings
from monitor.errors import LogUnavailableError
from monitor.log import kafka_client, kafka_dead_letters, kafka_topics
from monitor.log.kafka import KafkaLog
from monitor.log.kafka_dead_letters import KafkaDeadLetters
from tests.kafka_broker import Brokers
from tests.log.kafka_records import counted, events
from tests.log.making import dead_letter, event

pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture
def settings(kafka: Brokers, tmp_path: Path) -> Settings:
    return Settings(kafka=kafka.settings(), log=LogSettings(path=tmp_path / "spool.db"))


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[KafkaLog]:
    opened = await KafkaLog.open(settings)
    yield opened
    await opened.close()


@pytest.fixture
async def letters(log: KafkaLog, settings: Settings) -> AsyncIterator[KafkaDeadLetters]:
    del log  # It has made the topics.
    async with kafka_dead_letters.opened(settings.kafka) as opened:
        yield opened


async def test_a_letter_that_was_written_twice_is_one(log: KafkaLog, letters: KafkaDeadLetters) -> None:
    twice, other = dead_letter(log.next_id()), dead_letter(log.next_id())
    for letter in (twice, other, twice):
        await log.append((), [letter])

    assert [(3, twice), (2, other)] == await letters.list(10, None)
    assert await letters.show(1) is None


async def test_a_retry_that_was_interrupted_counts_once_when_it_comes_again(
    log: KafkaLog, letters: KafkaDeadLetters, settings: Settings
) -> None:
    letter = dead_letter(log.next_id())
    await log.append((), [letter])
    async with kafka_dead_letters.opened(settings.kafka) as others:
        [seen] = await others.list(1, None)
        retried = event(log.next_id(), body=letter.body)
        await letters.retry(seen.number, retried)
        # As if its tombstone had not been written: it comes back as a letter that somebody still sees.
        await log.append((), [letter])
        [again] = await others.list(1, None)
        await others.retry(again.number, event(log.next_id(), body=letter.body))

    written = await events(settings.kafka)
    assert [letter.body] * 2 == [one.body for one in written]
    assert [written[0].id] == counted(written)
    assert await letters.list(10, None) == []


async def test_a_retry_during_which_kafka_goes_away_ends_and_can_be_made_again(
    own_kafka: Brokers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(kafka=own_kafka.settings(), log=LogSettings(path=tmp_path / "spool.db"))
    log = await KafkaLog.open(settings)
    letter = dead_letter(log.next_id())
    again = [event(log.next_id()) for _ in range(2)]
    await log.append((), [letter])
    await log.close()
    send_and_wait = AIOKafkaProducer.send_and_wait

    async def send_to_nobody(producer: AIOKafkaProducer, topic: str, *record: Any, **options: Any) -> Any:
        await producer.partitions_for(topic)
        own_kafka.each[0].pause()
        return await send_and_wait(producer, topic, *record, **options)

    async with kafka_dead_letters.opened(settings.kafka) as letters:
        with monkeypatch.context() as patched:
            patched.setattr(kafka_dead_letters, "ACKNOWLEDGE_SECONDS", 2.0)
            patched.setattr(AIOKafkaProducer, "send_and_wait", send_to_nobody)
            with pytest.raises(LogUnavailableError, match="not acknowledged within 2 s"):
                await letters.retry(1, again[0])
    own_kafka.each[0].resume()

    async with kafka_dead_letters.opened(settings.kafka) as letters:
        assert [(1, letter)] == await letters.list(10, None)
        await letters.retry(1, again[1])
        assert await letters.list(10, None) == []
    assert len(counted(await events(settings.kafka))) == 1


async def test_retried_letters_of_one_stream_all_count(
    log: KafkaLog, letters: KafkaDeadLetters, settings: Settings
) -> None:
    await log.append((), [dead_letter(log.next_id()) for _ in range(5)])

    for number in (4, 1, 5, 3, 2):
        await letters.retry(number, event(log.next_id()))

    assert len(counted(await events(settings.kafka))) == 5


async def test_a_record_of_somebody_else_is_passed_over(
    log: KafkaLog, letters: KafkaDeadLetters, settings: Settings
) -> None:
    topic = kafka_topics.names(settings.kafka).dead_letters
    async with AIOKafkaProducer(**kafka_client.options(settings.kafka)) as producer:
        await producer.send_and_wait(topic, b"hello", key=b"who")
    letter = dead_letter(log.next_id())
    await log.append((), [letter])

    assert [(2, letter)] == await letters.list(10, None)


async def test_records_of_somebody_else_hide_no_letter_before_them(
    log: KafkaLog, letters: KafkaDeadLetters, settings: Settings
) -> None:
    letter = dead_letter(log.next_id())
    await log.append((), [letter])
    topic = kafka_topics.names(settings.kafka).dead_letters
    async with AIOKafkaProducer(**kafka_client.options(settings.kafka)) as producer:
        for key in (b"who", str(letter.id).encode()):
            await producer.send_and_wait(topic, b"hello", key=key)

    assert [(1, letter)] == await letters.list(1, None)


async def test_a_kafka_that_cannot_be_reached_is_named(settings: Settings) -> None:
    away = settings.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})

    with pytest.raises(LogUnavailableError, match=r"127\.0\.0\.1:1"):
        async with kafka_dead_letters.opened(away):
            pytest.fail("it was reached")
