"""Folds the stored events again, and reports each stream as it was at the end.

The log may be in use by the running service meanwhile; it is only read.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import NamedTuple

from monitor.config import Settings
from monitor.errors import UndecodableError, fault
from monitor.event import Decoded, Stored
from monitor.health import reading
from monitor.health.fold import begin, fold, settle
from monitor.health.status import status
from monitor.health.stream import StreamKey, StreamState
from monitor.log import kafka_archive, kafka_client, sqlite_archive
from monitor.log.protocol import Archive, Progress
from monitor.vendors import registry
from monitor.worker.sources import Sources


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
        archive: all that the log holds.
        settings: the sources as configured today.
        period: until when, and of which stream.
        progress: is told how far it is.

    Attributes:
        undecodable: how many could not be decoded so far.
        faulty: how many were left out for a fault of ours, by what it is and where; the worker makes dead
            letters of those.
        newest: when the last event within the period was received, of whichever stream; 0 before any.
    """

    def __init__(self, archive: Archive, settings: Settings, period: Period, progress: Progress) -> None:
        self._archive = archive
        self._sources = Sources(settings.sources)
        self._period = period
        self._progress = progress
        self.undecodable = 0
        self.faulty: Counter[str] = Counter()
        self.newest = 0.0

    async def __aiter__(self) -> AsyncIterator[tuple[Stored, Decoded]]:
        """Yield each event with what it says."""
        period = self._period
        async for stored in self._archive.events(self._progress):
            event = stored.event
            if period.until is not None and event.received > period.until:
                continue
            self.newest = max(self.newest, event.received)
            if period.job_id is not None and event.job_id != period.job_id:
                continue
            try:
                decoded = registry.decode(event, self._sources.of(event))
            except UndecodableError:
                self.undecodable += 1
            except Exception as error:
                self.leave_out(error)
            else:
                yield stored, decoded

    def leave_out(self, error: Exception) -> None:
        """Note that an event was left out for a fault of ours."""
        self.faulty[fault(error)] += 1


def opened(settings: Settings) -> AbstractAsyncContextManager[Archive]:
    """Open the log to read it, while the context is open.

    Entering raises LogUnavailableError: the log isn't there, or can't be opened.
    """
    if settings.log.backend == "sqlite":
        return sqlite_archive.opened(settings.log.path)
    kafka_client.tell_nothing()
    return kafka_archive.opened(settings)


async def report(events: Events, settings: Settings, period: Period) -> list[Replayed]:
    """Return what each stream's events add up to, in the order of their first events.

    Streams that were over before `since` are left out.
    """
    states: dict[StreamKey, StreamState] = {}
    async for stored, decoded in events:
        event = stored.event
        key = StreamKey(event.source, event.job_id)
        state = states.get(key)
        if state is None:
            state = states[key] = begin(event)
        try:
            fold(state, stored, decoded, settings.health)
        except Exception as error:
            events.leave_out(error)
    rows = []
    end = period.until or events.newest
    for state in states.values():
        settle(state, end, settings.health)
        if period.since is None or state.end is None or state.end.at >= period.since:
            rows.append(_replayed(state, end, settings))
    return rows


def in_words(moment: float) -> str:
    """Return Unix seconds as people read them, and as `--from` and `--to` take them: RFC 3339 in UTC."""
    return f"{datetime.fromtimestamp(int(moment), UTC):%Y-%m-%dT%H:%M:%SZ}"


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
