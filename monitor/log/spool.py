"""The spool: a synced SQLite file that takes what Kafka doesn't, until it does.

Streams whose events wait here are remembered by their last event, so that newer ones can queue behind
them: a stream ignores an event that is older than one it has folded, so an event that overtakes another
would make it be lost.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from monitor.errors import LogOverloadedError
from monitor.event import Event, EventId, Stored
from monitor.log.cloudevents import from_microseconds
from monitor.log.protocol import DeadLetter, StoredLetters
from monitor.log.sqlite import SqliteLog
from monitor.log.sqlite_reader import Rows
from monitor.log.sqlite_schema import SPOOL
from monitor.log.sqlite_writer import Transaction

CAPACITY_BYTES = 1024 * 1024 * 1024
"""What a spool takes: about a million callbacks."""

ROW_BYTES = 200
"""What a row takes in the file beside its body and job id, with its index."""

Stream = tuple[str, str]


class SpoolState(NamedTuple):
    """What the gauges tell. events: dead letters too. oldest: when its oldest row was received, if any."""

    events: int
    bytes: int
    capacity_bytes: int
    oldest: float | None


class Cursor(NamedTuple):
    """Up to where the spool was read: an offset of events, and a number of dead letters."""

    offset: int
    number: int


class Chunk(NamedTuple):
    """The oldest rows behind a cursor, in order. end: the cursor behind them."""

    events: list[Stored]
    letters: StoredLetters
    end: Cursor


START = Cursor(0, 0)
"""Before all that the spool holds."""


class _Contents(NamedTuple):
    """What a spool holds when it is opened. last: each stream's last event."""

    events: int
    bytes: int
    oldest: float | None
    last: dict[Stream, EventId]


class Spool:
    """Rows on their way to Kafka; made by `open`. It belongs to the event loop that opened it."""

    def __init__(self, log: SqliteLog, capacity_bytes: int, contents: _Contents) -> None:
        self.next_id = log.next_id
        self._log = log
        self._capacity_bytes = capacity_bytes
        self._events, self._bytes, self._oldest, self._last = contents
        self._writing = 0
        self._puts = 0
        self._next_oldest: float | None = None
        self._writes = 0
        self._full = False
        self._written = asyncio.Event()

    @classmethod
    async def open(cls, path: Path, *, capacity_bytes: int = CAPACITY_BYTES) -> "Spool":
        """Open a spool, making it if it isn't there, with all that it still holds.

        Raises:
            LogUnavailableError: it can't be opened, or the file is something else.
        """
        log = await SqliteLog.open(path, kind=SPOOL)
        try:
            return cls(log, capacity_bytes, await log.query(_contents))
        except BaseException:
            await log.close()
            raise

    @property
    def state(self) -> SpoolState:
        """What it holds now."""
        return SpoolState(self._events, self._bytes, self._capacity_bytes, self._oldest)

    @property
    def refusing(self) -> bool:
        """Whether the last put had no room, or the disk failed last time."""
        return self._full or self._log.refusing

    def holds(self, source: str, job_id: str) -> bool:
        """Return whether an event of a stream is here, or on its way here."""
        return (source, job_id) in self._last

    def put(self, events: Sequence[Event], letters: Sequence[DeadLetter]) -> asyncio.Future[None]:
        """Take rows of one source, one at least; the future is done when they are synced.

        Puts are kept in the order of the calls. The future is not to be cancelled.

        Raises:
            LogOverloadedError: there is no room left, or too much waits for the disk; nothing was taken.
            LogUnavailableError: the spool is closed.
        """
        rows, size = len(events) + len(letters), _bytes(events) + _bytes(letters)
        self._full = self._bytes + size > self._capacity_bytes
        if self._full:
            raise LogOverloadedError(
                f"{self._log.path}: the spool is full, {self._events} events wait for Kafka in"
                f" {self._bytes} bytes"
            )
        future = self._log.put(events, letters)
        self._writing += 1
        self._puts += 1
        self._events += rows
        self._bytes += size
        received = (events or letters)[0].received
        if self._oldest is None:
            self._oldest = received
        if self._next_oldest is None:
            self._next_oldest = received
        for event in events:
            self._last[event.source, event.job_id] = event.id
        future.add_done_callback(partial(self._put_ended, rows, size))
        return future

    async def read(self, after: Cursor, limit: int) -> Chunk | None:
        """Return up to `limit` events and as many dead letters behind a cursor; None if there are none yet.

        Raises:
            LogUnavailableError: the file can't be read.
        """
        writes = self._writes
        chunk = await self._log.query(partial(_read, after, limit))
        if chunk.events or chunk.letters:
            return chunk
        if self._writes == writes:
            self._written.clear()
        return None

    async def wait_for_more(self) -> None:
        """Return once something was written since `read` found nothing."""
        await self._written.wait()

    async def remove(self, chunks: Sequence[Chunk]) -> None:
        """Remove what Kafka has: the oldest rows there are.

        Raises:
            LogUnavailableError: it could not be removed, and is there still.
        """
        offset, number = chunks[-1].end
        puts, self._next_oldest = self._puts, None
        oldest = await self._log.transact(partial(_remove, offset, number))
        self._full = False
        for chunk in chunks:
            for _, _, event in chunk.events:
                if self._last.get((event.source, event.job_id)) == event.id:
                    del self._last[event.source, event.job_id]
            self._events -= len(chunk.events) + len(chunk.letters)
            self._bytes -= _bytes([one.event for one in chunk.events])
            self._bytes -= _bytes([one.letter for one in chunk.letters])
        # Where nothing was left, what came meanwhile is the oldest, though it may not be written yet.
        self._oldest = self._next_oldest if oldest is None and self._events > 0 else oldest
        if oldest is None and not self._writing and self._puts == puts:
            self._forget_marks()

    async def close(self) -> None:
        """Sync what waits, and let go of the file."""
        await self._log.close()

    def _put_ended(self, rows: int, size: int, future: asyncio.Future[None]) -> None:
        self._writing -= 1
        self._writes += 1
        self._written.set()
        if future.cancelled() or future.exception() is not None:
            self._events -= rows
            self._bytes -= size
            if self._events == 0 and not self._writing:
                # Kafka may be back before the disk: nothing must wait for a spool that has nothing to drain.
                self._forget_marks()

    def _forget_marks(self) -> None:
        """With nothing here or on its way, let what failed to be written hold back nothing."""
        self._events, self._bytes, self._oldest = 0, 0, None
        self._last.clear()


def _bytes(rows: Sequence[Event] | Sequence[DeadLetter]) -> int:
    return sum([ROW_BYTES + len(row.body) + len(row.job_id or "") for row in rows])


def _contents(rows: Rows) -> _Contents:
    execute = rows.connection.execute
    counted = [
        execute(
            f"SELECT count(*), coalesce(sum({ROW_BYTES} + length(body) + coalesce(length(job_id), 0)), 0),"  # noqa: S608 - names from here
            f" min(received) FROM {table}"
        ).fetchone()
        for table in ("events", "dead_letters")
    ]
    received = [row[2] for row in counted if row[2] is not None]
    # With max(), SQLite takes the other columns from the row that has it.
    last = {
        (source, job_id): EventId(receiver, boot, sequence)
        for source, job_id, receiver, boot, sequence, _ in execute(
            "SELECT source, job_id, receiver, boot, sequence, max(offset)"
            " FROM events JOIN origins ON origins.number = events.origin GROUP BY source, job_id"
        )
    }
    return _Contents(
        sum(row[0] for row in counted),
        sum(row[1] for row in counted),
        from_microseconds(min(received)) if received else None,
        last,
    )


def _read(after: Cursor, limit: int, rows: Rows) -> Chunk:
    events = rows.events(after.offset, limit)
    letters = rows.letters("WHERE number > ? ORDER BY number LIMIT ?", after.number, limit)
    end = Cursor(
        events[-1].offset if events else after.offset, letters[-1].number if letters else after.number
    )
    return Chunk(events, letters, end)


def _remove(offset: int, number: int, transaction: Transaction) -> float | None:
    """Remove rows; return when the oldest one that is left was received."""
    execute = transaction.connection.execute
    execute("DELETE FROM events WHERE offset <= ?", (offset,))
    execute("DELETE FROM dead_letters WHERE number <= ?", (number,))
    oldest = [
        row[0]
        for row in (
            execute("SELECT received FROM events ORDER BY offset LIMIT 1").fetchone(),
            execute("SELECT received FROM dead_letters ORDER BY number LIMIT 1").fetchone(),
        )
        if row is not None
    ]
    return from_microseconds(min(oldest)) if oldest else None
