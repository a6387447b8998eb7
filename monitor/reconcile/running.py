"""Starts the rounds of every source that has an API, beside the rest of a service."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from functools import partial

import structlog

from monitor.clock import Clock
from monitor.config import Settings, Source
from monitor.errors import MonitorError
from monitor.log.protocol import EventLog
from monitor.metrics.service import ServiceMetrics
from monitor.reconcile.rounds import Pace, SourceRounds
from monitor.reconcile.streams import LiveStreams
from monitor.vendors.api_errors import REASONS
from monitor.vendors.api_transport import RateLimit
from monitor.vendors.apis import lists_jobs_of_others, open_api

SLOWER = 5.0
"""When all agrees for long, rounds are this many times as far apart."""

RESTART_SECONDS = 60.0

_log = structlog.get_logger(__name__)


def _everybody(source: str) -> bool:
    """One process has all streams, so it lists for every source."""
    del source
    return True


def _nobody(source: str) -> bool:
    """Of an account that sources share only those jobs are asked about that a source has heard of."""
    del source
    return False


@contextlib.asynccontextmanager
async def run_reconcile(
    settings: Settings,
    streams: LiveStreams,
    log: EventLog,
    metrics: ServiceMetrics,
    clock: Clock,
    rng: random.Random,
    owns_list: Callable[[str], bool] = _everybody,
) -> AsyncIterator[None]:
    """Ask the vendors while the context is open. Nothing that goes wrong here gets out of it.

    Args:
        settings: sources without `[sources.api]` are left alone.
        streams: that this process answers for.
        log: takes what differs, as events of the channel `api`.
        metrics: count what is asked, what fails and what differs.
        clock: tells the received time.
        rng: jitters.
        owns_list: whether this process is the one that lists a source's jobs, by the source's name.
    """
    urls = frozenset(source.public_url for source in settings.sources)
    tasks = [
        asyncio.create_task(
            _keep_asking(
                source,
                urls,
                streams,
                log,
                metrics,
                clock,
                rng,
                _nobody if lists_jobs_of_others(source, settings.sources) else owns_list,
            )
        )
        for source in settings.sources
        if source.api is not None
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep_asking(
    source: Source,
    urls: frozenset[str],
    streams: LiveStreams,
    log: EventLog,
    metrics: ServiceMetrics,
    clock: Clock,
    rng: random.Random,
    owns_list: Callable[[str], bool],
) -> None:
    assert source.api is not None
    for reason in (*REASONS, "log", "internal"):
        metrics.reconcile_failures.labels(source.name, reason)
    calls = metrics.reconcile_calls.labels(source.name)
    rate = RateLimit(source.api.calls_per_minute / 60, on_turn=calls.inc)
    every = source.api.ask_every_seconds
    pace = Pace(
        every,
        SLOWER * every,
        min(Pace().look_again, every / 2),
        max(1, int(source.api.calls_per_minute * every / 60)),
    )
    open_account = partial(open_api, source, clock, rng, rate, other_urls=urls - {source.public_url})
    while True:
        try:
            api = open_account()
            try:
                await SourceRounds(source, api, streams, log, metrics, clock, rng, pace, owns_list).run()
            finally:
                await api.close()
        except Exception as error:
            metrics.reconcile_failures.labels(source.name, "internal").inc()
            # Our own failures say what to do, and hold nothing secret; of others the kind must do.
            what = str(error) if isinstance(error, MonitorError) else type(error).__name__
            _log.error("reconcile failed", source=source.name, error=what)
            await asyncio.sleep(RESTART_SECONDS)
