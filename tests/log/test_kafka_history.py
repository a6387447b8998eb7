from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from monitor.config import LogSettings, Settings
from monitor.errors import LogUnavailableError
from monitor.log import kafka_client, kafka_history, kafka_topics
from monitor.log.cloudevents import to_headers
from monitor.log.kafka import KafkaLog
from monitor.log.kafka_history import KafkaHistory
from monitor.log.kafka_records import place
from monitor.log.protocol import Heard, Past
from tests.kafka_broker import Brokers
from tests.log.making import RECEIVED, event

LOUD = next(
    name
    for name in map("loud-{}".format, range(100))
    if place("room-a", name, 2)[1] == place("room-a", "job-1", 2)[1]
)
"""A job that shares the partition of job-1."""


@pytest.fixture
def settings(kafka: Brokers, tmp_path: Path) -> Settings:
    return Settings(kafka=kafka.settings(partitions=2), log=LogSettings(path=tmp_path / "spool.db"))


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[KafkaLog]:
    opened = await KafkaLog.open(settings)
    yield opened
    await opened.close()


async def test_history_is_one_streams_newest_first(log: KafkaLog, settings: Settings) -> None:
    await log.append(
        [
            event(log.next_id(), source=source, job_id=job_id, body=b"%d" % number)
            for number in range(5)
            for source, job_id in (("room-a", "one"), ("room-a", "two"), ("room-b", "one"))
        ]
    )
    reader = KafkaHistory(settings.kafka)

    history, older = await reader.history("room-a", "one", None, 100)

    assert older is None
    assert [one.event.body for one in history] == [b"4", b"3", b"2", b"1", b"0"]
    newest = await reader.history("room-a", "one", None, 2)
    assert newest == Past(history[:2], history[1].offset)
    assert await reader.history("room-a", "one", newest.older, 2) == (history[2:4], history[3].offset)
    assert await reader.history("room-a", "one", history[-1].offset, 2) == ([], None)
    assert await reader.history("room-a", "unheard", None, 2) == ([], None)


async def test_an_event_that_was_written_twice_is_told_once(log: KafkaLog, settings: Settings) -> None:
    first, second = event(log.next_id()), event(log.next_id())
    for one in (first, second, first):
        await log.append([one])

    history, _ = await KafkaHistory(settings.kafka).history("room-a", "job-1", None, 10)

    assert [second, first] == [one.event for one in history]


async def test_records_that_workers_pass_over_are_passed_over(log: KafkaLog, settings: Settings) -> None:
    ours, other = event(log.next_id()), event(log.next_id(), job_id="job-2")
    key, partition = place("room-a", "job-1", settings.kafka.partitions)
    topic = kafka_topics.names(settings.kafka).events
    strangers: list[tuple[bytes | None, list[tuple[str, Any]]]] = [
        (b"hello", []),
        (b"hello", [*to_headers(ours)[:-1], ("ce_receivedtime", b"now")]),
        (b"hello", [*to_headers(ours)[:-1], ("ce_receivedtime", None)]),
        (None, to_headers(ours)),
        (b"hello", to_headers(other)),
    ]
    async with AIOKafkaProducer(**kafka_client.options(settings.kafka)) as producer:
        for body, headers in strangers:
            await producer.send_and_wait(topic, body, key=key, partition=partition, headers=headers)
    await log.append([ours])

    history, _ = await KafkaHistory(settings.kafka).history("room-a", "job-1", None, 10)

    assert [ours] == [one.event for one in history]


@pytest.fixture
def scanning_25(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_history, "WINDOW_RECORDS", 10)
    monkeypatch.setattr(kafka_history, "SCANNED_RECORDS", 25)


@pytest.mark.usefixtures("scanning_25")
async def test_a_call_looks_through_so_many_records_at_most_and_says_where_to_read_on(
    log: KafkaLog, settings: Settings
) -> None:
    await log.append([event(log.next_id(), body=b"%d" % number) for number in range(60)])
    reader = KafkaHistory(settings.kafka)

    newest = await reader.history("room-a", "job-1", None, 100)
    older = await reader.history("room-a", "job-1", newest.older, 100)
    oldest = await reader.history("room-a", "job-1", older.older, 100)

    read = [*newest.events, *older.events, *oldest.events]
    assert [int(one.event.body) for one in read] == list(range(59, -1, -1))
    assert (len(newest.events), len(older.events), oldest.older) == (25, 25, None)


@pytest.mark.usefixtures("scanning_25")
async def test_a_stream_that_has_been_quiet_for_long_has_its_events_found_by_when_it_was_heard_of(
    log: KafkaLog, settings: Settings
) -> None:
    early = [event(log.next_id(), job_id=LOUD, received=RECEIVED + one) for one in range(40)]
    quiet = [event(log.next_id(), received=RECEIVED + 100 + one) for one in range(5)]
    later = [event(log.next_id(), job_id=LOUD, received=RECEIVED + 1000 + one) for one in range(100)]
    await log.append([*early, *quiet, *later])
    reader, heard = KafkaHistory(settings.kafka), Heard(RECEIVED + 100, RECEIVED + 104)

    unknown = await reader.history("room-a", "job-1", None, 10)
    known = await reader.history("room-a", "job-1", None, 10, heard)
    newest = await reader.history("room-a", "job-1", None, 2, heard)

    assert (unknown.events, unknown.older is None) == ([], False)
    assert [one.event for one in known.events] == quiet[::-1]
    assert known.older is None
    assert newest == (known.events[:2], known.events[1].offset)


@pytest.mark.usefixtures("scanning_25")
async def test_what_came_late_of_a_stream_that_has_been_quiet_is_told_with_the_rest(
    log: KafkaLog, settings: Settings
) -> None:
    """As a dead letter that was retried, or what was in a spool for long."""
    first, retried = event(log.next_id(), received=RECEIVED + 1), event(log.next_id(), received=RECEIVED)
    others = [event(log.next_id(), job_id=LOUD, received=RECEIVED + 1000) for _ in range(100)]
    await log.append([first, *others, retried])
    heard = Heard(RECEIVED + 1, RECEIVED + 1)

    found = await KafkaHistory(settings.kafka).history("room-a", "job-1", None, 10, heard)

    assert [one.event for one in found.events] == [retried, first]


async def test_a_kafka_that_cannot_be_reached_is_named(settings: Settings) -> None:
    away = settings.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})

    with pytest.raises(LogUnavailableError, match=r"127\.0\.0\.1:1"):
        await KafkaHistory(away).history("room-a", "job-1", None, 10)
