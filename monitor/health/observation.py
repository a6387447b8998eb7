"""What the vendor's API says of a job, as the second witness: what it proves that no callback told.

An answer counts only for what it says itself. That nobody could be asked, or that an answer was of no
use, never gets here. Two answers in a row tell whether the job pushes: the time that it pushed has to
grow with the time that it ran.
"""

from monitor.event import CallbackAim, CallbackKind, JobObserved, JobState, SessionState, Vendor
from monitor.health.observed_job import Observation
from monitor.health.stream import End, Outcome, Phase, StreamState

MEASURED_SECONDS = 5.0
"""Answers closer together, by the job's own duration, say nothing of its push."""

PUSHING_SHARE = 0.5
"""A job pushes if this share of the time between two answers was pushed."""

PUSHLESS_SECONDS = 30.0
"""A push that rests for less, by two answers, is a hiccup or the vendor's rounding."""

UNCALLED_SECONDS = 120.0
"""A job that runs for so long calls back at least once: its push connects, or its script begins."""

LEEWAY_SECONDS = 2.0
"""A callback may be on its way while the API already answers."""

AFTER_END_SECONDS = 60.0
"""How long after its END a job may still be said to run and to push: the vendor is clearing up."""

OUTCOMES = {
    JobState.SUCCEEDED: Outcome.COMPLETED,
    JobState.FAILED: Outcome.FAILED,
    JobState.BLOCKED: Outcome.BLOCKED,
    JobState.MISSING: Outcome.VANISHED,
}

SESSION_STATES = {
    JobState.WAITING: SessionState.STARTING,
    JobState.RUNNING: SessionState.RUNNING,
    JobState.SUCCEEDED: SessionState.COMPLETED,
    JobState.FAILED: SessionState.ABNORMAL,
}
"""The same said of a SoftSugar session."""


def outcome_of(state: StreamState, said: JobState) -> Outcome | None:
    """Return how the stream ended if the API says this; None if it hasn't ended."""
    outcome = OUTCOMES.get(said)
    # The push's own phase: a stream that we gave up in an outage is in none any more.
    if outcome is Outcome.COMPLETED and state.link.current.phase is Phase.OUTAGE:
        # As with END: that is how the vendor gives a stream up.
        return Outcome.CUT_OFF
    if outcome is Outcome.FAILED and state.vendor is Vendor.SOFTSUGAR:
        return Outcome.ABNORMAL
    return outcome


def outranks(said: Outcome, known: Outcome) -> bool:
    """Whether the API's word on an end says more than what is known: why it failed, or was blocked."""
    if said is Outcome.BLOCKED:
        return known is not Outcome.BLOCKED
    return said is Outcome.FAILED and known is Outcome.COMPLETED


def take(known: Observation | None, said: JobObserved, at: float) -> Observation:
    """Return what is known of the job after this answer, received at `at`."""
    known = Observation() if known is None else known
    if known.state is None and not known.began_in_sight:
        # What it told before, if anything, may have been of the job's room alone.
        known.began_in_sight = said.state is JobState.WAITING or (
            said.duration is not None and said.duration < UNCALLED_SECONDS
        )
    if said.state is not None:
        known.state = said.state
    if known.state is JobState.RUNNING and known.running_since is None:
        known.running_since = at
    _measure(known, said, at)
    known.at = at
    if said.error is not None or said.reason is not None:
        known.error = " ".join(part for part in (said.error, said.reason) if part)
    if said.aim is not None:
        known.aim = said.aim
    if said.warnings is not None:
        known.warnings_at = at
    return known


def is_measured(known: Observation | None, said: JobObserved) -> bool:
    """Whether the answer tells how long the job ran and pushed, and enough later than the last measure."""
    if said.duration is None or said.push_duration is None:
        return False
    grown = None if known is None else _grown(known, said)
    return grown is None or not (0 <= grown[0] < MEASURED_SECONDS and grown[1] >= 0)


def _grown(known: Observation, said: JobObserved) -> tuple[float, float] | None:
    """Return how much longer the job ran and pushed than at the last measure, in seconds; None if unknown."""
    if known.measured_at is None or known.duration is None or known.push is None:
        return None
    if said.duration is None or said.push_duration is None:
        return None
    return said.duration - known.duration, said.push_duration - known.push


def _measure(known: Observation, said: JobObserved, at: float) -> None:
    """Learn whether the job pushes, from how much more it ran and pushed than at the last measure."""
    if not is_measured(known, said):
        return
    if (grown := _grown(known, said)) is not None:
        ran, pushed = grown
        known.proved = None
        if ran >= MEASURED_SECONDS and pushed >= 0:
            known.pushing = pushed >= PUSHING_SHARE * ran
            known.proved = known.measured_at if known.pushing else None
            _follow_push(known, at, ran - pushed)
    known.duration, known.push, known.measured_at = said.duration, said.push_duration, at
    # Behind all that: a little for the first time may be a push that has just begun.
    known.push_told = known.push_told or bool(said.push_duration)


def _follow_push(known: Observation, at: float, rested: float) -> None:
    if known.pushing:
        if is_pushless(known):
            known.pushing_again_at = at
        known.push_seen, known.pushless_since, known.pushless_until = True, None, None
        known.rested = 0.0
    elif known.push_told:
        # Only of a job whose pushed time was above 0: the vendor may fill it in at the end.
        if known.pushless_since is None:
            known.pushless_since = known.measured_at
        known.pushless_until = at
        known.rested += rested


def note_connected(known: Observation) -> None:
    """Begin to measure anew: what was measured before the push connected says nothing of it now."""
    known.measured_at = known.proved = known.pushless_since = known.pushless_until = None
    known.rested = 0.0


def note_connected_again(known: Observation, at: float) -> None:
    """Take it that a push that was thought to be connected has only now connected again."""
    if is_pushless(known):
        known.pushing_again_at = at
    note_connected(known)


def is_pushless(known: Observation) -> bool:
    """Whether the job runs and no longer pushes, as far as the last answers tell."""
    since, until = known.pushless_since, known.pushless_until
    return since is not None and until is not None and until - since >= PUSHLESS_SECONDS


def end_as(
    outcome: Outcome, at: float, signed: int | None, known: Observation | None, *, by_api: bool
) -> End:
    """Return a stream's end; a completed one is cut off where the API had seen its job run without push.

    Args:
        outcome: as it is told.
        at: when it was told, our time.
        signed: the vendor's time.
        known: what the API said of the job.
        by_api: whether the API tells of the end rather than an END. Of a job that the vendor is clearing up
            it may say that it runs, so its own word needs longer.
    """
    needed = PUSHLESS_SECONDS + (AFTER_END_SECONDS if by_api else 0.0)
    rested = outcome is Outcome.COMPLETED and known is not None and known.rested >= needed
    return End(Outcome.CUT_OFF if rested else outcome, at, signed, by_api, rested)


def proves_push(state: StreamState, known: Observation) -> bool:
    """Whether the job has pushed ever since the last callback about its push."""
    if known.proved is None or known.state is not JobState.RUNNING:
        return False
    told = max((output.received for output in state.link.current.outputs.values()), default=None)
    leeway = AFTER_END_SECONDS if state.link.current.phase is Phase.ENDED else LEEWAY_SECONDS
    return told is None or told + leeway <= known.proved


def may_be_contradicted(state: StreamState, said: JobState | None) -> bool:
    """Whether an answer that the job runs could still show that a stream which ended by END goes on."""
    end = state.end
    ended = end is not None and not end.by_api and not state.retired
    return ended and said is JobState.RUNNING and state.vendor is Vendor.METASTUDIO


def uncalled_since(state: StreamState, now: float) -> float | None:
    """Return since when a running job should have called back; None if it has, or if nobody can tell.

    A job that began before anybody looked may have told all that it had to tell.
    """
    known = state.observed
    if known is None or known.state is not JobState.RUNNING or known.running_since is None:
        return None
    misled = known.aim is not None and known.aim is not CallbackAim.HERE
    due = known.running_since + UNCALLED_SECONDS
    owed = known.began_in_sight and not _may_say_nothing(state)
    if now < due or not (owed or misled):
        return None
    return due


def _may_say_nothing(state: StreamState) -> bool:
    """Whether the job asked only for callbacks for which there may be no cause: a reply needs a question."""
    return set(state.job.subscribed) == {CallbackKind.REPLY}


def settle(known: Observation, now: float) -> int:
    """Return how many callbacks are missed by now that weren't before."""
    if known.end_due is None or known.end_due > now:
        return 0
    known.end_due = None
    return 1
