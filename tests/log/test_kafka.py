import asyncio
import gc
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from monitor.clock import stopwatch
from monitor.config import KafkaSettings, LogSettings, ReceiverSettings, Settings
from monitor.errors import ConfigurationError, LogOverloadedError, LogUnavailableError
from monitor.event import EventId
from monitor.log import kafka_dead_letters, kafka_topics
from monitor.log.cloudevents import letter_from_headers, to_headers
from monitor.log.kafka import MAX_BODY_BYTES, KafkaLog
from monitor.log.kafka_records import place
from monitor.log.kafka_sender import START_SECONDS
from monitor.log.sqlite import SqliteLog
from monitor.web.registration import MAX_KEPT_BYTES
from tests.kafka_broker import ROOT, Brokers, bring_back, eventually
from tests.log.kafka_records import counted, event_records, events, missing, records
from tests.log.killing import acknowledged_before_a_kill
from tests.log.making import TEXT, dead_letter, event

STREAMS = 20


def settings_for(kafka: KafkaSettings, folder: Path) -> Settings:
    return Settings(kafka=kafka, log=LogSettings(backend="kafka", path=folder / "var" / "spool.db"))


@pytest.fixture
def settings(kafka: Brokers, tmp_path: Path) -> Settings:
    return settings_for(kafka.settings(), tmp_path)


@pytest.fixture
def own_settings(own_kafka: Brokers, tmp_path: Path) -> Settings:
    """Settings on a broker that the test may pause and kill."""
    return settings_for(own_kafka.settings(), tmp_path)


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[KafkaLog]:
    opened = await KafkaLog.open(settings)
    yield opened
    await opened.close()


class Traffic:
    """Callers that append to some streams for as long as they are let, each with a pause (s) in between.

    acknowledged: the ids of what was answered. slowest: the longest answer, in seconds.
    """

    def __init__(self, log: KafkaLog, *, pause: float = 0.005) -> None:
        self.acknowledged: list[EventId] = []
        self.slowest = 0.0
        self._log, self._pause = log, pause
        self._stopping = False
        self._callers = [asyncio.create_task(self._call(f"job-{number}")) for number in range(STREAMS)]

    async def more(self, count: int) -> None:
        """Return when that many more were acknowledged."""
        goal = len(self.acknowledged) + count
        await eventually(lambda: len(self.acknowledged) >= goal or self._failed())

    async def stop(self) -> None:
        """Let each caller have its last answer."""
        self._stopping = True
        await asyncio.gather(*self._callers)

    def _failed(self) -> bool:
        for caller in self._callers:
            if caller.done():
                caller.result()
        return False

    async def _call(self, job_id: str) -> None:
        while not self._stopping:
            one = event(self._log.next_id(), job_id=job_id, body=os.urandom(50))
            started = time.monotonic()
            await self._log.append([one])
            self.slowest = max(self.slowest, time.monotonic() - started)
            self.acknowledged.append(one.id)
            await asyncio.sleep(self._pause)


async def killed_while_appending(settings: Settings, *, acks: int) -> list[EventId]:
    """Return what a process had acknowledged when it was killed, right after that many."""
    told = await asyncio.to_thread(
        acknowledged_before_a_kill,
        *("append_kafka", settings.log.path, acks, settings.kafka.model_dump_json()),
    )
    return [EventId.parse(line) for line in told]


def drained(log: KafkaLog) -> Callable[[], bool]:
    return lambda: log.spool.events == 0


async def test_an_event_is_in_kafka_when_its_append_returns(log: KafkaLog, settings: Settings) -> None:
    one = event(log.next_id(), source="room-a", job_id="job-7", received=1795240440.25)

    await log.append([one])

    [record] = await event_records(settings.kafka)
    assert record.key == b"room-a/job-7"
    assert record.value == one.body
    assert list(record.headers) == to_headers(one)
    assert record.timestamp == 1795240440250
    assert log.spool.events == 0


@given(source=TEXT, job_id=TEXT, partitions=st.integers(1, 50))
def test_a_stream_is_where_any_kafka_client_would_look_for_it(
    source: str, job_id: str, partitions: int
) -> None:
    key, partition = place(source, job_id, partitions)

    assert partition == DefaultPartitioner()(key, list(range(partitions)), [])


async def test_events_of_a_stream_are_in_one_partition_in_order(log: KafkaLog, settings: Settings) -> None:
    traffic = Traffic(log)
    await traffic.more(500)
    await traffic.stop()

    written = await event_records(settings.kafka)

    assert len(traffic.acknowledged) == len(written)
    assert not missing(traffic.acknowledged, await events(settings.kafka))
    assert len({(record.key, record.partition) for record in written}) == STREAMS
    assert len({record.partition for record in written}) == settings.kafka.partitions


async def test_dead_letters_go_to_their_topic_with_the_reason(log: KafkaLog, settings: Settings) -> None:
    letter = dead_letter(log.next_id())

    await log.append([event(log.next_id()), event(log.next_id(), job_id="job-2")], [letter])

    [record] = await records(settings.kafka, kafka_topics.names(settings.kafka).dead_letters)
    assert letter == letter_from_headers(record.headers, record.value)
    assert dict(record.headers)["ce_reason"] == b"not_json"
    assert dict(record.headers)["ce_source"] == b"/sources/room-b"
    assert len(await events(settings.kafka)) == 2


async def test_an_event_far_ahead_of_the_brokers_clock_is_taken(log: KafkaLog, settings: Settings) -> None:
    ahead = float(int(time.time()) + 30 * 86400)

    await log.append([event(log.next_id(), received=ahead)])

    assert [ahead] == [one.received for one in await events(settings.kafka)]


async def test_a_body_larger_than_a_batch_is_taken(log: KafkaLog, settings: Settings) -> None:
    bodies = [os.urandom(MAX_BODY_BYTES), os.urandom(300_000), b"small"]

    await asyncio.gather(*(log.append([event(log.next_id(), body=body)]) for body in bodies))

    assert bodies == [one.body for one in await events(settings.kafka)]


async def test_with_a_paused_broker_the_spool_answers_and_is_drained_in_order(
    own_kafka: Brokers, own_settings: Settings
) -> None:
    log = await KafkaLog.open(own_settings)
    traffic = Traffic(log)
    await traffic.more(200)

    own_kafka.each[0].pause()
    await eventually(lambda: log.spool.events > 0)
    await traffic.more(500)
    held = log.spool
    own_kafka.each[0].resume()
    await traffic.more(200)
    await eventually(drained(log))
    await traffic.more(200)
    await traffic.stop()
    await eventually(drained(log))

    assert held.bytes > 500 * 50
    assert held.oldest is not None
    assert log.spool.oldest is None
    assert not missing(traffic.acknowledged, await events(own_settings.kafka))
    await log.close()


async def test_a_log_closes_while_its_broker_is_paused(
    own_kafka: Brokers, own_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    log = await KafkaLog.open(own_settings)
    traffic = Traffic(log)
    await traffic.more(200)
    own_kafka.each[0].pause()
    await eventually(lambda: log.spool.events > 0)
    await traffic.stop()

    async with asyncio.timeout(30):
        await log.close()
    del log
    gc.collect()
    assert not [line for line in caplog.messages if "Future exception was never retrieved" in line]

    own_kafka.each[0].resume()
    log = await KafkaLog.open(own_settings)
    await eventually(drained(log))
    assert not missing(traffic.acknowledged, await events(own_settings.kafka))
    await log.close()


async def test_what_comes_behind_a_probe_of_a_stalled_kafka_does_not_overtake_it(
    own_kafka: Brokers, own_settings: Settings
) -> None:
    log = await KafkaLog.open(own_settings)
    for lane in log._sender.events:
        # As after an acknowledgement that came too late, with nothing left to send.
        lane.stalled = True
    own_kafka.each[0].pause()
    every = [event(log.next_id()) for _ in range(5)]

    await asyncio.gather(*(log.append([one]) for one in every))
    # What is under way is never written.
    own_kafka.each[0].kill()
    await log.close()
    own_kafka.each[0].start()
    log = await KafkaLog.open(own_settings)
    await eventually(drained(log))

    # The drain may have written them twice: what counts is that none came behind a later one.
    assert [one.id for one in every] == counted(await events(own_settings.kafka))
    await log.close()


async def test_with_a_killed_broker_nothing_is_lost_and_new_events_come_in_while_the_spool_drains(
    own_kafka: Brokers, own_settings: Settings
) -> None:
    log = await KafkaLog.open(own_settings)
    traffic = Traffic(log)
    await traffic.more(200)

    own_kafka.each[0].kill()
    await traffic.more(1000)
    letter = dead_letter(log.next_id())
    await log.append((), [letter])
    own_kafka.each[0].start()
    await eventually(drained(log))
    await traffic.more(200)
    await traffic.stop()
    await eventually(drained(log))

    assert not missing(traffic.acknowledged, await events(own_settings.kafka))
    async with kafka_dead_letters.opened(own_settings.kafka) as letters:
        assert [letter] == [one.letter for one in await letters.list(10, None)]
    await log.close()


async def test_a_log_opens_on_its_spool_while_kafka_is_away(
    own_kafka: Brokers, own_settings: Settings
) -> None:
    own_kafka.each[0].kill()
    log = await KafkaLog.open(own_settings)
    one = event(log.next_id())
    await log.append([one])
    assert log.spool.events == 1
    await log.close()

    log = await KafkaLog.open(own_settings)
    other = event(log.next_id())
    await log.append([other])
    assert log.spool.events == 2
    own_kafka.each[0].start()
    await eventually(drained(log))

    assert [one, other] == await events(own_settings.kafka)
    await log.close()


async def test_a_log_opens_as_soon_where_several_brokers_hang_as_where_one_does(tmp_path: Path) -> None:
    with ExitStack() as hanging:
        # They connect and never answer.
        sockets = [hanging.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        addresses = ",".join(f"127.0.0.1:{one.getsockname()[1]}" for one in sockets)
        begun = stopwatch()
        log = await KafkaLog.open(settings_for(KafkaSettings(bootstrap_servers=addresses), tmp_path))
        took = stopwatch() - begun
        await log.append([event(log.next_id())])
        await log.close()

    assert took < 2 * START_SECONDS


async def test_a_process_killed_with_a_full_spool_loses_nothing(
    own_kafka: Brokers, own_settings: Settings
) -> None:
    await kafka_topics.ensure(own_settings)
    own_kafka.each[0].kill()
    acknowledged: list[EventId] = []
    for _ in range(2):
        acknowledged += await killed_while_appending(own_settings, acks=300)
    own_kafka.each[0].start()

    log = await KafkaLog.open(own_settings)
    assert log.spool.events >= len(acknowledged)
    await eventually(drained(log))

    assert not missing(acknowledged, await events(own_settings.kafka))
    await log.close()


async def test_a_process_killed_while_its_spool_drains_loses_nothing(
    own_kafka: Brokers, own_settings: Settings
) -> None:
    await kafka_topics.ensure(own_settings)
    own_kafka.each[0].pause()
    kill = asyncio.create_task(killed_while_appending(own_settings, acks=3000))
    await eventually(lambda: own_settings.log.path.exists())
    own_kafka.each[0].resume()
    acknowledged = await kill

    log = await KafkaLog.open(own_settings)
    await eventually(drained(log))

    assert not missing(acknowledged, await events(own_settings.kafka))
    await log.close()


async def test_a_full_spool_refuses_and_takes_again_when_it_was_drained(
    own_kafka: Brokers, own_settings: Settings
) -> None:
    log = await KafkaLog.open(own_settings, capacity_bytes=10_000)
    own_kafka.each[0].kill()
    every = [event(log.next_id(), body=b"x" * 500) for _ in range(30)]
    ends = await asyncio.gather(*(log.append([one]) for one in every), return_exceptions=True)
    kept = [one.id for one, end in zip(every, ends, strict=True) if end is None]
    refused = [end for end in ends if end is not None]
    assert {LogOverloadedError} == {type(end) for end in refused}
    assert "the spool is full" in str(refused[0])
    assert 5 < len(kept) < 20
    assert log.spool.bytes <= log.spool.capacity_bytes
    assert log.refusing

    own_kafka.each[0].start()
    await eventually(drained(log))
    assert not log.refusing
    last = event(log.next_id())
    await log.append([last])

    assert not missing([*kept, last.id], await events(own_settings.kafka))
    await log.close()


async def test_a_log_refuses_while_neither_kafka_nor_the_disk_can_keep_anything(
    own_kafka: Brokers, own_settings: Settings
) -> None:
    log = await KafkaLog.open(own_settings)
    path = own_settings.log.path
    moved = path.rename(path.with_name("moved.db"))
    await log.append([event(log.next_id())])
    assert not log.refusing

    own_kafka.each[0].kill()
    with pytest.raises(LogUnavailableError, match="removed, replaced or emptied"):
        await log.append([event(log.next_id())])
    assert log.refusing
    moved.rename(path)
    await log.append([event(log.next_id())])

    assert not log.refusing
    await log.close()


async def test_what_is_given_up_with_a_client_that_is_closed_is_not_told_as_refused(
    own_kafka: Brokers, own_settings: Settings
) -> None:
    log = await KafkaLog.open(own_settings)
    own_kafka.each[0].kill()

    with capture_logs() as told:
        await log.append([event(log.next_id(), job_id=f"job-{number}") for number in range(STREAMS)])
        await log.close()

    lines = [line["event"] for line in told]
    assert "kafka doesn't acknowledge in time" in lines
    assert "kafka refused a batch" not in lines


async def test_an_append_whose_parts_are_all_refused_leaves_nothing_to_complain_of(tmp_path: Path) -> None:
    away = KafkaSettings(bootstrap_servers="127.0.0.1:1", replication_factor=1)
    log = await KafkaLog.open(settings_for(away, tmp_path), capacity_bytes=0)
    complaints = list[dict[str, object]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))

    with pytest.raises(LogOverloadedError):
        await log.append([event(log.next_id(), job_id=f"job-{number}") for number in range(20)])

    gc.collect()
    assert not complaints
    await log.close()


async def test_a_caller_that_gave_up_while_kafka_is_away_does_not_hurt_the_others(
    own_kafka: Brokers, own_settings: Settings
) -> None:
    log = await KafkaLog.open(own_settings)
    own_kafka.each[0].pause()
    every = [event(log.next_id(), job_id=f"job-{number % 7}") for number in range(60)]
    tasks = [asyncio.create_task(log.append([one])) for one in every]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    own_kafka.each[0].resume()
    await eventually(drained(log))

    kept = [one.id for one, end in zip(every, ends, strict=True) if end is None]
    assert len(kept) == 30
    assert not missing(kept, await events(own_settings.kafka))
    await log.close()


@pytest.mark.xdist_group("brokers")
async def test_the_death_of_each_of_three_brokers_loses_nothing(
    three_kafkas: Brokers, tmp_path: Path
) -> None:
    settings = settings_for(three_kafkas.settings(partitions=6), tmp_path)
    log = await KafkaLog.open(settings)
    traffic = Traffic(log, pause=0.02)
    for broker in three_kafkas.each:
        await traffic.more(200)
        broker.kill()
        await eventually(lambda: log.spool.events > 0)
        await traffic.more(1000)
        await asyncio.to_thread(bring_back, broker)
    await eventually(drained(log))
    await traffic.stop()
    await eventually(drained(log))

    assert not missing(traffic.acknowledged, await events(settings.kafka))
    await log.close()


@pytest.mark.usefixtures("log")
async def test_one_process_at_a_time_has_the_spool(settings: Settings) -> None:
    with pytest.raises(LogUnavailableError, match="another service"):
        await KafkaLog.open(settings)


async def test_an_embedded_log_is_not_taken_for_a_spool(settings: Settings) -> None:
    embedded = await SqliteLog.open(settings.log.path)
    await embedded.append([event(embedded.next_id())])
    await embedded.close()

    with pytest.raises(LogUnavailableError, match="not a spool"):
        await KafkaLog.open(settings)


async def test_a_body_limit_beyond_kafkas_is_refused(settings: Settings) -> None:
    receiver = ReceiverSettings(max_body_bytes=MAX_BODY_BYTES + 1)

    with pytest.raises(ConfigurationError, match=r"receiver\.max_body_bytes"):
        await KafkaLog.open(settings.model_copy(update={"receiver": receiver}))


def test_what_is_kept_of_a_registration_fits_a_record_as_a_body_does() -> None:
    assert MAX_KEPT_BYTES <= MAX_BODY_BYTES


def test_aiokafka_without_its_compiled_part_is_refused() -> None:
    program = "from monitor.config import KafkaSettings\nfrom monitor.log import kafka_client\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}kafka_client.options(KafkaSettings())"],
        cwd=ROOT,
        env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "log.backend: aiokafka lacks its compiled part here" in done.stderr.splitlines()[-1]
