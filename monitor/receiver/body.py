"""Reads a request's body with a hard limit and a deadline."""

import asyncio

from monitor.errors import MonitorError
from monitor.http_server.protocol import BODY_IS_HERE
from monitor.receiver.asgi import Headers, Receive, Scope
from monitor.receiver.limits import Limits
from monitor.receiver.refusals import TOO_LARGE, TOO_SLOW, RefusedError


class SenderGoneError(MonitorError):
    """The sender closed the connection before its request was complete."""


async def parse_body(scope: Scope, headers: Headers, receive: Receive, limits: Limits) -> bytes:
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
        return await _collect(receive, limits.max_body_bytes)
    try:
        async with asyncio.timeout(limits.body_seconds):
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
