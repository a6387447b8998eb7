"""One request and its answer, as an ASGI application sees them."""

import asyncio
import re
from collections.abc import Iterable, MutableMapping
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from monitor.http_server.answers import FAILED, status_line

Message = MutableMapping[str, Any]
Scope = dict[str, Any]
Header = tuple[bytes, bytes]

MOST_UNREAD_BYTES = 65536
"""Of a body that its application doesn't read; beyond them no more is taken from the client."""

MOST_JOINED_BYTES = 16384
"""Of a body that leaves together with its head; a larger one isn't copied for that."""

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_WITHOUT_BODY = (204, 304)


class Connection(Protocol):
    """What an exchange needs of the connection that it is on."""

    is_full: bool
    """Whether the client takes less than is written."""

    def write(self, data: bytes) -> None:
        """Send to the client, or keep until it takes more."""

    def is_closing(self) -> bool:
        """Whether nothing that is written gets anywhere."""

    def close(self) -> None:
        """Close behind what was written."""

    async def writable(self) -> None:
        """Wait until the client has taken most of what was written."""

    def go_on_reading(self) -> None:
        """Take more from the client, if that was stopped."""

    def answered(self) -> None:
        """Hear that the exchange is over."""


class _Head(NamedTuple):
    """Status line and headers of an answer. length: of the body, if told. closes: they say so."""

    text: bytes
    length: int | None
    closes: bool


class Exchange:
    """A request that may still be arriving, and its answer.

    Args:
        connection: where both go.
        scope: the request's, complete but for what its body brings.
        date: the header line that tells it.
        keep_alive: another request may follow on the connection.
        chunks: the client understands bodies of a length that isn't told.
        waits: the client sends its body only when it is told to (`Expect: 100-continue`).
    """

    # What most requests never change stands here, and costs them nothing.
    disconnected = False
    over = False
    is_whole = False
    client_ended = False
    _is_taken = False
    _has_news = False
    _news: asyncio.Event | None = None
    """Made where somebody has to wait: nearly all bodies are whole by the time that they are asked for."""
    _answer: _Head | None = None
    _held = b""
    _left: int | None = 0

    def __init__(
        self,
        connection: Connection,
        scope: Scope,
        date: bytes,
        *,
        keep_alive: bool,
        chunks: bool,
        waits: bool,
    ) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self._connection = connection
        self._date = date
        self._chunks = chunks
        self._waits = waits
        self._body = bytearray()
        self._has_body = scope["method"] != "HEAD"

    @property
    def has_begun(self) -> bool:
        """Whether its answer has."""
        return self._answer is not None

    # What the connection tells.

    def take(self, part: bytes) -> bool:
        """Take a part of the body; return whether there is room for more."""
        if self.over:
            return True
        self._body += part
        self._wake()
        return len(self._body) <= MOST_UNREAD_BYTES

    def end_body(self) -> None:
        """Hear that the body is whole."""
        self.is_whole = True
        self._wake()

    def end_client(self) -> None:
        """Hear that the client says nothing more behind its whole request: it may wait for the answer."""
        self.client_ended = True
        self._wake()

    def disconnect(self) -> None:
        """Hear that the client is gone."""
        self.disconnected = True
        self._wake()

    def fail(self) -> None:
        """Answer what the application left without an answer; close behind what it left without its end."""
        if self.over or self.disconnected:
            return
        if self._answer is None or self._held:
            self._connection.write(FAILED)
        self.keep_alive = False
        self._end()

    # What the application calls.

    async def receive(self) -> Message:
        """Return the next part of the body, or the news that nobody waits for an answer any more."""
        if not (self._has_news or self.over or self.client_ended):
            await self._wait()
        self._has_news = False
        if self.disconnected or self.over or (self._is_taken and self.client_ended):
            return {"type": "http.disconnect"}
        self._is_taken = self.is_whole
        body, self._body = bytes(self._body), bytearray()
        return {"type": "http.request", "body": body, "more_body": not self.is_whole}

    async def send(self, message: Message) -> None:
        """Send the next part of the answer; return when the client takes more.

        Raises:
            RuntimeError: the application doesn't keep to ASGI, or to the length that it told.
        """
        if self._connection.is_full:
            await self._connection.writable()
        if self.disconnected:
            return
        kind = message["type"]
        if self.over:
            raise RuntimeError(f"{kind} after the answer's end")
        if self._answer is None:
            if kind != "http.response.start":
                raise RuntimeError(f"{kind} before the answer's start")
            self._start(message["status"], message.get("headers", ()))
            return
        if kind != "http.response.body":
            raise RuntimeError(f"{kind} inside an answer")
        more = message.get("more_body", False)
        part = self._framed(message.get("body", b""), more)
        held, self._held = self._held, b""
        if held and len(part) > MOST_JOINED_BYTES:
            self._connection.write(held)
            held = b""
        if held or part:
            self._connection.write(held + part)
        if not more:
            self._end()

    async def _wait(self) -> None:
        if self._waits and self._answer is None and not self._connection.is_closing():
            self._waits = False
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._connection.go_on_reading()
        if self._news is None:
            self._news = asyncio.Event()
        self._news.clear()
        await self._news.wait()

    def _wake(self) -> None:
        self._has_news = True
        if self._news is not None:
            self._news.set()

    def _start(self, status: int, headers: Iterable[Iterable[bytes]]) -> None:
        told = headers if type(headers) is tuple else tuple((name, value) for name, value in headers)
        self._answer = answer = _head(status, told)
        text = answer.text + self._date
        if answer.closes:
            self.keep_alive = False
        if status in _WITHOUT_BODY:
            self._has_body = False
        if answer.length is not None:
            self._left = answer.length
        elif self._has_body:
            self._left = None
            # Without chunks its end is the connection's, which such a client has closed behind each answer.
            if self._chunks:
                text += b"transfer-encoding: chunked\r\n"
        if not (self.keep_alive or answer.closes):
            text += b"connection: close\r\n"
        text += b"\r\n"
        if answer.length and self._has_body:
            # A body follows: both in one packet, and one system call.
            self._held = text
        else:
            # Perhaps nothing follows for a while.
            self._connection.write(text)

    def _framed(self, body: bytes, more: bool) -> bytes:
        if not self._has_body:
            return b""
        if self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the answer's body isn't as long as its head says")
            return body
        if not self._chunks:
            return body
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        return chunk if more else chunk + b"0\r\n\r\n"

    def _end(self) -> None:
        self.over = True
        self._wake()
        if not self.keep_alive:
            self._connection.close()
        self._connection.answered()


# An application has few heads, and nearly all answers of the receiver have one.
@lru_cache(maxsize=256)
def _head(status: int, headers: tuple[Header, ...]) -> _Head:
    """Return an answer's head without its last line.

    Raises:
        RuntimeError: a header that would be something else on the way.
    """
    length, closes = None, False
    lines = [status_line(status)]
    for name, value in headers:
        # Bytes alone: an answer's text is nobody's secret, but what is wrong may be anything.
        if not _TOKEN.fullmatch(name) or _FORBIDDEN.search(value):
            raise RuntimeError("a header of the answer can't be sent")
        match name.lower():
            case b"content-length":
                length = int(value)
            case b"transfer-encoding":
                raise RuntimeError("the server alone tells how a body is sent")
            case b"connection":
                closes = b"close" in [token.strip().lower() for token in value.split(b",")]
        lines.append(b"%b: %b\r\n" % (name, value))
    return _Head(b"".join(lines), length, closes)
