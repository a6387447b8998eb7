"""The state of one stream: everything that its events have told, and nothing derived from "now".

All times are Unix seconds of our own clock (received time) unless a name says `signed`. The state
is bounded: it holds what is live, not what has been (design promise: memory grows with live
streams, not with history).
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from pydantic import TypeAdapter

from monitor.event import (
    Channel,
    LinkState,
    RandomPlayMode,
    SessionState,
    Vendor,
)


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


class PlanOrigin(StrEnum):
    """Who said which paragraphs a round should play."""

    API = "api"
    REGISTERED = "registered"
    LEARNED = "learned"


class Transition(NamedTuple):
    """One line of a stream's timeline. partition, offset: where in the log its event is."""

    at: float
    what: str
    channel: Channel
    partition: int
    offset: int


class LinkFact(NamedTuple):
    """One RTMP state as it was told. order: the place among facts of one signed second."""

    signed: int | None
    received: float
    output: str
    state: LinkState
    fingerprint: int


class OutputState(NamedTuple):
    """An output's last known state, and the signed second it was told for."""

    state: LinkState
    signed: int | None


@dataclass(slots=True)
class LinkSummary:
    """What a sequence of RTMP facts adds up to."""

    outputs: dict[str, OutputState] = field(default_factory=dict)
    phase: Phase = Phase.STARTING
    was_connected: bool = False
    outages: int = 0
    reconnects: int = 0
    reconnect_counted: bool = False
    end_outcome: Outcome | None = None
    end_signed: int | None = None
    end_received: float | None = None


@dataclass(slots=True)
class Link:
    """The RTMP push of a stream: what it adds up to now, and the recent facts that can be re-ordered.

    settled: what all facts before `recent` add up to. current: settled and recent together.
    """

    settled: LinkSummary = field(default_factory=LinkSummary)
    current: LinkSummary = field(default_factory=LinkSummary)
    recent: list[LinkFact] = field(default_factory=list)
    outages_total: int = 0
    reconnects_total: int = 0


@dataclass(slots=True)
class Job:
    """What a start, if anybody told us of it, says of the stream; None where unknown."""

    registered: bool = False
    registered_at: float | None = None
    room_id: str | None = None
    rtc_room_id: str | None = None
    play_mode: str | None = None
    random_play_mode: RandomPlayMode | None = None
    view_mode: str | None = None
    repeat_count: int | None = None
    auto_play_script: bool | None = None
    expected_end: float | None = None
    subscribed: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Round:
    """One pass over the script.

    played: paragraph to the offset RTC last told for it (None: RTC hasn't). awaited: paragraphs that
    RTC proved and whose callback hasn't come, to the time by which it should have; None once missed.
    from_start: the round was seen from its first paragraph.
    """

    played: dict[str, int | None] = field(default_factory=dict)
    awaited: dict[str, float | None] = field(default_factory=dict)
    last: str | None = None
    last_since: float = 0.0
    first_signed: int | None = None
    last_signed: int | None = None
    last_signed_fingerprint: int = 0
    from_start: bool = False


@dataclass(slots=True)
class FinishedRound:
    """The last finished round; its facts can still change until `settles_at`, for late paragraphs."""

    round: Round
    planned: tuple[str, ...]
    settles_at: float | None


class Tentative(NamedTuple):
    """A paragraph that came back too early: a new round, or a repeat; the next one decides."""

    paragraph: str
    offset: int | None
    by_rtc: bool
    signed: int | None
    received: float
    fingerprint: int


@dataclass(slots=True)
class Script:
    """The script: plan, the current round, the last finished one, and the totals."""

    plan: list[str] = field(default_factory=list)
    origin: PlanOrigin | None = None
    round: Round | None = None
    finished: FinishedRound | None = None
    tentative: Tentative | None = None
    rounds: int = 0
    skipped: int = 0
    progress_at: float | None = None
    longest: float | None = None
    paragraph_seconds: float | None = None


@dataclass(slots=True)
class Reply:
    """A finished reply, by a hash of its id. due: by when its callback should come, None if nothing is due."""

    received: float
    by_callback: bool
    due: float | None


@dataclass(slots=True)
class Replies:
    """Replies that were finished: how many, and the recent ones by which a repeat is known."""

    finished: int = 0
    recent: dict[int, Reply] = field(default_factory=dict)


@dataclass(slots=True)
class Session:
    """A SoftSugar session. recent: deliveries of the vendor's retry span, by which a repeat is known."""

    state: SessionState | None = None
    signed: int | None = None
    code: int | None = None
    code_at: float | None = None
    recent: dict[int, int | None] = field(default_factory=dict)


@dataclass(slots=True)
class End:
    """How and when a stream ended. at: our time. signed: the vendor's, if it said."""

    outcome: Outcome
    at: float
    signed: int | None
    output: str | None = None


@dataclass(slots=True)
class StreamState:
    """One stream. `fold` changes it in place; `status` and the metrics read it."""

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
    outage_started: float | None = None
    running_since: float | None = None
    receivers: dict[str, tuple[int, int]] = field(default_factory=dict)
    relays: dict[str, int] = field(default_factory=dict)
    heard: dict[Channel, float] = field(default_factory=dict)
    job: Job = field(default_factory=Job)
    link: Link = field(default_factory=Link)
    session: Session = field(default_factory=Session)
    script: Script = field(default_factory=Script)
    replies: Replies = field(default_factory=Replies)
    warnings: set[str] = field(default_factory=set)
    disturbances: list[float] = field(default_factory=list)
    missed: int = 0
    end: End | None = None
    transitions: list[Transition] = field(default_factory=list)
    next_due: float | None = None

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
