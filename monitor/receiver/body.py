"""Reads a request's body with a hard limit and a deadline."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from monitor.errors import MonitorError
from monitor.http_server.scope import BODY_IS_HERE
from monitor.receiver.asgi import Headers, Receive, Scope
from monitor.receiver.limits import Limits
from monitor.receiver.refusals import TOO_LARGE, TOO_SLOW, RefusedError


class SenderGoneError(MonitorError):
    """The sender closed the connection before its request was complete."""


class SlowBodies:
    """The bodies of one source that are still on their way, the oldest first."""

    def __init__(self) -> None:
        self._deadlines: dict[asyncio.Timeout, None] = {}

    @asynccontextmanager
    async def deadline(self, limits: Limits) -> AsyncIterator[None]:
        """Give a body its time; where one more is read than may be, the oldest is out of time at once.

        A vendor's body takes milliseconds, so the oldest is a stranger's: any other choice would let
        strangers keep the vendor out.

        Raises:
            TimeoutError: time is up.
        """
        if len(self._deadlines) >= limits.reading:
            self._end_oldest()
        async with asyncio.timeout(limits.body_seconds) as deadline:
            self._deadlines[deadline] = None
            try:
                yield
            finally:
                self._deadlines.pop(deadline, None)

    def _end_oldest(self) -> None:
        oldest = next(iter(self._deadlines))
        del self._deadlines[oldest]
        if not oldest.expired():
            oldest.reschedule(asyncio.get_running_loop().time())


def parse_body(
    scope: Scope, headers: Headers, receive: Receive, limits: Limits, slow: SlowBodies
) -> Awaitable[bytes]:
    """Return the whole body.

    No more of it is ever held than the limit and what the server reads at once. A declared length
    beyond the limit is refused before anything is read. What a Content-Encoding might mean isn't looked
    at: neither vendor uses one, and the body is kept as it came.

    Raises:
        RefusedError: the body is too large, or did not arrive in time.
        SenderGoneError: nobody is left to answer.
    """
    declared = headers.get("content-length")
    if declared is not None and int(declared) > limits.max_body_bytes:
        raise RefusedError(TOO_LARGE)
    if BODY_IS_HERE in scope.get("extensions", ()):
        # As with nearly every callback; a deadline would be a fifth of the work on it.
        return _collect(receive, limits.max_body_bytes)
    return _collect_in_time(receive, limits, slow)


async def _collect_in_time(receive: Receive, limits: Limits, slow: SlowBodies) -> bytes:
    try:
        async with slow.deadline(limits):
            return await _collect(receive, limits.max_body_bytes)
    except TimeoutError:
        raise RefusedError(TOO_SLOW) from None


async def _collect(receive: Receive, limit: int) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise SenderGoneError("the sender closed the connection inside a request")
        body += message.get("body", b"")
        if len(body) > limit:
            raise RefusedError(TOO_LARGE)
        more = message.get("more_body", False)
    return bytes(body)
