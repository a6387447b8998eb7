"""The part of a stream's state that its vendor's API told."""

from dataclasses import dataclass

from monitor.event import CallbackAim, JobState


@dataclass(slots=True)
class Observation:
    """What the vendor's API said of the job (see `health.observation`).

    at: of the last answer. running_since: when it first said that the job runs. began_in_sight: the job
    was young by then. duration, push, measured_at: what it ran and pushed, in seconds, and when it said so.
    pushing: whether it pushed between the last two measures; proved: since when, for certain. push_seen:
    whether it ever did. push_told: whether it was ever told to have pushed at all. pushless_since,
    pushless_until, pushing_again_at: when it stopped, and began again. rested: how much of the job's
    running time it hasn't pushed since then (s). error: the vendor's code and words. warnings_at: when it
    last told its live warnings. end_due: by when the callback of the end should come.
    """

    state: JobState | None = None
    at: float = 0.0
    running_since: float | None = None
    began_in_sight: bool = False
    duration: float | None = None
    push: float | None = None
    measured_at: float | None = None
    pushing: bool | None = None
    proved: float | None = None
    push_seen: bool = False
    push_told: bool = False
    pushless_since: float | None = None
    pushless_until: float | None = None
    pushing_again_at: float | None = None
    rested: float = 0.0
    error: str | None = None
    aim: CallbackAim | None = None
    warnings_at: float | None = None
    end_due: float | None = None
