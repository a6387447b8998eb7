"""What the handlers of events share: the event as they see it, and the timeline."""

from typing import NamedTuple, TypeVar

from monitor.config import HealthSettings
from monitor.event import CallbackKind, Decoded, Event, Stored
from monitor.health.script_state import Script
from monitor.health.stream import End, Link, Outcome, StreamState
from monitor.health.timeline import Transition

K = TypeVar("K")
V = TypeVar("V")


WITNESS_SECONDS = 10.0
"""How long the callback of what RTC or the API proved may take before it counts as missed."""


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


def is_over(state: StreamState) -> bool:
    """Whether the stream has ended, and not by a conclusion of ours that may be taken back."""
    return state.end is not None and not was_a_guess(state.end)


def hear(dimension: Link | Script, event: Event) -> bool:
    """Note when what is told of the push or of the script came in; False if it is outdated.

    That is a dead letter that was retried, without a signed time, and tells of before what was told since:
    arrival orders what isn't signed, but when a letter arrived is known, and it isn't now.
    """
    if event.received >= dimension.told_at:
        dimension.told_at = event.received
        return True
    return event.signed is not None or not event.id.is_retried


def note(state: StreamState, stored: Stored, at: float, what: str) -> None:
    """Write a line of the stream's timeline."""
    state.transitions.add(Transition(at, what, stored.event.channel, stored.partition, stored.offset))


def remember(known: dict[K, V], key: K, value: V, limit: int) -> None:
    """Set a value, forgetting the key that was set longest ago where there are too many."""
    known.pop(key, None)
    known[key] = value
    if len(known) > limit:
        del known[next(iter(known))]
