"""A receiver as it runs: uvicorn on a free port, the embedded log in a file, metrics in a registry."""

import asyncio
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client import CollectorRegistry

from monitor.config import AuthType, Source
from monitor.event import Event, Vendor
from monitor.http_server import serve
from monitor.log.protocol import DeadLetter, EventLog
from monitor.metrics.service import ServiceMetrics
from monitor.receiver import Limits, Receiver

NOW = 1_700_000_000.0


@dataclass
class StoppedClock:
    """A clock that a test sets."""

    time: float = NOW

    def now(self) -> float:
        return self.time


@dataclass
class Running:
    """A receiver that serves, and what a test may look at."""

    address: str
    client: httpx.AsyncClient
    log: Any
    registry: CollectorRegistry
    clock: StoppedClock = field(default_factory=StoppedClock)

    async def events(self) -> list[Event]:
        return [stored.event for stored in await self.log.read(0, 1000)]

    async def dead_letters(self) -> list[DeadLetter]: ...

    def sample(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self.address.split(":")
        return await asyncio.open_connection(host, int(port))
