"""What an application is told of a request: ASGI's scope, and what this server adds to it."""

import asyncio
from urllib.parse import unquote

import httptools

from monitor.http_server.exchange import Header, Scope

BODY_IS_HERE = "monitor.body_is_here"
"""The ASGI extension by which an application knows that reading the body will not make it wait."""

STOPPING = "monitor.stopping"
"""In a request's scope: an asyncio.Event that is set once the server stops, for answers without an end."""

EXTENSIONS_ONCE_WHOLE: dict[str, dict[object, object]] = {BODY_IS_HERE: {}}
"""The extensions of a request whose body is here."""

Address = tuple[str, int]


def connection_scope(client: Address | None, server: Address | None, stopping: asyncio.Event) -> Scope:
    """Return what the scopes of all requests on a connection share."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "scheme": "http",
        "root_path": "",
        "client": client,
        "server": server,
        STOPPING: stopping,
    }


def request_scope(shared: Scope, method: bytes, target: bytes, version: str, headers: list[Header]) -> Scope:
    """Return the scope of a request.

    Args:
        shared: what `connection_scope` returned.
        method: as it was sent, as is the target.
        target: of the request line.
        version: of HTTP.
        headers: with names in lower case.

    Raises:
        httptools.HttpParserError: the target isn't one.
    """
    raw_path, query = _split(target)
    path = raw_path.decode("ascii")
    return {
        **shared,
        "http_version": version,
        "method": method.decode("ascii"),
        "path": unquote(path) if "%" in path else path,
        "raw_path": raw_path,
        "query_string": query,
        "headers": headers,
    }


def _split(target: bytes) -> tuple[bytes, bytes]:
    """Return path and query, as they were sent."""
    if target.startswith(b"/") and b"#" not in target:
        path, _, query = target.partition(b"?")
        return path, query
    parsed = httptools.parse_url(target)
    return parsed.path, parsed.query or b""
