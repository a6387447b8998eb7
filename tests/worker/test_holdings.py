import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from monitor.config import KafkaSettings, LogSettings, Settings
from monitor.errors import LogUnavailableError
from monitor.health.stream import to_json
from monitor.log import kafka_topics
from monitor.log.kafka_checkpoints import KafkaCheckpoints
from monitor.worker import holdings
from monitor.worker.holding import Holding
from monitor.worker.holdings import RESTORED_AT_ONCE, Holdings
from tests.health.story import Story
from tests.kafka_broker import Brokers, eventually


async def test_a_partition_that_cannot_be_restored_is_tried_again_and_told_of_once_in_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdings, "RETRY_SECONDS", 0.001)
    tries = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}")
        held = Holdings(Settings(kafka=kafka, log=LogSettings(path=tmp_path / "spool.db")))
        with capture_logs() as lines:
            taking = asyncio.create_task(held.take_over(3))
            await eventually(lambda: tries >= 5)
            taking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await taking
        await held.close()

    assert [(line["event"], line["partition"]) for line in lines] == [("can't restore", 3)]


async def test_partitions_that_cannot_be_restored_keep_no_other_one_waiting(
    kafka: Brokers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdings, "RETRY_SECONDS", 0.1)
    made = Settings(kafka=kafka.settings(partitions=3), log=LogSettings(path=tmp_path / "spool.db"))
    await kafka_topics.ensure(made)
    broken, tries, opened = range(RESTORED_AT_ONCE), Counter[int](), Holding.open

    async def restored(settings: Settings, partition: int) -> Holding:
        tries[partition] += 1
        if partition in broken:
            raise LogUnavailableError("somebody else's transaction stays open")
        return await opened(settings, partition)

    monkeypatch.setattr(Holding, "open", restored)
    held = Holdings(made)
    hopeless = [asyncio.create_task(held.take_over(number)) for number in broken]
    await eventually(lambda: all(tries[number] >= 2 for number in broken))

    await held.take_over(2)

    assert list(held.held) == [2]
    for task in hopeless:
        task.cancel()
    await asyncio.wait(hopeless)
    held.release()
    await held.close()


@pytest.fixture
async def settings(kafka: Brokers, tmp_path: Path) -> Settings:
    made = Settings(kafka=kafka.settings(partitions=1), log=LogSettings(path=tmp_path / "spool.db"))
    await kafka_topics.ensure(made)
    return made


@pytest.fixture
async def held(settings: Settings) -> AsyncIterator[Holdings]:
    made = Holdings(settings)
    yield made
    made.release()
    await made.close()


async def test_a_partition_that_comes_back_goes_on_from_memory_but_is_not_true_before_it_is_read_again(
    held: Holdings,
) -> None:
    mine = await held.take_over(0)
    mine.goal, mine.ready = 0, True
    assert held.release() == [0]

    assert await held.take_over(0) is mine
    assert (mine.goal, mine.ready) == (None, False)


async def test_a_partition_that_somebody_had_in_between_is_restored_though_nothing_is_left_to_keep(
    held: Holdings, settings: Settings
) -> None:
    mine = await held.take_over(0)
    held.release()
    somebody = await KafkaCheckpoints.open(settings, 0)
    story = Story()
    story.links("C")
    state = story.known
    await somebody.save(7, [("prod", state.job_id, to_json(state))])
    await somebody.close()

    again = await held.take_over(0)

    assert again is not mine
    assert again.shard.position == 7
    assert list(again.shard.streams.values()) == [state]
