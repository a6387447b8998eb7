"""The one thread that writes to the embedded log: what waits together shares one transaction and one sync.

Why one thread: SQLite has one writer at a time anyway, and while it syncs, the next appends gather; the
slower the disk, the more share a sync. An append costs the event loop a queue entry and a future.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from monitor.errors import LogUnavailableError
from monitor.event import Event
from monitor.log import bulk, sqlite_file
from monitor.log.protocol import DeadLetter
from monitor.log.sqlite_schema import (
    EVENT_COLUMNS,
    INSERT_EVENTS,
    INSERT_LETTERS,
    LETTER_COLUMNS,
    EventRow,
    event_row,
    letter_row,
    newest_offset,
)

ROWS_A_COMMIT = 2000
"""So that a commit stays short when much has gathered: about 20 ms."""

TRY_SECONDS = 1.0
"""After a failure, how long nothing may come until the writer tries by itself."""

TRY_BYTES = 32 * 1024
"""What it tries to write: on a full disk there is room for less, where a commit that failed had got it."""

OriginKey = tuple[str, str, str, str, str]


class Append(NamedTuple):
    """Events and dead letters to be kept together, one at least. future: the event loop's, for its end."""

    events: Sequence[Event]
    dead_letters: Sequence[DeadLetter]
    future: asyncio.Future[None]

    @property
    def rows(self) -> int:
        """How many rows it makes."""
        return len(self.events) + len(self.dead_letters)

    @property
    def source(self) -> str:
        """Whose turn it takes."""
        return self.events[0].source if self.events else self.dead_letters[0].source


class Chore(NamedTuple):
    """Work in a transaction of its own, done when no append is taken; one between two commits."""

    work: Callable[["Transaction"], Any]
    future: asyncio.Future[Any]


class Settled(NamedTuple):
    """How appends, or one chore, ended. rows: of appends. head: the log's newest offset, if it has moved."""

    futures: list[asyncio.Future[Any]]
    rows: int
    head: int | None
    result: Any = None
    error: Exception | None = None


class Backlog:
    """Appends that don't fit one commit: each source in its order, and the sources in turn."""

    def __init__(self) -> None:
        self._by_source: dict[str, deque[Append]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_source)

    def add(self, append: Append) -> None:
        """Queue an append behind those of its source."""
        self._by_source.setdefault(append.source, deque()).append(append)

    def take(self, rows: int) -> list[Append]:
        """Take one append of each source in turn until there are that many rows; at least one append."""
        taken: list[Append] = []
        while self._by_source and rows > 0:
            source, queue = next(iter(self._by_source.items()))
            if taken and queue[0].rows > rows:
                break
            taken.append(queue.popleft())
            rows -= taken[-1].rows
            # To the end of the turns, or out of them.
            del self._by_source[source]
            if queue:
                self._by_source[source] = queue
        return taken


class Transaction:
    """The write connection, and the origins it knows; what a chore gets to work with."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._origins: dict[OriginKey, int] = {}

    def insert_events(self, rows: list[EventRow]) -> int | None:
        """Insert rows of events; return the last one's offset."""
        return bulk.insert(self.connection, INSERT_EVENTS, EVENT_COLUMNS, rows)

    def row(self, event: Event) -> EventRow:
        """Return an event's row. An origin that is new gets its number: one without events does no harm."""
        # The enums' own hash is a Python function, their texts' is not.
        key = event.id[0], event.vendor._value_, event.source, event.channel._value_, event.type
        origin = self._origins.get(key)
        if origin is None:
            origin = self._origins[key] = self._number_origin(key)
        return event_row(event, origin)

    def _number_origin(self, key: OriginKey) -> int:
        self.connection.execute(
            "INSERT OR IGNORE INTO origins (receiver, vendor, source, channel, type) VALUES (?, ?, ?, ?, ?)",
            key,
        )
        row = self.connection.execute(
            "SELECT number FROM origins WHERE (receiver, vendor, source, channel, type) = (?, ?, ?, ?, ?)",
            key,
        ).fetchone()
        number: int = row[0]
        return number


class Writer:
    """Takes appends and chores from the event loop and settles each after its commit.

    Args:
        path: the log's file.
        max_bytes: the file's greatest size, None for the disk's; beyond it appends fail as on a full disk.
        settle: called in this thread with what has ended.
    """

    def __init__(self, path: Path, max_bytes: int | None, settle: Callable[[Settled], None]) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._settle = settle
        self._incoming: SimpleQueue[Append | Chore | None] = SimpleQueue()
        self._fresh: list[Append] = []
        self._backlog = Backlog()
        self._chores: deque[Chore] = deque()
        self._stopping = False
        self._transaction: Transaction | None = None
        self._file = sqlite_file.identity(path)
        self._wal_path = path.with_name(f"{path.name}-wal")
        self._wal: tuple[int, int] | None = None
        # Stays open, so that SQLite itself removes no write-ahead log before the end.
        self._anchor: sqlite3.Connection | None = None
        self.commits = 0
        self._failed = False
        # A daemon, so that a process that forgets to close can end: commits are whole or not at all.
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def failing(self) -> bool:
        """Whether the storage failed the last transaction, or will fail the next: it isn't the same file."""
        return self._failed or sqlite_file.identity(self._path) != self._file or self._is_wal_gone()

    def put(self, item: Append | Chore) -> None:
        """Hand something over; it settles later."""
        self._incoming.put(item)

    def stop(self) -> None:
        """End after all that was put before."""
        self._incoming.put(None)

    def join(self) -> None:
        """Wait for the thread's end."""
        self._thread.join()

    def _run(self) -> None:
        while self._receive():
            if appends := self._next_appends():
                self._commit(appends)
            if self._chores:
                self._do(self._chores.popleft())
        self._close()

    def _receive(self) -> bool:
        """Take in all that has come, waiting if there is nothing to do; False at the end."""
        idle = not (self._backlog or self._chores)
        if idle and self._stopping:
            return False
        # This thread alone takes, so what qsize counts is there.
        for _ in range(max(self._incoming.qsize(), 1 if idle else 0)):
            try:
                item = self._incoming.get(timeout=TRY_SECONDS if self._failed else None)
            except Empty:
                self._try()
                continue
            if item is None:
                self._stopping = True
            elif type(item) is Append:
                self._fresh.append(item)
            else:
                assert isinstance(item, Chore)
                self._chores.append(item)
        return True

    def _next_appends(self) -> list[Append]:
        fresh, self._fresh = self._fresh, []
        if not self._backlog and sum([append.rows for append in fresh]) <= ROWS_A_COMMIT:
            return fresh
        for append in fresh:
            self._backlog.add(append)
        return self._backlog.take(ROWS_A_COMMIT)

    def _commit(self, appends: list[Append]) -> None:
        futures, rows = [append.future for append in appends], sum([append.rows for append in appends])
        try:
            head = self._write(appends)
        except Exception as error:
            self._roll_back(error)
            if not _is_storage_failure(error) and len(appends) > 1:
                # One of them holds what can't be stored; the others must not pay for it.
                for append in appends:
                    self._commit([append])
            else:
                self._settle(Settled(futures, rows, None, error=self._named(error)))
        else:
            self.commits += 1
            self._failed = False
            self._settle(Settled(futures, rows, head))

    def _write(self, appends: list[Append]) -> int | None:
        transaction = self._open()
        events = [transaction.row(event) for append in appends for event in append.events]
        letters = [letter_row(letter) for append in appends for letter in append.dead_letters]
        if len(events) <= bulk.CHUNK and not letters:
            # One statement is a transaction by itself, and each statement less is a wait less.
            return transaction.insert_events(events)
        transaction.connection.execute("BEGIN IMMEDIATE")
        head = transaction.insert_events(events)
        bulk.insert(transaction.connection, INSERT_LETTERS, LETTER_COLUMNS, letters)
        transaction.connection.execute("COMMIT")
        return head

    def _do(self, chore: Chore) -> None:
        try:
            transaction = self._open()
            transaction.connection.execute("BEGIN IMMEDIATE")
            result = chore.work(transaction)
            head = newest_offset(transaction.connection)
            transaction.connection.execute("COMMIT")
        except Exception as error:
            self._roll_back(error)
            self._settle(Settled([chore.future], 0, None, error=self._named(error)))
        else:
            self._failed = False
            self._settle(Settled([chore.future], 0, head, result))

    def _try(self) -> None:
        """Find out whether the storage is well again: whoever goes by `/readyz` sends nothing until then."""
        try:
            connection = self._open().connection
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('tried', zeroblob(?))", (TRY_BYTES,))
            connection.execute("DELETE FROM meta WHERE key = 'tried'")
        except Exception as error:
            self._roll_back(error)
        else:
            self._failed = False

    def _open(self) -> Transaction:
        if sqlite_file.identity(self._path) != self._file:
            # What is written to a file without a name is gone with the process, however well it is synced.
            raise sqlite3.OperationalError(sqlite_file.ANOTHER_FILE)
        if self._is_wal_gone():
            # What was acknowledged is in a file without a name, unless it is moved into the database.
            self._checkpoint("FULL")
            raise sqlite3.OperationalError("the -wal beside it was removed or replaced; restart the service")
        if self._transaction is None:
            self._transaction = Transaction(self._connect(self._limit_size))
        if self._anchor is None:
            self._anchor = self._connect(newest_offset)
            self._wal = sqlite_file.inode(self._wal_path)
        return self._transaction

    def _connect(self, begin: Callable[[sqlite3.Connection], object]) -> sqlite3.Connection:
        return sqlite_file.connect(self._path, synchronous="FULL", create=False, begin=begin)

    def _limit_size(self, connection: sqlite3.Connection) -> None:
        if self._max_bytes is not None:
            page_size = connection.execute("PRAGMA page_size").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {max(1, self._max_bytes // page_size)}")

    def _is_wal_gone(self) -> bool:
        return self._wal is not None and sqlite_file.inode(self._wal_path) != self._wal

    def _roll_back(self, error: Exception) -> None:
        """Leave no transaction open; after a failure of the storage the next append opens the file anew."""
        self._failed = _is_storage_failure(error)
        transaction, self._transaction = self._transaction, None
        if transaction is None:
            return
        try:
            if transaction.connection.in_transaction:
                transaction.connection.execute("ROLLBACK")
            if _is_storage_failure(error):
                transaction.connection.close()
            else:
                # Origins numbered in the transaction went with it.
                self._transaction = Transaction(transaction.connection)
        except sqlite3.Error:
            transaction.connection.close()

    def _named(self, error: Exception) -> Exception:
        if _is_storage_failure(error):
            unavailable = LogUnavailableError(sqlite_file.told(self._path, error))
            unavailable.__cause__ = error
            return unavailable
        return error

    def _close(self) -> None:
        """Let go of the file, so that the next start finds nothing to do."""
        self._checkpoint("TRUNCATE")
        if self._transaction is not None:
            self._transaction.connection.close()
        if self._anchor is not None:
            self._anchor.close()

    def _checkpoint(self, mode: str) -> None:
        """Move the WAL into the file, if that is still the one."""
        if self._anchor is None or sqlite_file.identity(self._path) != self._file:
            return
        # Where it can't be, all of it is durable where it is; the next start reads it from there.
        with contextlib.suppress(sqlite3.Error):
            self._anchor.execute(f"PRAGMA wal_checkpoint({mode})")


def _is_storage_failure(error: Exception) -> bool:
    """Whether SQLite or its disk failed, rather than a value that can't be stored."""
    return isinstance(error, sqlite3.Error) and not isinstance(
        error, sqlite3.DataError | sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.InterfaceError
    )
