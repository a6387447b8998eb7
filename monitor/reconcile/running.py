"""Starts the rounds of every source that has an API, beside the rest of a service."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial

import structlog

from monitor.config import ApiSettings, Settings, Source
from monitor.errors import MonitorError
from monitor.reconcile.rounds import Pace, SourceRounds, Surroundings
from monitor.vendors.api_errors import REASONS
from monitor.vendors.api_transport import RateLimit
from monitor.vendors.apis import lists_jobs_of_others, open_api

SLOWER = 5.0
"""When all agrees for long, rounds are this many times as far apart."""

RESTART_SECONDS = 60.0

_log = structlog.get_logger(__name__)


def _nobody(source: str) -> bool:
    """Of an account that sources share only those jobs are asked about that a source has heard of."""
    del source
    return False


@contextlib.asynccontextmanager
async def run_reconcile(settings: Settings, around: Surroundings) -> AsyncIterator[None]:
    """Ask the vendors while the context is open. Nothing that goes wrong here gets out of it.

    Args:
        settings: sources without `[sources.api]` are left alone.
        around: what they tell, and to whom.
    """
    urls = frozenset(source.public_url for source in settings.sources)
    tasks = [
        asyncio.create_task(_keep_asking(source, urls, _around(source, settings, around)))
        for source in settings.sources
        if source.api is not None
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _around(source: Source, settings: Settings, around: Surroundings) -> Surroundings:
    shared = lists_jobs_of_others(source, settings.sources)
    return around._replace(owns_list=_nobody) if shared else around


def pace_of(api: ApiSettings) -> Pace:
    """Return how often a source's rounds ask, and how much in one of them."""
    every = api.ask_every_seconds
    return Pace(
        ask_every=every,
        slowest=SLOWER * every,
        look_again=min(Pace().look_again, every / 2),
        calls=max(1, int(api.calls_per_minute * every / 60)),
    )


async def _keep_asking(source: Source, urls: frozenset[str], around: Surroundings) -> None:
    assert source.api is not None
    metrics = around.metrics
    for reason in (*REASONS, "log", "internal"):
        metrics.reconcile_failures.labels(source.name, reason)
    calls = metrics.reconcile_calls.labels(source.name)
    rate = RateLimit(source.api.calls_per_minute / 60, on_turn=calls.inc)
    open_account = partial(
        open_api, source, around.clock, around.rng, rate, other_urls=urls - {source.public_url}
    )
    while True:
        try:
            api = open_account()
            try:
                await SourceRounds(source, api, around, pace_of(source.api)).run()
            finally:
                await api.close()
        except Exception as error:
            metrics.reconcile_failures.labels(source.name, "internal").inc()
            # Our own failures say what to do, and hold nothing secret; of others the kind must do.
            what = str(error) if isinstance(error, MonitorError) else type(error).__name__
            _log.error("reconcile failed", source=source.name, error=what)
            await asyncio.sleep(RESTART_SECONDS)
