"""Follows the health that workers keep, of all streams: what a process without partitions shows."""

import asyncio

import structlog
from pydantic import ValidationError

from monitor.clock import Seldom, stopwatch
from monitor.config import Settings
from monitor.errors import LogUnavailableError
from monitor.health.stream import StreamKey, from_json
from monitor.log.kafka_client import REPEAT_SECONDS, RETRY_SECONDS
from monitor.log.kafka_consumer import HealthReader, Kept
from monitor.log.uncancelled import uncancelled
from monitor.metrics.service import ServiceMetrics
from monitor.worker.fleet import Fleet
from monitor.worker.shard import Shard, retire_replaced
from monitor.worker.watchdog import Watchdog

SLICE = 300
"""States read before the event loop has its turn: about 5 ms of work."""

READ_SECONDS = 0.2

LOOK_SECONDS = 1.0
"""How often to compare with where the partitions end."""

FRESH_SECONDS = 10.0
"""How old what is shown may be without a word about it. A partition that gets another leader takes less."""

_log = structlog.get_logger(__name__)


class Follower:
    """Keeps a fleet of all streams true to the topic of health.

    Args:
        settings: of the service.
        fleet: has one shard with all streams.
        metrics: tell from now on whether it recovers or stands still; None if another part of the
            process does.
    """

    def __init__(self, settings: Settings, fleet: Fleet, metrics: ServiceMetrics | None) -> None:
        self._settings = settings
        self._fleet = fleet
        self._telling = Seldom(REPEAT_SECONDS)
        # A reader that is made anew knows no more of the workers than the one before it did.
        self._workers = Watchdog(settings.kafka.stall_seconds)
        if metrics is not None:
            # Asked for with each scrape: what is shown grows old while a call to Kafka takes its time.
            metrics.recovering.set_function(lambda: float(fleet.recovering))
            metrics.consumer_stalled.set_function(lambda: float(fleet.unread))

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                async with HealthReader.open(self._settings) as reader:
                    await uncancelled(self._follow(reader))
            except LogUnavailableError as error:
                self._fail(error)
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self, reader: HealthReader) -> None:
        """Read all that was kept, then what is kept from now on.

        Raises:
            LogUnavailableError: the reader stands still, or can't go on.
        """
        # A new shard each time: what was forgotten meanwhile may have left no tombstone.
        shard = Shard(self._settings.health, {})
        watchdog = Watchdog(self._settings.kafka.stall_seconds)
        if not self._fleet.unfolded:
            # While nobody could look, workers couldn't fold either.
            self._workers = Watchdog(self._settings.kafka.stall_seconds)
        goal: dict[int, int] | None = {}
        next_look = 0.0
        while True:
            for kept in await reader.read(SLICE, READ_SECONDS):
                _apply(shard, kept)
            await asyncio.sleep(0)
            if goal is not None:
                # Of each partition, where it ended when it was first read from.
                goal = reader.known_ends() | goal
                positions = await reader.positions()
                if all(partition in goal and at >= goal[partition] for partition, at in positions.items()):
                    goal = None
                    self._fleet.join(shard)
                    self._fleet.recovering = False
                    self._confirm()
                    _log.info("following", streams=len(shard.streams))
            if stopwatch() >= next_look:
                # Before it is in the fleet, the one that is there stays as old as it is.
                if await self._look(reader, watchdog) and goal is None:
                    await self._look_at_workers(reader)
                    self._confirm()
                    # Of two jobs of a room that two workers have, neither knows that one replaces the other.
                    retire_replaced([shard], self._fleet.now())
                    shard.changed.clear()
                next_look = stopwatch() + LOOK_SECONDS

    async def _look(self, reader: HealthReader, watchdog: Watchdog) -> bool:
        """Return whether the brokers tell where the partitions end, and the reader keeps up.

        Raises:
            LogUnavailableError: the reader stands still.
        """
        try:
            positions, ends = await reader.positions(), await reader.ends()
        except LogUnavailableError as error:
            if self._fleet.unread:
                self._fail(error)
            return False
        still = watchdog.look(positions, ends, stopwatch())
        if still:
            self._fleet.fresh_until = min(self._fleet.fresh_until, stopwatch())
            raise LogUnavailableError(
                f"partitions {still} have stood still for {self._settings.kafka.stall_seconds:g} s "
                "while states wait in them"
            )
        return True

    async def _look_at_workers(self, reader: HealthReader) -> None:
        """See whether anybody folds: without workers all streams would seem to have fallen silent."""
        try:
            folded, there = await reader.folded()
        except LogUnavailableError:
            # The states can be read all the same, and are no older for it.
            return
        # One partition that stands still is its worker's to tell; here it must not hide all the others.
        self._fleet.unfolded = bool(self._workers.look({0: folded}, {0: there}, stopwatch()))
        if self._fleet.unfolded and self._telling.is_due():
            _log.error("no worker folds", events=there - folded)

    def _confirm(self) -> None:
        self._fleet.fresh_until = stopwatch() + FRESH_SECONDS

    def _fail(self, error: LogUnavailableError) -> None:
        if self._telling.is_due():
            _log.error("health can't be followed", error=str(error), retry_in_seconds=RETRY_SECONDS)


def _apply(shard: Shard, kept: Kept) -> None:
    key = StreamKey(kept.source, kept.job_id)
    if kept.state is None:
        shard.streams.pop(key, None)
        return
    try:
        shard.streams[key] = from_json(kept.state)
    except ValidationError:
        # Written by a newer worker; that one's pages show it. What was known before isn't true any more.
        shard.streams.pop(key, None)
        _log.warning("a state can't be read", source=kept.source, job_id=kept.job_id)
