"""What metrics, page and API read off a state: small pure functions of (state, now)."""

from typing import Final, NamedTuple

from monitor.config import HealthSettings
from monitor.event import LinkState, Paragraph
from monitor.health import plan
from monitor.health.script_state import Script
from monitor.health.stream import Phase, StreamState

SHORTEST_STALL = 30.0
"""Seconds without progress that are never called a stall: a switch takes its time, RTC comes in steps."""

# Python 3.11 takes ten times as long to find a member in its enumeration as a name of the module, and a
# scrape asks for these of every stream.
_STARTING: Final = Phase.STARTING
_CONNECTED: Final = Phase.CONNECTED
_OUTAGE: Final = Phase.OUTAGE
_ENDED: Final = Phase.ENDED

_BADNESS = {
    LinkState.END: 0,
    LinkState.CONNECTED: 1,
    LinkState.CONNECTING: 2,
    LinkState.RECONNECTING: 3,
    LinkState.DISCONNECTED: 4,
}


class Seconds(NamedTuple):
    """Seconds that a stream spent in each phase; together its life so far."""

    starting: float
    connected: float
    outage: float


def seconds(state: StreamState, now: float) -> Seconds:
    """Return where the stream's time went, the phase that runs included."""
    starting, connected, outage = state.starting_seconds, state.connected_seconds, state.outage_seconds
    phase, running = state.phase, now - state.phase_since
    if running > 0.0:
        if phase is _CONNECTED:
            connected += running
        elif phase is _OUTAGE:
            outage += running
        elif phase is _STARTING:
            starting += running
    return Seconds(starting, connected, outage)


def rtmp_state(state: StreamState) -> LinkState | None:
    """Return the worst RTMP state of the open outputs, END if all ended, None if none is known."""
    outputs = state.link.current.outputs
    if not outputs:
        return None
    worst = None
    for output in outputs.values():
        if output.phase is not _ENDED and (worst is None or _BADNESS[output.state] > _BADNESS[worst]):
            worst = output.state
    return LinkState.END if worst is None else worst


def coverage(script: Script) -> float | None:
    """Return played / planned of the current round, 0 to 1; None without a plan."""
    rounds = script.current
    if rounds.origin is None or not rounds.plan:
        return None
    if rounds.round is None:
        return 0.0
    return len(rounds.round.played) / len(rounds.plan)


def finished_coverage(script: Script) -> float | None:
    """Return played / planned of the last finished round, 0 to 1; None if none finished with a plan."""
    finished = script.current.finished
    if finished is None or not finished.planned:
        return None
    planned = len(finished.planned)
    return (planned - finished.skipped) / planned


def skipped_paragraphs(script: Script) -> list[Paragraph]:
    """Return the paragraphs that the last finished round left out, in the plan's order."""
    finished = script.finished
    if finished is None:
        return []
    return [Paragraph.from_key(key) for key in finished.planned if key not in finished.round.played]


def stall_after(state: StreamState, settings: HealthSettings) -> float | None:
    """Return how many seconds without progress are a stall here; None before one paragraph ended."""
    longest = state.script.longest
    if longest is None:
        return None
    after = settings.stall_factor * longest
    return after if after > SHORTEST_STALL else SHORTEST_STALL


def script_is_over(state: StreamState) -> bool:
    """Whether a script that plays a finite number of times has reached its last paragraph."""
    count = state.job.repeat_count
    if count is None or count < 0:
        return False
    script, rounds = state.script, state.script.current
    if rounds.round is None or rounds.origin is None:
        return False
    if script.rounds > count:
        return True
    return script.rounds == count and plan.left(rounds, state.job.random_play_mode) == 0


def remaining_seconds(state: StreamState, now: float) -> float | None:
    """Estimate how long the script still plays, in seconds; 0 if it should be over.

    None where it is endless or unknown, or the stream has ended.
    """
    count = state.job.repeat_count
    if count is None or count < 0 or state.end is not None:
        return None
    script, mean = state.script, state.script.mean
    rounds = script.current
    if mean is None or rounds.origin is None or rounds.round is None:
        return None
    if script.rounds > count:
        return 0.0
    in_round = plan.left(rounds, state.job.random_play_mode)
    paragraphs = in_round + (count - script.rounds) * len(rounds.plan)
    current = max(0.0, mean - max(0.0, now - rounds.round.last_since))
    return paragraphs * mean + current


def last_heard(state: StreamState) -> float:
    """Return when the stream last gave a sign of life, Unix seconds."""
    heard = max(state.callback_at or 0.0, state.rtc_at or 0.0, state.api_at or 0.0)
    return heard or state.last_received
