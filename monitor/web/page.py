"""The status page: all streams at `/`, and each stream's own page. Works in a closed network.

Pages are whole without a script. With it they stay true by themselves (see `live`).
"""

import asyncio
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse

from monitor.config import Settings
from monitor.errors import LogUnavailableError
from monitor.event import EventId, Vendor, canonical_job_id
from monitor.health.status import Status
from monitor.health.stream import StreamKey
from monitor.log.protocol import History, Past
from monitor.web.board import LOOK_SECONDS, Board, Shown, Streams, Wanted
from monitor.web.live import Message, Pages
from monitor.web.views import detail, heard
from monitor.web.writing import MORE_ROWS, MOST_ROWS, File, Look, Writer, static_files

EVENTS = 50
"""Events on a stream's page; older ones are a link away."""

STREAM_SECONDS = 1.0
"""How often an open page of one stream hears something."""

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Of every page. Nothing in it runs or loads but this service's own files."""

READ_SECONDS = 3.0
"""How long a page waits for its events. The state of its stream is known without them, and a page that is
open gets them when they come."""

_WRITTEN_AT_ONCE = 25
"""Rows written before the event loop has its turn."""


def add(app: FastAPI, settings: Settings, streams: Streams, history: History) -> None:
    """Add the status page to the operators' application."""
    static = static_files()
    writer = Writer(settings, static)
    board, pages = Board(streams, settings.health), Pages()
    _add_static(app, static)
    _add_list(app, writer, board, pages)
    _add_stream(app, writer, settings, streams, history, pages)


def _add_static(app: FastAPI, static: dict[str, File]) -> None:
    @app.get("/static/{name}", include_in_schema=False)
    async def file(name: str, request: Request) -> Response:
        found = static.get(name)
        if found is None:
            return Response(status_code=404)
        headers = {"etag": f'"{found.tag}"', "cache-control": "no-cache", "x-content-type-options": "nosniff"}
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        return Response(found.content, headers=headers, media_type=found.media_type)


def _add_list(app: FastAPI, writer: Writer, board: Board, pages: Pages) -> None:
    @app.get("/", include_in_schema=False)
    async def all_streams(look: Annotated[Look, Depends(_look)]) -> HTMLResponse:
        shown = await board.look(look.wanted)
        rows = await _rows(writer, shown)
        given = pages.given({"streams": rows})
        text = writer.list(shown, look, rows, given, recovering=board.recovering, stale=board.stale)
        return HTMLResponse(text, headers=HEADERS)

    @app.get("/live", include_in_schema=False)
    async def live(
        request: Request, look: Annotated[Look, Depends(_look)], page: str | None = None
    ) -> Response:

        async def read() -> Message:
            shown = await board.look(look.wanted)
            rows = await _rows(writer, shown)
            about = {
                "now": shown.now,
                "recovering": board.recovering,
                "stale": board.stale,
                "matching": shown.matching,
                "counts": {one: shown.counts.get(one, 0) for one in Status},
            }
            return Message(about, {"streams": rows})

        return pages.follow(request, read, every=LOOK_SECONDS, given=page)


def _add_stream(
    app: FastAPI, writer: Writer, settings: Settings, streams: Streams, history: History, pages: Pages
) -> None:
    # An id may hold a slash, however the address spells it; so what stands below an id comes first.
    @app.get("/streams/{source}/{job_id:path}/live", include_in_schema=False)
    async def live(source: str, job_id: str, request: Request) -> Response:
        key = StreamKey(source, canonical_job_id(job_id))
        read_up_to: EventId | None = None
        events: dict[str, str] = {}

        async def read() -> Message | None:
            nonlocal read_up_to, events
            state = None if streams.recovering else streams.get(key)
            if state is None:
                return None
            # Not by its time: what was a dead letter, or waited in a spool, came in before the last one.
            if state.folded != read_up_to:
                folded = state.folded
                try:
                    past = await history.history(*key, None, EVENTS, heard(state))
                except LogUnavailableError:
                    events = events or writer.unread(live=True)
                else:
                    read_up_to, events = folded, await writer.events(past.events, streams.now())
            now = streams.now()
            one = detail(state, now, settings.health)
            sections = writer.sections(state, one, now)
            about = {"now": now, "stale": streams.stale, "status": one.status}
            return Message(about, {"sections": sections, "events": events})

        return pages.follow(request, read, every=STREAM_SECONDS)

    @app.get("/streams/{source}/{job_id:path}", include_in_schema=False)
    async def one_stream(
        source: str, job_id: str, before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None
    ) -> HTMLResponse:
        key = StreamKey(source, canonical_job_id(job_id))
        past = await _read_in_time(history.history(*key, before, EVENTS, heard(streams.get(key))))
        events = None if past is None else await writer.events(past.events, streams.now())
        now = streams.now()
        state = None if streams.recovering else streams.get(key)
        if state is None:
            code = HTTPStatus.SERVICE_UNAVAILABLE if streams.recovering else HTTPStatus.NOT_FOUND
            text = writer.missing(source, job_id, recovering=streams.recovering)
            return HTMLResponse(text, code, HEADERS)
        one = detail(state, now, settings.health)
        sections = writer.sections(state, one, now)
        if events is None:
            events = writer.unread(live=before is None)
        older = None if past is None else past.older
        text = writer.stream(one, sections, events, before, older, now, stale=streams.stale)
        return HTMLResponse(text, headers=HEADERS)


async def _read_in_time(reading: Awaitable[Past]) -> Past | None:
    """Return events; None if they can't be read, or not while somebody waits for a page."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await reading
    except (LogUnavailableError, TimeoutError):
        return None


async def _rows(writer: Writer, shown: Shown) -> dict[str, str]:
    """Return rows as HTML, by their keys."""
    written = {}
    for number, row in enumerate(shown.rows, 1):
        new = row.html is None
        written[row.key] = writer.row(row, shown.now)
        if new and number % _WRITTEN_AT_ONCE == 0:
            await asyncio.sleep(0)
    return written


async def _look(
    status: str = "",
    vendor: str = "",
    source: str = "",
    q: str = "",
    rows: Annotated[int, Query(ge=1)] = MORE_ROWS,
) -> Look:
    """Read what an address asks for; a filter that doesn't exist is none."""
    wanted = Wanted(
        status=Status(status) if status in set(Status) else None,
        vendor=Vendor(vendor) if vendor in set(Vendor) else None,
        source=source or None,
        words=tuple(q.lower().split()),
        rows=min(rows, MOST_ROWS),
    )
    return Look(wanted, q)
