"""The embedded log: one SQLite file, safe against power cuts, readable by any SQLite client.

Why a reader never finds offset n+1 before n: offsets are given inside a transaction that holds
SQLite's write lock from its BEGIN IMMEDIATE to its COMMIT, in this process (one writer thread) and in
any other. So transactions commit in the order of their offsets, and a reader sees whole transactions,
and each only after its sync. AUTOINCREMENT never gives an offset again, also after its event expired.
"""

import asyncio
import itertools
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from monitor.errors import LogOverloadedError, LogUnavailableError
from monitor.event import Channel, Event, EventId, Stored, Vendor
from monitor.log import bulk, sqlite_file
from monitor.log.cloudevents import from_microseconds, to_microseconds
from monitor.log.protocol import DeadLetter, StoredLetter, StoredLetters
from monitor.log.sqlite_schema import (
    LOG,
    SELECT_EVENTS,
    SELECT_HISTORY,
    SELECT_LETTERS,
    WINDOW_BITS,
    Origin,
    stored_letter,
    stream_number,
)
from monitor.log.sqlite_writer import Append, Chore, Settled, Transaction, Writer, newest_offset

T = TypeVar("T")

MAX_WAITING = 20_000
"""Rows that may wait for their commit; a source of more is told to come again."""

EXPIRY_SLICE = 1000
"""Rows removed in one transaction: a few ms, which a callback's commit may have to wait."""

FOREIGN_APPEND_SECONDS = 1.0
"""How long an append by another process (a retried dead letter) may stay unseen by `wait_beyond`."""

_HISTORY_WINDOWS = 256
_LAST_OFFSET = 2**63 - 1


class _Identity(NamedTuple):
    log: str
    receiver: str
    boot: int


class SqliteLog:
    """An EventLog and its DeadLetters in one file; made by `open` or `open_reader`.

    It belongs to the event loop that opened it. `waiting` is the number of rows that wait for their
    commit; `log_id` names the file's contents for as long as the file lives.
    """

    def __init__(
        self, path: Path, identity: _Identity, head: int, writer: Writer | None, max_waiting: int
    ) -> None:
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
        self._writer = writer
        # Two, so that somebody who browses a stream's history doesn't hold up the worker.
        self._reader = _Reader(path)
        self._browser = _Reader(path)

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        receiver: str | None = None,
        max_waiting: int = MAX_WAITING,
        max_bytes: int | None = None,
    ) -> "SqliteLog":
        """Open the log for a service, making it if it isn't there; counts as a start of the receiver.

        Args:
            path: the file; its folders are made.
            receiver: whose ids `next_id` gives; by default the name that the file got when it was made.
                A command beside a running service must take a name of its own.
            max_waiting: rows that may wait for their commit.
            max_bytes: the file's greatest size; by default the disk's.

        Raises:
            LogUnavailableError: it can't be opened, or was written by a newer version.
        """
        identity, head = await asyncio.to_thread(_start, path, receiver)
        loop = asyncio.get_running_loop()
        log = cls(path, identity, head, None, max_waiting)
        log._writer = Writer(path, max_bytes, partial(_tell, loop, log._settled))
        return log

    @classmethod
    async def open_reader(cls, path: Path) -> "SqliteLog":
        """Open a log that is there, to look at it: it is no start of a receiver, and nothing can be added.

        Raises:
            LogUnavailableError: it can't be opened, or was written by a newer version.
        """
        identity, head = await asyncio.to_thread(_look, path)
        return cls(path, identity, head, None, MAX_WAITING)
