"""The page that a scrape gets: the service's own families, then those of every stream.

Reading and writing are apart. States are read on the event loop, a slice at a time: the fold changes
them there too, so a slice falls between two folds and each stream is read whole. A thread could meet a
stream half folded, and a counter that is too high for one scrape reads as a reset in the next. What was
read are values that no fold touches; they are written as text, and compressed, by a thread of its own.
"""

import asyncio
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NamedTuple, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, gzip_accepted

from monitor.config import HealthSettings
from monitor.event import Vendor
from monitor.health import reading
from monitor.health.status import Status, status
from monitor.health.stream import StreamKey, StreamState
from monitor.metrics.catalogue import STREAM_LABELS
from monitor.metrics.service import ServiceMetrics
from monitor.metrics.streams import RENDERERS, Reading, info_block, is_exported
from monitor.metrics.text import OPENMETRICS_END, Block, label, write_header

SLICE = 200
"""Streams read at once: about 3 ms during which the event loop does nothing else."""

ON_ITS_WAY_SECONDS = 1.0
"""A running phase counts until so long ago: an event that ended it may have been received since, and not be
folded yet. What was shown beyond that would fall with a restart, which forgets what was shown."""

_GZIP = 31
"""zlib's number for its largest window in gzip's wrapping."""

_REFUSED = re.compile(r";\s*q=0(\.0*)?\s*(;|$)", re.IGNORECASE)
"""What a client doesn't take, in a part of what says what it takes. The library passes over `q=0`."""

_OTHER_OPENMETRICS = re.compile(r"^\s*application/openmetrics-text\s*;.*\bversion=(?!1\.0\.0\s*(;|$))")
"""A version of OpenMetrics that isn't written here. The library says that a later one is what it writes."""


class Fleet(Protocol):
    """What a scrape reads of the worker's streams."""

    @property
    def streams(self) -> Mapping[StreamKey, StreamState]:
        """All streams, markers of retired ones among them."""
        ...

    @property
    def recovering(self) -> bool:
        """Whether streams that belong here are still being replayed, so that nobody can count them yet."""
        ...

    @property
    def lapsed(self) -> bool:
        """Whether nobody has confirmed lately that the streams are this process's, so that none is told."""
        ...

    @property
    def losses(self) -> int:
        """How often streams have left: once it rises, what was read before must not be shown."""
        ...

    def now(self) -> float:
        """Return the time in Unix seconds."""
        ...


class Rendered(NamedTuple):
    """A page. encoding: of the content, for its header; None if it is plain."""

    content_type: str
    encoding: str | None
    body: bytes


class _Format(NamedTuple):
    content_type: str
    openmetrics: bool
    write_service: Callable[[CollectorRegistry], bytes]


@dataclass(slots=True)
class _Shown:
    """What is kept of a stream from scrape to scrape: text that seldom changes, and its seconds as shown.

    job: what `info` was made of.
    """

    labels: str
    job: tuple[str | None, ...]
    info: Block
    connected_seconds: float
    outage_seconds: float


class _Table(NamedTuple):
    """What one scrape exports.

    Values that are new to each scrape are texts and numbers, no tuples or lists: the cyclic garbage
    collector counts those, and a hundred thousand more would start it on all that the process holds.

    rows: the streams' labels. columns: for each renderer and each of its reads, what it returned of
    each stream. numbers: streams by vendor, source and status.
    """

    rows: list[str]
    columns: list[list[list[Any]]]
    numbers: Counter[tuple[Vendor, str, Status]]


class Exposition:
    """Writes the page of a process.

    Args:
        service: the service's own metrics.
        fleet: the streams; of a process without a worker, an empty one.
        settings: from when on a stream counts as something, and how long an ended one stays.
    """

    def __init__(self, service: ServiceMetrics, fleet: Fleet, settings: HealthSettings) -> None:
        self._service = service
        self._fleet = fleet
        self._settings = settings
        self._shown: dict[StreamKey, _Shown] = {}
        self._one_at_a_time = asyncio.Lock()
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="exposition")

    async def render(self, accept: str, accept_encoding: str) -> Rendered:
        """Return the page as it is now.

        Args:
            accept: the request's header: which formats the client reads, empty if it doesn't say.
            accept_encoding: the request's header: gzip or not.
        """
        wanted = _negotiate(accept)
        gzip = gzip_accepted(_without(_REFUSED, accept_encoding))
        # Two pages at once would take twice the memory and be no faster.
        async with self._one_at_a_time:
            while True:
                losses, lapsed = self._fleet.losses, self._fleet.lapsed
                table = await self._read()
                if lapsed:
                    # Missing series would else say that the streams are gone. Whoever confirms the fleet
                    # takes this back.
                    self._service.recovering.set(1)
                if self._fleet.recovering:
                    self._service.hide_streams()
                else:
                    self._service.set_streams(table.numbers)
                loop = asyncio.get_running_loop()
                body = await loop.run_in_executor(self._writer, self._write, table, wanted, gzip)
                # A stream that left meanwhile may be another process's by now: two must not claim it.
                if (losses, lapsed) == (self._fleet.losses, self._fleet.lapsed):
                    break
        return Rendered(wanted.content_type, "gzip" if gzip else None, body)

    def close(self) -> None:
        """End the writing thread, once it has written what it was given."""
        self._writer.shutdown(wait=False)

    async def _read(self) -> _Table:
        """Read all streams, and let the event loop go on after each slice."""
        table = _Table([], [[[] for _ in renderer.reads] for renderer in RENDERERS], Counter())
        shown: dict[StreamKey, _Shown] = {}
        streams = self._fleet.streams
        # What isn't there now may come back, with an event folded that was on its way when it was last shown.
        away = self._shown if self._fleet.recovering else {}
        keys, states = list(streams), list(streams.values())
        for start in range(0, len(keys), SLICE):
            end = start + SLICE
            self._read_slice(zip(keys[start:end], states[start:end], strict=True), table, shown)
            await asyncio.sleep(0)
        self._shown = {**away, **shown}
        return table

    def _read_slice(
        self,
        streams: Iterable[tuple[StreamKey, StreamState]],
        table: _Table,
        shown: dict[StreamKey, _Shown],
    ) -> None:
        settings = self._settings
        abandoned = settings.abandon_after_seconds
        # A new time for each slice: one that is older than the last fold would make seconds shrink.
        now = self._fleet.now()
        known = now - ON_ITS_WAY_SECONDS
        readings: list[Reading] = []
        for key, state in streams:
            if not is_exported(state, now, settings):
                continue
            # Where nothing more comes the stream is lost, though only a later look notes that: seconds that
            # were shown beyond that moment would fall with a restart.
            lost_at = state.last_received + abandoned
            kept = shown[key] = _show(state, known if known < lost_at else lost_at, self._shown.get(key))
            verdict = status(state, now, settings)
            readings.append(
                Reading(state, verdict, kept.info, kept.connected_seconds, kept.outage_seconds, now, settings)
            )
            table.rows.append(kept.labels)
            table.numbers[state.vendor, state.source, verdict.status] += 1
        for renderer, columns in zip(RENDERERS, table.columns, strict=True):
            for read, column in zip(renderer.reads, columns, strict=True):
                column.extend(map(read, readings))

    def _write(self, table: _Table, wanted: _Format, gzip: bool) -> bytes:
        """Write the page, in the thread; it never holds the interpreter for more than a piece."""
        page = BytesIO()
        if not gzip:
            for piece in self._pieces(table, wanted):
                page.write(piece)
            # This hands over the buffer, where a join would copy all of the page at once.
            return page.getvalue()
        # Level 1: the text repeats itself so much that more work gains little.
        compressor = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
        for piece in self._pieces(table, wanted):
            page.write(compressor.compress(piece))
        page.write(compressor.flush())
        return page.getvalue()

    def _pieces(self, table: _Table, wanted: _Format) -> Iterator[bytes]:
        yield wanted.write_service(self._service.registry).removesuffix(OPENMETRICS_END)
        for renderer, columns in zip(RENDERERS, table.columns, strict=True):
            yield write_header(renderer.family, openmetrics=wanted.openmetrics)
            yield from renderer.write(table.rows, columns)
            # Freed here and now, rather than all columns at once on the event loop.
            columns.clear()
        if wanted.openmetrics:
            yield OPENMETRICS_END


def _show(state: StreamState, now: float, before: _Shown | None) -> _Shown:
    """Return the stream's text and seconds; `before` is brought up to date. The seconds never fall.

    The event that ended a phase may be on its way for longer than is allowed for, through a spool: once it is
    folded, some seconds move to another phase. Prometheus would take that for a restart from 0.
    """
    job = state.job
    described = (job.room_id, job.rtc_room_id, job.play_mode, job.random_play_mode, job.view_mode)
    _, connected, outage = reading.seconds(state, now)
    if before is None:
        values = (state.vendor, state.source, state.job_id)
        labels = ",".join([label(name, value) for name, value in zip(STREAM_LABELS, values, strict=True)])
        return _Shown(labels, described, info_block(described), connected, outage)
    if before.job != described:
        before.job, before.info = described, info_block(described)
    if connected > before.connected_seconds:
        before.connected_seconds = connected
    if outage > before.outage_seconds:
        before.outage_seconds = outage
    return before


def _negotiate(accept: str) -> _Format:
    """Choose the format as prometheus_client does."""
    # The scheme "dots" renames every metric with an underscore. No name here needs escaping, and the
    # choice of scheme is the server's.
    accept = _without(_OTHER_OPENMETRICS, _without(_REFUSED, accept))
    accept = accept.replace("escaping=dots", "escaping=underscores")
    try:
        encoder, content_type = choose_encoder(accept)
    except TypeError:
        # The library compares numbers with what stands after `version=`, whatever that is.
        encoder, content_type = choose_encoder("")
    return _Format(content_type, content_type.startswith("application/openmetrics-text"), encoder)


def _without(unfit: re.Pattern[str], header: str) -> str:
    """Return what a client accepts without the parts that the library would misread."""
    return ",".join(part for part in header.split(",") if not unfit.search(part))
