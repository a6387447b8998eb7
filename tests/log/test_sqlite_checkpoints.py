import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from monitor.errors import LogUnavailableError
from monitor.log.protocol import Checkpoint
from monitor.log.sqlite import SqliteLog
from monitor.log.sqlite_checkpoints import SqliteCheckpoints
from tests.log.appending import STATES
from tests.log.killing import acknowledged_before_a_kill
from tests.log.making import event

STATE = ("source", "job", b"{}")


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[tuple[SqliteLog, SqliteCheckpoints]]:
    log = await SqliteLog.open(path)
    checkpoints = await SqliteCheckpoints.open(path, log)
    yield log, checkpoints
    await checkpoints.close()
    await log.close()


async def with_checkpoint(path: Path) -> int:
    async with opened(path) as (log, checkpoints):
        await log.append([event(log.next_id()) for _ in range(3)])
        head = await log.head()
        await checkpoints.save(head, [STATE])
    return head


async def test_a_kill_minus_nine_leaves_the_last_checkpoint_whole(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    for acks in (5, 30, 12, 1, 21):
        saved = int(acknowledged_before_a_kill("save", path, acks)[-1])
        async with opened(path) as (log, checkpoints):
            position, states = await checkpoints.load()
            assert saved <= position <= await log.head()
            assert len(states) == STATES
            assert {state for _, _, state in states} == {b"%d" % position * 50}


async def test_the_state_file_lies_beside_the_log(tmp_path: Path) -> None:
    await with_checkpoint(tmp_path / "monitor.db")

    assert names(tmp_path) == ["monitor.db", "monitor.db-state"]


async def test_states_of_another_log_are_dropped_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    await with_checkpoint(path)
    path.unlink()
    await with_checkpoint(tmp_path / "other.db")
    (tmp_path / "other.db").rename(path)

    with capture_logs() as lines:
        async with opened(path) as (_, checkpoints):
            assert await checkpoints.load() == Checkpoint(0, [])

    [line] = lines
    assert (line["log_level"], line["reason"]) == ("warning", "it belongs to another log")


async def test_states_beyond_a_restored_log_are_dropped_with_a_warning(tmp_path: Path) -> None:
    path, backup = tmp_path / "monitor.db", tmp_path / "backup"
    await (await SqliteLog.open(path)).close()
    shutil.copy(path, backup)
    await with_checkpoint(path)
    shutil.copy(backup, path)

    with capture_logs() as lines:
        async with opened(path) as (_, checkpoints):
            assert await checkpoints.load() == Checkpoint(0, [])

    [line] = lines
    assert line["log_level"] == "warning"
    assert "backup" in line["reason"]


async def test_states_stay_when_all_their_events_have_expired(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    head = await with_checkpoint(path)
    log = await SqliteLog.open(path)
    await log.remove_expired(1e10, head)
    await log.close()

    with capture_logs() as lines:
        async with opened(path) as (_, checkpoints):
            assert await checkpoints.load() == Checkpoint(head, [STATE])

    assert lines == []


async def test_a_save_that_fails_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    async with opened(path) as (_, checkpoints):
        await checkpoints.save(1, [STATE])
        # Room for about a third of what comes.
        pages = checkpoints._connection.execute("PRAGMA page_count").fetchone()[0]
        checkpoints._connection.execute(f"PRAGMA max_page_count = {pages + 200}")

        with pytest.raises(LogUnavailableError, match=r"monitor\.db-state"):
            await checkpoints.save(2, [("source", str(job), b"x" * 5000) for job in range(300)])

        assert await checkpoints.load() == Checkpoint(1, [STATE])


@pytest.mark.parametrize("replaced", [False, True])
async def test_nothing_counts_as_kept_once_the_state_file_was_removed_or_replaced(
    tmp_path: Path, replaced: bool
) -> None:
    path, state = tmp_path / "monitor.db", tmp_path / "monitor.db-state"
    async with opened(path) as (_, checkpoints):
        await checkpoints.save(1, [STATE])
        moved = shutil.move(state, tmp_path / "moved")
        if replaced:
            shutil.copy(moved, state)

        for _ in range(2):
            with pytest.raises(
                LogUnavailableError, match=r"monitor\.db-state: .* removed, replaced or emptied"
            ):
                await checkpoints.save(2, [STATE])

        shutil.move(moved, state)
        await checkpoints.save(2, [STATE])
        assert await checkpoints.load() == Checkpoint(2, [STATE])


async def test_a_state_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    await with_checkpoint(path)
    with contextlib.closing(sqlite3.connect(tmp_path / "monitor.db-state")) as connection:
        connection.execute("PRAGMA user_version = 9")

    log = await SqliteLog.open(path)
    with pytest.raises(LogUnavailableError, match="newer"):
        await SqliteCheckpoints.open(path, log)
    await log.close()


@pytest.mark.parametrize("sound_bytes", [0, 4096])
async def test_a_damaged_state_file_is_refused_with_what_to_do(tmp_path: Path, sound_bytes: int) -> None:
    path = tmp_path / "monitor.db"
    log = await SqliteLog.open(path)
    first = await SqliteCheckpoints.open(path, log)
    await first.save(0, [("a", "1", b"one")])
    await first.close()
    file = path.with_name("monitor.db-state")
    sound = file.read_bytes()
    file.write_bytes(sound[:sound_bytes] + b"?" * (len(sound) - sound_bytes))

    with pytest.raises(LogUnavailableError, match=r"monitor\.db-state: .*; move this file away"):
        await SqliteCheckpoints.open(path, log)

    await log.close()
