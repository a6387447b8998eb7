"""The application that faces operators: metrics, probes, the JSON API, and the pages."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Annotated, NamedTuple

import structlog
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import StringConstraints
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from monitor import __version__
from monitor.clock import Seldom
from monitor.config import Settings, build_clock
from monitor.errors import LogUnavailableError
from monitor.event import Vendor, canonical_job_id
from monitor.health.status import Status
from monitor.health.stream import StreamKey
from monitor.log.protocol import EventLog, History
from monitor.metrics.exposition import Exposition
from monitor.web import page, registration
from monitor.web.answers import INVALID, Answers, refusal
from monitor.web.head import HeadAsGet, allowed
from monitor.web.views import (
    EventList,
    Problem,
    State,
    StreamDetail,
    StreamList,
    detail,
    event_views,
    heard,
    rank,
    summary,
)
from monitor.worker.fleet import Fleet

SLICE = 200
"""Streams described before the event loop has its turn: about 10 ms of work."""

REPEAT_SECONDS = 30.0
"""A complaint about the log is told once in this time: whoever registers jobs tries again and again."""

_log = structlog.get_logger(__name__)

SourceName = Annotated[str, StringConstraints(min_length=1)]
"""A source, perhaps one that isn't configured any more; an empty name is a mistake of whoever asks."""

_NO_STREAM: Answers = {404: {"model": Problem, "description": "no such stream"}}
_NOT_TRUE: Answers = {
    503: {"model": Problem, "description": "what is known is not true yet (recovering), or is old (stale)"}
}
_STALE = "What is known of the streams is old: the log can't be read, or no worker folds it."


class Pages(NamedTuple):
    """What a process can show of all streams. history: reads what happened to one."""

    fleet: Fleet
    history: History


def build(
    settings: Settings, log: EventLog, exposition: Exposition, fleets: Iterable[Fleet], pages: Pages | None
) -> FastAPI:
    """Return the operators' application of a process.

    Args:
        settings: the sources, and from when on a stream counts as something.
        log: where registrations go; the process isn't ready while it refuses what comes.
        exposition: writes the metrics.
        fleets: the process is ready once none of them is recovering.
        pages: all streams; None if the process doesn't know them.
    """
    app = FastAPI(
        title="Livestream health monitor",
        version=__version__,
        description="What is known of each livestream. Times are RFC 3339 in UTC, durations seconds.",
        docs_url=None,
        redoc_url=None,
        # Where one leads is made of the request's Host, and of http:// though a proxy in front speaks TLS.
        # Who posts a job doesn't follow it, nor hear that nothing was registered.
        redirect_slashes=False,
    )
    sources = {source.name: source for source in settings.sources}
    _add_probes(app, log, tuple(fleets), exposition)
    if pages is not None:
        _add_streams(app, settings, pages)
        page.add(app, settings, pages.fleet, pages.history)
    registration.add(app, log, build_clock(settings), sources)
    app.add_middleware(HeadAsGet)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(LogUnavailableError, _unavailable())
    app.add_exception_handler(ClientDisconnect, _incomplete)
    return app


def _add_probes(app: FastAPI, log: EventLog, fleets: Sequence[Fleet], exposition: Exposition) -> None:
    @app.get("/metrics", response_class=Response, summary="Metrics for Prometheus")
    async def metrics(request: Request) -> Response:
        rendered = await exposition.render(
            request.headers.get("accept", ""), request.headers.get("accept-encoding", "")
        )
        headers = {"vary": "Accept, Accept-Encoding"}
        if rendered.encoding is not None:
            headers["content-encoding"] = rendered.encoding
        return Response(rendered.body, headers=headers, media_type=rendered.content_type)

    @app.get("/healthz", response_model_exclude_none=True, summary="Whether the process serves")
    async def healthz() -> State:
        return State(status="ok")

    @app.get(
        "/readyz",
        response_model_exclude_none=True,
        summary="Whether what it shows is true by now, and goes on to be",
        responses={503: {"model": State}},
    )
    async def readyz(response: Response) -> State:
        if any(fleet.recovering for fleet in fleets):
            response.status_code = 503
            return State(status="recovering")
        if any(fleet.stale for fleet in fleets):
            response.status_code = 503
            return State(status="stale", detail=_STALE)
        if log.refusing:
            response.status_code = 503
            return State(status="refusing", detail="The log can't be written, so callbacks are refused.")
        return State(status="ok")


def _add_streams(app: FastAPI, settings: Settings, pages: Pages) -> None:
    health, fleet = settings.health, pages.fleet
    _add_history(app, pages)

    @app.get(
        "/api/streams",
        response_model=StreamList,
        summary="All streams, worst first",
        responses={**_NOT_TRUE, **INVALID},
    )
    async def streams(
        status: Annotated[list[Status] | None, Query()] = None,
        vendor: Annotated[list[Vendor] | None, Query()] = None,
        source: Annotated[list[SourceName] | None, Query()] = None,
    ) -> Response:
        if (problem := _not_true(fleet)) is not None:
            return problem
        lines: list[tuple[int, float, bytes]] = []
        for number, state in enumerate(fleet.shown()):
            # States are read where they are folded, a slice at a time: each is read whole.
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            if (vendor is None or state.vendor in vendor) and (source is None or state.source in source):
                line = summary(state, fleet.now(), health)
                if status is None or line.status in status:
                    text = line.model_dump_json().encode()
                    lines.append((rank(line), line.since.timestamp(), text))
        lines.sort()
        body = b'{"streams":[' + b",".join(text for _, _, text in lines) + b"]}"
        return Response(body, media_type="application/json")

    @app.get(
        # Not a segment alone: an id may hold a slash, however the address spells it. What stands below an
        # id (its events) is added before.
        "/api/streams/{source}/{job_id:path}",
        response_model=StreamDetail,
        summary="One stream",
        responses={**_NO_STREAM, **_NOT_TRUE, **INVALID},
    )
    async def stream(source: str, job_id: str) -> Response:
        if (problem := _not_true(fleet)) is not None:
            return problem
        state = fleet.get(StreamKey(source, canonical_job_id(job_id)))
        if state is None:
            return refusal(404, "no_stream", "No stream of this job id is known under this source.")
        return Response(detail(state, fleet.now(), health).model_dump_json(), media_type="application/json")


def _add_history(app: FastAPI, pages: Pages) -> None:
    @app.get(
        "/api/streams/{source}/{job_id:path}/events",
        response_model=EventList,
        summary="The stream's events in the log, newest first",
        responses={503: {"model": Problem, "description": "the log can't be read"}, **INVALID},
    )
    async def events(
        source: str,
        job_id: str,
        before: Annotated[
            int | None, Query(ge=1, le=2**63 - 1, description="only events before this offset")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        key = StreamKey(source, canonical_job_id(job_id))
        past = await pages.history.history(*key, before, limit, heard(pages.fleet.get(key)))
        events = [view.model_dump_json().encode() async for view in event_views(past.events)]
        body = b'{"events":[%b],"next_before":%b}' % (b",".join(events), json.dumps(past.older).encode())
        return Response(body, media_type="application/json")


def _not_true(fleet: Fleet) -> Response | None:
    """Return the answer of a process that can't tell how streams are now; None if it can."""
    if fleet.recovering:
        return refusal(503, "recovering", "The log is still being folded. Try again in a moment.")
    return refusal(503, "stale", _STALE) if fleet.stale else None


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # These sentences name what is allowed, and don't repeat what came.
    wrong = [
        f"{'.'.join(map(str, one['loc']))} {one['msg'].removeprefix('Input ')}" for one in error.errors()
    ]
    return refusal(422, "invalid", f"Not valid: {'; '.join(wrong)}.")


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        answer = refusal(405, "method_not_allowed", "This path answers other methods only.")
    else:
        answer = refusal(error.status_code, "not_found", "There is nothing at this path.")
    answer.headers.update(error.headers or {})
    if answer.headers.get("allow") == "GET":
        answer.headers["allow"] = allowed(request.url.path)
    return answer


def _unavailable() -> Callable[[Request, Exception], Awaitable[Response]]:
    telling = Seldom(REPEAT_SECONDS)

    async def answered(_request: Request, error: Exception) -> Response:
        if telling.is_due():
            _log.error("log unavailable", error=str(error))
        answer = refusal(503, "overloaded", "The event log is not available. Try again.")
        answer.headers["retry-after"] = "1"
        return answer

    return answered


async def _incomplete(_request: Request, _error: Exception) -> Response:
    return refusal(400, "incomplete", "The request ended before its body did.")
