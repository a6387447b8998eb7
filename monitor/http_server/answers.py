"""The answers of the server's own. Behind each the connection is closed, and none echoes the request."""

from http import HTTPStatus
from typing import NamedTuple

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def status_line(status: int) -> bytes:
    """Return the first line of an answer."""
    return b"HTTP/1.1 %d %b\r\n" % (status, _PHRASES.get(status, "").encode())


def _closing(status: int, code: bytes, detail: bytes, headers: bytes = b"") -> bytes:
    body = b'{"error":"' + code + b'","detail":"' + detail + b'"}'
    headers += b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n" % len(body)
    return status_line(status) + headers + b"\r\n" + body


FAILED = _closing(500, b"internal", b"The server failed; nothing was acknowledged.")


class Refusal(NamedTuple):
    """Why the server takes no more of a connection (a metric label), and what it tells the client."""

    reason: str
    answer: bytes


NOT_HTTP = Refusal("not_http", _closing(400, b"not_http", b"What came isn't an HTTP request."))
HEAD_TOO_SLOW = Refusal(
    "head_too_slow", _closing(408, b"too_slow", b"The request's headers did not arrive in time.")
)
BODY_TOO_SLOW = Refusal(
    "body_too_slow", _closing(408, b"too_slow", b"The request's body did not arrive in time.")
)
HEAD_TOO_LARGE = Refusal(
    "head_too_large", _closing(431, b"head_too_large", b"The request's headers are too large.")
)
TOO_MANY_CONNECTIONS = Refusal(
    "too_many_connections",
    _closing(503, b"overloaded", b"Too many connections are open. Try again.", b"retry-after: 1\r\n"),
)
REFUSALS = (NOT_HTTP, HEAD_TOO_SLOW, BODY_TOO_SLOW, HEAD_TOO_LARGE, TOO_MANY_CONNECTIONS)
