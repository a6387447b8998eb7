"""An HTTP server for ASGI applications, as a guest in somebody else's event loop: it takes no signals."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from functools import partial

from monitor.config import Address, parse_address
from monitor.errors import ConfigurationError
from monitor.http_server.answers import REFUSALS
from monitor.http_server.connections import Connections
from monitor.http_server.protocol import Application, HttpProtocol

__all__ = [
    "KEEP_ALIVE_SECONDS",
    "MAX_CONNECTIONS",
    "REFUSED_REASONS",
    "SHUTDOWN_SECONDS",
    "UNREAD_SECONDS",
    "Application",
    "serve",
]

MAX_CONNECTIONS = 768
"""Below the customary 1,024 open files of a process, with room for the log and the other server."""

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection stays: long enough for a vendor to reuse it for the next callback."""

UNREAD_SECONDS = 30
"""How long a client may read nothing of what waits for it; the kernel ends its connection then."""

SHUTDOWN_SECONDS = 10
"""How long requests in flight may finish once the server was told to stop."""

REFUSED_REASONS = tuple(one.reason for one in REFUSALS)
"""Why the server refuses a request before any application sees it, or a connection."""


def _note_nowhere(reason: str) -> None:
    del reason


@contextlib.asynccontextmanager
async def serve(
    app: Application,
    listen: str,
    *,
    key: str = "listen",
    header_timeout: float = 10.0,
    max_connections: int = MAX_CONNECTIONS,
    note_refused: Callable[[str], None] = _note_nowhere,
) -> AsyncIterator[str]:
    """Serve `app` while the context is open; yield the bound address as `host:port`.

    Requests in flight when the context closes are answered first.

    Args:
        app: an ASGI application; it gets no lifespan events.
        listen: `host:port`, an IPv6 host in brackets; port 0 lets the system choose.
        key: of the configuration, where `listen` stands: what is wrong with it begins with that.
        header_timeout: seconds that a client may take over the headers of a request.
        max_connections: how many may be open at once. For one more another is closed: one whose client
            leaves its answers unread, else the longest idle, else the one that has been inside a body for
            longest. If whole requests run on all, that one is answered 503 and closed.
        note_refused: hears of each request or connection that the server itself refuses, with one of
            `REFUSED_REASONS`.

    Raises:
        ConfigurationError: the address can't be listened on.
    """
    bound = _bind(listen, key)
    address = _text_of(bound)
    connections = Connections(max_connections, header_timeout, KEEP_ALIVE_SECONDS, address, note_refused)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(HttpProtocol, app, connections), sock=bound)
    try:
        yield address
    finally:
        server.close()
        await connections.end(SHUTDOWN_SECONDS)


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
        # Connections inherit it.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNREAD_SECONDS * 1000))
        bound.bind(address)
        # Clients may connect from now on; they wait until the server accepts.
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise ConfigurationError([f"{key}: {listen} can't be listened on: {error.strerror}"]) from None
    bound.settimeout(0)
    return bound


def _text_of(bound: socket.socket) -> str:
    return str(Address(*bound.getsockname()[:2]))
