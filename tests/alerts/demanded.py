"""The pages that the truth of a simulation demands, worked out from its facts alone.

Nothing here knows the rules' expressions: it knows what happened when, at which moments Prometheus looked,
and what a page is for.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from alerts.thresholds import Burn, Thresholds
from monitor.event import LinkChanged, LinkState, SessionChanged, SessionState
from monitor.simulator.truth import expectation
from tests.alerts.history import Lived

DOWN_AFTER = 60.0


class Page(NamedTuple):
    """What a page is about: its alert, the source, and the stream or the vendor's error code."""

    alert: str
    source: str
    about: str = ""


class Span(NamedTuple):
    """From a moment until just before another, Unix seconds."""

    since: float
    until: float

    def holds(self, at: float) -> bool:
        return self.since <= at < self.until


@dataclass
class Course:
    """What happened to a stream, in received times. codes: the vendor's errors."""

    source: str
    job_id: str
    running: list[Span] = field(default_factory=list)
    outages: list[Span] = field(default_factory=list)
    ended: float | None = None
    outcome: str | None = None
    codes: list[int] = field(default_factory=list)

    def is_down(self, at: float) -> bool:
        return any(outage.since + DOWN_AFTER <= at < outage.until for outage in self.outages)

    def is_troubled(self, at: float, recent: float) -> bool:
        return any(outage.holds(at) for outage in self.outages) or self.has_failed(at, recent)

    def is_concerned(self, at: float, recent: float) -> bool:
        return any(span.holds(at) for span in self.running) or self.has_failed(at, recent)

    def has_failed(self, at: float, recent: float) -> bool:
        if self.ended is None or self.outcome == "completed":
            return False
        return self.ended <= at < self.ended + recent


def course(lived: Lived) -> Course:
    """Return what the facts of a stream come to."""
    identity = lived.life.identity
    one = Course(identity.source.name, identity.job_id)
    told = sorted(lived.told, key=lambda told: (told.fact.at, told.fact.number))
    one.outcome = expectation(told).ended
    begun = out_since = None
    connected = False
    for fact, answered in ((told_of.fact, told_of.answered) for told_of in told):
        payload = fact.payload
        begun = answered if begun is None and one.ended is None else begun
        if isinstance(payload, SessionChanged):
            one.codes += [] if payload.code is None else [payload.code]
            over = payload.state in (SessionState.COMPLETED, SessionState.ABNORMAL)
        elif isinstance(payload, LinkChanged):
            state = payload.state
            over = state is LinkState.END
            is_out = state in (LinkState.DISCONNECTED, LinkState.RECONNECTING)
            if is_out and connected:
                out_since, connected = answered, False
            if state is LinkState.CONNECTED or over:
                if out_since is not None:
                    one.outages.append(Span(out_since, answered))
                out_since, connected = None, state is LinkState.CONNECTED
                begun = answered if begun is None else begun
        else:
            continue
        if over and begun is not None:
            one.running.append(Span(begun, answered))
            one.ended, begun = answered, None
        elif not over:
            one.ended = None
    if begun is not None:
        one.running.append(Span(begun, float("inf")))
    if out_since is not None:
        one.outages.append(Span(out_since, float("inf")))
    return one


def demanded(
    streams: Iterable[Lived], thresholds: Thresholds, moments: list[float], quota: set[int]
) -> set[Page]:
    """Return the pages that somebody has to get.

    Args:
        streams: of the simulation.
        thresholds: what the alerts wait for.
        moments: when Prometheus looked, Unix seconds.
        quota: the vendors' error codes that say that no more can be had.
    """
    courses = [course(lived) for lived in streams]
    return {
        *_of_streams(courses, moments),
        *(
            Page("LivestreamQuotaExhausted", one.source, str(code))
            for one in courses
            for code in one.codes
            if code in quota
        ),
        *_incidents(courses, thresholds, moments),
        *_burns(courses, thresholds, moments),
    }


def _of_streams(courses: list[Course], moments: list[float]) -> Iterator[Page]:
    for one in courses:
        if any(map(one.is_down, moments)):
            yield Page("LivestreamDown", one.source, one.job_id)
        if one.ended is not None and one.outcome != "completed":
            yield Page("LivestreamEndedAbnormally", one.source, one.job_id)


def _incidents(courses: list[Course], thresholds: Thresholds, moments: list[float]) -> Iterator[Page]:
    limits = thresholds.incident
    recent = limits.ended_within_seconds
    for source in {one.source for one in courses}:
        own = [one for one in courses if one.source == source]
        since: float | None = None
        for at in moments:
            troubled = sum(one.is_troubled(at, recent) for one in own)
            concerned = sum(one.is_concerned(at, recent) for one in own)
            holds = troubled >= limits.fewest_streams and troubled >= limits.share * concerned
            since = (at if since is None else since) if holds else None
            if since is not None and at - since >= limits.for_seconds:
                yield Page("LivestreamVendorIncident", source)


def _burns(courses: list[Course], thresholds: Thresholds, moments: list[float]) -> Iterator[Page]:
    objective = thresholds.objective
    for source in {one.source for one in courses}:
        own = [one for one in courses if one.source == source]
        running = [sum(any(span.holds(at) for span in one.running) for one in own) for at in moments]
        down = [sum(one.is_down(at) for one in own) for at in moments]
        for burn in objective.burns:
            if burn.severity == "critical" and _burns_in(burn, thresholds, moments, running, down):
                yield Page("LivestreamAvailabilityBurnFast", source)


def _burns_in(
    burn: Burn, thresholds: Thresholds, moments: list[float], running: list[int], down: list[int]
) -> bool:
    limit = burn.factor * (1 - thresholds.objective.availability)

    def lost(last: int, seconds: float) -> tuple[float, float]:
        chosen = [n for n in range(last + 1) if moments[n] >= moments[last] - seconds]
        total = sum(running[n] for n in chosen)
        return (sum(down[n] for n in chosen) / total if total else 0.0, total / len(chosen))

    for last in range(len(moments)):
        share, average = lost(last, burn.long_seconds)
        enough = average >= thresholds.objective.fewest_streams
        shorter = (burn.short_seconds, thresholds.objective.still_seconds)
        if enough and share > limit and all(lost(last, seconds)[0] > limit for seconds in shorter):
            return True
    return False
