"""Decodes and folds events of a log, whichever it is, and counts what became of them."""

import asyncio
import gc
from collections import Counter, defaultdict, deque
from collections.abc import Sequence

import structlog

from monitor.clock import Clock, Seldom
from monitor.config import Settings
from monitor.errors import MonitorError, UndecodableError, fault_place
from monitor.event import Channel, Event, Stored
from monitor.health.effect import Effect
from monitor.log.protocol import DeadLetter, EventLog
from monitor.metrics.service import ServiceMetrics
from monitor.metrics.vendor_errors import count_told
from monitor.vendors import registry
from monitor.worker.shard import Shard
from monitor.worker.sources import Sources

BATCH = 250
"""Events folded before the event loop has its turn: 5 to 10 ms of work. What a timer wakes gets its turn
only after the next batch, if that is ready."""

TICK_SECONDS = 1.0

TICK_SLICE = 400
"""Streams looked at before the event loop has its turn: 5 ms of work where each has something due."""

COLLECTED_EVENTS = 1000
"""Events folded between two looks of the worker's own: 3 ms. What an event replaces in a state is freed at
once, so that objects don't become more and Python sees no cause to look; when it did, it looked at all that
minutes had replaced."""

WINDOW = 1000
"""The last events of which the share of undecodable ones is taken."""

FEWEST = 100
"""Of fewer events than these, no share means anything."""

WHAT_TO_DO = (
    "Most events can't be decoded, so the worker has stopped reading: nothing is lost, it waits in the log. "
    "Look at `monitor dead-letters list`; then update the service, or correct the source's configuration, "
    "and restart it. If these events are rightly undecodable, set log.undecodable_share = 1."
)

TOLD_SECONDS = 900.0
"""How long a vendor's error is worth a word. A log that is folded again from its start, since its states were
lost, holds those of a week, and what counts them pages."""

UNTRACKED = (
    "The source has as many live streams as max_streams allows, or as many that ended with the first that "
    "was told of them. What is told of any other is counted, and nobody is told how it is: raise "
    "max_streams, or see who makes up jobs."
)
UNTRACKED_SECONDS = 60.0
"""How often that is said of a source, while it lasts."""

_log = structlog.get_logger(__name__)

Counted = tuple[str, str, str, str, str]
"""vendor, source, channel, event type, outcome: the labels of `monitor_events_total`."""


class StalledError(MonitorError):
    """Most of what comes in can't be decoded; going on would empty the log into the dead letters."""


class Folder:
    """Folds batches into shards.

    Args:
        settings: the sources, and when to stop.
        log: where dead letters go.
        metrics: where it is all counted.
        clock: tells when an event was folded.
    """

    def __init__(self, settings: Settings, log: EventLog, metrics: ServiceMetrics, clock: Clock) -> None:
        self._sources = Sources(settings.sources)
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._window = _Window(settings.log.undecodable_share)
        self._uncollected = 0
        self._counted_up_to: dict[int, int] = {}
        self._untracked: defaultdict[str, Seldom] = defaultdict(lambda: Seldom(UNTRACKED_SECONDS))

    async def fold(self, shard: Shard, batch: Sequence[Stored]) -> None:
        """Fold events in order of their offsets; the shard's position moves on.

        Raises:
            StalledError: too much of it can't be decoded; the position stays where it was.
            LogUnavailableError: dead letters can't be kept now; the position stays where it was.
        """
        counted, before = Counter[Counted](), shard.position
        # Of a batch that comes again, whole or in parts, since its dead letters couldn't be kept.
        counted_before = self._counted_up_to.get(shard.partition, before)
        now = self._clock.now()
        dead_letters: list[DeadLetter] = []
        strangers, example = 0, None
        source_of = self._sources.of
        for stored in batch:
            event = stored.event
            try:
                decoded = registry.decode(event, source_of(event))
                effect = shard.fold(stored, decoded)
            except Exception as error:
                shard.position = stored.offset
                dead_letters.append(_dead_letter(event, _undecodable(event, error)))
                if self._is_authentic(event):
                    example = dead_letters[-1]
                else:
                    strangers += 1
                continue
            if stored.offset > counted_before:
                counted[event.vendor, event.source, event.channel, event.type, effect] += 1
            if now - event.received <= TOLD_SECONDS:
                count_told(self._metrics, shard.streams, event, decoded.payload, effect)
        for labels, number in counted.items():
            self._metrics.events.labels(*labels).inc(number)
            _, source, *_, outcome = labels
            if outcome is Effect.OVERFLOW and self._untracked[source].is_due():
                _log.error("too many streams", source=source, problem=UNTRACKED)
        # Events that were folded and are folded again, because the position goes back, are known by id.
        try:
            self._window.note(len(batch) - strangers, len(dead_letters) - strangers, example)
            if dead_letters:
                # A checkpoint that is written meanwhile must not be past what could still be lost.
                folded, shard.position = shard.position, before
                await self._keep(dead_letters)
                shard.position = folded
        except BaseException:
            shard.position = before
            self._counted_up_to[shard.partition] = max(counted_before, batch[-1].offset)
            raise
        if shard.position >= counted_before:
            self._counted_up_to.pop(shard.partition, None)
        self._metrics.event_delay.observe_many([max(0.0, now - stored.event.received) for stored in batch])
        for letter in dead_letters:
            self._metrics.dead_letters.labels(letter.source, letter.channel, letter.reason).inc()
        self._collect(len(batch))

    async def _keep(self, dead_letters: Sequence[DeadLetter]) -> None:
        try:
            await self._log.append((), dead_letters)
        except BaseException:
            # The batch comes again, and must not count once for each time that it came.
            self._window.forget_last()
            raise

    def _collect(self, events: int) -> None:
        """Look for cycles among what was made lately, so that no look takes long."""
        self._uncollected += events
        if self._uncollected >= COLLECTED_EVENTS:
            self._uncollected = 0
            gc.collect(1)

    def _is_authentic(self, event: Event) -> bool:
        """Whether the sender proved who it is: strangers must not be able to stop the worker."""
        if not self._sources.is_configured(event.source):
            return False
        return event.channel is not Channel.CALLBACK or self._sources.of(event).is_signed


async def let_pass(shard: Shard, now: float) -> None:
    """Do for all streams of a shard what only time brings about, as `Shard.tick` says, in slices."""
    for keys in shard.slices(TICK_SLICE):
        shard.tick(now, keys)
        await asyncio.sleep(0)


class _Window:
    """How many of the last events could not be decoded."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._parts: deque[tuple[int, int]] = deque()
        self._events = 0
        self._undecodable = 0

    def note(self, events: int, undecodable: int, example: DeadLetter | None) -> None:
        """Take a batch in.

        Args:
            events: how many it has.
            undecodable: how many of them can't be decoded.
            example: one of those. Where all came at once, none gets to the dead letters to be looked at.

        Raises:
            StalledError: the share is over the limit.
        """
        self._parts.append((events, undecodable))
        self._events += events
        self._undecodable += undecodable
        while self._events - self._parts[0][0] >= WINDOW:
            oldest, oldest_undecodable = self._parts.popleft()
            self._events -= oldest
            self._undecodable -= oldest_undecodable
        if self._events >= FEWEST and self._undecodable > self._share * self._events:
            problem = WHAT_TO_DO
            if example is not None:
                problem += f" The last one, of source {example.source}: {example.reason}: {example.detail}"
            raise StalledError(problem)

    def forget_last(self) -> None:
        """Take back the batch that was noted last."""
        events, undecodable = self._parts.pop()
        self._events -= events
        self._undecodable -= undecodable


def _undecodable(event: Event, error: Exception) -> UndecodableError:
    """Name why an event can't be folded.

    A fault of ours must not stop what is folded of all other streams, nor lose the event.
    """
    if isinstance(error, UndecodableError):
        return error
    fault, place = type(error).__name__, fault_place(error)
    _log.error("fold_failed", event_id=str(event.id), source=event.source, error=fault, at=place)
    return UndecodableError("fold_failed", f"Folding it failed with {fault}.")


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
