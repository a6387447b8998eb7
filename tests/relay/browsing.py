"""Debian's Chromium with a page that relays, and the real receiver that can go away and come back."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from monitor.clock import SystemClock
from monitor.event import Event
from monitor.http_server import serve
from monitor.log.sqlite import SqliteLog
from monitor.metrics.service import ServiceMetrics
from monitor.receiver.app import Receiver
from monitor.receiver.limits import Limits
from monitor.receiver.tokens import make_token
from tests.receiver.running import source

JOB = "26f065244f754b3aa853b649a21aae66"
RTC_TOKEN = "a-long-random-token-of-this-source"
LIMIT = 65536
SCRIPT = (Path(__file__).resolve().parents[2] / "deploy" / "rtc-relay" / "relay.js").read_bytes()
HTML = b"<!doctype html><title>Room</title><script src=/relay.js></script>"


async def site(scope: Any, receive: Any, send: Any) -> None:
    """Serve the page that is in the room, at an origin of its own."""
    await receive()
    body, kind = (SCRIPT, b"text/javascript") if scope["path"] == "/relay.js" else (HTML, b"text/html")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Room:
    """A receiver on a fixed address, and pages that relay to it."""

    log: SqliteLog
    app: Receiver
    origin: str
    browser: Browser
    address: str = "127.0.0.1:0"
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def come(self) -> None:
        """Have the receiver serve, on the address that it had before."""
        self.address = await self._stack.enter_async_context(serve(self.app, self.address))

    async def go(self) -> None:
        """Have the receiver go away."""
        await self._stack.aclose()

    def token(self, *, seconds: int = 3600) -> str:
        """Return a token for the job, as `monitor jobs rtc-token` makes it."""
        return make_token(SecretStr(RTC_TOKEN), "prod", JOB, int(SystemClock().now()) + seconds)

    async def page(self, context: Any = None) -> Page:
        """Open the page without a relay."""
        page: Page = await (context or self.browser).new_page()
        await page.goto(self.origin)
        return page

    async def relay(self, page: Page, token: str | None = None) -> None:
        """Begin to relay in a page."""
        options = {
            "endpoint": f"http://{self.address}/rtc/prod/{JOB}",
            "token": self.token() if token is None else token,
            "flushEveryMs": 20,
            "longestWaitMs": 100,
        }
        await page.evaluate(
            """(options) => {
                window.problems = [];
                const onProblem = (problem) => window.problems.push(problem);
                window.relay = new LivestreamRelay({ ...options, onProblem });
            }""",
            options,
        )

    async def events(self) -> list[Event]:
        """Return what the receiver keeps."""
        return [stored.event for stored in await self.log.read(0, 10_000)]

    async def arrived(self, count: int) -> None:
        """Wait until the receiver keeps so many events, 20 seconds at most."""
        for _ in range(1000):
            if len(await self.events()) >= count:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"fewer than {count} events arrived")

    async def envelopes(self) -> list[dict[str, Any]]:
        """Return the envelopes that arrived."""
        return [json.loads(event.body) for event in await self.events()]


def progress(number: int) -> dict[str, Any]:
    """Return a message as the room delivers it."""
    data = {"script_name": "Scene 1", "shoot_script_sequence_no": number, "offset": "247"}
    return {"message_type": "live_progress_notify", "data": data}


async def take(page: Page, *numbers: int) -> None:
    """Have the room deliver progress of these paragraphs, as texts."""
    messages = [json.dumps(progress(number)) for number in numbers]
    await page.evaluate("(messages) => messages.forEach((one) => window.relay.take(one))", messages)


async def delivered(page: Page) -> None:
    """Wait until nothing waits any more, 20 seconds at most."""
    await page.wait_for_function("window.relay.waiting === 0", timeout=20_000)


@contextlib.asynccontextmanager
async def room(folder: Path, browser: Browser, *, max_body_bytes: int = LIMIT) -> AsyncIterator[Room]:
    """Run site and receiver while the context is open; no page stays open behind it."""
    log = await SqliteLog.open(folder / "monitor.db")
    async with serve(site, "127.0.0.1:0") as address:
        origin = f"http://{address}"
        one = source("prod", rtc_token=SecretStr(RTC_TOKEN), rtc_allow_origins=(origin,))
        metrics = ServiceMetrics(CollectorRegistry())
        app = Receiver((one,), log, metrics, SystemClock(), Limits(max_body_bytes))
        made = Room(log, app, origin, browser)
        await made.come()
        try:
            yield made
        finally:
            for context in browser.contexts:
                await context.close()
            await made.go()
    await log.close()
