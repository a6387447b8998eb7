"""What both kinds of service are built of: metrics, servers, and the wait for a signal."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector

from monitor import __version__
from monitor.clock import Clock
from monitor.config import Role, Settings
from monitor.errors import MonitorError
from monitor.http_server import REFUSED_REASONS, Application, serve
from monitor.log.protocol import EventLog
from monitor.metrics.service import ServiceMetrics
from monitor.metrics.vendor_errors import declare_sources
from monitor.receiver.app import Receiver
from monitor.receiver.limits import Limits

_log = structlog.get_logger(__name__)


def build_metrics(settings: Settings, role: Role) -> ServiceMetrics:
    """Return the service's own metrics, with every source declared."""
    metrics = ServiceMetrics(CollectorRegistry(), role)
    # Processor time, memory and open files, under the names that every dashboard knows.
    ProcessCollector(registry=metrics.registry)
    declare_sources(metrics, settings.sources)
    return metrics


def build_receiver(settings: Settings, log: EventLog, metrics: ServiceMetrics, clock: Clock) -> Receiver:
    """Return the application that faces the vendors."""
    limits = Limits(max_body_bytes=settings.receiver.max_body_bytes)
    return Receiver(settings.sources, log, metrics, clock, limits, settings.receiver.trusted_proxies)


@contextlib.asynccontextmanager
async def serving(
    settings: Settings, operators: Application, vendors: Application | None, metrics: ServiceMetrics
) -> AsyncIterator[None]:
    """Serve the applications while the context is open.

    Args:
        settings: where to listen.
        operators: faces operators.
        vendors: faces the vendors, if this process takes callbacks.
        metrics: where what the servers themselves refuse is counted.
    """

    def listen(application: Application, section: str, address: str) -> AbstractAsyncContextManager[str]:
        refused = metrics.declare_listener(section, REFUSED_REASONS)
        return serve(application, address, key=f"{section}.listen", note_refused=refused)

    async with contextlib.AsyncExitStack() as servers:
        server = listen(operators, "admin", settings.admin.listen)
        bound = await servers.enter_async_context(server)
        addresses = {"operators": f"http://{bound}"}
        if vendors is not None:
            server = listen(vendors, "receiver", settings.receiver.listen)
            bound = await servers.enter_async_context(server)
            addresses["callbacks"] = f"http://{bound}"
        _log.info("serving", version=__version__, **addresses)
        yield


def listen_to_signals() -> asyncio.Event:
    """Return an event that a signal to stop sets.

    Called before anything is begun that takes its time: a signal that came before would end the process where
    it is or, where that is the first of a container, be lost.
    """
    loop, signalled = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled.set)
    return signalled


async def until_signalled(signalled: asyncio.Event, *work: Coroutine[Any, Any, None]) -> None:
    """Let work run until a signal comes or one part of it fails; each may finish what it began.

    Raises:
        MonitorError: a part has ended, which none should without a signal.
    """
    tasks = [asyncio.create_task(one) for one in work]
    stopping = asyncio.create_task(signalled.wait())
    try:
        await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        is_told = signalled.is_set()
        if is_told:
            _log.info("stopping")
    finally:
        stopping.cancel()
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    failures = [outcome for outcome in ended if isinstance(outcome, Exception)]
    for other in failures[1:]:
        # The first is what ends the service; another one may be all that tells of a checkpoint that was lost.
        _log.error("a part has failed", error=f"{type(other).__name__}: {other}")
    if failures:
        raise failures[0]
    if not is_told:
        raise MonitorError("a part of the service has ended by itself; see the log")
