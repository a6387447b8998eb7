"""A receiver as it runs: the server on a free port, the embedded log in a file, metrics in a registry."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from monitor.config import AuthType, Source
from monitor.event import Event, Vendor
from monitor.http_server import serve
from monitor.log.protocol import DeadLetter
from monitor.log.sqlite import SqliteLog
from monitor.metrics.service import ServiceMetrics
from monitor.receiver.app import Receiver
from monitor.receiver.clients import Network
from monitor.receiver.limits import Limits
from monitor.vendors.metastudio import signature as metastudio
from monitor.vendors.softsugar import signature as softsugar
from tests.set_clock import SetClock

NOW = 1_700_000_000
LIMIT = 4096
LIMITS = Limits(LIMIT)
JOB = "26f065244f754b3aa853b649a21aae66"
KEY = "GCTbw44s6MPLh4GqgDpnfuFHgy25Enly"
RTC_TOKEN = "a-long-random-token-of-this-source"
PROD_URL = "https://hooks.example.com/callbacks/prod"
QUERY_URL = "https://hooks.example.com/callbacks/query"
SUGAR_URL = "https://hooks.example.com/callbacks/sugar"


def source(name: str, **settings: Any) -> Source:
    """Return a MetaStudio source that takes anything."""
    values: dict[str, Any] = {
        "vendor": Vendor.METASTUDIO,
        "public_url": f"https://hooks.example.com/callbacks/{name}",
    }
    return Source(name=name, **{**values, **settings})


OPEN = source("open")
PROD = source("prod", auth_type=AuthType.MSS_A_HEAD, keys=(SecretStr(KEY),), rtc_token=SecretStr(RTC_TOKEN))
QUERY = source("query", auth_type=AuthType.MSS_A, keys=(SecretStr(KEY),))
SUGAR = source("sugar", vendor=Vendor.SOFTSUGAR, keys=(SecretStr(KEY),))


def head_signature(signed: int = NOW, key: str = KEY, url: str = PROD_URL) -> dict[str, str]:
    """Sign a request to `PROD` as MetaStudio does."""
    return metastudio.sign(url, AuthType.MSS_A_HEAD, key, signed).headers


def query_signature() -> str:
    """Sign a request to `QUERY` as MetaStudio does."""
    return metastudio.sign(QUERY_URL, AuthType.MSS_A, KEY, NOW).query


def sugar_callback(*, key: str = KEY) -> bytes:
    """Return a signed body for `SUGAR`."""
    timestamp, signature = softsugar.sign(SUGAR_URL, key, NOW)
    content = {"sessionId": "s-1", "status": 35, "timestamp": str(timestamp), "signature": signature}
    return json.dumps(content).encode()


def link_callback(*, job_id: str = JOB) -> bytes:
    """Return the body of a MetaStudio callback that tells that a push is connected."""
    output = {"output_url": "rtmp://example.com/live", "stream_key": "k"}
    message = {"job_id": job_id, "room_id": JOB, **output, "state": "CONNECTED"}
    content = {"event_type": "RTMP_STREAM_STATE_CHANGE", "message": json.dumps(message)}
    return json.dumps(content).encode()


@dataclass
class Running:
    """A receiver that serves, and what a test may look at."""

    address: str
    client: httpx.AsyncClient
    log: SqliteLog
    registry: CollectorRegistry
    clock: SetClock = field(default_factory=lambda: SetClock(float(NOW)))

    async def events(self) -> list[Event]:
        """Return what the log holds."""
        return [stored.event for stored in await self.log.read(0, 1000)]

    async def dead_letters(self) -> list[DeadLetter]:
        """Return what was dead-lettered."""
        return [stored.letter for stored in reversed(await self.log.list(1000, None))]

    async def kept(self) -> int:
        """Return how many events and dead letters there are."""
        return len(await self.events()) + len(await self.dead_letters())

    def sample(self, name: str, **labels: str) -> float | None:
        """Return a metric's value, None where there is no such series."""
        return self.registry.get_sample_value(name, labels)

    def outcome(self, name: str, outcome: str) -> float | None:
        """Return how many requests of a source came to this."""
        return self.sample("monitor_callbacks_total", source=name, outcome=outcome)

    def failures(self, name: str, reason: str) -> float:
        """Return how many requests of a source lacked this proof."""
        return self.sample("monitor_authentication_failures_total", source=name, reason=reason) or 0.0

    def connection(self) -> AbstractAsyncContextManager[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Open a bare connection."""
        return connection(self.address)


@contextlib.asynccontextmanager
async def connection(address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Keep a bare connection to a server open, as `host:port` names it."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    *sources: Source,
    limits: Limits = LIMITS,
    max_bytes: int | None = None,
    proxies: tuple[Network, ...] = (),
) -> AsyncIterator[Running]:
    """Run a receiver for these sources while the context is open."""
    registry = CollectorRegistry()
    clock = SetClock(float(NOW))
    log = await SqliteLog.open(folder / "monitor.db", max_bytes=max_bytes)
    app = Receiver(sources, log, ServiceMetrics(registry), clock, limits, proxies)
    async with (
        serve(app, "127.0.0.1:0") as address,
        httpx.AsyncClient(base_url=f"http://{address}", timeout=30) as client,
    ):
        yield Running(address, client, log, registry, clock)
    await log.close()


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, ten seconds at most."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("what was waited for did not come about")
