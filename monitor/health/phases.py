"""The phases of a stream: starting, connected, outage, ended; the time in each, and when it was last well."""

from monitor.event import SessionState
from monitor.health import observation
from monitor.health.stream import Phase, StreamState
from monitor.health.told import was_a_guess

PATIENT_SECONDS = 60.0
"""Before that nobody starts a job in the place of one that isn't connected yet; two may start together."""


def phase_of(state: StreamState) -> Phase:
    """Return the phase that a stream is in by what is known of it."""
    if state.end is not None:
        return Phase.ENDED
    if state.link.current.outputs:
        return state.link.current.phase
    if state.session.state is SessionState.RUNNING or state.script.progress_at is not None:
        return Phase.CONNECTED
    if state.observed is not None and state.observed.push_seen:
        return Phase.CONNECTED
    return Phase.STARTING


def enter_phase(state: StreamState, phase: Phase, at: float) -> None:
    """Book the time of the phase that is left, and enter the next."""
    seconds = max(0.0, at - state.phase_since)
    if state.phase is Phase.CONNECTED:
        state.connected_seconds += seconds
    elif state.phase is Phase.OUTAGE:
        state.outage_seconds += seconds
    elif state.phase is Phase.STARTING:
        state.starting_seconds += seconds
    before = state.phase
    if phase is Phase.ENDED:
        state.well_until = _well_until(state, at)
        if before is not Phase.OUTAGE:
            state.outage_since = None
    elif before is Phase.ENDED:
        state.well_until = None
    state.phase, state.phase_since = phase, max(state.phase_since, at)
    # One that had ended in an outage, by mistake, goes on with that.
    if phase is Phase.OUTAGE and (before is not Phase.ENDED or state.outage_since is None):
        state.outage_since = state.phase_since
    elif phase is Phase.CONNECTED and state.observed is not None:
        observation.note_connected(state.observed)


def _well_until(state: StreamState, at: float) -> float | None:
    """Return until when a stream that ends at `at` was well, as far as anybody told.

    A job of its room that began later was started in its place; one that ran beside it wasn't.
    """
    end, told = state.end, state.observed
    if state.phase is Phase.OUTAGE:
        return state.outage_since
    if state.phase is Phase.STARTING:
        return min(at, state.first_received + PATIENT_SECONDS)
    if end is not None and end.rested and told is not None and told.pushless_since is not None:
        return told.pushless_since
    if end is not None and (end.by_api or was_a_guess(end)):
        # It is known later than it happened.
        heard = [one for one in (state.callback_at, state.rtc_at) if one is not None]
        return min(at, max(heard, default=at))
    return at
