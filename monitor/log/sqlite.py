"""The embedded log: one SQLite file, safe against power cuts, readable by any SQLite client.

Why a reader never finds offset n+1 before n: offsets are given inside a transaction that holds
SQLite's write lock from its BEGIN IMMEDIATE to its COMMIT, in this process (one writer thread) and in
any other. So transactions commit in the order of their offsets, and a reader sees whole transactions,
and each only after its sync. AUTOINCREMENT never gives an offset again, also after its event expired.
"""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from copy import copy
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from monitor.errors import LogOverloadedError, LogUnavailableError
from monitor.event import Event, EventId, Stored
from monitor.log import sqlite_file
from monitor.log.cloudevents import to_microseconds
from monitor.log.protocol import DeadLetter, Heard, Past, StoredLetter, StoredLetters
from monitor.log.sqlite_file import Kind
from monitor.log.sqlite_reader import LAST_PLACE, Reader, Rows
from monitor.log.sqlite_schema import LOG, newest_offset
from monitor.log.sqlite_writer import Append, Chore, Settled, Transaction, Writer

T = TypeVar("T")

MAX_WAITING = 20_000
"""Rows that may wait for their commit; a source of more is told to come again."""

EXPIRY_SLICE = 1000
"""Rows removed in one transaction: a few ms, which a callback's commit may have to wait."""

FOREIGN_APPEND_SECONDS = 1.0
"""How long an append by another process (a retried dead letter) may stay unseen by `wait_beyond`."""


class _Identity(NamedTuple):
    log: str
    receiver: str
    boot: int


class SqliteLog:
    """An EventLog and its DeadLetters in one file; made by `open` or `open_reader`.

    It belongs to the event loop that opened it. `waiting` is the number of rows that wait for their
    commit; `log_id` names the file's contents for as long as the file lives.
    """

    def __init__(self, path: Path, identity: _Identity, head: int, max_waiting: int) -> None:
        self.path = path
        self.log_id = identity.log
        self.waiting = 0
        self._receiver, self._boot = identity.receiver, identity.boot
        self._sequence = itertools.count(1)
        self._head = head
        self._max_waiting = max_waiting
        self._loop = asyncio.get_running_loop()
        self._watchers: set[asyncio.Future[None]] = set()
        self._closed = False
        self._writer: Writer | None = None
        # Two, so that somebody who browses a stream's history doesn't hold up the worker.
        self._reader = Reader(path)
        self._browser = Reader(path)

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        receiver: str | None = None,
        max_waiting: int = MAX_WAITING,
        max_bytes: int | None = None,
        kind: Kind = LOG,
    ) -> "SqliteLog":
        """Open the log for a service, making it if it isn't there; counts as a start of the receiver.

        Args:
            path: the file; its folders are made.
            receiver: whose ids `next_id` gives; by default the name that the file got when it was made.
                A command beside a running service must take a name of its own.
            max_waiting: rows that may wait for their commit.
            max_bytes: the file's greatest size; by default the disk's.
            kind: what the file is; all kinds have the log's tables.

        Raises:
            LogUnavailableError: it can't be opened, or was written by a newer version.
        """
        identity, head = await asyncio.to_thread(_start, path, receiver, kind)
        loop = asyncio.get_running_loop()
        log = cls(path, identity, head, max_waiting)
        log._writer = Writer(path, max_bytes, partial(_tell, loop, log._settled))
        return log

    @classmethod
    async def open_reader(cls, path: Path) -> "SqliteLog":
        """Open a log that is there, to look at it: it is no start of a receiver, and nothing can be added.

        Raises:
            LogUnavailableError: it can't be opened, or was written by a newer version.
        """
        identity, head = await asyncio.to_thread(_look, path)
        return cls(path, identity, head, MAX_WAITING)

    @property
    def commits(self) -> int:
        """How many transactions the appends since `open` took; each was one sync."""
        return 0 if self._writer is None else self._writer.commits

    @property
    def refusing(self) -> bool:
        """Whether the storage failed last time, or the file isn't the one that was opened."""
        return self._writer is not None and self._writer.failing

    @property
    def known_head(self) -> int:
        """The offset of the newest event that was durable at the last read, or became so here since."""
        return self._head

    def next_id(self) -> EventId:
        """Return an id that no other event has, greater than all that this receiver gave before."""
        return EventId(self._receiver, self._boot, next(self._sequence))

    async def append(self, events: Sequence[Event], dead_letters: Sequence[DeadLetter] = ()) -> None:
        """Keep all of it or nothing; it is durable on return.

        Raises:
            LogOverloadedError: too much is waiting already; nothing was kept.
            LogUnavailableError: it could not be made durable; nothing was acknowledged.
            ValueError: a text that UTF-8 can't carry; nothing was kept.
        """
        if events or dead_letters:
            await self.put(events, dead_letters)

    def put(self, events: Sequence[Event], dead_letters: Sequence[DeadLetter] = ()) -> asyncio.Future[None]:
        """Take what is to be kept, one row at least; the future is done, or fails, as `append` would.

        Puts become durable in the order of the calls, as far as they are of one source.

        Raises:
            LogOverloadedError: too much is waiting already; nothing was taken.
            LogUnavailableError: the log is closed, or was opened to be read only.
        """
        writer = self._open_writer()
        rows = len(events) + len(dead_letters)
        if self.waiting + rows > self._max_waiting:
            raise LogOverloadedError(
                f"{self.path}: {self.waiting} events wait for the disk, and {self._max_waiting} may"
            )
        self.waiting += rows
        future: asyncio.Future[None] = self._loop.create_future()
        writer.put(Append(events, dead_letters, future))
        return future

    async def read(self, after: int, limit: int) -> list[Stored]:
        """Return up to `limit` events in order of offset, beginning behind the offset `after`."""
        # The head in the same query: each one takes a turn of the thread, which costs more than it finds.
        events, head = await self.query(lambda rows: (rows.events(after, limit), rows.head()))
        self._advance(head)
        return events

    async def head(self) -> int:
        """Return the offset of the newest durable event, 0 if there never was one."""
        self._advance(await self.query(lambda rows: rows.head()))
        return self._head

    async def wait_beyond(self, offset: int) -> None:
        """Return once an event with a greater offset is durable."""
        while self._head <= offset:
            self._refuse_closed()
            watcher: asyncio.Future[None] = self._loop.create_future()
            self._watchers.add(watcher)
            try:
                async with asyncio.timeout(FOREIGN_APPEND_SECONDS):
                    await watcher
            except TimeoutError:
                await self.head()
            finally:
                self._watchers.discard(watcher)

    async def history(
        self,
        source: str,
        job_id: str,
        before: int | None,
        limit: int,
        heard: Heard | None = None,  # noqa: ARG002
    ) -> Past:
        """Return up to `limit` events of one stream, newest first, below the offset `before` if given.

        An index finds them, whatever is known of when the stream was heard of.
        """
        found = await self._browser.run(lambda rows: rows.history(source, job_id, before, limit))
        return Past(found, found[-1].offset if len(found) == limit else None)

    async def list(self, limit: int, before: int | None) -> StoredLetters:
        """Return up to `limit` dead letters, newest first, below the number `before` if given."""
        below = LAST_PLACE if before is None else before
        return await self._browser.run(
            lambda rows: rows.letters("WHERE number < ? ORDER BY number DESC LIMIT ?", below, limit)
        )

    async def show(self, number: int) -> StoredLetter | None:
        """Return one dead letter, None if there is no such number."""
        found = await self._browser.run(lambda rows: rows.letters("WHERE number = ?", number))
        return found[0] if found else None

    async def retry(self, number: int, event: Event) -> None:
        """Append the event that a dead letter turned out to be, and remove the letter: both or neither.

        Raises:
            LookupError: there is no such letter (any more); nothing was appended.
            LogUnavailableError: it could not be made durable; the letter stays.
        """
        await self.transact(partial(_retry, number, event))

    async def remove_expired(self, older_than: float, folded_up_to: int) -> int:
        """Remove events and dead letters received before `older_than`; return how many went.

        An event behind the offset `folded_up_to` stays, however old it is. Goes in slices, between
        the commits of appends, and ends at the first slice in which nothing had expired.
        """
        age, removed = to_microseconds(older_than), 0
        for table, place, last in (
            ("events", "offset", folded_up_to),
            ("dead_letters", "number", LAST_PLACE),
        ):
            after, gone = 0, 1
            while gone:
                after, gone = await self.transact(partial(_remove_slice, table, place, after, last, age))
                removed += gone
        return removed

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        """Do work in the writer's thread, in a transaction of its own between the appends' commits."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._open_writer().put(Chore(work, future))
        return await future

    async def query(self, query: Callable[[Rows], T]) -> T:
        """Return what a query finds, in a thread that reads beside the writer."""
        return await self._reader.run(query)

    async def close(self) -> None:
        """Make durable what waits, then let go of everything; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        for watcher in self._watchers:
            if not watcher.done():
                watcher.set_result(None)
        if self._writer is not None:
            self._writer.stop()
            await asyncio.to_thread(self._writer.join)
        await self._reader.close()
        await self._browser.close()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise LogUnavailableError(f"{self.path}: the log is closed")

    def _open_writer(self) -> Writer:
        self._refuse_closed()
        if self._writer is None:
            raise LogUnavailableError(f"{self.path}: the log was opened to be read only")
        return self._writer

    def _settled(self, settled: Settled) -> None:
        """Hear from the writer how something ended; once for all that shared a commit."""
        self.waiting -= settled.rows
        error = settled.error
        for future in settled.futures:
            # Who gave up waiting has cancelled it.
            if future.done():
                continue
            if error is None:
                future.set_result(settled.result)
            else:
                # One each: every raise adds to an exception's traceback.
                future.set_exception(copy(error))
        if settled.head is not None:
            self._advance(settled.head)

    def _advance(self, head: int) -> None:
        if head > self._head:
            self._head = head
            for watcher in self._watchers:
                if not watcher.done():
                    watcher.set_result(None)


def _start(path: Path, receiver: str | None, kind: Kind) -> tuple[_Identity, int]:
    """Count a start of the receiver; return what the log is, and its head."""
    sqlite_file.prepare(path, kind)
    with (
        sqlite_file.named_failures(path),
        closing(sqlite_file.connect(path, synchronous="FULL")) as connection,
    ):
        with sqlite_file.transaction(connection):
            for key, size in (("log", 8), ("receiver", 4)):
                # Drawn once in the file's life, so that no two files have the same.
                connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, secrets.token_hex(size)))
            meta = dict(connection.execute("SELECT key, value FROM meta"))
            name = receiver or meta["receiver"]
            boot = connection.execute(
                "INSERT INTO receivers VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET boot = boot + 1"
                " RETURNING boot",
                (name,),
            ).fetchone()[0]
        return _Identity(meta["log"], name, boot), newest_offset(connection)


def _look(path: Path) -> tuple[_Identity, int]:
    """Return what a log is, and its head; change nothing."""
    with (
        sqlite_file.named_failures(path),
        closing(sqlite_file.connect(path, synchronous="FULL", create=False)) as connection,
    ):
        sqlite_file.check(connection, path, LOG)
        meta = dict(connection.execute("SELECT key, value FROM meta"))
        return _Identity(meta["log"], meta["receiver"], 0), newest_offset(connection)


def _retry(number: int, event: Event, transaction: Transaction) -> None:
    deleted = transaction.connection.execute("DELETE FROM dead_letters WHERE number = ?", (number,))
    if deleted.rowcount == 0:
        raise LookupError(f"there is no dead letter {number}; was it retried already?")
    # Where another command of the same name has begun since, its ids may be in the log already: a stream
    # that saw one of them would take this event's for known.
    for (boot,) in transaction.connection.execute(
        "UPDATE receivers SET boot = boot + 1 WHERE name = ? AND boot > ? RETURNING boot",
        (event.id.receiver, event.id.boot),
    ).fetchall():
        event = event._replace(id=event.id._replace(boot=boot))
    transaction.insert_events([transaction.row(event)])


def _remove_slice(
    table: str, place: str, after: int, last: int, age: int, transaction: Transaction
) -> tuple[int, int]:
    """Remove what expired in the next slice; return the slice's last place and how many went."""
    execute = transaction.connection.execute
    upto = execute(
        f"SELECT max({place}) FROM (SELECT {place} FROM {table}"  # noqa: S608 - names from this module
        f" WHERE {place} > ? AND {place} <= ? ORDER BY {place} LIMIT ?)",
        (after, last, EXPIRY_SLICE),
    ).fetchone()[0]
    if upto is None:
        return after, 0
    removed = execute(
        f"DELETE FROM {table} WHERE {place} > ? AND {place} <= ? AND received < ?",  # noqa: S608 - as above
        (after, upto, age),
    )
    return upto, removed.rowcount


def _tell(loop: asyncio.AbstractEventLoop, settle: Callable[[Settled], None], settled: Settled) -> None:
    """Hand over to the event loop; a loop that was closed without closing the log has nobody waiting."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(settle, settled)
