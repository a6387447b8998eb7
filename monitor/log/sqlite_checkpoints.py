"""Checkpoints of the embedded log: the position and the states, in one transaction.

In a file of its own beside the log (`<path>-state`): SQLite locks a whole file for a write, so a large
checkpoint in the log's file would hold up the callbacks' commits.

Its commits aren't synced one by one (synchronous=NORMAL). A power cut may take the last ones; what is
left is an earlier checkpoint, whole, since SQLite's WAL recovers to the end of some transaction. Events
behind its position are still in the log, whose commits are synced and whose retention spares what
isn't folded, and are folded again. The other way round can't be: a position is saved after its event
was read, and only durable events can be read. After `kill -9` nothing is lost at all.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from monitor.errors import LogUnavailableError
from monitor.log import bulk, sqlite_file
from monitor.log.protocol import Checkpoint
from monitor.log.sqlite import SqliteLog

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_KIND = sqlite_file.Kind(
    name="a state file of livestream-monitor",
    application=0x4C73_4D73,
    version=1,
    schema="""
CREATE TABLE checkpoint (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    log TEXT NOT NULL,
    position INTEGER NOT NULL
);
CREATE TABLE states (
    source TEXT NOT NULL,
    job_id TEXT NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (source, job_id)
)
""",
)


def state_file(log_path: Path) -> Path:
    """Return where the states of a log's streams are kept."""
    return log_path.with_name(f"{log_path.name}-state")


def look(log_path: Path) -> None:
    """Make sure that a log's state file, if there is one, would be taken as it is; change nothing.

    Raises:
        LogUnavailableError: it is something else, or can't be read; it says what to do.
    """
    path = state_file(log_path)
    if path.exists():
        sqlite_file.look(path, _KIND)


_LOAD_ROWS = 500

_LOAD = bulk.gather(
    "number, source, job_id",
    "state",
    "SELECT rowid AS number, * FROM states WHERE rowid > ? ORDER BY rowid LIMIT ?",
)


class SqliteCheckpoints:
    """The Checkpoints of an embedded log; made by `open`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._file = sqlite_file.identity(path)
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "checkpoints")

    @classmethod
    async def open(cls, log_path: Path, log: SqliteLog) -> "SqliteCheckpoints":
        """Open the state file of a log, making it if it isn't there.

        States that can't be of this log's events are dropped, with a warning, so that the log is folded
        from its start: those of another log, and those at a position that the log hasn't reached (it
        was restored from a backup).

        Args:
            log_path: the log's file.
            log: the log.

        Raises:
            LogUnavailableError: the file can't be opened, or was written by a newer version.
        """
        path = state_file(log_path)
        head = await log.head()
        return cls(path, await asyncio.to_thread(_open, path, log.log_id, head))

    async def load(self) -> Checkpoint:
        """Return the last whole checkpoint; position 0 without states if there is none.

        Raises:
            LogUnavailableError: the file can't be read.
        """
        return await self._run(_load)

    async def save(self, position: int, changed: Sequence[tuple[str, str, bytes | None]]) -> None:
        """Keep a position and the states that changed since the last one: all of it or nothing.

        Args:
            position: the offset of the last event that went into the states.
            changed: (source, job id, state) each, a stream once; None removes the state.

        Raises:
            LogUnavailableError: it could not be written, or isn't the file that was opened; the last
                checkpoint stands.
        """
        await self._run(partial(self._save, position, changed))

    async def close(self) -> None:
        """Let go of the file, after a save that runs; a second call does nothing."""
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
            self._thread.shutdown()

    def _save(
        self,
        position: int,
        changed: Sequence[tuple[str, str, bytes | None]],
        connection: sqlite3.Connection,
    ) -> None:
        if sqlite_file.identity(self.path) != self._file:
            # The next start wouldn't find it, and the log must not forget events that it then has to fold.
            raise sqlite3.OperationalError(sqlite_file.ANOTHER_FILE)
        _save(connection, position, changed)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise LogUnavailableError(f"{self.path}: the checkpoints are closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._connection)
        except sqlite3.Error as error:
            raise LogUnavailableError(f"{self.path}: {error}{_remedy(error)}") from error


def _open(path: Path, log_id: str, head: int) -> sqlite3.Connection:
    try:
        sqlite_file.prepare(path, _KIND)
        with sqlite_file.named_failures(path):
            return sqlite_file.connect(
                path, synchronous="NORMAL", begin=lambda connection: _bind(connection, path, log_id, head)
            )
    except LogUnavailableError as error:
        raise LogUnavailableError(f"{error}{_remedy(error.__cause__)}") from error


def _remedy(error: BaseException | None) -> str:
    """Return what to do about a damaged file: the log holds what it was made of."""
    if not sqlite_file.is_damage(error):
        return ""
    return "; move this file away, and the service folds its log again from the start"


def _bind(connection: sqlite3.Connection, path: Path, log_id: str, head: int) -> None:
    """Make the file one of this log; keep its states only if they are of this log's events."""
    found = connection.execute("SELECT log, position FROM checkpoint").fetchone()
    if found is not None:
        bound, position = found
        if bound == log_id and position <= head:
            return
        reason = (
            "it belongs to another log"
            if bound != log_id
            else "the log ends before its position: was the log restored from a backup?"
        )
        _log.warning("checkpoint dropped", path=str(path), reason=reason, position=position, head=head)
    with sqlite_file.transaction(connection):
        connection.execute("DELETE FROM states")
        connection.execute("INSERT OR REPLACE INTO checkpoint VALUES (1, ?, 0)", (log_id,))


def _load(connection: sqlite3.Connection) -> Checkpoint:
    states: list[tuple[str, str, bytes]] = []
    with sqlite_file.transaction(connection):
        position = connection.execute("SELECT position FROM checkpoint").fetchone()[0]
        last = 0
        while page := list(bulk.scatter(connection.execute(_LOAD, (last, _LOAD_ROWS)).fetchone())):
            states += [(source, job_id, state) for (_, _, source, job_id), state in page]
            last = page[-1][0][1]
    return Checkpoint(position, states)


def _save(
    connection: sqlite3.Connection, position: int, changed: Sequence[tuple[str, str, bytes | None]]
) -> None:
    kept = [row for row in changed if row[2] is not None]
    removed = [row[:2] for row in changed if row[2] is None]
    with sqlite_file.transaction(connection):
        bulk.insert(
            connection,
            "INSERT INTO states (source, job_id, state)",
            3,
            kept,
            "ON CONFLICT (source, job_id) DO UPDATE SET state = excluded.state",
        )
        bulk.insert(connection, "DELETE FROM states WHERE (source, job_id) IN (", 2, removed, ")")
        connection.execute("UPDATE checkpoint SET position = ?", (position,))
