"""The relays that bring a room's messages: what one told before or held back, and whom to follow."""

from monitor.event import Decoded
from monitor.health.effect import Effect
from monitor.health.stream import RelayMark, StreamState
from monitor.health.told import remember

DELAYED_SECONDS = 30.0
"""RTC progress that a relay held back for longer says nothing of where the script is now."""

REMEMBERED_RELAYS = 8


def relayed(state: StreamState, decoded: Decoded, received: float) -> Effect:
    """Say whether a relay told this message before (duplicate) or held it back for long (late)."""
    relay = decoded.relay
    if relay is None:
        return Effect.APPLIED
    mark = state.relays.get(relay.relay)
    if mark is not None and relay.sequence <= mark.sequence:
        return Effect.DUPLICATE
    # A page's clock may be wrong by minutes; what it was behind at best is the measure.
    lag = None if relay.at is None else received - relay.at
    best = mark.lag if mark is not None else None
    if lag is not None:
        best = lag if best is None else min(best, lag)
    remember(state.relays, relay.relay, RelayMark(relay.sequence, best), REMEMBERED_RELAYS)
    if lag is not None and best is not None and lag - best > DELAYED_SECONDS:
        return Effect.LATE
    return Effect.APPLIED


def is_narrator(state: StreamState, decoded: Decoded, at: float) -> bool:
    """Whether this relay's progress is followed: of several in a room, one at a time.

    Two relays a moment apart would make the offset fall where nothing began again.
    """
    name = None if decoded.relay is None else decoded.relay.relay
    other = state.narrator is not None and state.narrator != name
    if other and state.narrated_at is not None and at - state.narrated_at <= DELAYED_SECONDS:
        return False
    state.narrator, state.narrated_at = name, at
    return True
