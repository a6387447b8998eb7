"""Applications that tests of the server run on it, and how they are asked."""

import asyncio
from typing import Any

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def echo(_scope: Any, receive: Any, send: Any) -> None:
    """Send the body back."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answer without looking at the body, as a refusal does.

    `/patient` waits for all of the body, `/echo` sends it back.
    """
    if scope["path"] == "/echo":
        await echo(scope, receive, send)
        return
    if scope["path"] == "/patient":
        while (await receive()).get("more_body"):
            pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


LARGE = b"x" * 20_000_000
"""More than the system keeps of an answer for a client that doesn't read."""


async def large(scope: Any, receive: Any, send: Any) -> None:
    """Answer as `hello`, but at `/large` with more."""
    if scope["path"] != "/large":
        await hello(scope, receive, send)
        return
    headers = [(b"content-length", b"%d" % len(LARGE))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": LARGE})


class Held:
    """Answers as `hello`, but not before it may.

    Attributes:
        begun: set by the first request.
        finish: whoever sets it lets all of them be answered.
    """

    def __init__(self) -> None:
        self.begun, self.finish = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun.set()
        await self.finish.wait()
        await hello(scope, receive, send)
