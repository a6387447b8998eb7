"""What an RTMP fact means for its stream, whoever told it: its reconnects, its end, its beginning anew."""

from zlib import crc32

from monitor.config import REMEMBERED_RECONNECTS
from monitor.event import CallbackKind, LinkChanged, LinkState, Stored
from monitor.health import connection
from monitor.health.effect import Effect
from monitor.health.observation import end_as, note_connected_again
from monitor.health.stream import LinkFact, Outcome, Output, Phase, StreamState
from monitor.health.told import Told, hear, note, subscribe, was_a_guess

_OF_THE_LINK = (Outcome.COMPLETED, Outcome.CUT_OFF)


def take_link(state: StreamState, told: Told) -> Effect:
    """Take a callback about the RTMP push."""
    stored, decoded, at, _ = told
    payload: LinkChanged = decoded.payload  # type: ignore[assignment]  # dispatched by type
    event = stored.event
    subscribe(state, CallbackKind.LINK)
    if state.job.room_id is None:
        state.job.room_id = payload.room_id
    if not hear(state.link, event):
        note(state, stored, at, f"{payload.state.value} (late)")
        return Effect.LATE
    fact = LinkFact(event.signed, at, payload.output, payload.state, crc32(event.body))
    return take_link_fact(state, stored, fact, "")


def take_link_fact(state: StreamState, stored: Stored, fact: LinkFact, source: str) -> Effect:
    """Take an RTMP fact in, with what it means for the stream. source: words for the timeline."""
    at = fact.received
    known = state.link.current.outputs.get(fact.output)
    before, outcome = state.link.current.phase, state.link.current.outcome
    reconnects = state.link.reconnects
    effect = connection.apply(state.link, fact)
    if state.link.reconnects > reconnects:
        state.reconnected_at += [at] * (state.link.reconnects - reconnects)
        del state.reconnected_at[:-REMEMBERED_RECONNECTS]
    if effect is Effect.DUPLICATE and state.observed is not None and _connects_anew(known, fact):
        # The callbacks of an outage were lost, but the API may have seen it.
        note_connected_again(state.observed, at)
    if effect is Effect.DUPLICATE or effect is Effect.AFTER_END:
        return effect
    summary, end = state.link.current, state.end
    if effect is Effect.APPLIED and before is Phase.ENDED and summary.phase is Phase.ENDED:
        if summary.outcome is outcome:
            # Of the second in which the stream ended, and told behind the end: it opens nothing.
            return Effect.AFTER_END
        # The first word of an output that went before the end.
        effect = Effect.LATE
    late = " (late)" if effect is Effect.LATE else ""
    note(state, stored, at, fact.state.value + late + source)
    final = end is not None and end.by_api and not was_a_guess(end)
    if summary.phase is Phase.ENDED:
        if final:
            _confirm_end(state, summary.outcome)
        elif before is not Phase.ENDED and summary.outcome is not None and summary.ended is not None:
            state.end = end_as(summary.outcome, at, summary.ended.signed, state.observed, by_api=False)
            note(state, stored, at, f"ended: {state.end.outcome.value}")
        elif end is not None and summary.outcome is not None and not end.rested:
            end.outcome = summary.outcome
    elif final:
        # The vendor's last word on a job is its last: what comes now happened before.
        return Effect.LATE
    elif end is not None:
        state.end = None
        state.retired = False
        note(state, stored, at, "reopened")
    return effect


def _connects_anew(known: Output | None, fact: LinkFact) -> bool:
    """Whether a push that was told to be connected is told so again, and later: no copy as far as signed."""
    if known is None or known.phase is not Phase.CONNECTED or fact.state is not LinkState.CONNECTED:
        return False
    return fact.signed is None or known.signed is None or fact.signed > known.signed


def _confirm_end(state: StreamState, outcome: Outcome | None) -> None:
    """Take the callback of an end that the vendor's API told first."""
    if state.observed is not None:
        state.observed.end_due = None
    # The API tells that a job is over; whether that was in an outage, what led to its END tells better.
    end = state.end
    if end is not None and outcome is not None and end.outcome in _OF_THE_LINK and not end.rested:
        end.outcome = outcome
