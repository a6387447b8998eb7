import asyncio
import contextlib
import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.errors import LogUnavailableError
from monitor.log.sqlite import SqliteLog
from monitor.log.sqlite_archive import opened
from monitor.log.sqlite_file import look, prepare
from monitor.log.sqlite_schema import LOG
from tests.log.making import event

Connections = list[sqlite3.Connection]


@contextlib.contextmanager
def refusing(pragma: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have SQLite refuse one PRAGMA, on connections from now on; yield these."""
    opened: Connections = []
    connect = sqlite3.connect

    def refuse(action: int, argument: str | None, *_: str | None) -> int:
        is_refused = action == sqlite3.SQLITE_PRAGMA and argument == pragma
        return sqlite3.SQLITE_DENY if is_refused else sqlite3.SQLITE_OK

    def connect_and_refuse(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.set_authorizer(refuse)
        opened.append(connection)
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", connect_and_refuse)
        yield opened


def open_ones(connections: Connections) -> int:
    count = 0
    for connection in connections:
        with contextlib.suppress(sqlite3.ProgrammingError):
            connection.execute("SELECT 1")
            count += 1
    return count


@pytest.fixture
async def opening(tmp_path: Path) -> AsyncIterator[Callable[[], Any]]:
    """Opens a log of limited size; it is closed in the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened() -> SqliteLog:
            log = await SqliteLog.open(tmp_path / "monitor.db", max_bytes=1_000_000)
            stack.push_async_callback(log.close)
            return log

        yield opened


async def test_a_reader_that_cannot_begin_leaves_no_connection_open(
    opening: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await opening()
    with refusing("query_only", monkeypatch) as connections:
        for _ in range(3):
            with pytest.raises(LogUnavailableError, match="not authorized"):
                await log.read(0, 1)

        assert (len(connections), open_ones(connections)) == (3, 0)
    assert await log.read(0, 1) == []


async def test_a_writer_that_cannot_begin_leaves_no_connection_open(
    opening: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await opening()
    with refusing("page_size", monkeypatch) as connections:
        for _ in range(3):
            with pytest.raises(LogUnavailableError, match="not authorized"):
                await log.append([event(log.next_id())])

        assert (len(connections), open_ones(connections)) == (3, 0)
    await log.append([event(log.next_id())])
    assert await log.head() == 1


async def test_what_to_do_is_said_where_damage_shows_only_in_use(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    log = await SqliteLog.open(path)
    await log.append([event(log.next_id(), body=b"x" * 3000) for _ in range(100)])
    await log.close()
    content = bytearray(path.read_bytes())
    # The schema's page and those behind it, where the tables begin, stay as they are.
    content[len(content) // 4 :] = b"\xa5" * (len(content) - len(content) // 4)
    path.write_bytes(content)

    log = await SqliteLog.open(path)
    what_to_do = (
        r"monitor\.db: .* malformed\. .* after a restart, stop the service, and put a copy .* move it away"
    )
    with pytest.raises(LogUnavailableError, match=what_to_do):
        await log.read(0, 100)
    with pytest.raises(LogUnavailableError, match=what_to_do):
        await log.append([event(log.next_id())])
    await log.close()


@pytest.mark.parametrize(("place", "damage"), [(0, b"no database at all"), (100, b"\xff")])
def test_a_file_that_is_damaged_is_refused_with_what_can_be_done_and_left_alone(
    tmp_path: Path, place: int, damage: bytes
) -> None:
    path = tmp_path / "monitor.db"
    prepare(path, LOG)
    content = bytearray(path.read_bytes())
    content[place : place + len(damage)] = damage
    path.write_bytes(content)

    with pytest.raises(LogUnavailableError, match=r"monitor\.db: .*\. Put a copy of an event log .* move it"):
        prepare(path, LOG)

    assert path.read_bytes() == content


NOBODY = 65534


@contextlib.contextmanager
def as_another_user() -> Iterator[None]:
    """Give up root's rights for a while; whoever runs the tests as another user has none anyway."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def kept_by_another() -> Iterator[Path]:
    """A log in a folder that anybody can get to; pytest's own can't be."""

    async def make(path: Path) -> None:
        await (await SqliteLog.open(path)).close()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "log")
        folder.mkdir()
        Path(name).chmod(0o755)
        asyncio.run(make(folder / "monitor.db"))
        yield folder / "monitor.db"
        folder.chmod(0o755)


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        (0o000, "this user may not look there; run this as the service's user"),
        (0o555, "this user may not write it or its folder, .*; run this as the service's user"),
    ],
)
def test_a_log_that_this_user_may_not_use_is_said_with_what_to_do(
    kept_by_another: Path, mode: int, told: str
) -> None:
    async def read() -> None:
        async with opened(kept_by_another):
            pass

    kept_by_another.parent.chmod(mode)

    with as_another_user(), pytest.raises(LogUnavailableError, match=told):
        asyncio.run(read())


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "told"),
    [(folder, "is a folder; name a file in it"), (os.mkfifo, "is no regular file; name another path")],
    ids=["folder", "pipe"],
)
async def test_what_is_no_file_is_refused_in_the_place_of_a_log(
    make: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "monitor.db"
    make(path)

    with pytest.raises(LogUnavailableError, match=told):
        await opened(path).__aenter__()
    with pytest.raises(LogUnavailableError, match=told):
        await SqliteLog.open(path)
    with pytest.raises(LogUnavailableError, match=told):
        look(path, LOG)
