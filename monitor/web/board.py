"""What the page of all streams shows: a row for each, worst first, brought up to date when somebody looks.

Nobody tells which streams have changed, and a status can change by time alone. So a look goes over all
streams, but compares only a few values of each: 5,000 take about 60 ms, a slice at a time. A row is
described anew when these differ, and written as HTML when somebody sees it. All who look share it, and
nothing is done while nobody does.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from zlib import crc32

from monitor.clock import stopwatch
from monitor.config import HealthSettings
from monitor.event import Vendor
from monitor.health.reading import coverage, finished_coverage, rtmp_state
from monitor.health.status import Status, Verdict, status
from monitor.health.stream import StreamKey, StreamState
from monitor.web.addresses import page_of
from monitor.web.strip import Part, last_hour
from monitor.web.views import StreamSummary, rank, summary

SLICE = 100
"""Streams looked at before the event loop has its turn: about 2 ms of work, more if all have changed."""

LOOK_SECONDS = 0.5
"""How old what is shown may be, with some thousands of streams."""

LONGEST_SECONDS = 1.0
"""How long to wait from one look to the next, however many streams there are."""

LARGEST_SHARE = 0.1
"""Of the event loop's time that looking may take, unless that would be a longer wait."""

REFRESH_SECONDS = 30.0
"""After this long a row is described again though nothing happened: its strip moves, its sentences tell
how long something has lasted."""


class Streams(Protocol):
    """All streams, as a page reads them."""

    @property
    def recovering(self) -> bool:
        """Whether they aren't true yet."""
        ...

    @property
    def stale(self) -> bool:
        """Whether they are told as they were some time ago."""
        ...

    def get(self, key: StreamKey) -> StreamState | None:
        """Return one stream, perhaps the marker of a retired one."""
        ...

    def shown(self) -> list[StreamState]:
        """Return those worth a look."""
        ...

    def now(self) -> float:
        """Return the time in Unix seconds."""
        ...


class Wanted(NamedTuple):
    """Which rows somebody wants to see; None: any. words: each must be in a row's text. rows: at most."""

    status: Status | None = None
    vendor: Vendor | None = None
    source: str | None = None
    words: tuple[str, ...] = ()
    rows: int = 100


@dataclass(slots=True)
class Row:
    """One stream's row. face: what it was made of. text: lower case, for the search. html: once written."""

    face: tuple[Any, ...]
    key: str
    address: str
    line: StreamSummary
    strip: list[Part]
    rank: tuple[int, float, str]
    text: str
    html: str | None = None


class Shown(NamedTuple):
    """What somebody sees. now: Unix seconds. counts: of all streams, by status. matching: rows that fit."""

    now: float
    counts: Mapping[Status, int]
    matching: int
    rows: list[Row]


class Board:
    """The rows of all streams.

    Args:
        streams: where they are.
        settings: from when on a stream counts as something.
    """

    def __init__(self, streams: Streams, settings: HealthSettings) -> None:
        self._streams = streams
        self._settings = settings
        self._rows: dict[StreamKey, Row] = {}
        self._worst_first: list[Row] = []
        self._counts: Counter[Status] = Counter()
        self._now = 0.0
        self._next_look = 0.0
        self._one_at_a_time = asyncio.Lock()

    @property
    def recovering(self) -> bool:
        """Whether the streams aren't true yet."""
        return self._streams.recovering

    @property
    def stale(self) -> bool:
        """Whether they are told as they were."""
        return self._streams.stale

    async def look(self, wanted: Wanted) -> Shown:
        """Return what somebody sees now, half a second old, older with very many streams."""
        async with self._one_at_a_time:
            if stopwatch() >= self._next_look:
                await self._look_at_all()
        found = list(_matching(self._worst_first, wanted))
        return Shown(self._now, self._counts, len(found), found[: wanted.rows])

    async def _look_at_all(self) -> None:
        began = stopwatch()
        # A fleet that recovers holds streams that aren't true yet.
        states = [] if self.recovering else self._streams.shown()
        rows: dict[StreamKey, Row] = {}
        for start in range(0, len(states), SLICE):
            now = self._streams.now()
            for state in states[start : start + SLICE]:
                rows[state.key] = self._row(state, now)
            await asyncio.sleep(0)
        self._rows = rows
        self._worst_first = sorted(rows.values(), key=_rank)
        self._counts = Counter(row.line.status for row in rows.values())
        self._now = self._streams.now()
        ended = stopwatch()
        took = ended - began
        self._next_look = ended + min(max(LOOK_SECONDS - took, took / LARGEST_SHARE), LONGEST_SECONDS)

    def _row(self, state: StreamState, now: float) -> Row:
        verdict = status(state, now, self._settings)
        key = state.key
        face = _face(state, verdict, now)
        before = self._rows.get(key)
        if before is not None and before.face == face:
            return before
        line = summary(state, now, self._settings)
        return Row(
            face,
            f"{key.source}/{key.job_id}",
            page_of(key.source, key.job_id),
            line,
            last_hour(state, verdict, now),
            # What ended last is on top of what ended before; of the rest, what has lasted longest.
            (rank(line), verdict.since * (-1 if state.end is not None else 1), key.job_id),
            " ".join([line.vendor, line.source, line.job_id, line.room_id or "", *line.warnings]).lower(),
        )


def _face(state: StreamState, verdict: Verdict, now: float) -> tuple[Any, ...]:
    # Not all rows in the same second: each has its own moment within the half minute.
    moment = int((now + crc32(state.job_id.encode()) % int(REFRESH_SECONDS)) // REFRESH_SECONDS)
    return (
        verdict.status,
        verdict.since,
        verdict.troubles,
        rtmp_state(state),
        state.end is not None and state.end.outcome,
        state.link.reconnects,
        coverage(state.script),
        finished_coverage(state.script),
        state.warnings,
        state.job.room_id,
        state.transitions[-1] if state.transitions else None,
        moment,
    )


def _matching(rows: Iterable[Row], wanted: Wanted) -> Iterator[Row]:
    for row in rows:
        line = row.line
        if wanted.status is not None and line.status is not wanted.status:
            continue
        if wanted.vendor is not None and line.vendor is not wanted.vendor:
            continue
        if wanted.source is not None and line.source != wanted.source:
            continue
        if all(word in row.text for word in wanted.words):
            yield row


def _rank(row: Row) -> tuple[int, float, str]:
    return row.rank
