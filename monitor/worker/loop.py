"""Follows the embedded log: reads, folds, and does what only time brings about."""

import asyncio
import contextlib
import math

import structlog

from monitor.clock import Seldom, stopwatch
from monitor.config import Settings
from monitor.errors import LogUnavailableError
from monitor.event import Stored
from monitor.log.protocol import ReadableLog
from monitor.metrics.service import ServiceMetrics
from monitor.worker.checkpoint import Checkpointer
from monitor.worker.fleet import Fleet
from monitor.worker.folding import BATCH, TICK_SECONDS, Folder, StalledError, let_pass
from monitor.worker.shard import Shard, retire_replaced
from monitor.worker.sources import tell_unheard

MARGIN_SECONDS = 2.0
"""An event received now may become visible in the log a moment later; what time brings about waits
that long, so that live folding and folding the log again see the same order."""

LINGER_SECONDS = 0.1
"""A short wait for more events to fold together, where few have come: nobody sees a tenth of a second,
but every one of many small reads costs."""

RETRY_SECONDS = 1.0

FRESH_SECONDS = 10.0
"""How long the log may fail to be read until what is known of the streams counts as old."""

EXPIRE_SECONDS = 3600.0
"""How often to remove what the log has kept for long enough."""

EXPIRE_AGAIN_SECONDS = 60.0
"""When to try that again where it failed."""

REPEAT_SECONDS = 30.0
"""Between two lines of the log about the same failure of each try."""

_log = structlog.get_logger(__name__)


class Worker:
    """Keeps a shard true to its log.

    Args:
        settings: the sources, and how long a log is kept.
        log: of one partition.
        checkpointer: the shard's.
        shard: where events are folded into.
        fleet: the shard joins it once it is true.
        metrics: where all of it is counted.
    """

    def __init__(
        self,
        settings: Settings,
        log: ReadableLog,
        checkpointer: Checkpointer,
        shard: Shard,
        fleet: Fleet,
        metrics: ServiceMetrics,
    ) -> None:
        self._retention = settings.log.retention_hours * 3600
        self._sources = settings.sources
        self._log = log
        self._checkpointer = checkpointer
        self._shard = shard
        self._fleet = fleet
        self._clock = fleet.clock
        self._metrics = metrics
        self._folder = Folder(settings, log, metrics, fleet.clock)
        self._telling = Seldom(REPEAT_SECONDS)
        self._next_tick = 0.0
        self._next_expiry = 0.0
        # Before it runs: what is not shown yet would look ended.
        metrics.recovering.set(1)

    async def run(self) -> None:
        """Restore, then follow the log until cancelled; what was folded is kept at the end."""
        shard = self._shard
        self._metrics.consumer_stalled.set(0)
        await self._checkpointer.restore()
        began = self._clock.now()
        goal = await self._log.head()
        _log.info("restored", streams=len(shard.streams), position=shard.position, head=goal)
        try:
            while True:
                try:
                    await self._turn(goal, began)
                except LogUnavailableError as error:
                    self._tell(error, RETRY_SECONDS)
                    self._fleet.fresh_until = min(self._fleet.fresh_until, stopwatch() + FRESH_SECONDS)
                    self._metrics.consumer_stalled.set(self._fleet.stale)
                    await self._show_waiting()
                    await asyncio.sleep(RETRY_SECONDS)
                except StalledError as error:
                    _log.error("stalled", problem=str(error), position=shard.position)
                    self._metrics.consumer_stalled.set(1)
                    self._fleet.unfolded = True
                    await self._stand_still()
        finally:
            await self._checkpointer.save()

    async def _turn(self, goal: int, began: float) -> None:
        """One pass: a batch, or a wait for one; then what is due.

        Args:
            goal: where the log ended at the start, from which on the shard is true.
            began: when that was; what time had brought about by then may have been shown already, though it
                wasn't kept.
        """
        shard = self._shard
        # Folding can take longer than an event needs to become visible.
        read_at = self._clock.now()
        batch = await self._log.read(shard.position, BATCH)
        if batch:
            await self._folder.fold(shard, batch)
        self._fleet.fresh_until = math.inf
        self._metrics.consumer_stalled.set(0)
        if self._fleet.recovering and shard.position >= goal:
            await let_pass(shard, began - MARGIN_SECONDS)
            self._fleet.join(shard)
            self._fleet.recovering = False
            self._metrics.recovering.set(0)
            _log.info("recovered", streams=len(shard.streams), position=shard.position)
            tell_unheard(self._sources, shard.live)
        caught_up = len(batch) < BATCH
        self._show_lag(batch, self._log.known_head)
        if caught_up and stopwatch() >= self._next_tick:
            await self._tick(read_at - MARGIN_SECONDS)
        if self._checkpointer.is_due():
            await self._save()
        if caught_up:
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await self._log.wait_beyond(shard.position)
            except TimeoutError:
                return
            await asyncio.sleep(LINGER_SECONDS)
        else:
            await asyncio.sleep(0)

    async def _save(self) -> None:
        """Keep what was folded. Where that fails the log may be well, so folding it goes on."""
        try:
            await self._checkpointer.save()
        except LogUnavailableError as error:
            self._tell(error, RETRY_SECONDS)
        else:
            self._metrics.checkpoint_timestamp.set(self._clock.now())

    def _tell(self, error: LogUnavailableError, retry_seconds: float) -> None:
        if self._telling.is_due():
            _log.error("log unavailable", error=str(error), retry_in_seconds=retry_seconds)

    async def _stand_still(self) -> None:
        """Read no more, until cancelled; only say how much waits, whenever the log can tell."""
        while True:
            await self._show_waiting()
            await asyncio.sleep(TICK_SECONDS)

    async def _show_waiting(self) -> None:
        """Say how much waits, if the log can tell."""
        with contextlib.suppress(LogUnavailableError):
            self._show_lag([], await self._log.head())

    def _show_lag(self, batch: list[Stored], head: int) -> None:
        lag = max(0, head - self._shard.position)
        self._metrics.log_lag.labels("0").set(lag)
        oldest = batch[-1].event.received if batch and lag else None
        self._metrics.log_oldest_unfolded.set(oldest)

    async def _tick(self, now: float) -> None:
        shard = self._shard
        await let_pass(shard, now)
        retire_replaced([shard], now)
        if stopwatch() >= self._next_expiry:
            await self._expire(now)
        self._next_tick = stopwatch() + TICK_SECONDS

    async def _expire(self, now: float) -> None:
        """Remove what is too old. Where that fails the rest may be well, so folding and saving go on."""
        try:
            removed = await self._log.remove_expired(now - self._retention, self._checkpointer.position)
        except LogUnavailableError as error:
            self._tell(error, EXPIRE_AGAIN_SECONDS)
            self._next_expiry = stopwatch() + EXPIRE_AGAIN_SECONDS
        else:
            if removed:
                _log.info("expired", events=removed)
            self._next_expiry = stopwatch() + EXPIRE_SECONDS
