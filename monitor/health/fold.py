"""The fold: an event and what it says, taken into the state of its stream.

Pure: no clock, no I/O. `settle` does what only the passing of time brings about; folding an event
settles the state up to the event first, so that it makes no difference when or how often somebody
settles in between, and folding a log in two parts gives what one pass gives.
"""

from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

from monitor.config import HealthSettings
from monitor.event import (
    CallbackKind,
    Channel,
    Decoded,
    Event,
    EventId,
    JobObserved,
    JobRegistered,
    LinkChanged,
    ParagraphStarted,
    ReplyFinished,
    ScriptProgress,
    SessionChanged,
    Stored,
    Unrecognised,
)
from monitor.health import connection, observation, relays, replies, script, session
from monitor.health.api_told import take_observation
from monitor.health.effect import Effect
from monitor.health.link_told import take_link
from monitor.health.phases import enter_phase, phase_of
from monitor.health.reading import stall_after
from monitor.health.script_state import PlanOrigin, Play
from monitor.health.stream import End, Outcome, Phase, StreamState
from monitor.health.told import WITNESS_SECONDS, Told, hear, is_over, note, subscribe, was_a_guess

REMEMBERED_RECEIVERS = 32


def begin(event: Event) -> StreamState:
    """Return the state of a stream of which this event is the first sign."""
    at = event.received
    return StreamState(event.vendor, event.source, event.job_id, at, at, at)


def fold(state: StreamState, stored: Stored, decoded: Decoded, settings: HealthSettings) -> Effect:
    """Take an event into the state, in place, and say what it did.

    An event that this state holds already (by its id) changes nothing, so a log may be read again
    from any earlier place.
    """
    event = stored.event
    if _was_folded(state, event.id):
        return Effect.DUPLICATE
    # Received times can step back with the machine's clock; a stream's own time doesn't.
    before = state.last_received
    at = max(event.received, before)
    if is_due(state, at, settings):
        _settle(state, at, settings)
    known = state.folded, state.folded_before
    _note_folded(state, event.id)
    end, moved_at = state.end, state.script.progress_at
    try:
        effect = _HANDLERS[type(decoded.payload)](state, Told(stored, decoded, at, settings))
    except BaseException:
        # Or it would pass for folded when it comes again, before it was kept as a dead letter.
        state.folded, state.folded_before = known
        raise
    # Only of a stream whose script had moved was the silence one.
    if moved_at is not None and at > before + settings.silent_after_seconds:
        state.awake_since = at
    if end is not None and end is state.end and effect is not Effect.LATE and was_a_guess(end):
        # We gave the stream up because nothing was heard of it; now something is.
        state.end = None
        state.retired = False
        note(state, stored, at, "reopened")
    state.last_received = at
    if event.channel is Channel.CALLBACK:
        state.callback_at = at
    elif event.channel is Channel.RTC:
        state.rtc_at = at
    else:
        state.api_at = at
    phase = phase_of(state)
    if phase is not state.phase:
        enter_phase(state, phase, at)
    _plan_settling(state)
    return effect


def is_due(state: StreamState, now: float, settings: HealthSettings) -> bool:
    """Whether `settle` has something to do by `now`."""
    if state.next_due is not None and state.next_due <= now:
        return True
    return state.end is None and state.last_received + settings.abandon_after_seconds <= now


def settle(state: StreamState, now: float, settings: HealthSettings) -> None:
    """Do what is due by `now`: missed callbacks, skipped paragraphs, a stream given up as lost."""
    _settle(state, now, settings)
    _plan_settling(state)


def _settle(state: StreamState, now: float, settings: HealthSettings) -> None:
    if not state.retired:
        if state.script.recent or state.script.witnesses:
            mode, from_start = state.job.random_play_mode, _from_start(state)
            state.missed += script.settle(state.script, now, mode, from_start=from_start)
        if state.replies.awaited:
            state.missed += replies.settle(state.replies, now)
        if state.link.recent:
            connection.settle(state.link, now)
        if state.observed is not None:
            state.missed += observation.settle(state.observed, now)
    lost_at = state.last_received + settings.abandon_after_seconds
    if state.end is None and lost_at <= now:
        state.end = End(Outcome.LOST, lost_at, None)
        enter_phase(state, Phase.ENDED, lost_at)


def retire(state: StreamState) -> StreamState:
    """Return the marker of an ended stream: enough that a late event can't bring it back to life.

    Its counters too: what brings it back all the same goes on counting.
    """
    marker = StreamState(
        state.vendor,
        state.source,
        state.job_id,
        state.first_received,
        state.last_received,
        state.phase_since,
        phase=Phase.ENDED,
        starting_seconds=state.starting_seconds,
        connected_seconds=state.connected_seconds,
        outage_seconds=state.outage_seconds,
        folded=state.folded,
        folded_before=state.folded_before,
        link=connection.marker(state.link),
        script=script.counted(state.script),
        missed=state.missed,
        end=state.end,
        retired=True,
    )
    marker.replies.finished = state.replies.finished
    marker.session.state = state.session.state
    return marker


def _plan_settling(state: StreamState) -> None:
    """Note when `settle` has something to do next."""
    due = _sooner(connection.next_due(state.link), script.next_due(state.script))
    if state.replies.awaited:
        due = _sooner(due, replies.next_due(state.replies))
    if state.observed is not None:
        due = _sooner(due, state.observed.end_due)
    state.next_due = due


def _sooner(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return one if one <= other else other


def _paragraph(state: StreamState, told: Told) -> Effect:
    stored, decoded, at, _ = told
    payload: ParagraphStarted = decoded.payload  # type: ignore[assignment]  # dispatched by type
    event = stored.event
    subscribe(state, CallbackKind.PARAGRAPH)
    if state.job.room_id is None:
        state.job.room_id = payload.room_id
    after_end = _is_after_end(state, event)
    if after_end is not None:
        # It changes nothing of a stream that is over, but it did come.
        script.hear_witness(state.script, payload.paragraph.key, event.signed)
        return after_end
    if not hear(state.script, event):
        return Effect.LATE
    stall = stall_after(state, told.settings)
    play = Play(payload.paragraph.key, False, None, event.signed, at, crc32(event.body), None, stall)
    mode = state.job.random_play_mode
    effect = script.apply(state.script, play, mode, from_start=_from_start(state))
    return _late_if_ended(state, effect)


def _progress(state: StreamState, told: Told) -> Effect:
    stored, decoded, at, _ = told
    payload: ScriptProgress = decoded.payload  # type: ignore[assignment]  # dispatched by type
    relayed = relays.relayed(state, decoded, stored.event.received)
    if relayed is not Effect.APPLIED:
        return relayed
    after_end = _is_after_end(state, stored.event)
    if after_end is not None:
        return after_end
    if not hear(state.script, stored.event):
        return Effect.LATE
    if not relays.is_narrator(state, decoded, at):
        return Effect.DUPLICATE
    due = at + WITNESS_SECONDS if CallbackKind.PARAGRAPH in state.job.subscribed else None
    stall = stall_after(state, told.settings)
    play = Play(payload.paragraph.key, True, payload.offset, None, at, 0, due, stall)
    mode = state.job.random_play_mode
    return script.apply(state.script, play, mode, from_start=_from_start(state))


def _reply(state: StreamState, told: Told) -> Effect:
    stored, decoded, at, _ = told
    payload: ReplyFinished = decoded.payload  # type: ignore[assignment]  # dispatched by type
    by_callback = stored.event.channel is Channel.CALLBACK
    if by_callback:
        subscribe(state, CallbackKind.REPLY)
        if state.job.room_id is None:
            state.job.room_id = payload.room_id
    relayed = Effect.APPLIED if by_callback else relays.relayed(state, decoded, stored.event.received)
    if relayed is Effect.DUPLICATE:
        return relayed
    after_end = _is_after_end(state, stored.event)
    if after_end is not None:
        if by_callback:
            replies.hear_witness(state.replies, payload)
        return after_end
    told_by_others = CallbackKind.REPLY in state.job.subscribed or len(state.relays) > 1
    if relayed is Effect.LATE and told_by_others and replies.may_be_forgotten(state.replies, payload):
        return relayed
    due = at + WITNESS_SECONDS if CallbackKind.REPLY in state.job.subscribed else None
    effect = replies.apply(state.replies, payload, by_callback=by_callback, due=due)
    return _late_if_ended(state, effect)


def _session(state: StreamState, told: Told) -> Effect:
    stored, decoded, at, _ = told
    payload: SessionChanged = decoded.payload  # type: ignore[assignment]  # dispatched by type
    event = stored.event
    before = state.session.state
    fingerprint = crc32(str(event.signed).encode(), crc32(event.body))
    effect = session.apply(state.session, payload, signed=event.signed, received=at, fingerprint=fingerprint)
    if state.session.state is not before and state.session.state is not None:
        note(state, stored, at, f"session {state.session.state.value}")
        outcome = session.OUTCOMES.get(state.session.state)
        if outcome is not None:
            state.end = End(outcome, at, event.signed)
            note(state, stored, at, f"ended: {outcome.value}")
    elif effect is Effect.APPLIED and payload.code is not None:
        note(state, stored, at, f"code {payload.code}")
    return effect


def _registered(state: StreamState, told: Told) -> Effect:
    stored, decoded, at, _ = told
    payload: JobRegistered = decoded.payload  # type: ignore[assignment]  # dispatched by type
    if is_over(state):
        return Effect.AFTER_END
    job = state.job
    job.registered = True
    job.registered_at = at if job.registered_at is None else job.registered_at
    job.room_id = payload.room_id or job.room_id
    job.rtc_room_id = payload.rtc_room_id or job.rtc_room_id
    job.play_mode = payload.play_mode or job.play_mode
    job.random_play_mode = payload.random_play_mode or job.random_play_mode
    job.view_mode = payload.view_mode or job.view_mode
    if payload.repeat_count is not None:
        job.repeat_count = payload.repeat_count
    if payload.max_duration is not None:
        job.expected_end = job.registered_at + payload.max_duration
    for kind in payload.subscribed:
        subscribe(state, kind)
    if payload.plan:
        origin = PlanOrigin.API if payload.plan_by_api else PlanOrigin.REGISTERED
        script.register_plan(state.script, payload.plan, origin)
    if payload.warnings is not None:
        state.warnings = payload.warnings
    note(state, stored, at, "registered")
    return Effect.APPLIED


def _unrecognised(state: StreamState, told: Told) -> Effect:
    if relays.relayed(state, told.decoded, told.stored.event.received) is Effect.DUPLICATE:
        return Effect.DUPLICATE
    return Effect.AFTER_END if is_over(state) else Effect.APPLIED


_HANDLERS: dict[type[Any], Callable[[StreamState, Told], Effect]] = {
    LinkChanged: take_link,
    ParagraphStarted: _paragraph,
    ScriptProgress: _progress,
    ReplyFinished: _reply,
    SessionChanged: _session,
    JobRegistered: _registered,
    JobObserved: take_observation,
    Unrecognised: _unrecognised,
}


def _from_start(state: StreamState) -> bool:
    """Whether the stream's beginning was seen, so that its first round was seen from its start."""
    return state.link.from_start or state.job.registered


def _is_after_end(state: StreamState, event: Event) -> Effect | None:
    """Say what an event of an ended stream is, None where it still tells something.

    A fact signed no later than the end happened before it and is credited.
    """
    end = state.end
    if end is None or was_a_guess(end):
        return None
    if state.retired or event.signed is None or end.signed is None or event.signed > end.signed:
        return Effect.AFTER_END
    return None


def _late_if_ended(state: StreamState, effect: Effect) -> Effect:
    """Say that what an ended stream was told and took in came late."""
    return Effect.LATE if effect is Effect.APPLIED and is_over(state) else effect


def _was_folded(state: StreamState, told: EventId) -> bool:
    newest = state.folded
    if newest is None:
        return False
    if newest.receiver == told.receiver:
        return told <= newest
    before = state.folded_before.get(told.receiver)
    return before is not None and (told.boot, told.sequence) <= before


def _note_folded(state: StreamState, told: EventId) -> None:
    newest = state.folded
    state.folded = told
    if newest is not None and newest.receiver != told.receiver:
        before = dict(state.folded_before)
        before.pop(told.receiver, None)
        before[newest.receiver] = newest.boot, newest.sequence
        if len(before) >= REMEMBERED_RECEIVERS:
            del before[_least_missed(before)]
        state.folded_before = before


def _least_missed(receivers: Mapping[str, tuple[int, int]]) -> str:
    """Return which one is to be forgotten: of the dead letters', if there are any, what came longest ago.

    A dead letter that was retried on Kafka has a receiver's name of its own, for one event. Behind a real
    receiver's name stand all the events that it has told.
    """
    retried = (name for name, newest in receivers.items() if EventId(name, *newest).is_retried)
    return next(retried, next(iter(receivers)))
