"""What a stream's state says to the outside: all that operators see, without the bookkeeping."""

from copy import deepcopy

from monitor.health.fold import settle
from monitor.health.reading import (
    coverage,
    finished_coverage,
    rtmp_state,
    seconds,
    skipped_paragraphs,
    stall_after,
)
from monitor.health.stream import StreamState
from tests.properties.stories import SETTINGS

SETTLING = 100.0
"""Seconds after the last event by which every round and every missed callback is settled."""


def health(state: StreamState) -> dict[str, object]:
    """Return the facts in which received times play no part, once all is settled."""
    state = deepcopy(state)
    settle(state, state.last_received + SETTLING, SETTINGS)
    script = state.script
    return {
        "phase": state.phase,
        "outcome": None if state.end is None else state.end.outcome,
        "outputs": {name: (one.state, one.phase) for name, one in state.link.current.outputs.items()},
        "rtmp_state": rtmp_state(state),
        "outages": state.link.outages,
        "reconnects": state.link.reconnects,
        "plan": script.plan,
        "origin": script.origin,
        "rounds": script.rounds,
        "played": None if script.round is None else set(script.round.played),
        "coverage": coverage(script),
        "finished_coverage": finished_coverage(script),
        "skipped": script.skipped,
        "skipped_paragraphs": skipped_paragraphs(script),
        "replies": state.replies.finished,
        "missed": state.missed,
        "session": state.session.state,
        "code": state.session.code,
        "warnings": state.warnings,
    }


def health_in_time(state: StreamState, now: float) -> dict[str, object]:
    """Return all facts, those that received times make among them, as of a time after the last event."""
    return health(state) | {
        "seconds": seconds(state, now),
        "phase_since": state.phase_since,
        "progress_at": state.script.progress_at,
        "stall_after": stall_after(state, SETTINGS),
        "reconnected_at": state.reconnected_at,
        "ended_at": None if state.end is None else state.end.at,
        # A fact too old to be put in its place is named, as late: a copy of one looks the same.
        "timeline": [(line.at, line.what) for line in state.transitions if not line.what.endswith("(late)")],
    }
