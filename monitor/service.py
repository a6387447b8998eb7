"""Puts the parts together and runs them until a signal: the log, the receiver, the worker, the pages."""

import asyncio
import contextlib
import logging
import random
import signal
import sys
from collections.abc import AsyncIterator

import structlog
import uvloop
from prometheus_client import CollectorRegistry

from monitor import __version__
from monitor.config import Role, Settings, build_clock
from monitor.errors import ConfigurationError
from monitor.http_server import serve
from monitor.log.lock import hold
from monitor.log.sqlite import SqliteLog
from monitor.log.sqlite_checkpoints import SqliteCheckpoints
from monitor.metrics.exposition import Exposition
from monitor.metrics.service import ServiceMetrics
from monitor.receiver.app import Receiver
from monitor.receiver.limits import Limits
from monitor.reconcile import FleetStreams, run_reconcile
from monitor.vendors import registry
from monitor.web.app import build
from monitor.worker.checkpoint import Checkpointer
from monitor.worker.fleet import Fleet
from monitor.worker.loop import Worker

_log = structlog.get_logger(__name__)


def run(settings: Settings, role: Role) -> None:
    """Run the service until SIGTERM or SIGINT; what was acknowledged is kept.

    Raises:
        ConfigurationError: the role, a file or an address can't be had; it says which.
    """
    if settings.log.backend != "sqlite":
        raise ConfigurationError([f"log.backend: {settings.log.backend} is not built into this version"])
    if role is not Role.ALL:
        raise ConfigurationError(
            [f"--role {role}: the embedded log belongs to one process, so its only role is all"]
        )
    _configure_logging()
    for warning in settings.warnings:
        _log.warning("configuration", warning=warning)
    uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    clock = build_clock(settings)
    metrics = _metrics(settings)
    async with _open_log(settings) as (log, checkpoints):
        fleet = Fleet(settings.health, clock, {one.name: one.max_streams for one in settings.sources})
        worker = Worker(settings, log, Checkpointer(checkpoints, fleet), fleet, metrics)
        limits = Limits(max_body_bytes=settings.receiver.max_body_bytes)
        receiver = Receiver(settings.sources, log, metrics, clock, limits)
        exposition = Exposition(metrics, fleet, settings.health)
        pages = build(settings, log, fleet, exposition)
        async with (
            serve(pages, settings.admin.listen) as operators,
            serve(receiver, settings.receiver.listen) as vendors,
            run_reconcile(settings, FleetStreams(fleet), log, metrics, clock, random.Random()),
        ):
            _log.info(
                "serving", version=__version__, callbacks=f"http://{vendors}", operators=f"http://{operators}"
            )
            await _until_signalled(worker)
        exposition.close()
    _log.info("stopped")


async def _until_signalled(worker: Worker) -> None:
    """Let the worker run until a signal comes or it fails; what it folded is kept."""
    folding = asyncio.create_task(worker.run())
    stopping = asyncio.create_task(_signalled())
    try:
        await asyncio.wait({stopping, folding}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        folding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await folding


async def _signalled() -> None:
    loop, signalled = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled.set)
    await signalled.wait()
    _log.info("stopping")


@contextlib.asynccontextmanager
async def _open_log(settings: Settings) -> AsyncIterator[tuple[SqliteLog, SqliteCheckpoints]]:
    with hold(settings.log.path):
        log = await SqliteLog.open(settings.log.path)
        try:
            checkpoints = await SqliteCheckpoints.open(settings.log.path, log)
            try:
                yield log, checkpoints
            finally:
                await checkpoints.close()
        finally:
            await log.close()


def _metrics(settings: Settings) -> ServiceMetrics:
    metrics = ServiceMetrics(CollectorRegistry())
    for source in settings.sources:
        metrics.declare_source(source.vendor, source.name, registry.alerting_codes(source.vendor))
    return metrics


def _configure_logging() -> None:
    """Write one JSON object a line to stderr, from our own loggers and the libraries'."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s", force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
