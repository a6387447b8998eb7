"""HTTP/1.1 for ASGI applications that strangers can reach: httptools parses, and here are the limits.

How long a client may take over a request's head, and how large the head gets; how many connections there may
be, of which those that can be spared give way; what an application leaves unread, and a client unread. A body
of a client that offers to speak another protocol is read as any other.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import httptools
import structlog

from monitor.errors import fault_place
from monitor.http_server.answers import (
    BODY_TOO_SLOW,
    HEAD_TOO_LARGE,
    HEAD_TOO_SLOW,
    NOT_HTTP,
    TOO_MANY_CONNECTIONS,
    Refusal,
)
from monitor.http_server.connections import Connections
from monitor.http_server.exchange import Exchange, Header, Scope
from monitor.http_server.parser import body_parser, new_parser
from monitor.http_server.scope import EXTENSIONS_ONCE_WHOLE, Address, connection_scope, request_scope

Application = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI 3 application."""

MAX_HEAD_BYTES = 65536
"""Request line, headers, chunk framing and trailers of one request: all that isn't its body."""

FRAMING_A_BYTE = 5
"""What a chunk of one byte has around it: a body may come in such chunks."""

PIECE_BYTES = 2048
"""Parsed at once. Most requests are smaller, and what stands behind two of them waits as it came: parsed, a
request of twenty bytes takes a hundred times as much, and time in which the event loop does nothing else."""

_FRAMING = (b"content-length", b"transfer-encoding")
"""The headers that say how long a body is."""

_WHITE_SPACE = b" \t"
"""What may stand around a header's value, and is no part of it."""

_log = structlog.get_logger(__name__)


class HttpProtocol(asyncio.Protocol):
    """One connection: requests one after the other, each answered before the next one's application runs.

    A deadline runs whenever nothing else guards the connection: before the first request, inside a
    head, and while a client still sends a body whose request has been answered. Between requests
    `Connections` looks after it; inside a body the application sets its own deadline. A head
    that arrives in one piece, as nearly all do, costs no timer.

    Args:
        app: answers the requests.
        connections: those of the same server.
    """

    def __init__(self, app: Application, connections: Connections) -> None:
        self.is_full = False
        self.is_inside_head = False
        self._app = app
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._parser = new_parser(self)
        self._transport: asyncio.Transport
        self._shared_scope: Scope
        self._url = b""
        self._headers: list[Header] = []
        self._waits = False
        # The one that arrives or came last; and all that aren't answered, of which the first runs.
        self._exchange: Exchange | None = None
        self._unanswered: deque[Exchange] = deque()
        self._body_is_skipped = False
        self._is_reading = True
        self._is_refusing = False
        self._unparsed = bytearray()
        self._room = asyncio.Event()
        self._overhead = 0
        self._deadline: asyncio.TimerHandle | None = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline; of too many connections one that can be spared gives way, or else this one."""
        self._transport = transport
        client, server = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        stopping = self._connections.stopping
        self._shared_scope = connection_scope(_address(client), _address(server), stopping)
        if not self._connections.admit(self):
            self._close_with(TOO_MANY_CONNECTIONS)
            return
        self._connections.rests(self)
        self._start_deadline()

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell the applications, and let go of all that holds this connection."""
        self._connections.forget(self)
        self._stop_deadline()
        for exchange in self._unanswered:
            exchange.disconnect()
        self._unanswered.clear()
        self._exchange = self._parser = None
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parse what came, as far as its turn has come."""
        if self._unparsed or len(data) > PIECE_BYTES:
            self._unparsed += data
            self._parse_in_pieces()
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        """Parse, then see that something still guards the connection."""
        if self._is_refusing or self._transport.is_closing():
            return
        self._overhead += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse(NOT_HTTP)
            return
        if self._transport.is_closing():
            return
        # Bytes of a pipelined request that came along with the end of the one before were not counted, and
        # most bodies have less framing than they may.
        self._overhead = max(self._overhead, 0)
        if self._overhead > MAX_HEAD_BYTES:
            self._refuse(HEAD_TOO_LARGE if self.is_inside_head else None)
        elif self._deadline is None and self._is_reading and (self.is_inside_head or not self._unanswered):
            self._start_deadline()
        self._note_arrival()

    def _parse_in_pieces(self) -> None:
        while self._unparsed and len(self._unanswered) < 2 and not self._transport.is_closing():
            piece = bytes(self._unparsed[:PIECE_BYTES])
            del self._unparsed[:PIECE_BYTES]
            self._take(piece)
        if self._unparsed:
            self._stop_reading()

    def eof_received(self) -> bool:
        """Go on with whole requests when the client ends its side; return whether there are any.

        It may wait for the answers, or be gone: applications that ask for news are told the latter.
        """
        if self._unparsed:
            rest, self._unparsed = bytes(self._unparsed), bytearray()
            self._take(rest)
        if not self._unanswered or not all(exchange.is_whole for exchange in self._unanswered):
            return False
        self._unanswered[-1].keep_alive = False
        for exchange in self._unanswered:
            exchange.end_client()
        return True

    def pause_writing(self) -> None:
        """Hear that the client takes less than is written."""
        self.is_full = True
        self._room.clear()
        self._connections.leaves_unread(self)

    def resume_writing(self) -> None:
        """Hear that the client has taken most of it, or is gone."""
        self.is_full = False
        self._room.set()
        self._connections.reads(self)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        self.is_inside_head = True
        self._url, self._headers, self._waits = b"", [], False

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes behind a body isn't one, whatever it is called."""
        if not self.is_inside_head:
            return
        name = name.lower()
        # The parser takes white space away in front alone. Behind, it is as rare as the look is cheap.
        if value and value[-1] in _WHITE_SPACE:
            value = value.rstrip(_WHITE_SPACE)
        if name == b"expect":
            self._waits = value.lower() == b"100-continue"
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Stop the deadline: the application takes over, once those of earlier requests are done."""
        self._connections.works(self)
        self.is_inside_head = False
        self._stop_deadline()
        parser, headers = self._parser, self._headers
        self._body_is_skipped = parser.should_upgrade() and any(name in _FRAMING for name, _ in headers)
        version = parser.get_http_version()
        self._exchange = exchange = Exchange(
            self,
            request_scope(self._shared_scope, parser.get_method(), self._url, version, self._headers),
            self._connections.date(),
            keep_alive=version == "1.1"
            and parser.should_keep_alive()
            and not self._connections.stopping.is_set(),
            chunks=version == "1.1",
            # An older client takes the first thing that comes for its answer: RFC 9110, section 10.1.1.
            waits=self._waits and version == "1.1",
        )
        self._unanswered.append(exchange)
        if len(self._unanswered) == 1:
            self._begin(exchange)
        else:
            self._stop_reading()

    def on_body(self, body: bytes) -> None:
        """Hand on a part of the body; it and its framing are off the count of all other bytes."""
        self._overhead -= (1 + FRAMING_A_BYTE) * len(body)
        assert self._exchange is not None
        if not self._exchange.take(body):
            self._stop_reading()

    def on_message_complete(self) -> None:
        """Tell the application, which runs after all that came with the head, and count anew."""
        if self._body_is_skipped:
            return
        assert self._exchange is not None
        self._overhead = 0
        self._connections.arrived(self)
        self._exchange.scope["extensions"] = EXTENSIONS_ONCE_WHOLE
        self._exchange.end_body()

    # What exchanges and the server call.

    def shut_down(self) -> None:
        """Close once what is under way is answered."""
        if self._unanswered:
            self._unanswered[-1].keep_alive = False
        else:
            self.close()

    def write(self, data: bytes) -> None:
        """Send to the client, or keep until it takes more."""
        self._transport.write(data)

    def is_closing(self) -> bool:
        """Whether nothing that is written gets anywhere."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Close behind what was written."""
        self._transport.close()
        if self._transport.get_write_buffer_size():
            # By its next turn the event loop has tried to send it.
            self._loop.call_soon(self._note_unread)

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def give_way(self) -> None:
        """Close for the sake of another connection; for a client that doesn't read nothing is waited for."""
        if self.is_full or self._transport.is_closing():
            self.abort()
        elif self._unanswered and not self._unanswered[0].has_begun:
            self._close_with(BODY_TOO_SLOW)
        else:
            self.close()

    async def writable(self) -> None:
        """Wait until the client has taken most of what was written, or is gone."""
        await self._room.wait()

    def go_on_reading(self) -> None:
        """Take more from the client, if that was stopped."""
        if not self._is_reading:
            self._is_reading = True
            self._transport.resume_reading()
            # It doesn't run while the rest of a head waits for its turn here.
            if self.is_inside_head and self._deadline is None and not self._unparsed:
                self._start_deadline()

    def answered(self) -> None:
        """Begin the next request, or rest."""
        if self._transport.is_closing():
            return
        self._unanswered.popleft()
        if self._unanswered and self._connections.is_crowded:
            # With requests without end, few clients could keep all connections at work.
            self.close()
        elif self._unanswered:
            self._begin(self._unanswered[0])
            self._note_arrival()
        else:
            self._connections.rests(self)
        self._parse_in_pieces()
        if len(self._unanswered) < 2:
            self.go_on_reading()

    def _parse(self, data: bytes) -> None:
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as offered:
                data = data[offered.args[0] :]
                if self._body_is_skipped:
                    self._body_is_skipped = False
                    self._expect_body()
            else:
                return

    def _expect_body(self) -> None:
        """Go on with a parser that takes what comes for the body of the request whose head is over."""
        framing = [b"%b: %b\r\n" % header for header in self._headers if header[0] in _FRAMING]
        self._parser = body_parser(self, b"".join(framing))

    def _begin(self, exchange: Exchange) -> None:
        self._connections.run(self._run(exchange))

    async def _run(self, exchange: Exchange) -> None:
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        except Exception as error:
            _log.error("request failed", error=type(error).__name__, at=fault_place(error))
        else:
            if not (exchange.over or exchange.disconnected or exchange.client_ended):
                _log.error("request not answered", path=exchange.scope["path"])
        finally:
            exchange.fail()

    def _stop_reading(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()

    def _note_unread(self) -> None:
        """Note whether a connection that is closed lasts because of what its client doesn't read."""
        if self._transport.get_write_buffer_size():
            self._connections.leaves_unread(self)

    def _note_arrival(self) -> None:
        """Note whether the request that runs still waits for the rest of its body."""
        if self._unanswered and not self._unanswered[0].is_whole:
            self._connections.arrives(self)

    def _start_deadline(self) -> None:
        self._deadline = self._loop.call_later(self._connections.header_timeout, self._on_deadline)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        self._deadline = None
        if not self._transport.is_closing():
            self._refuse(HEAD_TOO_SLOW if self.is_inside_head else None)

    def _refuse(self, refusal: Refusal | None) -> None:
        """Take no more, and close behind the answers to what came before, or else behind this one."""
        self._is_refusing = True
        last = self._exchange
        if last is not None and not last.is_whole:
            if len(self._unanswered) < 2:
                self._close_with(None if last.has_begun else refusal)
                return
            # Its turn doesn't come any more.
            self._unanswered.pop()
        if self._unanswered:
            self._unanswered[-1].keep_alive = False
        else:
            self._close_with(refusal)

    def _close_with(self, refusal: Refusal | None) -> None:
        if refusal is not None:
            self._connections.note_refused(refusal.reason)
            self._transport.write(refusal.answer)
        self.close()


def _address(told: Any) -> Address | None:
    """Return host and port; None for one that the system can't tell, as of a client that is gone already."""
    return (str(told[0]), int(told[1])) if isinstance(told, tuple) else None
