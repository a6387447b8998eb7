import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from prometheus_client import CollectorRegistry

from monitor.clock import SystemClock
from monitor.config import KafkaSettings, LogSettings, Settings
from monitor.errors import LogUnavailableError
from monitor.health.stream import to_json
from monitor.log import kafka_client, kafka_topics
from monitor.log.kafka_checkpoints import KafkaCheckpoints, Row
from monitor.log.kafka_consumer import HealthReader, Kept
from monitor.metrics.service import ServiceMetrics
from monitor.worker import following
from monitor.worker.fleet import Fleet
from monitor.worker.following import Follower
from monitor.worker.shard import Shard
from tests.health.story import Story
from tests.kafka_broker import Brokers, eventually
from tests.ports import free_ports


class Pages:
    """What a process without partitions has."""

    def __init__(self, settings: Settings) -> None:
        self.fleet = Fleet(SystemClock())
        self.metrics = ServiceMetrics(CollectorRegistry())
        self.running = asyncio.create_task(Follower(settings, self.fleet, self.metrics).run())

    @property
    def stalled(self) -> float | None:
        return self.metrics.registry.get_sample_value("monitor_consumer_stalled")

    @property
    def recovering(self) -> float | None:
        return self.metrics.registry.get_sample_value("monitor_recovering")

    @property
    def jobs(self) -> set[str]:
        return {key.job_id for key in self.fleet.streams}


@contextlib.asynccontextmanager
async def following_pages(settings: Settings) -> AsyncIterator[Pages]:
    pages = Pages(settings)
    try:
        yield pages
    finally:
        pages.running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pages.running


async def keep(settings: Settings, job_id: str, position: int, words: str = "C", began: float = 0.0) -> None:
    """Keep the state of a stream, as its worker does."""
    await save(settings, position, (job_id, state_of(job_id, words, began)))


async def save(settings: Settings, position: int, *states: tuple[str, bytes | None]) -> None:
    """Keep what is known of streams by their job ids; None: nothing any more."""
    rows: list[Row] = [("prod", job_id, state) for job_id, state in states]
    checkpoints = await KafkaCheckpoints.open(settings, 0)
    await checkpoints.save(position, rows)
    await checkpoints.close()


def state_of(job_id: str, words: str = "C", began: float = 0.0) -> bytes:
    story = Story(now=began)
    story.links(words)
    story.known.job_id = job_id
    return to_json(story.known)


async def compact(settings: Settings) -> None:
    """Remove all that is kept by now, tombstones too, as compaction does one day."""
    topic = kafka_topics.names(settings.kafka).health
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers)
    await admin.start()
    try:
        allowed = {"cleanup.policy": "compact,delete"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, allowed)])
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=-1)})
    finally:
        await admin.close()


async def remake(settings: Settings) -> None:
    """Delete what is kept with its topic, and make that again."""
    topic = kafka_topics.names(settings.kafka).health
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([topic])
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"cleanup.policy": "compact"})])
    finally:
        await admin.close()


async def receive(settings: Settings) -> None:
    """Write an event, which nobody folds by that."""
    async with AIOKafkaProducer(**kafka_client.options(settings.kafka)) as receiver:
        await receiver.send_and_wait(kafka_topics.names(settings.kafka).events, b"{}", partition=0)


def settings_on(kafka: Brokers, folder: Path, *, partitions: int = 1) -> Settings:
    log = LogSettings(backend="kafka", path=folder / "spool.db")
    return Settings(kafka=kafka.settings(partitions=partitions), log=log)


def impatient(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Look often, and return settings by which what stands still for a second has stood still for long."""
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.1)
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"stall_seconds": 1.0})})


@pytest.fixture
def settings(kafka: Brokers, tmp_path: Path) -> Settings:
    return settings_on(kafka, tmp_path)


async def test_states_that_kafka_has_not_confirmed_for_a_while_are_called_old_until_it_is_back(
    own_kafka: Brokers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "FRESH_SECONDS", 3.0)
    settings = settings_on(own_kafka, tmp_path)
    await kafka_topics.ensure(settings)
    await keep(settings, "one", 1)

    async with following_pages(settings) as pages:
        await eventually(lambda: not pages.fleet.recovering)
        assert (len(pages.fleet.streams), pages.fleet.stale, pages.stalled) == (1, False, 0)

        own_kafka.each[0].pause()
        await eventually(lambda: pages.fleet.stale and pages.stalled == 1)
        assert len(pages.fleet.streams) == 1
        assert not pages.fleet.recovering
        # By that its alert knows it from a worker's, which would hold back other pages.
        assert pages.metrics.registry.get_sample_value("monitor_checkpoint_timestamp_seconds") is None

        own_kafka.each[0].resume()
        await keep(settings, "two", 2)
        await eventually(
            lambda: len(pages.fleet.streams) == 2 and not pages.fleet.stale and pages.stalled == 0
        )


async def test_a_bad_end_is_shown_until_a_newer_job_of_its_room_is_healthy_whoever_has_that(
    settings: Settings,
) -> None:
    await kafka_topics.ensure(settings)
    await keep(settings, "old", 1, "C D E")

    async with following_pages(settings) as pages:
        await eventually(lambda: not pages.fleet.recovering)
        assert [state.end is not None for state in pages.fleet.shown()] == [True]

        await keep(settings, "new", 2, began=1000.0)
        await eventually(lambda: [state.end for state in pages.fleet.shown()] == [None])


async def test_nothing_is_shown_before_the_states_of_all_partitions_are_read(
    kafka: Brokers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "SLICE", 1)
    settings = settings_on(kafka, tmp_path, partitions=2)
    await kafka_topics.ensure(settings)
    names = ("one", "two", "three")
    await save(settings, 1, *((name, state_of(name)) for name in names))

    async with following_pages(settings) as pages:
        joined, join = [], pages.fleet.join

        def note(shard: Shard) -> None:
            joined.append({key.job_id for key in shard.streams})
            join(shard)

        monkeypatch.setattr(pages.fleet, "join", note)
        await eventually(lambda: not pages.fleet.recovering)

        assert joined == [set(names)]


async def test_what_somebody_has_not_committed_yet_is_no_end_and_then_makes_states_old(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = impatient(settings, monkeypatch)
    await kafka_topics.ensure(settings)
    topic = kafka_topics.names(settings.kafka).health
    producer = AIOKafkaProducer(
        **kafka_client.options(settings.kafka), transactional_id=settings.kafka.group_id
    )
    async with producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, state_of("one"), key=b"prod/one", partition=0)

        async with following_pages(settings) as pages:
            # It has stood in front of it for long.
            await eventually(lambda: pages.stalled == 1)
            assert (pages.recovering, pages.stalled, pages.jobs) == (1, 1, set())

            await producer.commit_transaction()
            await eventually(lambda: pages.jobs == {"one"} and pages.recovering == 0 and pages.stalled == 0)

            await producer.begin_transaction()
            await producer.send_and_wait(topic, state_of("two"), key=b"prod/two", partition=0)
            await eventually(lambda: pages.stalled == 1)
            assert pages.jobs == {"one"}

            await producer.abort_transaction()
            await eventually(lambda: pages.stalled == 0)
            assert pages.jobs == {"one"}


async def test_a_process_that_shows_nothing_yet_says_so_from_its_first_moment(settings: Settings) -> None:
    nobody = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_ports(1)[0]}")
    async with following_pages(settings.model_copy(update={"kafka": nobody})) as pages:
        await asyncio.sleep(0)
        assert pages.recovering == 1

    await kafka_topics.ensure(settings)
    async with following_pages(settings) as pages:
        await eventually(lambda: not pages.fleet.recovering)
        assert pages.recovering == 0


async def test_a_stream_that_its_worker_has_forgotten_is_shown_no_more(settings: Settings) -> None:
    await kafka_topics.ensure(settings)
    await keep(settings, "one", 1)
    await keep(settings, "two", 2)

    async with following_pages(settings) as pages:
        await eventually(lambda: pages.jobs == {"one", "two"})

        await save(settings, 3, ("one", None))
        await eventually(lambda: pages.jobs == {"two"})


async def test_a_stream_whose_state_only_a_newer_version_can_read_is_not_shown_as_it_was_and_hides_no_other(
    settings: Settings,
) -> None:
    await kafka_topics.ensure(settings)
    await keep(settings, "one", 1)

    async with following_pages(settings) as pages:
        await eventually(lambda: pages.jobs == {"one"})

        await save(settings, 2, ("one", b'{"of": "tomorrow"}'), ("two", state_of("two")))
        await eventually(lambda: pages.jobs == {"two"})


async def test_states_of_a_topic_that_was_deleted_are_not_shown_beside_those_of_its_successor(
    settings: Settings,
) -> None:
    await kafka_topics.ensure(settings)
    for position in range(10):
        await keep(settings, "old", position)
    async with following_pages(settings) as pages:
        await eventually(lambda: pages.jobs == {"old"})

        await remake(settings)
        await keep(settings, "new", 0)

        await eventually(lambda: pages.jobs == {"new"})
        assert not pages.fleet.recovering


async def test_states_are_called_old_while_events_wait_that_no_worker_folds(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = impatient(settings, monkeypatch)
    await kafka_topics.ensure(settings)
    await keep(settings, "one", -1)

    async with following_pages(settings) as pages:
        await eventually(lambda: pages.jobs == {"one"})
        assert not pages.fleet.stale
        await receive(settings)
        await eventually(lambda: pages.fleet.stale)
        assert pages.jobs == {"one"}
        # It reads well: that is no reason to look for its trouble.
        assert pages.stalled == 0

        await keep(settings, "one", 0)
        await eventually(lambda: not pages.fleet.stale)


async def test_a_reader_that_is_made_anew_knows_that_no_worker_folds(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = impatient(settings, monkeypatch)
    await kafka_topics.ensure(settings)
    await keep(settings, "one", -1)
    looks: list[tuple[HealthReader, bool]] = []
    folded, read = HealthReader.folded, HealthReader.read

    async with following_pages(settings) as pages:

        async def noted(reader: HealthReader) -> tuple[int, int]:
            looks.append((reader, pages.fleet.unfolded))
            return await folded(reader)

        async def fail_once(*_: object) -> list[Kept]:
            monkeypatch.setattr(HealthReader, "read", read)
            raise LogUnavailableError("a reader that is made anew")

        await eventually(lambda: pages.jobs == {"one"})
        await receive(settings)
        await eventually(lambda: pages.fleet.unfolded)
        monkeypatch.setattr(HealthReader, "folded", noted)
        await eventually(lambda: bool(looks))
        monkeypatch.setattr(HealthReader, "read", fail_once)

        await eventually(lambda: [reader for reader, _ in looks].count(looks[-1][0]) > 1 < len(dict(looks)))

        assert all(unfolded for _, unfolded in looks)


async def test_a_reader_that_stands_still_makes_states_old_until_all_are_read_anew(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the look at where the partition ends makes them old.
    monkeypatch.setattr(following, "FRESH_SECONDS", 1000.0)
    settings = impatient(settings, monkeypatch)
    await kafka_topics.ensure(settings)
    await keep(settings, "one", 1)

    async with following_pages(settings) as pages:
        await eventually(lambda: pages.jobs == {"one"})
        asked: Counter[AIOKafkaConsumer] = Counter()

        async def say_nothing(consumer: AIOKafkaConsumer, **_: object) -> dict[object, object]:
            """What the client's known failure looks like from outside."""
            asked[consumer] += 1
            await asyncio.sleep(0.01)
            return {}

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(AIOKafkaConsumer, "getmany", say_nothing)
            await eventually(lambda: bool(asked))
            await compact(settings)
            await keep(settings, "two", 2)
            await eventually(lambda: pages.stalled == 1)

            # The next reader knows where the partition ends, but not yet what is in it.
            await eventually(lambda: len(asked) > 1 and asked[next(reversed(asked))] > 1)
            assert pages.fleet.stale
            assert pages.jobs == {"one"}

        # What was forgotten meanwhile has left no tombstone.
        await eventually(lambda: pages.jobs == {"two"} and not pages.fleet.stale)
        await eventually(lambda: pages.stalled == 0)
