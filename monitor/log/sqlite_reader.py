"""Reading the embedded log: a thread with its own connection, so that no query holds up the event loop."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from monitor.errors import LogUnavailableError
from monitor.event import Channel, Event, EventId, Stored, Vendor
from monitor.log import bulk, sqlite_file
from monitor.log.cloudevents import from_microseconds
from monitor.log.protocol import StoredLetters
from monitor.log.sqlite_schema import (
    SELECT_EVENTS,
    SELECT_HISTORY,
    SELECT_LETTERS,
    WINDOW_BITS,
    Origin,
    newest_offset,
    stored_letter,
    stream_number,
)

T = TypeVar("T")

LAST_PLACE = 2**63 - 1
"""SQLite's greatest rowid."""

_HISTORY_WINDOWS = 256
"""Windows asked at once: about a million events, and no more of one stream to be sorted."""


class Rows:
    """What can be asked of a log's file; for one thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._origins: dict[int, Origin] = {}

    def head(self) -> int:
        """Return the greatest offset ever given."""
        return newest_offset(self.connection)

    def events(self, after: int, limit: int) -> list[Stored]:
        """Return up to `limit` events behind an offset, in order."""
        return self._stored(SELECT_EVENTS, {"after": after, "limit": limit})

    def history(self, source: str, job_id: str, before: int | None, limit: int) -> list[Stored]:
        """Return up to `limit` events of a stream below an offset, newest first."""
        oldest = self.connection.execute("SELECT min(offset) FROM events").fetchone()[0]
        if oldest is None:
            return []
        below = self.head() + 1
        if before is not None:
            below = min(before, below)
        found: list[Stored] = []
        newest, last = (below - 1) >> WINDOW_BITS, oldest >> WINDOW_BITS
        while newest >= last and len(found) < limit:
            parameters = {
                "newest": newest,
                "oldest": max(last, newest - _HISTORY_WINDOWS + 1),
                "stream": stream_number(source, job_id),
                "source": source,
                "job_id": job_id,
                "before": below,
                "limit": limit - len(found),
            }
            found += self._stored(SELECT_HISTORY, parameters)
            newest -= _HISTORY_WINDOWS
        return found

    def letters(self, where: str, *parameters: int) -> StoredLetters:
        """Return dead letters. where: from here on, the text of the query."""
        return [
            stored_letter(row) for row in self.connection.execute(f"{SELECT_LETTERS} {where}", parameters)
        ]

    def _stored(self, query: str, parameters: dict[str, Any]) -> list[Stored]:
        gathered = self.connection.execute(query, parameters).fetchone()
        origins, stored = self._origins, []
        for (_, offset, origin, boot, sequence, job_id, received, signed), body in bulk.scatter(gathered):
            shared = origins.get(origin)
            if shared is None:
                shared = self._origin(origin)
            receiver, vendor, source, channel, kind = shared
            event = Event(
                EventId(receiver, boot, sequence),
                vendor,
                source,
                job_id,
                channel,
                kind,
                from_microseconds(received),
                signed,
                body,
            )
            stored.append(Stored(0, offset, event))
        return stored

    def _origin(self, number: int) -> Origin:
        receiver, vendor, source, channel, kind = self.connection.execute(
            "SELECT receiver, vendor, source, channel, type FROM origins WHERE number = ?", (number,)
        ).fetchone()
        origin = Origin(receiver, Vendor(vendor), source, Channel(channel), kind)
        self._origins[number] = origin
        return origin


class Reader:
    """Runs queries one after the other in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: Rows | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "log-reader")

    async def run(self, query: Callable[[Rows], T]) -> T:
        """Return what a query finds.

        Raises:
            LogUnavailableError: the file can't be read, or the log is closed.
        """
        if self._closed:
            raise LogUnavailableError(f"{self._path}: the log is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._query, query)
        except sqlite3.Error as error:
            raise LogUnavailableError(sqlite_file.told(self._path, error)) from error

    async def close(self) -> None:
        """Let go of the file, after the queries that run."""
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    def _query(self, query: Callable[[Rows], T]) -> T:
        if self._rows is None:
            connection = sqlite_file.connect(
                self._path, synchronous="FULL", create=False, begin=_forbid_writing
            )
            self._rows = Rows(connection)
        return query(self._rows)

    def _disconnect(self) -> None:
        if self._rows is not None:
            self._rows.connection.close()
            self._rows = None


def _forbid_writing(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only = ON")
