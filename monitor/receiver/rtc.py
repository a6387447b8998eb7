"""`POST /rtc/{source}/{job_id}`: messages of an RTC room, told by a relay inside it."""

import asyncio
from functools import partial
from urllib.parse import unquote_to_bytes

from monitor.errors import AuthenticationError, UndecodableError
from monitor.event import Channel, Decoded, Event, canonical_job_id, is_job_id
from monitor.log.protocol import DeadLetter
from monitor.receiver.answers import Answer, empty_answer, json_answer
from monitor.receiver.asgi import Headers, Receive, Scope, headers_of
from monitor.receiver.identify import Arrival, dead_letter, keep, read
from monitor.receiver.intake import Intake
from monitor.receiver.refusals import BAD_JOB_ID, FORBIDDEN_ORIGIN, RefusedError, not_allowed, unauthenticated
from monitor.receiver.sources import PreparedSource
from monitor.vendors import registry

METHODS = "POST, OPTIONS"

SLICE = 200
"""Messages decoded before the event loop has its turn: at most about 10 ms of work."""


_NOT_POST = not_allowed(METHODS)


async def take_rtc(
    intake: Intake, source: PreparedSource, job_text: bytes, scope: Scope, receive: Receive
) -> Answer:
    """Store the messages of one request, all or none, and return the answer; they are durable by then.

    A page may be the relay, so every answer carries the headers that let a page of a configured origin
    read it, and OPTIONS answers a browser's preflight.

    Args:
        intake: reads and stores.
        source: the path's.
        job_text: the path's last segment, percent-encoded.
        scope: of the request.
        receive: brings its body.

    Raises:
        RefusedError: nothing was stored.
        SenderGoneError: nobody is left to answer; nothing was stored.
    """
    headers = headers_of(scope)
    if scope["method"] == "OPTIONS":
        return _preflight(source, headers)
    cross_origin = source.cross_origin(headers.get("origin"))
    try:
        answer = await _take(intake, source, job_text, scope, headers, receive)
    except RefusedError as error:
        raise RefusedError(error.refusal.with_headers(cross_origin)) from None
    return answer.with_headers(cross_origin)


def job_id_of(text: bytes) -> str:
    """Return the canonical job id that a percent-encoded path segment names.

    Raises:
        RefusedError: it can't be one.
    """
    try:
        job_id = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise RefusedError(BAD_JOB_ID) from None
    if not is_job_id(job_id):
        raise RefusedError(BAD_JOB_ID)
    return canonical_job_id(job_id)


def _preflight(source: PreparedSource, headers: Headers) -> Answer:
    origin = headers.get("origin")
    if origin is None:
        return empty_answer(((b"allow", METHODS.encode()),))
    allowed = source.preflight(origin)
    if not allowed:
        raise RefusedError(FORBIDDEN_ORIGIN)
    return empty_answer(allowed)


async def _take(
    intake: Intake,
    source: PreparedSource,
    job_text: bytes,
    scope: Scope,
    headers: Headers,
    receive: Receive,
) -> Answer:
    if scope["method"] != "POST":
        raise RefusedError(_NOT_POST)
    source.admit(scope)
    job_id = job_id_of(job_text)
    try:
        # Before the body is read: a stranger gets no place among those who send one.
        source.authenticate_bearer(headers.get("authorization"), job_id, intake.clock.now())
    except AuthenticationError as error:
        raise RefusedError(unauthenticated(error)) from None
    body = await intake.read(source, scope, headers, receive)

    arrival = Arrival(source, Channel.RTC, job_id, intake.clock.now(), None)
    events, dead_letters = await _sort(intake, arrival, body)
    if events or dead_letters:
        await intake.store(source, events, dead_letters)
    return json_answer(200, {"accepted": len(events), "dead_lettered": len(dead_letters)})


async def _sort(intake: Intake, arrival: Arrival, body: bytes) -> tuple[list[Event], list[DeadLetter]]:
    events: list[Event] = []
    dead_letters: list[DeadLetter] = []
    try:
        messages = registry.split_rtc(body)
    except UndecodableError as error:
        return [], [dead_letter(arrival, intake.next_id(), body, error)]
    told: list[Decoded | UndecodableError] = []
    for number, message in enumerate(messages):
        if number % SLICE == SLICE - 1:
            await asyncio.sleep(0)
        told.append(read(arrival, partial(registry.decode_rtc, arrival.source.vendor, message)))
    # From here to the log without a turn for others: a stream takes an id that isn't newer for known.
    for message, said in zip(messages, told, strict=True):
        item = keep(arrival, intake.next_id(), message, said)
        if isinstance(item, Event):
            events.append(item)
        else:
            dead_letters.append(item)
    return events, dead_letters
