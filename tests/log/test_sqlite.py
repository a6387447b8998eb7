import asyncio
import contextlib
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.errors import LogOverloadedError, LogUnavailableError
from monitor.event import Event
from monitor.log import sqlite_file, sqlite_writer
from monitor.log.cloudevents import to_headers
from monitor.log.sqlite import SqliteLog
from monitor.log.sqlite_schema import stream_number
from monitor.log.sqlite_writer import ROWS_A_COMMIT
from tests.kafka_broker import eventually
from tests.log.killing import acknowledged_before_a_kill
from tests.log.making import EVENTS, RECEIVED, dead_letter, event

COLLIDING = ("plumless", "buckeroo")
"""Job ids of one CRC-32."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "monitor.db"


@pytest.fixture
async def log(path: Path) -> AsyncIterator[SqliteLog]:
    opened = await SqliteLog.open(path)
    yield opened
    await opened.close()


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the file's write lock, so that appends wait."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


def column(path: Path, query: str) -> list[object]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute(query)]


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()} if folder.exists() else {}


async def turns(count: int) -> None:
    """Let tasks run up to where they wait."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_every_acknowledged_event_survives_kill_minus_nine(path: Path) -> None:
    acknowledged: list[str] = []
    for acks in (40, 700, 1, 9, 250, 17):
        acknowledged += acknowledged_before_a_kill("append", path, acks)

    log = await SqliteLog.open_reader(path)
    kept = [str(stored.event.id) for stored in await log.read(0, 1_000_000)]
    await log.close()

    assert len(acknowledged) >= 1017
    assert set(acknowledged) <= set(kept)
    assert len(set(kept)) == len(kept)


async def test_appends_that_wait_together_share_a_sync(log: SqliteLog, path: Path) -> None:
    with held(path):
        waiting = [asyncio.create_task(log.append([event(log.next_id())])) for _ in range(500)]
        await turns(2)
        assert log.waiting == 500
    await asyncio.gather(*waiting)

    # One that took what had come when the writer woke, and one for all the rest.
    assert log.commits <= 2
    assert log.waiting == 0
    assert await log.head() == 500


async def test_a_flooding_source_does_not_hold_up_another(log: SqliteLog, path: Path) -> None:
    ended: list[str] = []

    async def append(source: str) -> None:
        await log.append([event(log.next_id(), source=source)])
        ended.append(source)

    with held(path):
        flood = [asyncio.create_task(append("flooding")) for _ in range(4 * ROWS_A_COMMIT)]
        quiet = [asyncio.create_task(append("quiet")) for _ in range(10)]
        await turns(2)
    await asyncio.gather(*flood, *quiet)

    # In the first commit after the one that was under way when it came.
    assert max(place for place, source in enumerate(ended) if source == "quiet") < 2 * ROWS_A_COMMIT


async def test_an_append_larger_than_a_commit_is_kept_whole(log: SqliteLog) -> None:
    await log.append([event(log.next_id()) for _ in range(ROWS_A_COMMIT + 1)], [dead_letter(log.next_id())])

    assert log.commits == 1
    assert await log.head() == ROWS_A_COMMIT + 1


async def test_too_many_waiting_rows_are_refused_at_once(path: Path) -> None:
    log = await SqliteLog.open(path, max_waiting=10)
    with held(path):
        waiting = [asyncio.create_task(log.append([event(log.next_id())] * 2)) for _ in range(5)]
        await turns(2)
        with pytest.raises(LogOverloadedError, match="10"):
            await log.append([event(log.next_id())])
    await asyncio.gather(*waiting)

    await log.append([event(log.next_id())])
    assert await log.head() == 11
    await log.close()


async def test_a_full_disk_refuses_appends_and_keeps_all_that_was_acknowledged(path: Path) -> None:
    log = await SqliteLog.open(path, max_bytes=400_000)
    acknowledged: list[Event] = []
    refused = 0
    while refused < 3:
        one = event(log.next_id(), body=b"x" * 3000)
        try:
            await log.append([one, one])
        except LogUnavailableError:
            refused += 1
        else:
            acknowledged += [one, one]

    with pytest.raises(LogUnavailableError, match="full"):
        await log.append([event(log.next_id(), body=b"x" * 30_000)])
    assert acknowledged == [stored.event for stored in await log.read(0, 10_000)]

    # Expired events leave room, and the log goes on by itself.
    await log.remove_expired(RECEIVED + 1, await log.head())
    await log.append([event(log.next_id(), body=b"y" * 3000)])
    assert [stored.event.body for stored in await log.read(0, 10)] == [b"y" * 3000]
    await log.close()


async def test_a_full_disk_fails_every_append_of_its_commit(path: Path) -> None:
    log = await SqliteLog.open(path, max_bytes=200_000)
    with held(path):
        waiting = [
            asyncio.create_task(log.append([event(log.next_id(), body=b"x" * 50_000)])) for _ in range(20)
        ]
        await turns(2)
    ends = await asyncio.gather(*waiting, return_exceptions=True)

    kept = len(await log.read(0, 100))
    assert kept == ends.count(None)
    failures = [end for end in ends if end is not None]
    assert {type(failure) for failure in failures} == {LogUnavailableError}
    # One each: what one caller's raise adds to it is nothing to another.
    assert len(set(map(id, failures))) == len(failures)
    await log.close()


@pytest.mark.parametrize("replaced", [False, True])
async def test_nothing_is_acknowledged_once_the_file_was_removed_or_replaced(
    log: SqliteLog, path: Path, replaced: bool
) -> None:
    await log.append([event(log.next_id())])
    moved = shutil.move(path, path.with_name("moved.db"))
    if replaced:
        shutil.copy(moved, path)

    for _ in range(2):
        with pytest.raises(LogUnavailableError, match="removed, replaced or emptied"):
            await log.append([event(log.next_id())])

    shutil.move(moved, path)
    await log.append([event(log.next_id())])


async def test_nothing_is_acknowledged_once_the_file_was_emptied(log: SqliteLog, path: Path) -> None:
    await log.append([event(log.next_id())])
    os.truncate(path, 0)

    with pytest.raises(LogUnavailableError, match="removed, replaced or emptied"):
        await log.append([event(log.next_id())])


@pytest.mark.parametrize("has_failed", [False, True])
async def test_nothing_is_acknowledged_nor_lost_once_the_write_ahead_log_was_removed(
    log: SqliteLog, path: Path, has_failed: bool
) -> None:
    kept = event(log.next_id())
    await log.append([kept])
    assert [stored.event for stored in await log.read(0, 10)] == [kept]
    if has_failed:
        with held(path), pytest.raises(LogUnavailableError, match="locked"):
            await log.append([event(log.next_id())])
    path.with_name("monitor.db-wal").unlink()

    for _ in range(2):
        assert log.refusing
        with pytest.raises(LogUnavailableError, match="-wal beside it was removed or replaced; restart"):
            await log.append([event(log.next_id())])
        # The next start will know no other file.
        alone = Path(shutil.copy(path, path.with_name("alone.db")))
        assert column(alone, "SELECT job_id FROM events") == [kept.job_id]
    await log.close()

    again = await SqliteLog.open(path)
    assert [stored.event for stored in await again.read(0, 10)] == [kept]
    await again.close()


async def test_a_file_that_stays_locked_is_unavailable_until_it_is_not(log: SqliteLog, path: Path) -> None:
    with held(path), pytest.raises(LogUnavailableError, match="locked"):
        await log.append([event(log.next_id())])

    assert log.refusing
    await log.append([event(log.next_id())])
    assert not log.refusing
    assert await log.head() == 1


async def test_a_log_that_can_be_written_again_says_so_before_anything_is_appended(
    log: SqliteLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, really_connect = 0, sqlite_file.connect

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        nonlocal tries
        tries += 1
        return really_connect(*arguments, **options)

    monkeypatch.setattr(sqlite_writer, "TRY_SECONDS", 0.01)
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.01)
    with held(path):
        with pytest.raises(LogUnavailableError, match="locked"):
            await log.append([event(log.next_id())])
        monkeypatch.setattr(sqlite_file, "connect", connect)
        await eventually(lambda: tries >= 3)
        assert log.refusing

    await eventually(lambda: not log.refusing)
    assert await log.head() == 0


async def test_an_event_that_cannot_be_stored_does_not_fail_those_it_shares_a_commit_with(
    log: SqliteLog, path: Path
) -> None:
    job_ids = ["one", "half a pair \ud800", "two", "three"]
    with held(path):
        waiting = [
            asyncio.create_task(log.append([event(log.next_id(), job_id=job_id)])) for job_id in job_ids
        ]
        await turns(2)
    ends = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(end) for end in ends] == [type(None), UnicodeEncodeError, type(None), type(None)]
    assert [stored.event.job_id for stored in await log.read(0, 10)] == ["one", "two", "three"]


async def test_an_append_that_fails_half_way_leaves_nothing_of_it_and_nothing_open(
    log: SqliteLog, path: Path
) -> None:
    broken = dead_letter(log.next_id())._replace(job_id="half a pair \ud800")
    with pytest.raises(UnicodeEncodeError):
        await log.append([event(log.next_id(), job_id="goes with it")], [broken])

    await log.append([event(log.next_id(), job_id="is kept")])
    await log.append([event(log.next_id(), job_id="is kept too")], [dead_letter(log.next_id())])

    # Another connection sees what is committed, and no more.
    assert column(path, "SELECT job_id FROM events ORDER BY offset") == ["is kept", "is kept too"]


async def test_an_origin_that_went_with_its_transaction_is_numbered_anew(log: SqliteLog) -> None:
    await log.append((), [dead_letter(log.next_id()), dead_letter(log.next_id())])
    second, first = await log.list(10, None)
    with pytest.raises(UnicodeEncodeError):
        await log.retry(first.number, event(log.next_id(), source="new", job_id="half a pair \ud800"))

    retried = event(log.next_id(), source="new")
    await log.retry(second.number, retried)

    assert [retried] == [stored.event for stored in await log.read(0, 10)]
    assert [first] == await log.list(10, None)


@settings(max_examples=30)
@given(events=st.lists(EVENTS, min_size=1, max_size=20))
def test_any_sqlite_client_reads_the_cloudevents_attributes(
    events: list[Event], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("log") / "monitor.db"

    async def write() -> None:
        log = await SqliteLog.open(path)
        await log.append(events)
        await log.close()

    asyncio.run(write())
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT * FROM cloudevents ORDER BY offset").fetchall()

    assert [(*(value.decode() for _, value in to_headers(one)), one.body) for one in events] == [
        row[1:] for row in rows
    ]


async def test_an_append_by_another_process_is_noticed(log: SqliteLog, path: Path) -> None:
    following = asyncio.create_task(log.wait_beyond(0))
    await turns(2)
    other = await SqliteLog.open(path, receiver="retry")
    await other.append([event(other.next_id())])
    await other.close()

    async with asyncio.timeout(30):
        await following


async def test_another_receiver_of_the_same_file_counts_its_own_starts(path: Path) -> None:
    ids = []
    for receiver in (None, "retry", "retry", None):
        log = await SqliteLog.open(path, receiver=receiver)
        ids.append(log.next_id())
        await log.close()

    assert [one.boot for one in ids] == [1, 1, 2, 2]
    assert ids[0].receiver == ids[3].receiver
    assert ids[1].receiver == "retry"


async def test_looking_at_a_log_is_no_start_and_changes_nothing(log: SqliteLog, path: Path) -> None:
    await log.append([event(log.next_id())], [dead_letter(log.next_id())])
    before = column(path, "SELECT boot FROM receivers")

    reader = await SqliteLog.open_reader(path)
    assert len(await reader.read(0, 10)) == 1
    assert len(await reader.list(10, None)) == 1
    with pytest.raises(LogUnavailableError, match="read"):
        await reader.append([event(log.next_id())])
    await reader.close()

    assert before == column(path, "SELECT boot FROM receivers")


async def test_looking_at_a_log_that_is_not_there_does_not_make_one(path: Path) -> None:
    with pytest.raises(LogUnavailableError, match=r"monitor\.db"):
        await SqliteLog.open_reader(path)

    assert files(path.parent) == {}


@pytest.mark.parametrize("door", [SqliteLog.open, SqliteLog.open_reader])
async def test_a_file_of_a_newer_version_is_refused(
    path: Path, door: Callable[[Path], Awaitable[SqliteLog]]
) -> None:
    await (await SqliteLog.open(path)).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")

    with pytest.raises(LogUnavailableError, match=r"version 2, newer than .* 1"):
        await door(path)


async def test_a_file_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = files(path.parent)

    with pytest.raises(LogUnavailableError, match="not an event log"):
        await SqliteLog.open(path)

    assert before == files(path.parent)


async def test_a_path_that_is_no_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailableError, match=str(tmp_path)):
        await SqliteLog.open(tmp_path)


async def test_what_is_kept_is_not_for_everybody_on_the_machine_to_read(log: SqliteLog, path: Path) -> None:
    await log.append([event(log.next_id())])

    files = {one.name: one.stat().st_mode & 0o007 for one in path.parent.iterdir() if one.stat().st_size}
    assert set(files) >= {path.name, f"{path.name}-wal"}
    assert set(files.values()) == {0}


async def test_every_commit_is_synced_and_the_file_is_in_wal_mode(log: SqliteLog, path: Path) -> None:
    await log.append([event(log.next_id())])

    assert log._writer is not None
    transaction = log._writer._transaction
    assert transaction is not None
    assert transaction.connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert column(path, "PRAGMA journal_mode") == ["wal"]


async def test_close_leaves_one_file(path: Path) -> None:
    log = await SqliteLog.open(path)
    await log.append([event(log.next_id())])
    await log.read(0, 1)
    await log.close()

    assert list(files(path.parent)) == [path.name]


async def test_expiry_goes_through_a_long_log_and_spares_the_young_among_the_old(log: SqliteLog) -> None:
    events = [event(log.next_id(), received=9e8 if number == 5 else 1.0) for number in range(2500)]
    young = [event(log.next_id(), received=9e8) for _ in range(10)]
    await log.append(events + young)

    assert await log.remove_expired(100.0, await log.head()) == 2499
    assert [events[5], *young] == [stored.event for stored in await log.read(0, 10_000)]


async def test_history_reaches_over_many_windows_of_the_index(log: SqliteLog) -> None:
    for number in range(30):
        others = [event(log.next_id(), job_id=f"other-{job}") for job in range(500)]
        await log.append([event(log.next_id(), job_id="rare", body=b"%d" % number), *others])

    history, _ = await log.history("room-a", "rare", None, 20)

    assert [b"%d" % number for number in range(29, 9, -1)] == [one.event.body for one in history]


async def test_streams_that_share_an_index_number_are_told_apart(log: SqliteLog) -> None:
    assert len({stream_number("room-a", job_id) for job_id in COLLIDING}) == 1
    await log.append([event(log.next_id(), job_id=job_id) for job_id in COLLIDING])

    for job_id in COLLIDING:
        history, _ = await log.history("room-a", job_id, None, 10)
        assert [job_id] == [one.event.job_id for one in history]
