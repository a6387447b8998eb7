"""What the connections of one server share: how many there may be, which of them rest, and their end."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from contextlib import suppress
from email.utils import formatdate
from typing import Any, Protocol

import structlog

from monitor.clock import Seldom, SystemClock

REPEAT_SECONDS = 60.0
"""That connections are refused is logged once in this time."""

SPARED_SECONDS = 2.0
"""How long a server that ends waits for what clients have yet to send or to take: a vendor's is there."""

_log = structlog.get_logger(__name__)


class Connection(Protocol):
    """A connection, as far as others have to do with it."""

    is_inside_head: bool

    def close(self) -> None:
        """Close behind what was written."""

    def abort(self) -> None:
        """Close at once."""

    def give_way(self) -> None:
        """Close for the sake of another connection."""

    def shut_down(self) -> None:
        """Close once what is under way is answered."""


class Connections:
    """The connections of one server; they belong to the running event loop.

    Args:
        most: how many there may be at once.
        header_timeout: seconds that a client may take over the head of a request.
        keep_alive: seconds that a connection may rest between two requests.
        address: where the server listens, for the log.
        note_refused: hears why the server itself refused what came on one of them.
    """

    def __init__(
        self,
        most: int,
        header_timeout: float,
        keep_alive: float,
        address: str,
        note_refused: Callable[[str], None],
    ) -> None:
        self.header_timeout = header_timeout
        self.note_refused = note_refused
        self.stopping = asyncio.Event()
        """Set once the server stops, for answers without an end."""
        self.is_crowded = False
        """Whether one had to be refused, and since then there is no room for another."""
        self._most, self._keep_alive, self._address = most, keep_alive, address
        self._telling = Seldom(REPEAT_SECONDS)
        self._loop = asyncio.get_running_loop()
        self._open: set[Connection] = set()
        # Those without a request under way, the one that is so for longest first.
        self._resting: dict[Connection, float] = {}
        # Those inside a body, and those whose client leaves unread what is written; so for longest first.
        self._arriving: dict[Connection, None] = {}
        self._unread: dict[Connection, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._requests: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._clock = SystemClock()
        self._date, self._date_until = b"", -math.inf

    def admit(self, connection: Connection) -> bool:
        """Count a new connection; of too many one that can be spared gives way, or else this one must."""
        self._open.add(connection)
        self._empty.clear()
        if len(self._open) <= self._most or self._make_room():
            return True
        self.is_crowded = True
        if self._telling.is_due():
            _log.warning("connections refused", address=self._address, most=self._most)
        return False

    def forget(self, connection: Connection) -> None:
        """Note that a connection is gone."""
        self._open.discard(connection)
        self._spare_no_more(connection)
        if len(self._open) < self._most:
            self.is_crowded = False
        if not self._open:
            self._empty.set()

    def rests(self, connection: Connection) -> None:
        """Note that no request is under way on a connection."""
        self._arriving.pop(connection, None)
        self._resting[connection] = self._loop.time()
        # One timer for all of them: one for each would be made and taken back with each request.
        if self._timer is None:
            self._timer = self._loop.call_later(self._keep_alive, self._look)

    def works(self, connection: Connection) -> None:
        """Note that a request is under way on a connection."""
        self._resting.pop(connection, None)

    def arrives(self, connection: Connection) -> None:
        """Note that the body of the request that is under way is not here yet."""
        self._arriving[connection] = None

    def arrived(self, connection: Connection) -> None:
        """Note that it is."""
        self._arriving.pop(connection, None)

    def leaves_unread(self, connection: Connection) -> None:
        """Note that a client takes less than is written to it."""
        self._unread[connection] = None

    def reads(self, connection: Connection) -> None:
        """Note that it has taken most of it."""
        self._unread.pop(connection, None)

    def run(self, request: Coroutine[Any, Any, None]) -> None:
        """Run what answers a request; the server's end waits for it."""
        task = self._loop.create_task(request)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    def date(self) -> bytes:
        """Return the header line that tells the time."""
        now = self._loop.time()
        if now >= self._date_until:
            seconds = self._clock.now()
            self._date = f"date: {formatdate(seconds, usegmt=True)}\r\n".encode()
            self._date_until = now + 1 - seconds % 1
        return self._date

    async def end(self, seconds: float) -> None:
        """Let what is under way be answered, and close all; end what takes longer.

        While this waits nobody takes the next callbacks, so who holds back a body, or reads no answer, isn't
        waited for as long as a request that is here.
        """
        self.stopping.set()
        steps = (
            (self._shut_down_all, min(seconds, SPARED_SECONDS)),
            (self._spare_none, seconds),
            (self._end_all, seconds),
        )
        try:
            for close, longest in steps:
                close()
                with suppress(TimeoutError):
                    async with asyncio.timeout(longest):
                        await self._empty.wait()
                        await asyncio.gather(*self._requests, return_exceptions=True)
                        return
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _shut_down_all(self) -> None:
        for connection in list(self._open):
            connection.shut_down()

    def _spare_none(self) -> None:
        for connection in [*self._unread, *self._arriving]:
            self._spare_no_more(connection)
            connection.give_way()

    def _end_all(self) -> None:
        for task in self._requests:
            task.cancel()
        for connection in list(self._open):
            connection.abort()

    def _make_room(self) -> bool:
        """Close one that can be spared, if any: strangers who only hold them must not keep the vendor out.

        No vendor leaves its answers unread, so such a client is the first to go. The one that has been
        inside a body for longest is a stranger too, since a vendor's takes milliseconds; but where many
        vendors' connections rest, one of those costs no callback.
        """
        for spare in (self._unread, self._resting, self._arriving):
            longest = next(iter(spare), None)
            if longest is not None:
                self._spare_no_more(longest)
                longest.give_way()
                return True
        return False

    def _spare_no_more(self, connection: Connection) -> None:
        for spare in (self._unread, self._resting, self._arriving):
            spare.pop(connection, None)

    def _look(self) -> None:
        """Close those that rest for too long, and look again when the next one will."""
        self._timer = None
        now = self._loop.time()
        for connection, since in list(self._resting.items()):
            if since + self._keep_alive > now:
                self._timer = self._loop.call_at(since + self._keep_alive, self._look)
                return
            # Inside a head its own deadline runs.
            if not connection.is_inside_head:
                del self._resting[connection]
                connection.close()
