"""The state of one stream's script: what its plays have told (see `stream` for what all states are)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from monitor.health.sparse import nothing


class PlanOrigin(StrEnum):
    """Who said which paragraphs a round should play."""

    API = "api"
    REGISTERED = "registered"
    LEARNED = "learned"


@dataclass(slots=True)
class Round:
    """One pass over the script.

    played: each paragraph that was reached, and the offset that RTC last told for it (None: RTC told
    none). awaited: paragraphs that RTC proved, and until when their callback would confirm them. last,
    last_since, last_signed: the paragraph that plays, and since when. from_start: seen from its start.
    confirmed_at: when its callback came, if RTC had proved it before. told_at: when RTC last told how far
    it is. heard: whether RTC told of this round. retold: whether its last paragraph was told again in the
    time of retries, while no plan was known: the next round may have begun with it.
    """

    played: dict[str, int | None]
    last: str
    last_since: float
    last_signed: int | None
    from_start: bool
    awaited: Mapping[str, float] = field(default_factory=nothing)
    confirmed_at: float | None = None
    told_at: float | None = None
    heard: bool = False
    retold: bool = False


@dataclass(slots=True)
class FinishedRound:
    """The last finished round, and what was planned when it closed (nothing if no plan was known).

    skipped: how many of the planned it left out.
    """

    round: Round
    planned: tuple[str, ...]
    closed_at: float
    skipped: int = 0


class Play(NamedTuple):
    """One sign that a paragraph is being played, by callback or by RTC.

    offset: how far RTC says it is. fingerprint: a checksum of the body, by which a copy is known. due: by
    when the callback should follow, if RTC was first. stall: seconds without a play that were a stall
    until now. late: what was signed later had come before.
    """

    paragraph: str
    by_rtc: bool
    offset: int | None
    signed: int | None
    received: float
    fingerprint: int
    due: float | None = None
    stall: float | None = None
    late: bool = False


@dataclass(slots=True)
class Rounds:
    """What a sequence of plays adds up to.

    plan: in playing order; while `origin` is None it is only what the first round has shown so far.
    tentative: a paragraph that came back too early; the next one decides what it was. doubted: one that
    RTC seemed to refute, until anything else is played. count, skipped: rounds finished, and paragraphs that
    they left out. signed: the newest signed second. leftover: what is planned for this round alone, since it
    had played it when another plan was given. adrift: whether the stream was met in the middle of a round in
    random order, and no round has been whole since.
    """

    plan: tuple[str, ...] = ()
    origin: PlanOrigin | None = None
    round: Round | None = None
    finished: FinishedRound | None = None
    tentative: Play | None = None
    doubted: Play | None = None
    count: int = 0
    skipped: int = 0
    signed: int | None = None
    leftover: tuple[str, ...] = ()
    adrift: bool = False


class Witness(NamedTuple):
    """RTC proved a paragraph. due: by when its callback should come. signed: the newest second before it."""

    due: float
    signed: int | None


@dataclass(slots=True)
class Script:
    """The script of a stream.

    settled: what all plays before `recent` add up to; None while no play was signed, since then nothing
    can be re-ordered. current: settled and recent together. rounds: the most that `current` ever
    counted, for a counter never goes down. witnesses: paragraphs whose callback is awaited.
    first_progress_at, progress_at, resumed_at: the first sign that the script moved, the last one, the
    first after a stall. longest, mean: seconds of a long paragraph lately, of a usual one. told_at: when the
    newest that was told of it came in.
    """

    settled: Rounds | None = None
    current: Rounds = field(default_factory=Rounds)
    recent: list[Play] = field(default_factory=list)
    rounds: int = 0
    witnesses: Mapping[str, Witness] = field(default_factory=nothing)
    first_progress_at: float | None = None
    progress_at: float | None = None
    resumed_at: float | None = None
    longest: float | None = None
    mean: float | None = None
    told_at: float = 0.0

    @property
    def plan(self) -> tuple[str, ...]:
        """The paragraphs of a round in playing order."""
        return self.current.plan

    @property
    def origin(self) -> PlanOrigin | None:
        """Who gave the plan; None while none is known."""
        return self.current.origin

    @property
    def round(self) -> Round | None:
        """The round that plays."""
        return self.current.round

    @property
    def finished(self) -> FinishedRound | None:
        """The last finished round."""
        return self.current.finished

    @property
    def tentative(self) -> Play | None:
        """A paragraph that came back too early; the next one decides what it was."""
        return self.current.tentative

    @property
    def skipped(self) -> int:
        """Paragraphs left out by finished rounds, as far as no late play can change it any more."""
        return self.current.skipped if self.settled is None else self.settled.skipped
