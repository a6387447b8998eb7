"""The relays that bring a room's messages: what one told before or held back, and whom to follow."""

from monitor.event import Decoded, Relay
from monitor.health.effect import Effect
from monitor.health.stream import RelayMark, StreamState
from monitor.health.told import remember

DELAYED_SECONDS = 30.0
"""RTC progress that a relay held back for longer says nothing of where the script is now."""

STEADY_SECONDS = 10.0
"""A relay whose times stay behind ours by the same, within so much, has nothing that it held back to tell."""

REMEMBERED_RELAYS = 8

FIRST_SEQUENCE = 1
"""At most: relays count from 0 or from 1."""


def relayed(state: StreamState, decoded: Decoded, received: float) -> Effect:
    """Say whether a relay told this message before (duplicate) or held it back for long (late)."""
    relay = decoded.relay
    if relay is None:
        return Effect.APPLIED
    mark = state.relays.get(relay.relay)
    if mark is None:
        mark = RelayMark(relay.sequence, None)
    elif mark.newest is not None and _counts_anew(relay, mark.sequence, mark.newest):
        mark = mark._replace(earlier=(mark.sequence, mark.newest))
    elif relay.sequence <= mark.sequence or _is_of_earlier(relay, mark):
        return Effect.DUPLICATE
    _, best, steady, since, newest, earlier = mark
    # A page's clock may be wrong by minutes; what it was behind at best is the measure.
    lag = None if relay.at is None else received - relay.at
    is_delayed = False
    if lag is not None:
        best = lag if best is None else min(best, lag)
        if steady is None or abs(lag - steady) > STEADY_SECONDS:
            steady, since = lag, received
        is_delayed = lag - best > DELAYED_SECONDS
        if is_delayed and received - since >= DELAYED_SECONDS:
            # What was held back comes all at once. It is a clock, the page's or ours, that was set.
            best, is_delayed = steady, False
    if relay.at is not None:
        newest = relay.at if newest is None else max(newest, relay.at)
    mark = RelayMark(relay.sequence, best, steady, since, newest, earlier)
    remember(state.relays, relay.relay, mark, REMEMBERED_RELAYS)
    return Effect.LATE if is_delayed else Effect.APPLIED


def _counts_anew(relay: Relay, sequence: int, newest: float) -> bool:
    """Whether a relay was started again: it counts from the beginning, later than all that it told before.

    Any other number that is known is a copy, whatever its time: a relay may tell when it sent it.
    """
    first = relay.sequence <= FIRST_SEQUENCE and relay.sequence < sequence
    return first and relay.at is not None and relay.at > newest


def _is_of_earlier(relay: Relay, mark: RelayMark) -> bool:
    """Whether it is a copy of what the relay told before it was started again."""
    if mark.earlier is None or relay.at is None:
        return False
    sequence, newest = mark.earlier
    return relay.sequence <= sequence and relay.at <= newest


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
