"""The worker of the embedded log, on a real one."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from monitor.clock import Clock
from monitor.config import AuthType, LogSettings, Settings, Source
from monitor.event import Channel, Event, Stored, Vendor
from monitor.health.told import WITNESS_SECONDS
from monitor.log import sqlite_file
from monitor.log.sqlite import SqliteLog
from monitor.log.sqlite_checkpoints import SqliteCheckpoints
from monitor.log.sqlite_reader import Rows
from monitor.metrics.service import ServiceMetrics
from monitor.worker import checkpoint, folding, loop
from monitor.worker.checkpoint import Checkpointer
from monitor.worker.fleet import Fleet
from monitor.worker.folding import Folder
from monitor.worker.loop import Worker
from monitor.worker.shard import Shard
from tests.kafka_broker import eventually
from tests.set_clock import SetClock
from tests.worker.failing import Failing, LettersRefused
from tests.worker.joins import noted_joins

SOURCE = Source(
    name="signed",
    vendor=Vendor.METASTUDIO,
    public_url="https://hooks.example.com/signed",
    auth_type=AuthType.MSS_A_HEAD,
    keys=("GCTbw44s6MPLh4GqgDpnfuFHgy25Enly",),
)

REPLY = b'{"event_type":"REPLY_COMMAND_FINISH","message":"{\\"job_id\\":\\"%b\\",\\"reply_id\\":\\"%d\\"}"}'

RTC_REPLY = b'{"message_type":"reply_command_finish_notify","data":{"reply_id":"%d"}}'

NOON = 1_700_000_000.0

HOUR = 3600.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would wait for seconds waits less, so that the tests do."""
    monkeypatch.setattr(loop, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(loop, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(checkpoint, "INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.05)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(log=LogSettings(path=tmp_path / "monitor.db", retention_hours=24), sources=(SOURCE,))


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[SqliteLog]:
    opened = await SqliteLog.open(settings.log.path)
    yield opened
    await opened.close()


class Process:
    """A worker, as a process has one."""

    def __init__(
        self, settings: Settings, log: SqliteLog, checkpoints: SqliteCheckpoints, clock: Clock
    ) -> None:
        self.shard = Shard(settings.health, {SOURCE.name: SOURCE.max_streams})
        self.fleet = Fleet(clock)
        self.metrics = ServiceMetrics(CollectorRegistry())
        self.checkpointer = Checkpointer(checkpoints, self.shard)
        worker = Worker(settings, log, self.checkpointer, self.shard, self.fleet, self.metrics)
        self.running = asyncio.create_task(worker.run())

    def replies(self) -> dict[str, int]:
        return {key.job_id: state.replies.finished for key, state in self.fleet.streams.items()}

    def missed(self) -> dict[str, int]:
        return {key.job_id: state.missed for key, state in self.fleet.streams.items()}

    def metric(self, name: str, labels: dict[str, str] | None = None) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels or {})

    def folded(self) -> dict[str, float]:
        """Return how many events were folded, by their outcome."""
        told = [sample for family in self.metrics.events.collect() for sample in family.samples]
        return {one.labels["outcome"]: one.value for one in told if one.name == "monitor_events_total"}

    def lag(self) -> float | None:
        return self.metric("monitor_log_lag_events", {"partition": "0"})


@contextlib.asynccontextmanager
async def working(settings: Settings, log: SqliteLog, clock: Clock | None = None) -> AsyncIterator[Process]:
    """A worker that is ended as a signal would end it."""
    checkpoints = await SqliteCheckpoints.open(settings.log.path, log)
    process = Process(settings, log, checkpoints, clock or SetClock(NOON))
    try:
        yield process
    finally:
        process.running.cancel()
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await process.running
        finally:
            await checkpoints.close()


async def append(
    log: SqliteLog, job_id: str, body: bytes, *, channel: Channel = Channel.CALLBACK, at: float = NOON
) -> None:
    signed = int(at) if channel is Channel.CALLBACK else None
    kind = "REPLY_COMMAND_FINISH"
    told = (SOURCE.vendor, SOURCE.name, job_id, channel, kind, at, signed, body)
    await log.append([Event(log.next_id(), *told)])


async def reply(log: SqliteLog, job_id: str, *, first: int = 0, count: int = 1, at: float = NOON) -> None:
    """Append finished replies of a stream."""
    for number in range(first, first + count):
        await append(log, job_id, REPLY % (job_id.encode(), number), at=at)


async def recovered(process: Process) -> None:
    """Wait until a process shows its streams."""
    await eventually(lambda: not process.fleet.recovering)


def broken_disk() -> Failing:
    """Return what a broken disk makes of a query."""
    return Failing(sqlite3.OperationalError("disk I/O error"))


async def test_a_worker_folds_what_came_before_it_and_what_comes_after(
    settings: Settings, log: SqliteLog
) -> None:
    await reply(log, "job", count=2)

    async with working(settings, log) as process:
        await eventually(lambda: not process.fleet.recovering)
        assert process.replies() == {"job": 2}
        await reply(log, "job", first=2)
        await eventually(lambda: process.replies() == {"job": 3})


async def test_live_streams_of_a_source_that_is_not_configured_any_more_are_named_at_the_start(
    settings: Settings, log: SqliteLog
) -> None:
    await reply(log, "job", count=2)
    await reply(log, "other")
    renamed = SOURCE.model_copy(update={"name": "renamed"})

    told = []
    for sources in ((SOURCE,), (renamed,)):
        with capture_logs() as lines:
            async with working(settings.model_copy(update={"sources": sources}), log) as process:
                await recovered(process)
        told.append([line for line in lines if line["event"] == "source not configured"])

    assert [[(line["source"], line["live_streams"]) for line in lines] for lines in told] == [
        [],
        [(SOURCE.name, 2)],
    ]


async def test_no_stream_is_shown_before_all_is_folded_that_was_there_at_the_start(
    settings: Settings, log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "BATCH", 1)
    await reply(log, "job", count=50)

    async with working(settings, log) as process:
        shown: list[int] = []
        async with asyncio.timeout(60):
            while not shown:
                await asyncio.sleep(0)
                shown = list(process.replies().values())

    assert shown == [50]
    assert process.metric("monitor_recovering") == 0


async def test_what_was_folded_is_kept_when_the_worker_ends(
    settings: Settings, log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(settings, log) as process:
        await eventually(lambda: not process.fleet.recovering)
        monkeypatch.setattr(Checkpointer, "is_due", lambda _: False)
        await reply(log, "job", count=3)
        await eventually(lambda: process.replies() == {"job": 3})

    async with working(settings, log) as again:
        await eventually(lambda: not again.fleet.recovering)
        assert again.replies() == {"job": 3}
        counted = {"vendor": "metastudio", "source": "signed", "channel": "callback"}
        kind = {"event_type": "REPLY_COMMAND_FINISH", "outcome": "applied"}
        # It was restored, not folded once more.
        assert again.metric("monitor_events_total", counted | kind) is None


async def test_what_was_folded_is_kept_soon_and_the_time_is_told(settings: Settings, log: SqliteLog) -> None:
    clock = SetClock(NOON)
    async with working(settings, log, clock) as process:
        await reply(log, "job")
        await eventually(lambda: process.checkpointer.position == 1)
        clock.time = NOON + 60
        # Also where there was nothing to write.
        await eventually(lambda: process.metric("monitor_checkpoint_timestamp_seconds") == NOON + 60)


async def test_a_log_that_cannot_be_read_for_a_while_is_read_on_and_told_of_once(
    settings: Settings, log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = broken_disk()
    with capture_logs() as lines:
        async with working(settings, log) as process:
            await reply(log, "job")
            await eventually(lambda: process.replies() == {"job": 1})
            with monkeypatch.context() as meanwhile:
                meanwhile.setattr(Rows, "events", query)
                await eventually(lambda: query.tries >= 5)
            await reply(log, "job", first=1)
            await eventually(lambda: process.replies() == {"job": 2})

    assert [line["error"] for line in lines if line["event"] == "log unavailable"] == [
        f"{log.path}: disk I/O error"
    ]


async def test_streams_are_told_as_old_and_what_waits_is_counted_while_the_log_cannot_be_read(
    settings: Settings, log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "FRESH_SECONDS", 0.0)
    async with working(settings, log) as process:
        await eventually(lambda: not process.fleet.recovering)
        assert not process.fleet.stale
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(Rows, "events", broken_disk())
            await reply(log, "job", count=3)
            await eventually(lambda: process.fleet.stale and process.lag() == 3)
            await eventually(lambda: process.metric("monitor_consumer_stalled") == 1)
        await eventually(lambda: not process.fleet.stale and process.lag() == 0)
        assert process.metric("monitor_consumer_stalled") == 0


async def test_events_are_folded_while_what_was_folded_cannot_be_kept(
    settings: Settings, log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "RETRY_SECONDS", 600.0)
    state_file = settings.log.path.with_name("monitor.db-state")
    with capture_logs() as lines:
        async with working(settings, log) as process:
            await eventually(lambda: not process.fleet.recovering)
            with contextlib.closing(sqlite3.connect(state_file, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                await reply(log, "job")
                await eventually(lambda: any(line["event"] == "log unavailable" for line in lines))
                await reply(log, "job", first=1)
                await eventually(lambda: process.replies() == {"job": 2})
                assert process.checkpointer.position == 0
            await eventually(lambda: process.checkpointer.position == 2)

    assert [line["error"] for line in lines if line["event"] == "log unavailable"] == [
        f"{state_file}: database is locked"
    ]


async def test_a_dead_letter_that_cannot_be_kept_for_a_while_is_kept_once(
    settings: Settings, log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = LettersRefused(log)
    async with working(settings, log) as process:
        await eventually(lambda: not process.fleet.recovering)
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(log, "append", refused)
            await append(log, "odd", b"no JSON")
            await reply(log, "job")
            await eventually(lambda: refused.tries >= 3)
        await eventually(lambda: process.shard.position == 2)
        assert process.replies() == {"job": 1}
        assert process.folded() == {"applied": 1}

    assert len(await log.list(10, None)) == 1


async def test_a_worker_stops_rather_than_make_everything_a_dead_letter_and_says_how_much_waits(
    settings: Settings, log: SqliteLog
) -> None:
    await reply(log, "job")
    async with working(settings, log) as process:
        await eventually(lambda: process.replies() == {"job": 1})
        for number in range(folding.FEWEST):
            await append(log, f"odd-{number}", b"no JSON")

        await eventually(lambda: process.metric("monitor_consumer_stalled") == 1)
        assert process.fleet.stale
        letters = len(await log.list(1000, None))
        for number in range(10):
            await append(log, f"odd-{number}", b"no JSON")
        await eventually(lambda: process.lag() == folding.FEWEST + 10 - letters)

        assert process.replies() == {"job": 1}
        assert len(await log.list(1000, None)) == letters

    assert process.checkpointer.position == 1 + letters


async def test_a_worker_that_has_stopped_stays_when_its_log_cannot_be_read_for_a_while(
    settings: Settings, log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = broken_disk()
    for number in range(folding.FEWEST):
        await append(log, f"odd-{number}", b"no JSON")
    async with working(settings, log) as process:
        await eventually(lambda: process.lag() == folding.FEWEST)
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(Rows, "head", query)
            await eventually(lambda: query.tries >= 3 or process.running.done())

        await append(log, "odd", b"no JSON")
        await eventually(lambda: process.lag() == folding.FEWEST + 1 or process.running.done())
        assert not process.running.done()


async def test_what_time_brings_about_waits_for_events_that_were_received_before(
    settings: Settings, log: SqliteLog
) -> None:
    clock = SetClock(NOON + WITNESS_SECONDS + loop.MARGIN_SECONDS - 1)
    await reply(log, "job")
    await append(log, "job", RTC_REPLY % 1, channel=Channel.RTC)

    async with working(settings, log, clock) as process:
        # That turn looked at what is due, and had time to spare.
        await eventually(lambda: process.metric("monitor_checkpoint_timestamp_seconds") == clock.time)
        assert process.missed() == {"job": 0}

        clock.time += 1
        await eventually(lambda: process.missed() == {"job": 1})


async def test_what_time_had_brought_about_before_a_start_is_in_the_first_that_is_shown(
    settings: Settings, log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reply(log, "job")
    await append(log, "job", RTC_REPLY % 1, channel=Channel.RTC)
    joined = noted_joins(monkeypatch)

    clock = SetClock(NOON + WITNESS_SECONDS + loop.MARGIN_SECONDS)
    async with working(settings, log, clock) as process:
        await recovered(process)

    # The process before may have shown it without having kept it, and a counter never falls.
    assert joined == {"job": 1}


async def test_what_came_in_while_a_worker_starts_is_folded_before_time_goes_on(
    settings: Settings, log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reply(log, "job")
    await append(log, "job", RTC_REPLY % 1, channel=Channel.RTC)
    joined = noted_joins(monkeypatch)
    clock, fold = SetClock(NOON + 1), Folder.fold

    async def fold_for_long(folder: Folder, shard: Shard, batch: Sequence[Stored]) -> None:
        await fold(folder, shard, batch)
        if clock.time == NOON + 1:
            await reply(log, "job", first=1, at=NOON + 1)
            clock.time = NOON + 2 * WITNESS_SECONDS

    monkeypatch.setattr(Folder, "fold", fold_for_long)
    async with working(settings, log, clock) as process:
        await recovered(process)
        assert joined == {"job": 0}
        await eventually(lambda: process.replies() == {"job": 2})
        assert process.missed() == {"job": 0}


async def test_events_expire_that_are_older_than_the_log_is_kept(settings: Settings, log: SqliteLog) -> None:
    await reply(log, "old", at=NOON - 25 * HOUR)
    await reply(log, "young", at=NOON - 23 * HOUR)
    async with working(settings, log) as process:
        # What isn't kept in a checkpoint yet stays in the log.
        await eventually(lambda: process.checkpointer.position == 2)

    with capture_logs() as lines:
        async with working(settings, log):
            await eventually(lambda: [line["events"] for line in lines if line["event"] == "expired"] == [1])

    assert [stored.event.job_id for stored in await log.read(0, 10)] == ["young"]


async def test_what_was_folded_is_kept_while_what_is_too_old_cannot_be_removed(
    settings: Settings, log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "EXPIRE_AGAIN_SECONDS", 0.01)
    await reply(log, "old", at=NOON - 25 * HOUR)
    async with working(settings, log) as process:
        await eventually(lambda: process.checkpointer.position == 1)
    await reply(log, "young")

    other = sqlite3.connect(settings.log.path, isolation_level=None)
    with contextlib.closing(other), capture_logs() as lines:
        other.execute("BEGIN IMMEDIATE")
        async with working(settings, log) as process:
            await eventually(lambda: process.metric("monitor_checkpoint_timestamp_seconds") == NOON)
            assert process.checkpointer.position == 2
            other.execute("ROLLBACK")
            await eventually(lambda: any(line["event"] == "expired" for line in lines))

    assert [line["error"] for line in lines if line["event"] == "log unavailable"] == [
        f"{log.path}: database is locked"
    ]
