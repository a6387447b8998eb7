"""Compares what a vendor's API says of a job with what is known of its stream: is it worth an event?"""

from enum import StrEnum

from monitor.event import JobObserved, JobState, Vendor
from monitor.health.observation import (
    AFTER_END_SECONDS,
    MEASURED_SECONDS,
    is_measured,
    may_be_contradicted,
    outcome_of,
    outranks,
)
from monitor.health.stream import End, Phase, StreamState
from monitor.health.told import was_a_guess
from monitor.vendors.api_protocol import ObservedJob

REFRESH_SECONDS = 300.0
"""How old the API's word on a stream gets before an answer that agrees is told as well: a sign of life."""

BEHIND_SECONDS = 10.0
"""A push that falls this much further behind is told at once."""

FORGOTTEN_SECONDS = 3600.0
"""A job that ended longer ago than this, and of which nothing is known, is of no interest any more."""

LAG_SECONDS = 60.0
"""How far what a vendor lists or shows may be behind what it calls back."""

LIVE = frozenset({JobState.WAITING, JobState.RUNNING})

FINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.BLOCKED})
"""After these the vendor has nothing more to say of a job."""


class Difference(StrEnum):
    """What an answer is about (a metric label).

    unknown: a job of which nothing was known. first: the API's first word on a stream. end: a stream
    that ended, or why it did. state: it waits or runs, or calls back elsewhere. push: its push stands or
    moves. warnings: live warnings came or went. agrees: nothing new, but a sign of life.
    """

    UNKNOWN = "unknown"
    FIRST = "first"
    END = "end"
    STATE = "state"
    PUSH = "push"
    WARNINGS = "warnings"
    AGREES = "agrees"


def compare(state: StreamState | None, job: ObservedJob, now: float) -> Difference | None:
    """Return what is worth telling about an answer; None if nothing is.

    Args:
        state: of the stream, None if none is known.
        job: what the API said.
        now: Unix seconds.
    """
    said = job.observed
    if state is None:
        return _compare_unknown(job, now)
    end = state.end
    guessed = end is not None and was_a_guess(end)
    if state.retired:
        # Of what nobody sees any more, only that it lives after all is news.
        return Difference.STATE if guessed and said.state in LIVE else None
    if guessed:
        if said.state in (None, JobState.MISSING):
            return None
        return Difference.END if said.state in FINAL else Difference.STATE
    if end is not None:
        return _compare_ended(state, said, end, now)
    if said.state is JobState.MISSING:
        # Who gave a sign of life just now is there, whether or not the API holds it already.
        return None if now - _heard_at(state) < LAG_SECONDS else Difference.END
    if said.state in FINAL:
        return Difference.END
    return _compare_live(state, said, now)


def is_troubled(state: StreamState) -> bool:
    """Whether the stream isn't as it should be, as far as callbacks and answers tell."""
    if state.end is not None:
        return False
    told = state.observed
    return state.phase is not Phase.CONNECTED or (told is not None and told.pushless_since is not None)


def is_explained(state: StreamState) -> bool:
    """Whether the API has said all that it will ever say of an ended stream."""
    if state.vendor is Vendor.SOFTSUGAR:
        # It lists running sessions alone.
        return True
    return state.observed is not None and state.observed.state in FINAL


def _heard_at(state: StreamState) -> float:
    """Return when anybody but the API last told of a stream, in Unix seconds; 0 if nobody did."""
    return max(state.callback_at or 0.0, state.rtc_at or 0.0, state.job.registered_at or 0.0)


def _compare_unknown(job: ObservedJob, now: float) -> Difference | None:
    said = job.observed.state
    if said in LIVE:
        return Difference.UNKNOWN
    recent = job.ended is None or now - job.ended <= FORGOTTEN_SECONDS
    return Difference.UNKNOWN if said in (JobState.FAILED, JobState.BLOCKED) and recent else None


def _compare_ended(state: StreamState, said: JobObserved, known: End, now: float) -> Difference | None:
    if may_be_contradicted(state, said.state):
        # Once the vendor has had its time to clear up, a job whose push goes on isn't over.
        due = now - known.at >= AFTER_END_SECONDS
        return Difference.STATE if due and is_measured(state.observed, said) else None
    if said.state not in FINAL or said.state is None:
        return None
    outcome = outcome_of(state, said.state)
    if outcome is not None and outranks(outcome, known.outcome):
        return Difference.END
    return None if is_explained(state) else Difference.AGREES


def _compare_live(state: StreamState, said: JobObserved, now: float) -> Difference | None:
    told = state.observed
    if told is None:
        return Difference.FIRST
    if said.state is not None and said.state is not told.state:
        return Difference.STATE
    if said.aim is not None and said.aim is not told.aim:
        return Difference.STATE
    if _tells_of_push(state, said):
        return Difference.PUSH
    return Difference.AGREES if now - told.at >= REFRESH_SECONDS else None


def _tells_of_push(state: StreamState, said: JobObserved) -> bool:
    told = state.observed
    if told is None or said.duration is None or said.push_duration is None:
        return False
    if told.duration is None or told.push is None:
        return True
    if is_troubled(state):
        return said.duration - told.duration >= MEASURED_SECONDS
    behind = (said.duration - said.push_duration) - (told.duration - told.push)
    return behind >= BEHIND_SECONDS
