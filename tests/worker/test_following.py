import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from monitor.clock import SystemClock
from monitor.config import LogSettings, Settings
from monitor.health.stream import to_json
from monitor.log import kafka_topics
from monitor.log.kafka_checkpoints import KafkaCheckpoints
from monitor.metrics.service import ServiceMetrics
from monitor.worker import following
from monitor.worker.fleet import Fleet
from monitor.worker.following import Follower
from tests.health.story import Story
from tests.kafka_broker import Brokers, eventually


class Pages:
    """What a process without partitions has."""

    def __init__(self, settings: Settings) -> None:
        self.fleet = Fleet(SystemClock())
        self.metrics = ServiceMetrics(CollectorRegistry())
        self.running = asyncio.create_task(Follower(settings, self.fleet, self.metrics).run())

    @property
    def stalled(self) -> float | None:
        return self.metrics.registry.get_sample_value("monitor_consumer_stalled")


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
    story = Story(now=began)
    story.links(words)
    story.known.job_id = job_id
    checkpoints = await KafkaCheckpoints.open(settings, 0)
    await checkpoints.save(position, [("prod", job_id, to_json(story.known))])
    await checkpoints.close()


async def test_states_that_kafka_has_not_confirmed_for_a_while_are_called_old_until_it_is_back(
    own_kafka: Brokers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "FRESH_SECONDS", 3.0)
    settings = Settings(
        kafka=own_kafka.settings(partitions=1), log=LogSettings(backend="kafka", path=tmp_path / "spool.db")
    )
    await kafka_topics.ensure(settings)
    await keep(settings, "one", 1)

    async with following_pages(settings) as pages:
        await eventually(lambda: not pages.fleet.recovering)
        assert (len(pages.fleet.streams), pages.fleet.stale, pages.stalled) == (1, False, 0)

        own_kafka.each[0].pause()
        await eventually(lambda: pages.fleet.stale and pages.stalled == 1)
        assert len(pages.fleet.streams) == 1
        assert not pages.fleet.recovering

        own_kafka.each[0].resume()
        await keep(settings, "two", 2)
        await eventually(
            lambda: len(pages.fleet.streams) == 2 and not pages.fleet.stale and pages.stalled == 0
        )


async def test_a_bad_end_is_shown_until_a_newer_job_of_its_room_is_healthy_whoever_has_that(
    kafka: Brokers, tmp_path: Path
) -> None:
    settings = Settings(
        kafka=kafka.settings(partitions=1), log=LogSettings(backend="kafka", path=tmp_path / "spool.db")
    )
    await kafka_topics.ensure(settings)
    await keep(settings, "old", 1, "C D E")

    async with following_pages(settings) as pages:
        await eventually(lambda: not pages.fleet.recovering)
        assert [state.end is not None for state in pages.fleet.shown()] == [True]

        await keep(settings, "new", 2, began=1000.0)
        await eventually(lambda: [state.end for state in pages.fleet.shown()] == [None])
