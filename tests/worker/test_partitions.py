import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from monitor.clock import Clock, SystemClock, stopwatch
from monitor.config import AuthType, LogSettings, Settings, Source
from monitor.errors import ConfigurationError, LogUnavailableError
from monitor.event import Channel, Event, Stored, Vendor
from monitor.health.stream import StreamKey
from monitor.health.told import WITNESS_SECONDS
from monitor.log import kafka_client, kafka_topics
from monitor.log.cloudevents import to_headers
from monitor.log.kafka import KafkaLog
from monitor.log.kafka_checkpoints import KafkaCheckpoints
from monitor.log.kafka_consumer import EventConsumer, HealthReader, Read
from monitor.log.kafka_history import KafkaHistory
from monitor.log.kafka_records import place
from monitor.metrics.service import ServiceMetrics
from monitor.worker import holding, partitions
from monitor.worker.checkpoint import Checkpointer
from monitor.worker.fleet import Fleet
from monitor.worker.following import Follower
from monitor.worker.holdings import Holdings
from monitor.worker.partitions import PartitionWorker
from monitor.worker.shard import Shard
from tests.kafka_broker import Brokers, eventually
from tests.set_clock import SetClock
from tests.worker.failing import LettersRefused
from tests.worker.joins import noted_joins

SOURCE = Source(
    name="signed",
    vendor=Vendor.METASTUDIO,
    public_url="https://hooks.example.com/signed",
    auth_type=AuthType.MSS_A_HEAD,
    keys=("GCTbw44s6MPLh4GqgDpnfuFHgy25Enly",),
)

REPLY = b'{"event_type":"REPLY_COMMAND_FINISH","message":"{\\"job_id\\":\\"%b\\",\\"reply_id\\":\\"%d\\"}"}'


@pytest.fixture
async def settings(kafka: Brokers, tmp_path: Path) -> Settings:
    names = kafka.settings(partitions=3).model_copy(
        update={"session_timeout_seconds": 6.0, "stall_seconds": 2.0}
    )
    made = Settings(
        kafka=names, log=LogSettings(backend="kafka", path=tmp_path / "spool.db"), sources=(SOURCE,)
    )
    await kafka_topics.ensure(made)
    return made


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[KafkaLog]:
    async with opened_log(settings) as opened:
        yield opened


@contextlib.asynccontextmanager
async def opened_log(settings: Settings) -> AsyncIterator[KafkaLog]:
    opened = await KafkaLog.open(settings)
    try:
        yield opened
    finally:
        await opened.close()


RTC_REPLY = b'{"message_type":"reply_command_finish_notify","data":{"reply_id":"%d"}}'

NOON = 1_700_000_000.0


class Process:
    """A worker, as a process has one."""

    def __init__(self, settings: Settings, log: KafkaLog, clock: Clock) -> None:
        self.fleet = Fleet(clock)
        self.metrics = ServiceMetrics(CollectorRegistry())
        self.worker = PartitionWorker(settings, log, self.fleet, self.metrics)
        self.running = asyncio.create_task(self.worker.run())

    async def end(self) -> None:
        """End it as a signal would."""
        self.running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.running

    def replies(self) -> dict[str, int]:
        return {key.job_id: state.replies.finished for key, state in self.fleet.streams.items()}

    def missed(self) -> dict[str, int]:
        return {key.job_id: state.missed for key, state in self.fleet.streams.items()}

    def partitions(self) -> set[str]:
        """Return of which partitions a lag is told."""
        name = "monitor_log_lag_events"
        return {number for number in "012" if self.metric(name, {"partition": number}) is not None}

    def metric(self, name: str, labels: dict[str, str] | None = None) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels or {})


@contextlib.asynccontextmanager
async def working(settings: Settings, log: KafkaLog, clock: Clock | None = None) -> AsyncIterator[Process]:
    process = Process(settings, log, clock or SystemClock())
    try:
        await eventually(lambda: not process.fleet.recovering)
        yield process
    finally:
        await process.end()


async def reply(log: KafkaLog, *job_ids: str, first: int = 0, count: int = 1) -> None:
    """Append finished replies of these streams."""
    for number in range(first, first + count):
        for job_id in job_ids:
            await append(log, job_id, REPLY % (job_id.encode(), number))


async def append(
    log: KafkaLog, job_id: str, body: bytes, channel: Channel = Channel.CALLBACK, at: float | None = None
) -> None:
    now = SystemClock().now() if at is None else at
    identity, kind = log.next_id(), "REPLY_COMMAND_FINISH"
    signed = int(now) if channel is Channel.CALLBACK else None
    await log.append([Event(identity, SOURCE.vendor, SOURCE.name, job_id, channel, kind, now, signed, body)])


async def until_all_is_folded(reader: HealthReader) -> None:
    """Return once workers have kept, for all that a process without partitions knows, that none waits."""
    async with asyncio.timeout(60):
        while True:
            await reader.read(300, 0.2)
            folded, there = await reader.folded()
            if folded == there:
                break


JOBS = tuple(f"job-{number}" for number in range(9))


async def test_a_worker_folds_what_came_before_it_and_what_comes_after(
    settings: Settings, log: KafkaLog
) -> None:
    await reply(log, *JOBS, count=2)

    async with working(settings, log) as process:
        assert process.replies() == dict.fromkeys(JOBS, 2)
        await reply(log, *JOBS, first=2)
        await eventually(lambda: process.replies() == dict.fromkeys(JOBS, 3))
        for partition in "012":
            lag = {"partition": partition}
            await eventually(lambda lag=lag: process.metric("monitor_log_lag_events", lag) == 0)  # type: ignore[misc]


async def test_what_somebody_else_wrote_among_the_events_stops_no_worker(
    settings: Settings, log: KafkaLog
) -> None:
    key, partition = place(SOURCE.name, "job-0", settings.kafka.partitions)
    ours = Event(log.next_id(), SOURCE.vendor, SOURCE.name, "job-0", Channel.CALLBACK, "x", NOON, None, b"")
    foreign: list[dict[str, bytes]] = [
        {"ce_source": b"/sources/not a name"},
        {"ce_source": b"/sources/"},
        {"ce_receivedtime": b"0001-01-01T00:00:00.000000Z"},
        {"ce_subject": b""},
    ]
    async with AIOKafkaProducer(**kafka_client.options(settings.kafka)) as producer:
        for headers in [{}, *(dict(to_headers(ours)) | other for other in foreign)]:
            topic = kafka_topics.names(settings.kafka).events
            await producer.send_and_wait(
                topic, b"no JSON", key=key, partition=partition, headers=list(headers.items())
            )
    await reply(log, *JOBS)

    async with working(settings, log) as process:
        assert process.replies() == dict.fromkeys(JOBS, 1)


async def test_an_event_in_another_streams_partition_makes_no_second_stream(
    settings: Settings, log: KafkaLog
) -> None:
    number = settings.kafka.partitions
    partition = place(SOURCE.name, "job-0", number).partition
    body, topic = REPLY % (b"job-0", 7), kafka_topics.names(settings.kafka).events
    ours = Event(log.next_id(), SOURCE.vendor, SOURCE.name, "job-0", Channel.CALLBACK, "x", NOON, None, body)
    async with AIOKafkaProducer(**kafka_client.options(settings.kafka)) as producer:
        for other in {*range(number)} - {partition}:
            await producer.send_and_wait(
                topic, body, key=b"signed/job-0", partition=other, headers=to_headers(ours)
            )
    await reply(log, "job-0", count=2)

    async with working(settings, log) as process:
        assert process.replies() == {"job-0": 2}


async def test_partitions_that_were_added_to_the_topic_hold_up_no_other_and_are_named(
    settings: Settings, log: KafkaLog
) -> None:
    await reply(log, *JOBS)
    topic = kafka_topics.names(settings.kafka).events
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers)
    await admin.start()
    await admin.create_partitions({topic: NewPartitions(8)})
    await admin.close()
    with capture_logs() as lines:
        process = Process(settings, log, SystemClock())
        try:
            await eventually(lambda: process.replies() == dict.fromkeys(JOBS, 1))

            assert process.metric("monitor_recovering") == 1
        finally:
            await process.end()

    [line] = [line for line in lines if line["log_level"] == "error"]
    assert line["partitions"] == [3, 4, 5, 6, 7]


async def test_a_worker_whose_events_were_deleted_with_their_topic_goes_on_with_the_next_ones(
    kafka: Brokers, tmp_path: Path
) -> None:
    # As many partitions as a broker makes by itself, which may be asked for them before the worker is.
    settings = Settings(
        kafka=kafka.settings(partitions=4), log=LogSettings(backend="kafka", path=tmp_path / "spool.db")
    )
    await kafka_topics.ensure(settings)
    async with opened_log(settings) as log, working(settings, log) as process:
        await reply(log, *JOBS, count=2)
        await eventually(lambda: process.replies() == dict.fromkeys(JOBS, 2))
        await delete(settings, kafka_topics.names(settings.kafka).events)

        # Nobody can say that the streams are true, until they can be.
        await eventually(lambda: process.metric("monitor_recovering") == 1)
        await reply(log, *JOBS, first=2)
        await eventually(lambda: process.replies() == dict.fromkeys(JOBS, 3))
        assert process.metric("monitor_recovering") == 0


@pytest.mark.parametrize("grown", [1, 5])
async def test_the_events_of_a_topic_that_was_made_anew_while_no_worker_was_there_are_folded_from_their_start(
    settings: Settings, log: KafkaLog, grown: int
) -> None:
    await reply(log, *JOBS, count=2)
    async with working(settings, log):
        pass
    await delete(settings, kafka_topics.names(settings.kafka).events)
    await kafka_topics.make_missing(settings)
    # The receiver knows the old topic; and of an offset, nobody sees which topic's it is.
    await log.close()
    async with opened_log(settings) as anew:
        await reply(anew, *JOBS, first=2, count=grown)

        with capture_logs() as lines:
            async with working(settings, anew) as process:
                assert process.replies() == dict.fromkeys(JOBS, 2 + grown)
        told = [line["folded"] for line in lines if "made anew" in line["event"]]
        assert sorted(told) == sorted(2 * number - 1 for number in jobs_by_partition(settings))

        # From now on it is the one that was folded.
        with capture_logs() as lines:
            async with working(settings, anew) as process:
                assert process.replies() == dict.fromkeys(JOBS, 2 + grown)
        assert not [line for line in lines if line["log_level"] == "error"]


def jobs_by_partition(settings: Settings) -> Iterable[int]:
    """Return how many of the jobs each partition has that has any."""
    return Counter(place(SOURCE.name, job, settings.kafka.partitions).partition for job in JOBS).values()


async def make(settings: Settings, topic: NewTopic) -> None:
    """Make a topic."""
    admin = AIOKafkaAdminClient(**kafka_client.options(settings.kafka))
    await admin.start()
    await admin.create_topics([topic])
    await admin.close()


async def delete(settings: Settings, topic: str) -> None:
    """Delete a topic."""
    admin = AIOKafkaAdminClient(**kafka_client.options(settings.kafka))
    await admin.start()
    await admin.delete_topics([topic])
    await admin.close()


@pytest.mark.parametrize("made_anew", [None, "delete"])
async def test_a_worker_whose_kept_states_were_deleted_with_their_topic_folds_the_events_again_and_keeps_all(
    kafka: Brokers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_anew: str | None
) -> None:
    monkeypatch.setattr(holding, "SAVE_SECONDS", 3.0)
    # As many partitions as a broker makes by itself, if it is asked to.
    settings = Settings(
        kafka=kafka.settings(partitions=4), log=LogSettings(backend="kafka", path=tmp_path / "spool.db")
    )
    await kafka_topics.ensure(settings)
    async with opened_log(settings) as log:
        await reply(log, *JOBS, count=2)
        async with working(settings, log) as process:
            held = process.worker._holdings.held.values()
            await eventually(lambda: all(one.checkpointer.position == one.shard.position for one in held))
            health = kafka_topics.names(settings.kafka).health
            await delete(settings, health)
            if made_anew is not None:
                await make(settings, NewTopic(health, 4, 1, topic_configs={"cleanup.policy": made_anew}))
            losses, number = process.fleet.losses, 2
            with capture_logs() as lines:
                async with asyncio.timeout(60):
                    # A broker may take some more before it has deleted its partition.
                    while process.fleet.losses == losses:
                        await reply(log, "job-0", first=number)
                        number += 1
                        await asyncio.sleep(0.1)

                everything = dict.fromkeys(JOBS, 2) | {"job-0": number}
                await eventually(lambda: process.replies() == everything)
        told = [line["problem"] for line in lines if line["event"] == "a topic isn't as it has to be"]
        assert told == await kafka_topics.problems(settings)
        assert any("cleanup.policy" in line for line in told) == (made_anew == "delete")

        async with working(settings, log) as process:
            assert process.replies() == everything


async def test_a_worker_goes_on_from_what_another_has_kept(settings: Settings, log: KafkaLog) -> None:
    await reply(log, *JOBS, count=2)
    async with working(settings, log):
        pass
    await reply(log, *JOBS, first=2)

    async with working(settings, log) as process:
        assert process.replies() == dict.fromkeys(JOBS, 3)
        counted = {"vendor": "metastudio", "source": "signed", "channel": "callback"}
        kind = {"event_type": "REPLY_COMMAND_FINISH", "outcome": "applied"}
        # Only what came in between was read: the rest was restored.
        assert process.metric("monitor_events_total", counted | kind) == len(JOBS)


async def test_events_that_expired_before_they_were_folded_are_told_of(
    settings: Settings, log: KafkaLog
) -> None:
    _, partition = place(SOURCE.name, "job-0", settings.kafka.partitions)
    await reply(log, "job-0", count=2)
    async with working(settings, log):
        pass
    await reply(log, "job-0", first=2, count=4)
    admin = AIOKafkaAdminClient(**kafka_client.options(settings.kafka))
    await admin.start()
    gone = TopicPartition(kafka_topics.names(settings.kafka).events, partition)
    await admin.delete_records({gone: RecordsToDelete(before_offset=5)})
    await admin.close()

    with capture_logs() as lines:
        async with working(settings, log) as process:
            assert process.replies() == {"job-0": 3}

    told = [(line["partition"], line["events"]) for line in lines if "expired" in line["event"]]
    assert told == [(partition, 3)]


async def test_events_that_expired_or_were_never_committed_wait_for_no_worker(
    settings: Settings, log: KafkaLog
) -> None:
    await reply(log, *JOBS, count=2)
    async with working(settings, log):
        pass
    await reply(log, "job-0", first=2, count=4)
    events = kafka_topics.names(settings.kafka).events
    _, partition = place(SOURCE.name, "job-0", settings.kafka.partitions)
    admin = AIOKafkaAdminClient(**kafka_client.options(settings.kafka))
    await admin.start()
    await admin.delete_records({TopicPartition(events, partition): RecordsToDelete(before_offset=-1)})
    await admin.close()
    stranger = AIOKafkaProducer(**kafka_client.options(settings.kafka), transactional_id="stranger")

    async with working(settings, log) as process, stranger, HealthReader.open(settings) as reader:
        await until_all_is_folded(reader)

        for number in range(settings.kafka.partitions):
            await stranger.begin_transaction()
            await stranger.send_and_wait(events, b"{}", partition=number)
            await stranger.abort_transaction()
        await until_all_is_folded(reader)

        # They hold up nothing that comes behind them.
        await reply(log, *JOBS, first=6)
        await eventually(lambda: process.replies() == dict.fromkeys(JOBS, 3))


async def test_a_transaction_that_somebody_leaves_open_among_the_events_holds_up_none(
    settings: Settings, log: KafkaLog
) -> None:
    events = kafka_topics.names(settings.kafka).events
    _, partition = place(SOURCE.name, "job-0", settings.kafka.partitions)
    stranger = AIOKafkaProducer(**kafka_client.options(settings.kafka), transactional_id="stranger")
    async with stranger:
        await stranger.begin_transaction()
        await stranger.send_and_wait(events, b"{}", partition=partition)
        await reply(log, "job-0", count=2)

        async with working(settings, log) as process:
            assert process.replies() == {"job-0": 2}
            await reply(log, "job-0", first=2)
            await eventually(lambda: process.replies() == {"job-0": 3})
        archive = KafkaHistory(settings.kafka)
        assert len((await archive.history(SOURCE.name, "job-0", None, 10)).events) == 3
        await stranger.abort_transaction()


async def test_a_state_that_cannot_be_read_ends_the_worker_with_where_it_is(
    settings: Settings, log: KafkaLog
) -> None:
    key, partition = place(SOURCE.name, "job-0", settings.kafka.partitions)
    topic = kafka_topics.names(settings.kafka).health
    async with AIOKafkaProducer(**kafka_client.options(settings.kafka)) as producer:
        await producer.send_and_wait(topic, b"no JSON", key=key, partition=partition)
    worker = Process(settings, log, SystemClock())

    said = f"stream job-0 of source signed .*at its start.* in partition {partition} of the topic {topic}:"
    with pytest.raises(ConfigurationError, match=said):
        async with asyncio.timeout(60):
            await worker.running


async def test_two_workers_share_the_streams_and_none_is_shown_twice(
    settings: Settings, log: KafkaLog
) -> None:
    await reply(log, *JOBS)
    async with working(settings, log) as first:
        await eventually(lambda: first.partitions() == {"0", "1", "2"})
        async with working(settings, log) as second:
            await eventually(lambda: not (first.fleet.recovering or second.fleet.recovering))
            await eventually(lambda: len(first.replies()) + len(second.replies()) == len(JOBS))
            assert not first.replies().keys() & second.replies().keys()
            assert first.replies()
            assert second.replies()
            # Each tells how far behind its own partitions are, and of no other's.
            await eventually(lambda: bool(second.partitions()))
            await eventually(lambda: first.partitions() | second.partitions() == {"0", "1", "2"})
            assert not first.partitions() & second.partitions()
            await reply(log, *JOBS, first=1)
            await eventually(lambda: first.replies() | second.replies() == dict.fromkeys(JOBS, 2))

        await eventually(lambda: first.replies() == dict.fromkeys(JOBS, 2))


async def test_a_worker_that_is_told_of_partitions_while_it_leaves_keeps_what_it_held(
    settings: Settings, log: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(settings, log) as process:
        await reply(log, *JOBS)
        await eventually(lambda: process.replies() == dict.fromkeys(JOBS, 1))
        keep = Holdings.save_kept

        async def told_meanwhile(holdings: Holdings) -> None:
            process.worker.assigned(frozenset({0}))
            await keep(holdings)

        monkeypatch.setattr(Holdings, "save_kept", told_meanwhile)
        await process.end()

    kept: list[str] = []
    for partition in range(3):
        checkpoints = await KafkaCheckpoints.open(settings, partition)
        kept += [job_id for _, job_id, _ in (await checkpoints.load()).states]
        await checkpoints.close()
    assert sorted(kept) == sorted(JOBS)


async def test_a_partition_that_somebody_took_over_leaves_at_once_and_comes_back_true(
    settings: Settings, log: KafkaLog
) -> None:
    await reply(log, *JOBS)
    async with working(settings, log) as process:
        losses = process.fleet.losses
        for partition in range(3):
            thief = await KafkaCheckpoints.open(settings, partition)
            await thief.close()
        # A partition without anything to keep doesn't notice, and needn't.
        await reply(log, *JOBS, first=1)

        await eventually(lambda: process.fleet.losses >= losses + 3)
        await eventually(lambda: process.replies() == dict.fromkeys(JOBS, 2))


async def test_what_was_read_before_a_partition_was_lost_and_restored_is_read_again_in_its_turn(
    settings: Settings, log: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpointer, "is_due", lambda _: False)
    await reply(log, *JOBS)
    async with working(settings, log) as process:
        worker = process.worker
        consumer, held = worker._consumer, worker._holdings.held
        assert consumer is not None
        read, fold, seen, lost = consumer.read, worker._folder.fold, set[int](), list[int]()

        async def read_of_two_partitions(limit: int, seconds: float) -> list[Read]:
            reads = await read(limit, seconds)
            while reads and not lost and len({one.partition for one in reads}) < 2:
                reads += await read(limit, seconds)
            seen.update(one.partition for one in reads)
            return reads

        async def fold_while_another_partition_is_lost(shard: Shard, batch: Sequence[Stored]) -> None:
            if not lost and len(seen) > 1:
                lost.append(next(number for number in seen if number != shard.partition))
                worker._lose(lost[0], held[lost[0]])
                await eventually(lambda: lost[0] in held and held[lost[0]].goal is not None)
            await fold(shard, batch)

        monkeypatch.setattr(consumer, "read", read_of_two_partitions)
        monkeypatch.setattr(worker._folder, "fold", fold_while_another_partition_is_lost)
        for first in (1, 2):
            await reply(log, *JOBS, first=first)

        await eventually(lambda: process.replies() == dict.fromkeys(JOBS, 3))
        assert lost


async def test_a_partition_that_is_lost_and_opened_while_the_group_answers_is_not_shown_before_it_is_read(
    settings: Settings, log: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reply(log, *JOBS)
    async with working(settings, log) as process:
        worker, fleet = process.worker, process.fleet
        consumer, held = worker._consumer, worker._holdings.held
        assert consumer is not None
        prove, join, lost, joined = consumer.prove_membership, fleet.join, list[int](), list[bool]()

        async def prove_while_a_partition_is_lost(positions: Mapping[int, int]) -> float:
            sent = await prove(positions)
            if not lost and len(positions) == settings.kafka.partitions:
                number, before = next(iter(held.items()))
                lost.append(number)
                worker._lose(number, before)
                # At the very next turn: later it could have been read already.
                while held.get(number, before) is before:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            return sent

        def note(shard: Shard) -> None:
            joined.append(held[shard.partition].ready)
            join(shard)

        monkeypatch.setattr(consumer, "prove_membership", prove_while_a_partition_is_lost)
        monkeypatch.setattr(fleet, "join", note)

        await eventually(lambda: bool(lost) and fleet.has(lost[0]))
        assert joined == [True]
        assert process.replies() == dict.fromkeys(JOBS, 1)


async def test_streams_are_hidden_while_the_group_does_not_confirm(settings: Settings, log: KafkaLog) -> None:
    await reply(log, *JOBS)
    async with working(settings, log) as process:
        assert stopwatch() < process.fleet.expires <= stopwatch() + 6.0

        process.fleet.expires = stopwatch() - 1
        assert process.replies() == {}
        assert process.fleet.recovering

        await eventually(lambda: process.replies() == dict.fromkeys(JOBS, 1))
        assert not process.fleet.recovering


async def test_a_consumer_that_stands_still_is_seen_and_made_anew(
    settings: Settings, log: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reply(log, *JOBS)
    async with working(settings, log) as process:
        # What the client's known failure looks like from outside: it says nothing and reads nothing.
        consumer = process.worker._consumer
        assert consumer is not None
        monkeypatch.setattr(AIOKafkaConsumer, "resume", lambda self, *places: None)  # noqa: ARG005
        consumer.pause(range(3))
        await reply(log, *JOBS, first=1)

        await eventually(lambda: process.metric("monitor_consumer_stalled") == 1)
        monkeypatch.undo()

        await eventually(lambda: process.replies() == dict.fromkeys(JOBS, 2))
        assert process.worker._consumer is not consumer
        await reply(log, *JOBS, first=2)
        await eventually(lambda: process.metric("monitor_consumer_stalled") == 0)


async def test_what_holds_a_dead_letter_that_cannot_be_kept_for_a_while_is_read_again(
    settings: Settings, log: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "RETRY_SECONDS", 0.01)
    labels = {"source": "signed", "channel": "callback", "reason": "not_json"}
    refused = LettersRefused(log)
    async with working(settings, log) as process:
        with monkeypatch.context() as meanwhile, capture_logs() as lines:
            meanwhile.setattr(log, "append", refused)
            await append(log, "job-0", b"no JSON")
            await reply(log, "job-0")
            await eventually(lambda: refused.tries >= 3)
            assert process.metric("monitor_dead_letters_total", labels) is None
        # Each try would say the same.
        assert [line["error"] for line in lines if line["log_level"] == "error"] == ["the disk is full"]

        await eventually(lambda: process.metric("monitor_dead_letters_total", labels) == 1)
        await eventually(lambda: process.replies() == {"job-0": 1})


async def test_a_worker_stops_rather_than_make_everything_a_dead_letter(
    settings: Settings, log: KafkaLog
) -> None:
    await reply(log, *JOBS)
    async with working(settings, log) as process:
        for number in range(400):
            await append(log, f"odd-{number}", b"no JSON")

        await eventually(lambda: process.metric("monitor_consumer_stalled") == 1)

        letters = {"source": "signed", "channel": "callback", "reason": "not_json"}
        assert (process.metric("monitor_dead_letters_total", letters) or 0) < 120
        # It stays a member, and goes on showing what it knows.
        await asyncio.sleep(2 * settings.kafka.stall_seconds)
        assert process.replies() == dict.fromkeys(JOBS, 1)
        lags = [process.metric("monitor_log_lag_events", {"partition": name}) or 0 for name in "012"]
        assert sum(lags) > 250


async def test_a_worker_that_stops_before_it_is_up_to_date_calls_nothing_true_that_waits(
    settings: Settings, log: KafkaLog
) -> None:
    partition = place(SOURCE.name, "odd", settings.kafka.partitions).partition
    one = Event(
        log.next_id(), SOURCE.vendor, SOURCE.name, "odd", Channel.CALLBACK, "x", NOON, None, b"no JSON"
    )
    # With one batch, all of them are read together.
    await log.append([one._replace(id=log.next_id()) for _ in range(120)])
    process = Process(settings, log, SystemClock())
    try:
        await eventually(lambda: process.metric("monitor_consumer_stalled") == 1)

        await eventually(
            lambda: process.metric("monitor_log_lag_events", {"partition": str(partition)}) == 120
        )
        for _ in range(2):
            proven = process.fleet.expires
            await eventually(lambda proven=proven: process.fleet.expires != proven)  # type: ignore[misc]
        assert not process.fleet.has(partition)
        assert process.metric("monitor_recovering") == 1
    finally:
        await process.end()


async def test_a_callback_that_stays_in_a_spool_for_as_long_as_a_broker_needs_to_die_is_not_missed(
    settings: Settings, log: KafkaLog
) -> None:
    clock = SetClock(NOON)
    number = place(SOURCE.name, JOBS[0], settings.kafka.partitions).partition
    one, other = [
        job for job in JOBS if place(SOURCE.name, job, settings.kafka.partitions).partition == number
    ][:2]
    await append(log, one, REPLY % (one.encode(), 0), at=NOON)
    await append(log, other, REPLY % (other.encode(), 0), at=NOON - 30)
    await append(log, other, RTC_REPLY % 1, Channel.RTC, at=NOON - 25)
    await append(log, one, RTC_REPLY % 1, Channel.RTC, at=NOON)

    clock.time = NOON + 15
    async with working(settings, log, clock) as process:
        await eventually(lambda: process.missed() == {one: 0, other: 1})

        # Received in time, and here only now.
        await append(log, one, REPLY % (one.encode(), 1), at=NOON + 1)
        await append(log, other, RTC_REPLY % 2, Channel.RTC, at=NOON + 2)
        await eventually(lambda: process.replies() == {one: 2, other: 3})
        clock.time = NOON + 60
        await eventually(lambda: process.missed() == {one: 0, other: 2})


async def test_a_partition_that_has_no_leader_keeps_no_other_one_waiting(
    settings: Settings, log: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = {job: place(SOURCE.name, job, settings.kafka.partitions).partition for job in JOBS}
    other = next(job for job in JOBS if numbers[job] != 0)
    lost, position = TopicPartition(kafka_topics.names(settings.kafka).events, 0), AIOKafkaConsumer.position

    async def asked_without_an_end(consumer: AIOKafkaConsumer, of: TopicPartition) -> int:
        if of == lost:
            await asyncio.Event().wait()
        told: int = await position(consumer, of)
        return told

    async with working(settings, log) as process:
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(AIOKafkaConsumer, "position", asked_without_an_end)
            await reply(log, other)
            await eventually(lambda: process.replies() == {other: 1})
            await reply(log, other, first=1)
            await eventually(lambda: process.replies() == {other: 2})


async def test_what_receivers_spooled_while_kafka_was_away_is_not_missed_by_a_worker_that_joins_afterwards(
    settings: Settings, log: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, start, away = JOBS[0], EventConsumer.start, [LogUnavailableError("no broker")]
    await append(log, job, REPLY % (job.encode(), 0), at=NOON)
    await append(log, job, RTC_REPLY % 1, Channel.RTC, at=NOON)

    async def start_once_it_is_back(consumer: EventConsumer) -> None:
        await asyncio.sleep(0)
        if away:
            raise away.pop()
        await start(consumer)

    monkeypatch.setattr(EventConsumer, "start", start_once_it_is_back)
    async with working(settings, log, SetClock(NOON + 60)) as process:
        # It came in time, and was in a spool since.
        await append(log, job, REPLY % (job.encode(), 1), at=NOON + 1)
        await append(log, job, REPLY % (job.encode(), 2), at=NOON + 61)
        await eventually(lambda: process.replies() == {job: 3})
        assert process.missed() == {job: 0}


async def test_what_time_had_brought_about_before_a_partition_came_is_in_the_first_that_is_shown(
    settings: Settings, log: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for job in JOBS:
        await append(log, job, REPLY % (job.encode(), 0), at=NOON)
        await append(log, job, RTC_REPLY % 1, Channel.RTC, at=NOON)
    joined = noted_joins(monkeypatch)

    async with working(settings, log, SetClock(NOON + WITNESS_SECONDS + partitions.DRAINED_SECONDS)):
        pass

    # Who had it before may have shown it without having kept it, and a counter never falls.
    assert joined == dict.fromkeys(JOBS, 1)


async def test_a_follower_shows_the_streams_of_all_workers(settings: Settings, log: KafkaLog) -> None:
    await reply(log, *JOBS)
    followed = Fleet(SystemClock())
    metrics = ServiceMetrics(CollectorRegistry())
    async with working(settings, log) as process:
        following = asyncio.create_task(Follower(settings, followed, metrics).run())
        await eventually(lambda: not followed.recovering)
        await eventually(lambda: len(followed.streams) == len(JOBS))

        await reply(log, *JOBS, first=1)
        await eventually(lambda: {state.replies.finished for state in followed.streams.values()} == {2})

        shard = next(iter(process.fleet._shards.values()))
        key = next(iter(shard.streams))
        del shard.streams[key]
        shard.changed.add(key)
        await eventually(lambda: key not in followed.streams)
        assert isinstance(key, StreamKey)
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
    assert metrics.registry.get_sample_value("monitor_recovering") == 0
