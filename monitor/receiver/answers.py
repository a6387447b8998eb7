"""The answers that the receiver gives. Those that never vary are built once; none echoes the request."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from monitor.receiver.asgi import Receive, Send

LINGER_SECONDS = 2.0
LINGER_BYTES = 1_048_576

Header = tuple[bytes, bytes]

CLOSE: Header = (b"connection", b"close")
RETRY_AFTER: Header = (b"retry-after", b"1")


class Answer(NamedTuple):
    """A whole response, ready to send."""

    status: int
    headers: tuple[Header, ...]
    body: bytes

    def with_headers(self, extra: Sequence[Header]) -> "Answer":
        """Return this answer with more headers."""
        return self._replace(headers=(*self.headers, *extra)) if extra else self

    async def send(self, send: Send) -> None:
        """Send it and be done with the request."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})

    async def send_and_linger(self, receive: Receive, send: Send) -> None:
        """Send it to a client that may be still sending, and read on for a moment before closing.

        A socket that is closed with unread bytes is reset, and a reset can overtake the answer.
        What is read is thrown away; time and amount are bounded. The answer must carry `CLOSE`.
        """
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                discarded = 0
                while discarded < LINGER_BYTES:
                    message = await receive()
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        break
                    discarded += len(message.get("body", b""))
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b""})


def json_answer(status: int, content: Mapping[str, Any], headers: Sequence[Header] = ()) -> Answer:
    """Return an answer whose body is `content` as JSON."""
    body = json.dumps(content, separators=(",", ":")).encode()
    return Answer(
        status,
        (
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            *headers,
        ),
        body,
    )


def error_answer(status: int, code: str, detail: str, headers: Sequence[Header] = ()) -> Answer:
    """Return an error. detail: a sentence that holds nothing of the request."""
    return json_answer(status, {"error": code, "detail": detail}, headers)


def empty_answer(headers: Sequence[Header]) -> Answer:
    """Return an answer that is only headers."""
    return Answer(204, tuple(headers), b"")


ACCEPTED = json_answer(200, {"status": "accepted"})
HEALTHY = json_answer(200, {"status": "ok"})
NOT_FOUND = error_answer(404, "not_found", "There is nothing at this path.")
