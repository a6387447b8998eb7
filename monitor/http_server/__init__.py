"""uvicorn, as a guest in somebody else's event loop: no signal handlers, and a protocol with more limits."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.config import Config

from monitor.config import parse_address
from monitor.errors import ConfigurationError
from monitor.http_server.protocol import BoundedHttpProtocol

Application = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI 3 application."""

MAX_CONNECTIONS = 768
"""Below the customary 1,024 open files of a process, with room for the log and the other server."""

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection stays: long enough for a vendor to reuse it for the next callback."""

SHUTDOWN_SECONDS = 10
"""How long requests in flight may finish once the server was told to stop."""


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
        max_connections: how many may be open at once. For one more the longest idle is closed; if none is
            idle, that one is answered 503 and closed.
    """
    address = parse_address(listen)
    protocol = type(
        "ConfiguredHttpProtocol",
        (BoundedHttpProtocol,),
        {
            "header_timeout": header_timeout,
            "max_connections": max_connections,
            "stopping": asyncio.Event(),
            "idle": {},
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
