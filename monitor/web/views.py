"""What the JSON API shows of a stream: models, and how they are read off a state."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

from pydantic import BaseModel, Field

from monitor.config import HealthSettings
from monitor.event import Channel, JobState, LinkState, Paragraph, Stored, Vendor
from monitor.health.reading import (
    coverage,
    finished_coverage,
    last_heard,
    remaining_seconds,
    rtmp_state,
    seconds,
    skipped_paragraphs,
)
from monitor.health.script_state import PlanOrigin
from monitor.health.status import Status, status
from monitor.health.stream import Outcome, StreamState
from monitor.log.protocol import Heard
from monitor.masking import masked
from monitor.vendors import registry


class StreamSummary(BaseModel):
    """One stream in a list. Times are RFC 3339 in UTC, durations seconds, coverage 0 to 1.

    Of a retired stream, one that ended a while ago, only its end is kept: its numbers are null.
    """

    vendor: Vendor
    source: str
    job_id: str
    room_id: str | None
    status: Status
    since: datetime = Field(description="when this status began")
    reasons: list[str] = Field(description="why the status isn't healthy, a sentence each")
    outcome: Outcome | None = Field(description="how the stream ended")
    rtmp_state: LinkState | None = Field(description="the worst of the open outputs")
    reconnects: int | None
    outages: int | None
    connected_seconds: float | None
    outage_seconds: float | None
    coverage: float | None = Field(description="of the current script round")
    round_coverage: float | None = Field(description="of the last finished script round")
    rounds: int | None
    replies: int | None
    warnings: list[str]
    last_event: datetime


class ParagraphView(BaseModel):
    """A paragraph of the script."""

    scene: str
    sequence_no: int


class TransitionView(BaseModel):
    """A line of the timeline. channel, offset: who told, and the place of its event in the log.

    Both are null where nobody did: that a stream is lost is concluded from silence.
    """

    at: datetime
    what: str
    channel: Channel | None
    offset: int | None


class StreamDetail(StreamSummary):
    """One stream with all that is known of it."""

    retired: bool = Field(description="it ended a while ago, and only how it ended is kept")
    rtc_room_id: str | None
    play_mode: str | None
    random_play_mode: str | None
    view_mode: str | None
    registered: bool
    first_event: datetime
    starting_seconds: float | None
    plan: list[ParagraphView]
    plan_origin: PlanOrigin | None
    playing: ParagraphView | None = Field(description="of an ended stream, what it played last")
    skipped: list[ParagraphView] = Field(description="paragraphs that the last finished round left out")
    skipped_total: int | None
    remaining_seconds: float | None = Field(
        description="how long a script that plays a finite number of times still lasts, by an estimate; "
        "0 if it should be over"
    )
    callbacks_missed: int | None
    error_code: int | None = Field(description="the last that a callback told")
    error_message: str | None = Field(description="what the vendor publishes of this code")
    error_category: str | None = Field(
        description="whose business it is, as in monitor_vendor_errors_total; unknown if it isn't published"
    )
    error_told: datetime | None = Field(description="when that callback came")
    vendor_state: JobState | None = Field(description="what the vendor's API last said of the job")
    vendor_asked: datetime | None = Field(description="when it last said anything")
    vendor_error: str | None = Field(description="why it says that the job failed or was blocked")
    timeline: list[TransitionView] = Field(description="the last transitions, oldest first")


class StreamList(BaseModel):
    """Streams, worst first."""

    streams: list[StreamSummary]


class EventView(BaseModel):
    """An event of the log. body: as it came, with secrets masked."""

    offset: int
    id: str
    channel: Channel
    type: str
    received: datetime
    signed: datetime | None
    body: str


class EventList(BaseModel):
    """Events of a stream, newest first.

    next_before: pass it as `before` to read on; null at the end. On Kafka an answer may hold fewer than were
    asked for, or none, and older ones follow: one looks through so many records of all streams at most.
    """

    events: list[EventView]
    next_before: int | None


class Registered(BaseModel):
    """What was told of a job is in the log."""

    status: str = "registered"
    job_id: str


class State(BaseModel):
    """The answer of a probe. detail: a sentence for people, where the status needs one."""

    status: str
    detail: str | None = None


class Problem(BaseModel):
    """What went wrong. error: a code for programs. detail: a sentence for people."""

    error: str
    detail: str


WORST_FIRST = {
    Status.DOWN: 0,
    Status.SILENT: 1,
    Status.DEGRADED: 3,
    Status.STARTING: 4,
    Status.HEALTHY: 5,
    Status.ENDED: 6,
}

_ENDED_BADLY = 2
"""The rank of a stream that ended other than completed: its room is dark, and somebody was woken for it."""


def rank(line: StreamSummary) -> int:
    """Return where a stream stands among others, 0 for the worst."""
    is_bad_end = line.outcome is not None and line.outcome is not Outcome.COMPLETED
    return _ENDED_BADLY if is_bad_end else WORST_FIRST[line.status]


def summary(state: StreamState, now: float, settings: HealthSettings) -> StreamSummary:
    """Return a stream's line in a list."""
    verdict = status(state, now, settings)
    spent = seconds(state, now)
    is_kept = not state.retired
    return StreamSummary(
        vendor=state.vendor,
        source=state.source,
        job_id=state.job_id,
        room_id=state.job.room_id,
        status=verdict.status,
        since=_time(verdict.since),
        reasons=list(verdict.reasons),
        outcome=state.end.outcome if state.end is not None else None,
        rtmp_state=rtmp_state(state),
        reconnects=state.link.reconnects if is_kept else None,
        outages=state.link.outages if is_kept else None,
        connected_seconds=spent.connected if is_kept else None,
        outage_seconds=spent.outage if is_kept else None,
        coverage=coverage(state.script),
        round_coverage=finished_coverage(state.script),
        rounds=state.script.rounds if is_kept else None,
        replies=state.replies.finished if is_kept else None,
        warnings=sorted(state.warnings),
        last_event=_time(last_heard(state)),
    )


def detail(state: StreamState, now: float, settings: HealthSettings) -> StreamDetail:
    """Return all that is known of a stream."""
    job, script, told = state.job, state.script, state.observed
    playing = script.round.last if script.round is not None else None
    is_kept, code = not state.retired, state.session.code
    return StreamDetail(
        **summary(state, now, settings).model_dump(),
        retired=state.retired,
        rtc_room_id=job.rtc_room_id,
        play_mode=job.play_mode,
        random_play_mode=job.random_play_mode,
        view_mode=job.view_mode,
        registered=job.registered,
        first_event=_time(state.first_received),
        starting_seconds=seconds(state, now).starting if is_kept else None,
        plan=[_paragraph(Paragraph.from_key(key)) for key in script.plan],
        plan_origin=script.origin,
        playing=_paragraph(Paragraph.from_key(playing)) if playing is not None else None,
        skipped=[_paragraph(paragraph) for paragraph in skipped_paragraphs(script)],
        skipped_total=script.skipped if is_kept else None,
        remaining_seconds=remaining_seconds(state, now),
        callbacks_missed=state.missed if is_kept else None,
        error_code=code,
        error_message=registry.error_message(state.vendor, code) if code is not None else None,
        error_category=registry.error_category(state.vendor, code) if code is not None else None,
        error_told=_time(told_at) if (told_at := state.session.code_at) is not None else None,
        vendor_state=told.state if told is not None else None,
        vendor_asked=_time(told.at) if told is not None else None,
        vendor_error=told.error if told is not None else None,
        timeline=_timeline(state),
    )


def _timeline(state: StreamState) -> list[TransitionView]:
    lines = [
        TransitionView(at=_time(line.at), what=line.what, channel=line.channel, offset=line.offset)
        for line in list(state.transitions)
    ]
    end = state.end
    if end is not None and end.outcome is Outcome.LOST and not state.retired:
        # No event ended it, and a kept line is an event's.
        lines.append(TransitionView(at=_time(end.at), what="ended: lost", channel=None, offset=None))
    return lines


def heard(state: StreamState | None) -> Heard | None:
    """Return between which times there are events of a stream; None of one that isn't known."""
    return None if state is None else Heard(state.first_received, state.last_received)


def event_view(stored: Stored) -> EventView:
    """Return an event as an operator may see it."""
    event = stored.event
    return EventView(
        offset=stored.offset,
        id=str(event.id),
        channel=event.channel,
        type=event.type,
        received=_time(event.received),
        signed=None if event.signed is None else _time(event.signed),
        body=masked(event.body),
    )


async def event_views(found: Iterable[Stored]) -> AsyncIterator[EventView]:
    """Yield events as operators may see them, each in a turn of the event loop of its own.

    A large body takes milliseconds to look through.
    """
    for stored in found:
        yield event_view(stored)
        await asyncio.sleep(0)


def _paragraph(paragraph: Paragraph) -> ParagraphView:
    return ParagraphView(scene=paragraph.scene, sequence_no=paragraph.sequence_no)


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
