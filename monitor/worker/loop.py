"""Reads the log, decodes, folds, and does what only time brings about."""

import asyncio
import gc
from collections import Counter

import structlog

from monitor.clock import stopwatch
from monitor.config import HealthSettings, Settings, Source
from monitor.errors import LogUnavailableError, UndecodableError
from monitor.event import Event, SessionChanged, Stored
from monitor.health.effect import Effect
from monitor.log.protocol import DeadLetter, EventLog
from monitor.metrics.service import ServiceMetrics
from monitor.vendors import registry
from monitor.worker.checkpoint import Checkpointer
from monitor.worker.fleet import Fleet

BATCH = 500
"""Events folded before the event loop has its turn: about 10 ms of work."""

LINGER_SECONDS = 0.1
"""A short wait for more events to fold together, where few have come: nobody sees a tenth of a second,
but every one of many small reads costs."""

TICK_SECONDS = 1.0

TICK_SLICE = 2000
"""Streams looked at before the event loop has its turn: a few ms of work."""

MARGIN_SECONDS = 2.0
"""An event received now may become visible in the log a moment later; what time brings about waits
that long, so that live folding and folding the log again see the same order."""

RETRY_SECONDS = 1.0

YOUNG_OBJECTS = 10_000
"""New objects after which the garbage collector looks for cycles among them: about a millisecond."""

_log = structlog.get_logger(__name__)

Counted = tuple[str, str, str, str, str]
"""vendor, source, channel, event type, outcome: the labels of `monitor_events_total`."""


class Worker:
    """Keeps a fleet true to its log."""

    def __init__(
        self,
        settings: Settings,
        log: EventLog,
        checkpointer: Checkpointer,
        fleet: Fleet,
        metrics: ServiceMetrics,
    ) -> None:
        self._health: HealthSettings = settings.health
        self._retention = settings.log.retention_hours * 3600
        self._sources = {source.name: source for source in settings.sources}
        self._log = log
        self._checkpointer = checkpointer
        self._fleet = fleet
        self._metrics = metrics
        self._next_tick = 0.0
        self._next_expiry = 0.0

    async def run(self) -> None:
        """Restore, then follow the log until cancelled; what was folded is kept at the end."""
        fleet = self._fleet
        # States hold no cycles, so reference counts free them; a collection of the oldest generation
        # would walk all of them for nothing, and hold the event loop for more than 100 ms.
        gc.set_threshold(YOUNG_OBJECTS, 20, 1_000_000)
        self._metrics.recovering.set(1)
        await self._checkpointer.restore()
        goal = await self._log.head()
        _log.info("restored", streams=len(fleet.streams), position=fleet.position, head=goal)
        try:
            while True:
                try:
                    await self._turn(goal)
                except LogUnavailableError as error:
                    _log.error("log unavailable", error=str(error), retry_in_seconds=RETRY_SECONDS)
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            await self._checkpointer.save()

    async def _turn(self, goal: int) -> None:
        """One pass: a batch, or a wait for one; then what is due."""
        fleet = self._fleet
        batch = await self._log.read(fleet.position, BATCH)
        if batch:
            await self._fold(batch)
        if fleet.recovering and fleet.position >= goal:
            fleet.recovering = False
            self._metrics.recovering.set(0)
            _log.info("recovered", streams=len(fleet.streams), position=fleet.position)
        caught_up = len(batch) < BATCH
        self._show_lag(batch, await self._log.head())
        if caught_up and stopwatch() >= self._next_tick:
            await self._tick()
        if self._checkpointer.is_due():
            await self._checkpointer.save()
            self._metrics.checkpoint_timestamp.set(fleet.clock.now())
        if caught_up:
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await self._log.wait_beyond(fleet.position)
            except TimeoutError:
                return
            await asyncio.sleep(LINGER_SECONDS)
        else:
            await asyncio.sleep(0)

    async def _fold(self, batch: list[Stored]) -> None:
        fleet, counted = self._fleet, Counter[Counted]()
        now = fleet.clock.now()
        dead_letters: list[DeadLetter] = []
        for stored in batch:
            event = stored.event
            try:
                decoded = registry.decode(event, self._source(event))
            except UndecodableError as error:
                fleet.position = stored.offset
                dead_letters.append(_dead_letter(event, error))
                continue
            effect = fleet.fold(stored, decoded)
            counted[event.vendor, event.source, event.channel, event.type, effect] += 1
            payload = decoded.payload
            if type(payload) is SessionChanged and payload.code is not None and effect is Effect.APPLIED:
                category = registry.error_category(event.vendor, payload.code)
                self._metrics.vendor_errors.labels(
                    event.vendor, event.source, str(payload.code), category
                ).inc()
        for labels, number in counted.items():
            self._metrics.events.labels(*labels).inc(number)
        self._metrics.event_delay.observe_many([max(0.0, now - stored.event.received) for stored in batch])
        if dead_letters:
            await self._log.append((), dead_letters)
            for letter in dead_letters:
                self._metrics.dead_letters.labels(letter.source, letter.channel, letter.reason).inc()

    def _source(self, event: Event) -> Source:
        """Return the event's source as configured; one that was taken out since decodes by default."""
        source = self._sources.get(event.source)
        if source is None:
            source = Source(name=event.source, vendor=event.vendor, public_url="http://removed.invalid/")
            self._sources[event.source] = source
        return source

    def _show_lag(self, batch: list[Stored], head: int) -> None:
        lag = max(0, head - self._fleet.position)
        self._metrics.log_lag.labels("0").set(lag)
        oldest = batch[-1].event.received if batch and lag else None
        self._metrics.log_oldest_unfolded.set(oldest)

    async def _tick(self) -> None:
        fleet = self._fleet
        now = fleet.clock.now() - MARGIN_SECONDS
        for keys in fleet.slices(TICK_SLICE):
            fleet.tick(now, keys)
            await asyncio.sleep(0)
        fleet.retire_replaced(now)
        if stopwatch() >= self._next_expiry:
            removed = await self._log.remove_expired(now - self._retention, self._checkpointer.position)
            if removed:
                _log.info("expired", events=removed)
            self._next_expiry = stopwatch() + 3600.0
        self._next_tick = stopwatch() + TICK_SECONDS


def _dead_letter(event: Event, error: UndecodableError) -> DeadLetter:
    return DeadLetter(
        event.id,
        event.vendor,
        event.source,
        event.job_id,
        event.channel,
        event.type,
        event.received,
        event.signed,
        event.body,
        error.reason,
        error.detail,
    )
