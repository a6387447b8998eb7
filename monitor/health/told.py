"""What the handlers of events share: the event as they see it, the timeline, and what falls due."""

from typing import NamedTuple

from monitor.config import HealthSettings
from monitor.event import CallbackKind, Decoded, Stored
from monitor.health import connection, replies, script
from monitor.health.stream import End, Outcome, StreamState, Transition

TRANSITIONS = 20
"""Lines of the timeline kept in the state; older ones are read from the log."""


class Told(NamedTuple):
    """An event as the handlers see it. at: its received time, never before the stream's last one."""

    stored: Stored
    decoded: Decoded
    at: float
    settings: HealthSettings


def subscribe(state: StreamState, kind: CallbackKind) -> None:
    """Note that the vendor calls back for this kind."""
    if kind not in state.job.subscribed:
        state.job.subscribed += (kind,)


def was_a_guess(end: End) -> bool:
    """Whether the end is our own conclusion, so that a sign of life takes it back."""
    return end.outcome in (Outcome.LOST, Outcome.VANISHED)


def note(state: StreamState, stored: Stored, at: float, what: str) -> None:
    """Write a line of the stream's timeline."""
    state.transitions.append(Transition(at, what, stored.event.channel, stored.partition, stored.offset))
    del state.transitions[:-TRANSITIONS]


def plan_settling(state: StreamState) -> None:
    """Note when `settle` has something to do next; to be called when what it looks at has changed."""
    dues = (
        connection.next_due(state.link),
        script.next_due(state.script),
        replies.next_due(state.replies),
        state.observed.end_due if state.observed is not None else None,
    )
    state.next_due = min((due for due in dues if due is not None), default=None)
