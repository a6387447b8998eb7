"""The state of one stream: everything that its events have told, and nothing derived from "now".

All times are Unix seconds of our own clock (received time) unless a name says `signed`. The state
is bounded: it holds what is live, not what has been (design promise: memory grows with live
streams, not with history).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from pydantic import TypeAdapter

from monitor.event import (
    CallbackKind,
    EventId,
    LinkState,
    RandomPlayMode,
    SessionState,
    Vendor,
)
from monitor.health.observed_job import Observation
from monitor.health.script_state import Script
from monitor.health.sparse import nothing
from monitor.health.timeline import Timeline


class StreamKey(NamedTuple):
    """A stream is one job of one source; the same job id under another source is another stream."""

    source: str
    job_id: str


class Outcome(StrEnum):
    """How a stream ended. Only `completed` is quiet."""

    COMPLETED = "completed"
    CUT_OFF = "cut_off"
    ABNORMAL = "abnormal"
    FAILED = "failed"
    BLOCKED = "blocked"
    VANISHED = "vanished"
    LOST = "lost"


class Phase(StrEnum):
    """Where a stream's time goes: each second between its first event and its end is in one phase."""

    STARTING = "starting"
    CONNECTED = "connected"
    OUTAGE = "outage"
    ENDED = "ended"


class LinkFact(NamedTuple):
    """One RTMP state as it was told. fingerprint: a checksum of the body, by which a copy is known."""

    signed: int | None
    received: float
    output: str
    state: LinkState
    fingerprint: int


class Output(NamedTuple):
    """One RTMP push. phase: starting, connected, outage or ended, of this push alone.

    signed: of the last signed fact that was told of it. received: of the last fact. first, last: the
    numbers of its first fact and its last change among all facts of the stream, by which a replaced output
    is known.
    """

    state: LinkState
    phase: Phase
    signed: int | None
    received: float
    first: int
    last: int


@dataclass(slots=True)
class LinkSummary:
    """What a sequence of RTMP facts adds up to.

    newest_signed: the latest signed second of any output. was_connected: since the stream last ended. ended:
    the fact that ended the stream.
    """

    outputs: dict[str, Output] = field(default_factory=dict)
    facts: int = 0
    newest_signed: int | None = None
    phase: Phase = Phase.STARTING
    was_connected: bool = False
    outages: int = 0
    reconnects: int = 0
    reconnect_counted: bool = False
    outcome: Outcome | None = None
    ended: LinkFact | None = None


@dataclass(slots=True)
class Link:
    """The RTMP push of a stream.

    settled: what all facts before `recent` add up to; None while there is nothing recent. current: settled
    and recent together. outages, reconnects: the most that `current` ever said, for a counter never goes
    down. from_start: the push was seen from its start. told_at: when the newest that was told of it came in.
    """

    settled: LinkSummary | None = None
    current: LinkSummary = field(default_factory=LinkSummary)
    recent: list[LinkFact] = field(default_factory=list)
    outages: int = 0
    reconnects: int = 0
    from_start: bool = False
    told_at: float = 0.0


@dataclass(slots=True)
class Job:
    """What a start, if anybody told us of it, says of the stream; None where unknown.

    subscribed: what the vendor calls back for: registered, or seen before.
    """

    registered: bool = False
    registered_at: float | None = None
    room_id: str | None = None
    rtc_room_id: str | None = None
    play_mode: str | None = None
    random_play_mode: RandomPlayMode | None = None
    view_mode: str | None = None
    repeat_count: int | None = None
    expected_end: float | None = None
    subscribed: tuple[CallbackKind, ...] = ()


@dataclass(slots=True)
class Replies:
    """How many replies were finished, and the recent ones (a hash of the id) by which a repeat is known.

    recent: whether the callback told of it. awaited: by when the callback should come of what RTC told.
    """

    finished: int = 0
    recent: dict[int, bool] = field(default_factory=dict)
    awaited: Mapping[int, float] = field(default_factory=nothing)


@dataclass(slots=True)
class Session:
    """A SoftSugar session.

    code: the last error code it told; code_at, code_signed: when. codes: those told lately, and when.
    recent: checksums of the last deliveries, by which a copy is known.
    """

    state: SessionState | None = None
    code: int | None = None
    code_at: float | None = None
    code_signed: int | None = None
    codes: Mapping[int, float] = field(default_factory=nothing)
    recent: tuple[int, ...] = ()


@dataclass(slots=True)
class End:
    """How and when a stream ended. at: our time. signed: the vendor's. by_api: its API alone said so.

    rested: it is cut off, since the API had seen that the job ran and didn't push.
    """

    outcome: Outcome
    at: float
    signed: int | None
    by_api: bool = False
    rested: bool = False


class RelayMark(NamedTuple):
    """How far a relay of the RTC room has come.

    newest: the latest of its times (s, by its clock). earlier: its sequence and newest before it was started
    again. lag: the least that its times were behind ours (s), as both clocks are set now. steady: by about
    how much they have been behind since `steady_since` (our time).
    """

    sequence: int
    lag: float | None
    steady: float | None = None
    steady_since: float = 0.0
    newest: float | None = None
    earlier: tuple[int, float] | None = None


@dataclass(slots=True)
class StreamState:
    """One stream. `fold` and `settle` change it in place; `status` and the metrics read it.

    folded: id of the last event folded. folded_before: of each other receiver's last one, (boot, sequence).
    callback_at, rtc_at, api_at: when that channel last told anything. narrator: of several relays in one
    room, the one whose script progress is followed.
    awake_since: when the first sign came after a silence. reconnected_at: recent reconnects.
    missed: facts whose callback never came. observed: what the vendor's API said; None if it was never
    asked. well_until: of a stream that has ended, when it was last well as far as anybody told. retired: only
    the marker of an ended stream is left.
    """

    vendor: Vendor
    source: str
    job_id: str
    first_received: float
    last_received: float
    phase_since: float
    phase: Phase = Phase.STARTING
    starting_seconds: float = 0.0
    connected_seconds: float = 0.0
    outage_seconds: float = 0.0
    outage_since: float | None = None
    awake_since: float | None = None
    folded: EventId | None = None
    folded_before: Mapping[str, tuple[int, int]] = field(default_factory=nothing)
    relays: dict[str, RelayMark] = field(default_factory=dict)
    narrator: str | None = None
    narrated_at: float | None = None
    callback_at: float | None = None
    rtc_at: float | None = None
    api_at: float | None = None
    job: Job = field(default_factory=Job)
    link: Link = field(default_factory=Link)
    session: Session = field(default_factory=Session)
    script: Script = field(default_factory=Script)
    replies: Replies = field(default_factory=Replies)
    warnings: tuple[str, ...] = ()
    reconnected_at: list[float] = field(default_factory=list)
    missed: int = 0
    end: End | None = None
    observed: Observation | None = None
    transitions: Timeline = field(default_factory=Timeline)
    next_due: float | None = None
    well_until: float | None = None
    retired: bool = False

    @property
    def key(self) -> StreamKey:
        """The stream's identity."""
        return StreamKey(self.source, self.job_id)


_adapter = TypeAdapter(StreamState)


def to_json(state: StreamState) -> bytes:
    """Write a state as JSON, for a checkpoint."""
    return _adapter.dump_json(state, exclude_defaults=True)


def from_json(text: bytes) -> StreamState:
    """Read what `to_json` wrote.

    Raises:
        pydantic.ValidationError: the text isn't a state.
    """
    return _adapter.validate_json(text)
