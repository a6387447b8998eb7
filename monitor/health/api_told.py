"""What an answer of the vendor's API means for its stream, where no callback told it."""

from monitor.event import (
    CallbackKind,
    JobObserved,
    JobState,
    LinkState,
    SessionChanged,
    SessionState,
    Stored,
    Vendor,
)
from monitor.health import observation, session
from monitor.health.effect import Effect
from monitor.health.link_told import take_link_fact
from monitor.health.stream import LinkFact, Outcome, Phase, StreamState
from monitor.health.told import WITNESS_SECONDS, Told, hear, is_over, note, was_a_guess

BY_API = " (the vendor's API says so)"
"""Behind what a line of the timeline says, where no callback did."""


def take_observation(state: StreamState, told: Told) -> Effect:
    """Take an answer of the API; where it proves what no callback told, set it right."""
    stored, decoded, at, _ = told
    said: JobObserved = decoded.payload  # type: ignore[assignment]  # dispatched by type
    over = is_over(state)
    if said.state is JobState.MISSING:
        if state.end is not None:
            return Effect.AFTER_END if over else Effect.LATE
    elif said.state is None and state.end is not None:
        # It speaks of the room, or in a word that nobody published: no sign of life of this job.
        return Effect.AFTER_END if over else Effect.LATE
    elif over and not _is_news_after_end(state, said.state):
        return Effect.AFTER_END
    state.observed = known = observation.take(state.observed, said, at)
    state.job.room_id = state.job.room_id or said.room_id
    if said.warnings is not None and not over:
        _take_warnings(state, stored, at, said.warnings)
    outcome = observation.outcome_of(state, said.state) if said.state is not None else None
    if outcome is not None:
        _end_by_api(state, stored, at, outcome)
    elif state.vendor is Vendor.SOFTSUGAR and said.state is not None:
        _take_session_state(state, stored, at, said.state)
    elif observation.proves_push(state, known):
        _take_proved_push(state, stored, at)
    return Effect.APPLIED


def _is_news_after_end(state: StreamState, said: JobState | None) -> bool:
    """Whether a word on a stream that has ended may say why, or that it goes on."""
    if state.retired:
        return False
    return said in observation.OUTCOMES or observation.may_be_contradicted(state, said)


def _take_warnings(state: StreamState, stored: Stored, at: float, warnings: tuple[str, ...]) -> None:
    for word in warnings:
        if word not in state.warnings:
            note(state, stored, at, f"warning came: {word}")
    for word in state.warnings:
        if word not in warnings:
            note(state, stored, at, f"warning went: {word}")
    state.warnings = warnings


def _end_by_api(state: StreamState, stored: Stored, at: float, outcome: Outcome) -> None:
    """End the stream on the API's word; of one that has ended, only learn why."""
    end = state.end
    if end is not None and not was_a_guess(end):
        if observation.outranks(outcome, end.outcome):
            end.outcome, end.by_api = outcome, True
            note(state, stored, at, f"ended: {outcome.value}{BY_API}")
        return
    if state.vendor is Vendor.SOFTSUGAR and outcome is not Outcome.VANISHED:
        state.session.state = (
            SessionState.COMPLETED if outcome is Outcome.COMPLETED else SessionState.ABNORMAL
        )
    assert state.observed is not None
    state.end = observation.end_as(outcome, at, None, state.observed, by_api=True)
    note(state, stored, at, f"ended: {state.end.outcome.value}{BY_API}")
    heard_end = state.link.current.phase is Phase.ENDED
    if CallbackKind.LINK in state.job.subscribed and not heard_end and outcome is not Outcome.VANISHED:
        state.observed.end_due = at + WITNESS_SECONDS


def _take_session_state(state: StreamState, stored: Stored, at: float, said: JobState) -> None:
    payload = SessionChanged(observation.SESSION_STATES.get(said))
    before = state.session.state
    session.apply(state.session, payload, signed=None, received=at, fingerprint=0)
    if state.session.state is not before and state.session.state is not None:
        note(state, stored, at, f"session {state.session.state.value}{BY_API}")


def _take_proved_push(state: StreamState, stored: Stored, at: float) -> None:
    """Set right what a lost CONNECTED left wrong."""
    outputs = state.link.current.outputs
    if not outputs:
        if state.phase is Phase.STARTING:
            note(state, stored, at, f"{LinkState.CONNECTED.value}{BY_API}")
            state.missed += CallbackKind.LINK in state.job.subscribed
        return
    if state.link.current.phase is Phase.CONNECTED:
        return
    # The push goes to the address that was refreshed to last, whatever the one before still said in parting.
    still_open = [name for name, output in outputs.items() if output.phase is not Phase.ENDED]
    newest = max(still_open or outputs, key=lambda name: outputs[name].first)
    state.missed += CallbackKind.LINK in state.job.subscribed
    hear(state.link, stored.event)
    take_link_fact(state, stored, LinkFact(None, at, newest, LinkState.CONNECTED, 0), BY_API)
