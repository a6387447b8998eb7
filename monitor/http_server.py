"""uvicorn, as a guest in somebody else's event loop: no signal handlers, bounded heads, two limits more.

uvicorn bounds neither how long a client takes over a request's head nor how large the head gets, and
it has no limit on connections that leaves other requests alone. `BoundedHttpProtocol` adds these, and
sends an answer in one piece.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, cast

import httptools
import uvicorn
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from monitor.config import parse_address
from monitor.errors import ConfigurationError

Application = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI 3 application."""

BODY_IS_HERE = "monitor.body_is_here"
"""The ASGI extension by which an application knows that reading the body will not make it wait."""

STOPPING = "monitor.stopping"
"""In a request's scope: an asyncio.Event that is set once the server stops, for answers without an end."""

MAX_CONNECTIONS = 768
"""Below the customary 1,024 open files of a process, with room for the log and the other server."""

MAX_HEAD_BYTES = 65536
"""Request line, headers, chunk framing and trailers of one request: all that isn't its body."""

HELD_BYTES = 16384
"""What may wait for the end of a turn of the event loop: head and body of an answer, as a rule."""

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection stays: long enough for a vendor to reuse it for the next callback."""

SHUTDOWN_SECONDS = 10
"""How long requests in flight may finish once the server was told to stop."""


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


class JoinedWrites:
    """A transport that sends in one piece what is written in one turn of the event loop.

    uvicorn writes an answer's head and its body apart. A socket takes both at once, so that each would be
    a system call and a packet of its own: a tenth of all the work on a callback.

    Args:
        transport: does everything else.
        loop: whose turns count.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._size = 0
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Send when this turn is over, or at once if too much waits."""
        if not self._held:
            self._loop.call_soon(self._send)
        self._held.append(data)
        self._size += len(data)
        if self._size > HELD_BYTES:
            # Now the transport must say whether its client takes any more.
            self._send()

    def close(self) -> None:
        """Close behind what was written."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        held, self._held, self._size = self._held, [], 0
        if held and not self._transport.is_closing():
            self._transport.writelines(held)


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
        """Start the deadline, or refuse the connection if too many are open."""
        super().connection_made(transport)
        # It is asked to write, to close, and whether it is closing; for all else uvicorn has the other.
        self.transport = cast(asyncio.Transport, JoinedWrites(transport, self.loop))
        if len(self.connections) > self.max_connections:
            self.transport.write(TOO_MANY_CONNECTIONS)
            self.transport.close()
            return
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline with the connection."""
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


class GuestServer(uvicorn.Server):
    """A uvicorn server that leaves the process's signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


def server(
    app: Application, listen: str, *, header_timeout: float, max_connections: int = MAX_CONNECTIONS
) -> uvicorn.Server:
    """Return a server for `app` that is to run in the caller's event loop.

    Args:
        app: an ASGI application; it gets no lifespan events.
        listen: `host:port`, an IPv6 host in brackets; port 0 lets the system choose.
        header_timeout: seconds that a client may take over the headers of a request.
        max_connections: how many may be open at once; more are answered 503 and closed.
    """
    address = parse_address(listen)
    protocol = type(
        "ConfiguredHttpProtocol",
        (BoundedHttpProtocol,),
        {
            "header_timeout": header_timeout,
            "max_connections": max_connections,
            "stopping": asyncio.Event(),
        },
    )
    return GuestServer(
        Config(
            app,
            host=address.host,
            port=address.port,
            loop="none",
            http=protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            # The service configures logging. What uvicorn would warn of, malformed requests, anybody can
            # cause, at any rate.
            log_config=None,
            log_level="error",
            access_log=False,
            # It would take the client's address from X-Forwarded-For, which any local process can send.
            proxy_headers=False,
            server_header=False,
            date_header=True,
            # uvicorn's own limit counts all connections and all running requests of the server as one,
            # and answers authentic requests 503 because of strangers' idle connections; the receiver
            # limits each source instead, and max_connections guards the open files.
            limit_concurrency=None,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
    )


@contextlib.asynccontextmanager
async def serve(
    app: Application,
    listen: str,
    *,
    key: str = "listen",
    header_timeout: float = 10.0,
    max_connections: int = MAX_CONNECTIONS,
) -> AsyncIterator[str]:
    """Serve `app` while the context is open; yield the bound address as `host:port`.

    Requests in flight when the context closes are answered first.

    Args:
        app: as `server`; so are header_timeout and max_connections.
        listen: as `server`.
        key: of the configuration, where `listen` stands: what is wrong with it begins with that.

    Raises:
        ConfigurationError: the address can't be listened on.
    """
    guest = server(app, listen, header_timeout=header_timeout, max_connections=max_connections)
    bound = _bind(listen, key)
    serving = asyncio.create_task(guest.serve(sockets=[bound]))
    try:
        yield _text_of(bound)
    finally:
        guest.should_exit = True
        await serving


def _bind(listen: str, key: str) -> socket.socket:
    host, port = parse_address(listen)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError([f"{key}: {listen} can't be listened on: {error.strerror}"]) from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        # Clients may connect from now on; they wait until the server accepts.
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise ConfigurationError([f"{key}: {listen} can't be listened on: {error.strerror}"]) from None
    bound.settimeout(0)
    return bound


def _text_of(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
