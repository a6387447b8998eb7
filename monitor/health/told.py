"""What the handlers of events share: the event as they see it, and the timeline."""

from typing import NamedTuple

from monitor.config import HealthSettings
from monitor.event import CallbackKind, Decoded, Event, Stored
from monitor.health.stream import End, Outcome, StreamState
from monitor.health.timeline import Transition


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


def is_outdated(event: Event, told_at: float) -> bool:
    """Whether a dead letter that was retried tells of before what was told since, without a signed time.

    Arrival orders what isn't signed, but when a letter arrived is known, and it isn't now.
    """
    # In the order that costs each other event least.
    return event.received < told_at and event.signed is None and event.id.is_retried


def note(state: StreamState, stored: Stored, at: float, what: str) -> None:
    """Write a line of the stream's timeline."""
    state.transitions.add(Transition(at, what, stored.event.channel, stored.partition, stored.offset))
