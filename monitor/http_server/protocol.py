"""uvicorn's protocol, and what it lacks for a server that strangers can reach.

uvicorn bounds neither how long a client takes over a request's head nor how large the head gets, it has no
limit on connections that leaves other requests alone and lets idle ones give way, and it reads no body of a
client that offers to speak another protocol.
"""

import asyncio
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from monitor.http_server.joined_writes import JoinedWrites

BODY_IS_HERE = "monitor.body_is_here"
"""The ASGI extension by which an application knows that reading the body will not make it wait."""

STOPPING = "monitor.stopping"
"""In a request's scope: an asyncio.Event that is set once the server stops, for answers without an end."""

MAX_HEAD_BYTES = 65536
"""Request line, headers, chunk framing and trailers of one request: all that isn't its body."""


def _closing(status: bytes, code: bytes, detail: bytes, headers: bytes = b"") -> bytes:
    body = b'{"error":"' + code + b'","detail":"' + detail + b'"}'
    return (
        b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\n" + headers + b"content-length: "
        b"%d\r\nconnection: close\r\n\r\n%b" % (len(body), body)
    )


NOT_HTTP = _closing(b"400 Bad Request", b"not_http", b"What came isn't an HTTP request.")
HEAD_TOO_SLOW = _closing(
    b"408 Request Timeout", b"too_slow", b"The request's headers did not arrive in time."
)
HEAD_TOO_LARGE = _closing(
    b"431 Request Header Fields Too Large", b"head_too_large", b"The request's headers are too large."
)
TOO_MANY_CONNECTIONS = _closing(
    b"503 Service Unavailable",
    b"overloaded",
    b"Too many connections are open. Try again.",
    b"retry-after: 1\r\n",
)

_FRAMING = (b"content-length", b"transfer-encoding")
"""The headers that say how long a body is."""

_BODY_IS_HERE: dict[str, dict[object, object]] = {BODY_IS_HERE: {}}


class _AfterHead:
    """What a parser calls that is given a head of ours first: the protocol, but not about that head."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self._protocol = protocol
        self.is_over = False
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete

    def on_message_begin(self) -> None:
        if self.is_over:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self.is_over:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.is_over:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.is_over:
            self._protocol.on_headers_complete()


class BoundedHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with a deadline and a size limit for what comes before and around a body.

    The deadline runs whenever nothing else guards the connection: before the first request, inside a
    head, and while a client still sends a body whose request has been answered. Between requests
    uvicorn's keep-alive time-out runs; inside a body the application sets its own deadline. A head
    that arrives in one piece, as nearly all do, costs no timer.
    """

    header_timeout: float
    max_connections: int
    stopping: asyncio.Event
    idle: dict["BoundedHttpProtocol", None]
    """The server's connections without a request under way, the one that is so for longest first."""

    _writes: JoinedWrites

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._inside_head = False
        self._has_cycle = False
        self._body_is_skipped = False
        self._overhead = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline; of too many connections the longest idle gives way, or else this one."""
        super().connection_made(transport)
        # It is asked to write, to close, and whether it is closing; for all else uvicorn has the other.
        self._writes = JoinedWrites(transport, self.loop)
        self.transport = cast(asyncio.Transport, self._writes)
        if len(self.connections) > self.max_connections and not self._close_longest_idle():
            self.transport.write(TOO_MANY_CONNECTIONS)
            self.transport.close()
            return
        self.idle[self] = None
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline with the connection."""
        self.idle.pop(self, None)
        self._stop_deadline()
        # uvicorn forgets its own timer only when the client closed cleanly.
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, then see that something still guards the connection."""
        if self.transport.is_closing():
            return
        self._overhead += len(data)
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.transport.write(NOT_HTTP)
            self.transport.close()
        if self.transport.is_closing():
            return
        # Bytes of a pipelined request that came along with the end of the one before were not counted.
        self._overhead = max(self._overhead, 0)
        if self._overhead > MAX_HEAD_BYTES:
            self._refuse_head(HEAD_TOO_LARGE)
        elif self._deadline is None and (self._inside_head or self._answered()):
            self._start_deadline()

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        self._inside_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop the deadline: the application takes over."""
        self.idle.pop(self, None)
        self._inside_head = False
        self._stop_deadline()
        self.scope[STOPPING] = self.stopping  # type: ignore[literal-required]  # of ours, beside ASGI's
        super().on_headers_complete()
        self._has_cycle = True
        self._body_is_skipped = self.parser.should_upgrade() and any(
            name in _FRAMING for name, _ in self.headers
        )

    def on_body(self, body: bytes) -> None:
        """Take a body's bytes off the count of all others."""
        self._overhead -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Tell the application, which runs after all that came with the head, and count anew."""
        if self._body_is_skipped:
            return
        self._overhead = 0
        self.scope["extensions"] = _BODY_IS_HERE
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Send the answer now that it is whole: before the loop's next turn others may have much to do."""
        self._writes.flush()
        super().on_response_complete()
        if self._answered():
            self.idle[self] = None

    def shutdown(self) -> None:
        """Tell answers without an end that it is time; the server tells each connection."""
        self.stopping.set()
        super().shutdown()

    def _parse(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offered:
                data = data[offered.args[0] :]
                if self._body_is_skipped:
                    self._body_is_skipped = False
                    self._expect_body()
            else:
                return

    def _expect_body(self) -> None:
        """Go on with a parser that takes what comes for the body of the request whose head is over."""
        target = _AfterHead(self)
        self.parser = httptools.HttpRequestParser(target)
        # As uvicorn has it of its own parser.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        framing = [b"%b: %b\r\n" % header for header in self.headers if header[0] in _FRAMING]
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(framing))
        target.is_over = True

    def _close_longest_idle(self) -> bool:
        """Close it, if there is one: strangers who only hold connections must not keep the vendor out."""
        longest = next(iter(self.idle), None)
        if longest is None:
            return False
        del self.idle[longest]
        longest.transport.close()
        return True

    def _answered(self) -> bool:
        return not self._has_cycle or self.cycle.response_complete

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.header_timeout, self._on_deadline)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self._refuse_head(HEAD_TOO_SLOW)

    def _refuse_head(self, answer: bytes) -> None:
        if self._inside_head and self._answered():
            self.transport.write(answer)
            self.transport.close()
        elif self._inside_head:
            # An earlier request on this connection is being answered: close after its answer.
            self.cycle.keep_alive = False
        else:
            self.transport.close()
