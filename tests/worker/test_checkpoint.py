"""What a checkpoint holds, whatever happens while it is written."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from monitor.config import HealthSettings
from monitor.errors import LogUnavailableError
from monitor.event import (
    Channel,
    Decoded,
    Event,
    EventId,
    LinkChanged,
    LinkState,
    RandomPlayMode,
    Stored,
    Vendor,
)
from monitor.health.stream import StreamKey, to_json
from monitor.log import sqlite_file
from monitor.log.sqlite import SqliteLog
from monitor.log.sqlite_checkpoints import SqliteCheckpoints
from monitor.worker import checkpoint
from monitor.worker.checkpoint import SLICE, Checkpointer
from monitor.worker.shard import Shard
from tests.health.story import Story


@pytest.fixture
async def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteCheckpoints]:
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.05)
    path = tmp_path / "monitor.db"
    log = await SqliteLog.open(path)
    opened = await SqliteCheckpoints.open(path, log)
    yield opened
    await opened.close()
    await log.close()


def tell(shard: Shard, number: int, job_id: str, state: LinkState = LinkState.CONNECTED) -> None:
    """Fold the log's next event, a callback about an RTMP state."""
    told = (Vendor.METASTUDIO, "prod", job_id, Channel.CALLBACK, "RTMP_STREAM_STATE_CHANGE")
    event = Event(EventId("r", 1, number), *told, 1_700_000_000.0 + number, None, state.encode())
    shard.fold(Stored(0, number, event), Decoded(job_id, told[-1], LinkChanged("a", state, None)))


async def restored(checkpoints: SqliteCheckpoints) -> Shard:
    """Return what another process would begin with."""
    shard = Shard(HealthSettings(), {})
    await Checkpointer(checkpoints, shard).restore()
    return shard


async def test_what_is_kept_is_what_a_restart_begins_with(checkpoints: SqliteCheckpoints) -> None:
    shard = Shard(HealthSettings(), {})
    checkpointer = Checkpointer(checkpoints, shard)
    for number in range(1, 3 * SLICE):
        tell(shard, number, f"job-{number}")
    await checkpointer.save()
    del shard.streams[StreamKey("prod", "job-7")]
    shard.changed.add(StreamKey("prod", "job-7"))
    tell(shard, 3 * SLICE, "job-8", LinkState.DISCONNECTED)

    await checkpointer.save()

    again = await restored(checkpoints)
    assert again.streams == shard.streams
    assert again.live == {"prod": 3 * SLICE - 2}
    assert again.position == checkpointer.position == 3 * SLICE
    assert shard.changed == set()


async def test_an_event_that_is_folded_while_a_checkpoint_is_written_is_read_again_after_it(
    checkpoints: SqliteCheckpoints,
) -> None:
    shard = Shard(HealthSettings(), {})
    checkpointer = Checkpointer(checkpoints, shard)
    for number in range(1, 3 * SLICE + 1):
        tell(shard, number, f"job-{number}")
    saving = asyncio.create_task(checkpointer.save())
    # Its first slice is read by now, and the others are not.
    await asyncio.sleep(0)

    tell(shard, 3 * SLICE + 1, "new")
    await saving

    again = await restored(checkpoints)
    assert StreamKey("prod", "new") not in again.streams
    assert again.position == 3 * SLICE
    await checkpointer.save()
    again = await restored(checkpoints)
    assert StreamKey("prod", "new") in again.streams
    assert again.position == 3 * SLICE + 1


async def test_a_stream_whose_script_is_too_large_to_be_kept_loses_that_and_keeps_its_counters_and_the_others(
    checkpoints: SqliteCheckpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story()
    story.register(plan=4, mode=RandomPlayMode.NONE)
    story.paragraphs("1234 134 1")
    large = story.known
    shard = Shard(HealthSettings(), {})
    shard.restore([large])
    shard.changed.add(large.key)
    tell(shard, 1, "other")
    counters = (large.script.rounds, large.script.skipped)
    monkeypatch.setattr(checkpoint, "MOST_STATE_BYTES", len(to_json(large)) - 1)

    with capture_logs() as lines:
        await Checkpointer(checkpoints, shard).save()

    assert [(line["source"], line["job_id"]) for line in lines] == [("prod", "job")]
    again = await restored(checkpoints)
    assert again.streams == shard.streams
    assert again.streams.keys() == {large.key, StreamKey("prod", "other")}
    script = again.streams[large.key].script
    assert (script.rounds, script.skipped) == counters == (2, 1)
    assert script.plan == ()


async def test_what_could_not_be_kept_is_kept_the_next_time(checkpoints: SqliteCheckpoints) -> None:
    shard = Shard(HealthSettings(), {})
    checkpointer = Checkpointer(checkpoints, shard)
    tell(shard, 1, "early")
    with contextlib.closing(sqlite3.connect(checkpoints.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogUnavailableError, match="locked"):
            await checkpointer.save()
    assert checkpointer.position == 0
    tell(shard, 2, "late")

    await checkpointer.save()

    again = await restored(checkpoints)
    assert again.streams.keys() == {StreamKey("prod", "early"), StreamKey("prod", "late")}
    assert again.position == 2
