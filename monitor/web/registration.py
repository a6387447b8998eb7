"""What operators tell of jobs: that one was started, and which script it plays, or that one was stopped."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from monitor.clock import Clock
from monitor.config import Source
from monitor.errors import UndecodableError
from monitor.event import Channel, Event, Vendor
from monitor.log.protocol import EventLog
from monitor.vendors import registry
from monitor.vendors.observation import JOB_OBSERVED, observe_stop
from monitor.vendors.registration import JOB_REGISTERED
from monitor.web.answers import INVALID, Answers, refusal
from monitor.web.views import Problem, Registered

MAX_REGISTRATION_BYTES = 1_048_576
"""A script of thousands of paragraphs fits."""

MAX_KEPT_BYTES = 900_000
"""Of a registration, what goes into the log: a record that Kafka refuses would hold up the spool for ever."""

_REFUSED: Answers = {
    **INVALID,
    403: {"model": Problem, "description": "a page of another site sent it"},
    404: {"model": Problem, "description": "no such source"},
    413: {"model": Problem, "description": "the body is too large"},
    503: {"model": Problem, "description": "the log can't keep it now"},
}

_REGISTRATION: dict[str, Any] = {
    "type": "object",
    "required": ["response"],
    "properties": {
        "request": {"type": "object", "description": "the start request as sent to the vendor"},
        "response": {"type": "object", "description": "the vendor's answer; holds the job id"},
        "script": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["scene", "sequence_no"],
                "properties": {
                    "scene": {"type": "string"},
                    "sequence_no": {"type": "integer"},
                    "title": {"type": "string"},
                },
            },
        },
        "script_origin": {"type": "string", "description": "api if the script was read from the room"},
    },
}

_STOPPED: dict[str, Any] = {
    "type": "object",
    "required": ["job_id"],
    "properties": {"job_id": {"type": "string", "description": "the session's id"}},
}


class _Told(NamedTuple):
    """What a body tells, as the log keeps it: of which job, as which type of event, in which form."""

    job_id: str
    kind: str
    body: bytes


class _Intake(NamedTuple):
    """Takes what operators tell into the log, for the configured sources."""

    log: EventLog
    clock: Clock
    sources: Mapping[str, Source]

    async def take(
        self, source: str, request: Request, read: Callable[[Source, bytes], _Told | Response]
    ) -> Response:
        """Keep what a request tells, and answer it.

        Args:
            source: its name, from the path.
            request: whose body tells it.
            read: makes an event of the body, or refuses it; it may raise UndecodableError.
        """
        if _is_of_another_site(request):
            return refusal(403, "cross_site", "A page of another site can't register jobs here.")
        configured = self.sources.get(source)
        if configured is None:
            return refusal(404, "unknown_source", "No source of this name is configured.")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_REGISTRATION_BYTES:
                return refusal(
                    413, "too_large", f"A registration has at most {MAX_REGISTRATION_BYTES} bytes."
                )
        try:
            told = read(configured, bytes(body))
        except UndecodableError as error:
            return refusal(400, error.reason, error.detail)
        if isinstance(told, Response):
            return told
        stream = (configured.vendor, configured.name, told.job_id)
        received = self.clock.now()
        event = Event(self.log.next_id(), *stream, Channel.API, told.kind, received, None, told.body)
        await self.log.append([event])
        return JSONResponse(Registered(job_id=told.job_id).model_dump(), 202)


def add(app: FastAPI, log: EventLog, clock: Clock, sources: Mapping[str, Source]) -> None:
    """Add the routes by which jobs are registered to the operators' application.

    Args:
        app: it answers a log that is unavailable.
        log: where what is told goes.
        clock: tells when it came.
        sources: by their names.
    """
    intake = _Intake(log, clock, sources)

    @app.post(
        "/api/jobs/{source}",
        status_code=202,
        response_model=Registered,
        summary="Register a started job: request, response, and the script it plays",
        responses={
            **_REFUSED,
            400: {"model": Problem, "description": "the body isn't a start with a job id"},
        },
        openapi_extra=_body(_REGISTRATION),
    )
    async def register(source: str, request: Request) -> Response:
        return await intake.take(source, request, _registered)

    @app.post(
        "/api/jobs/{source}/stopped",
        status_code=202,
        response_model=Registered,
        summary="Tell that the vendor confirmed the stop of a session, of which it may say nothing more",
        responses={**_REFUSED, 400: {"model": Problem, "description": "no job id, or no SoftSugar source"}},
        openapi_extra=_body(_STOPPED),
    )
    async def stopped(source: str, request: Request) -> Response:
        return await intake.take(source, request, _stopped)


def _registered(source: Source, body: bytes) -> _Told | Response:
    job_id, reduced = registry.reduce_registration(source.vendor, body)
    if len(reduced) > MAX_KEPT_BYTES:
        return refusal(
            413,
            "too_large",
            f"Of a registration at most {MAX_KEPT_BYTES} bytes are kept; its script has more.",
        )
    return _Told(job_id, JOB_REGISTERED, reduced)


def _stopped(source: Source, body: bytes) -> _Told | Response:
    if source.vendor is not Vendor.SOFTSUGAR:
        return refusal(400, "end_is_told", "This vendor's API says itself how its jobs ended.")
    job_id, observed = observe_stop(body)
    return _Told(job_id, JOB_OBSERVED, observed)


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    """Document what a request holds, which the routes read themselves."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _is_of_another_site(request: Request) -> bool:
    """Whether a page from elsewhere sent this, through the browser of an operator who looks at it.

    Nobody has to say who he is here, so whoever gets an operator to open a page could register jobs. Browsers
    name the page's origin with each POST; other clients name none.
    """
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] != request.headers.get("host", "")
