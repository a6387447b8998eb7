"""What metrics, page and API read off a state: small pure functions of (state, now)."""

from typing import NamedTuple

from monitor.config import HealthSettings
from monitor.event import LinkState, Paragraph
from monitor.health.stream import Phase, Script, StreamState

SHORTEST_STALL = 30.0
"""Seconds without progress that are never called a stall: a switch takes its time, RTC comes in steps."""

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
    running = max(0.0, now - state.phase_since)
    phase = state.phase
    return Seconds(
        state.starting_seconds + (running if phase is Phase.STARTING else 0.0),
        state.connected_seconds + (running if phase is Phase.CONNECTED else 0.0),
        state.outage_seconds + (running if phase is Phase.OUTAGE else 0.0),
    )


def rtmp_state(state: StreamState) -> LinkState | None:
    """Return the worst RTMP state of the open outputs, END if all ended, None if none is known."""
    outputs = state.link.current.outputs
    if not outputs:
        return None
    worst = LinkState.END
    for output in outputs.values():
        if output.phase is not Phase.ENDED and _BADNESS[output.state] > _BADNESS[worst]:
            worst = output.state
    return worst


def coverage(script: Script) -> float | None:
    """Return played / planned of the current round, 0 to 1; None without a plan."""
    if script.origin is None or not script.plan:
        return None
    if script.round is None:
        return 0.0
    return len(script.round.played) / len(script.plan)


def finished_coverage(script: Script) -> float | None:
    """Return played / planned of the last finished round, 0 to 1; None if none finished with a plan."""
    finished = script.finished
    if finished is None or not finished.planned:
        return None
    return sum(map(finished.round.played.__contains__, finished.planned)) / len(finished.planned)


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
    return max(SHORTEST_STALL, settings.stall_factor * longest)


def script_is_over(state: StreamState) -> bool:
    """Whether a script that plays a finite number of times has reached its last paragraph."""
    script, count = state.script, state.job.repeat_count
    if count is None or count < 0 or script.round is None or script.origin is None:
        return False
    if script.rounds > count:
        return True
    return script.rounds == count and all(key in script.round.played for key in script.plan)


def remaining_seconds(state: StreamState, now: float) -> float | None:
    """Estimate how long the script still plays, in seconds; None where it is endless or unknown."""
    script, count = state.script, state.job.repeat_count
    if count is None or count < 0 or script.mean is None or script.origin is None or script.round is None:
        return None
    if script.rounds > count:
        return 0.0
    in_round = len(script.plan) - len(script.round.played)
    paragraphs = in_round + (count - script.rounds) * len(script.plan)
    current = max(0.0, script.mean - max(0.0, now - script.round.last_since))
    return paragraphs * script.mean + current


def last_heard(state: StreamState) -> float:
    """Return when the stream last gave a sign of life, Unix seconds."""
    heard = [at for at in (state.callback_at, state.rtc_at, state.api_at) if at is not None]
    return max(heard, default=state.last_received)


def is_periodic(state: StreamState) -> bool:
    """Whether the stream is known to say something regularly, so that silence means something."""
    return state.script.progress_at is not None
