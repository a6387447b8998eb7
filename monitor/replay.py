"""Folds the stored events again, and reports each stream as it was at the end.

The log may be in use by the running service meanwhile; it is only read.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from monitor.config import Settings
from monitor.errors import MonitorError, UndecodableError
from monitor.event import Decoded, Stored
from monitor.health import reading
from monitor.health.fold import begin, fold, settle
from monitor.health.status import status
from monitor.health.stream import StreamKey, StreamState
from monitor.log.sqlite import SqliteLog
from monitor.vendors import registry
from monitor.worker.sources import Sources

BATCH = 500

Progress = Callable[[int], None]
"""Is told the offset of the last event read."""


class Period(NamedTuple):
    """What of the log is asked for. since, until: Unix seconds, both included; None: all there is.

    Everything before `since` is folded all the same, or the streams would not be what they were.
    job_id: of one stream only, in its canonical form.
    """

    since: float | None = None
    until: float | None = None
    job_id: str | None = None


class Replayed(NamedTuple):
    """One stream at the end of the period. Times are Unix seconds; what isn't known is None."""

    vendor: str
    source: str
    job_id: str
    status: str
    since: float
    outcome: str | None
    reconnects: int
    outages: int
    outage_seconds: float
    rounds: int
    round_coverage: float | None
    skipped: int
    replies: int
    missed: int


class Events:
    """The decodable events of a log within a period, in its order.

    Args:
        log: where they are.
        settings: the sources as configured today.
        period: until when, and of which stream.
        progress: is told how far it is.

    Attributes:
        undecodable: how many could not be decoded so far.
    """

    def __init__(self, log: SqliteLog, settings: Settings, period: Period, progress: Progress) -> None:
        self._log = log
        self._sources = Sources(settings.sources)
        self._period = period
        self._progress = progress
        self.undecodable = 0

    async def __aiter__(self) -> AsyncIterator[tuple[Stored, Decoded]]:
        """Yield each event with what it says."""
        position, period = 0, self._period
        while batch := await self._log.read(position, BATCH):
            for stored in batch:
                event = stored.event
                if period.until is not None and event.received > period.until:
                    continue
                if period.job_id is not None and event.job_id != period.job_id:
                    continue
                try:
                    decoded = registry.decode(event, self._sources.of(event))
                except UndecodableError:
                    self.undecodable += 1
                else:
                    yield stored, decoded
            position = batch[-1].offset
            self._progress(position)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[SqliteLog]:
    """Open the embedded log to read it.

    Raises:
        MonitorError: the log isn't there, isn't the embedded one, or can't be opened.
    """
    if settings.log.backend != "sqlite":
        raise MonitorError("log.backend: only the embedded log (sqlite) can be replayed")
    path = settings.log.path
    if not path.is_file():
        raise MonitorError(f"{path}: no log is there yet; the service makes it at its first start")
    log = await SqliteLog.open_reader(path)
    try:
        yield log
    finally:
        await log.close()


async def report(events: Events, settings: Settings, period: Period) -> list[Replayed]:
    """Return what each stream's events add up to, in the order of their first events.

    Streams that were over before `since` are left out.
    """
    states: dict[StreamKey, StreamState] = {}
    newest = period.until or 0.0
    async for stored, decoded in events:
        event = stored.event
        newest = max(newest, event.received)
        key = StreamKey(event.source, event.job_id)
        state = states.get(key)
        if state is None:
            state = states[key] = begin(event)
        fold(state, stored, decoded, settings.health)
    rows = []
    for state in states.values():
        settle(state, newest, settings.health)
        over = state.last_received if state.end is None else state.end.at
        if period.since is None or over >= period.since:
            rows.append(_replayed(state, newest, settings))
    return rows


def _replayed(state: StreamState, now: float, settings: Settings) -> Replayed:
    verdict = status(state, now, settings.health)
    return Replayed(
        vendor=state.vendor.value,
        source=state.source,
        job_id=state.job_id,
        status=verdict.status.value,
        since=verdict.since,
        outcome=None if state.end is None else state.end.outcome.value,
        reconnects=state.link.reconnects,
        outages=state.link.outages,
        outage_seconds=round(reading.seconds(state, now).outage, 6),
        rounds=state.script.rounds,
        round_coverage=reading.finished_coverage(state.script),
        skipped=state.script.skipped,
        replies=state.replies.finished,
        missed=state.missed,
    )
