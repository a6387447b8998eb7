"""Is it fine? One function of (state, now) that page, API and metrics share."""

from enum import StrEnum
from typing import NamedTuple

from monitor.config import HealthSettings
from monitor.health.reading import is_periodic, last_heard, rtmp_state, script_is_over, stall_after
from monitor.health.stream import Outcome, Phase, StreamState


class Status(StrEnum):
    """The one answer for a stream, by rank: the first that holds counts."""

    STARTING = "starting"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"
    SILENT = "silent"
    ENDED = "ended"


class Verdict(NamedTuple):
    """A status, since when (Unix seconds), and why: a sentence for each reason, none for healthy."""

    status: Status
    since: float
    reasons: tuple[str, ...]


_END_SENTENCES = {
    Outcome.COMPLETED: "The stream ended as it should.",
    Outcome.CUT_OFF: "The stream ended during an outage: the vendor gave it up.",
    Outcome.ABNORMAL: "The vendor ended the session as abnormal.",
    Outcome.FAILED: "The vendor's API says that the job failed.",
    Outcome.BLOCKED: "The vendor's API says that the job was blocked.",
    Outcome.VANISHED: "The vendor's API no longer lists the stream.",
    Outcome.LOST: "Nothing was heard of the stream for so long that it was given up.",
}


def status(state: StreamState, now: float, settings: HealthSettings) -> Verdict:
    """Return the stream's status at `now`."""
    if state.end is not None:
        return Verdict(Status.ENDED, state.end.at, (_END_SENTENCES[state.end.outcome],))
    outage = state.phase is Phase.OUTAGE
    since = state.phase_since
    if outage and now - since >= settings.down_after_seconds:
        return Verdict(Status.DOWN, since + settings.down_after_seconds, (_outage_sentence(state, now),))
    heard = last_heard(state)
    if is_periodic(state) and now - heard >= settings.silent_after_seconds:
        reason = f"Nothing was heard of the stream for {_span(now - heard)}."
        return Verdict(Status.SILENT, heard + settings.silent_after_seconds, (reason,))
    reasons: list[tuple[float, str]] = []
    if outage:
        reasons.append((since, _outage_sentence(state, now)))
    flapping = _flapping_since(state, now, settings)
    if flapping is not None:
        reasons.append((flapping, _flapping_sentence(state, now, settings)))
    stalled = _stalled_since(state, now, settings)
    if stalled is not None:
        moved = state.script.progress_at or stalled
        reasons.append((stalled, f"The script hasn't moved for {_span(now - moved)}."))
    if reasons:
        began = min(start for start, _ in reasons)
        return Verdict(
            Status.DEGRADED,
            _not_before_recovery(state, began, settings),
            tuple(sentence for _, sentence in reasons),
        )
    moved_at = state.script.progress_at
    if state.phase is Phase.STARTING and (moved_at is None or moved_at < since):
        return Verdict(Status.STARTING, since, (_starting_sentence(state),))
    return Verdict(Status.HEALTHY, _healthy_since(state, now, settings), ())


def _healthy_since(state: StreamState, now: float, settings: HealthSettings) -> float:
    since = state.phase_since
    if state.phase is Phase.STARTING and state.script.first_progress_at is not None:
        since = max(since, state.script.first_progress_at)
    for later in (state.script.resumed_at, state.awake_since, _flapping_until(state, settings)):
        if later is not None and later <= now:
            since = max(since, later)
    return since


def _not_before_recovery(state: StreamState, began: float, settings: HealthSettings) -> float:
    """A stream that was down while it flapped is degraded only since it came back."""
    if state.phase is Phase.OUTAGE or state.outage_since is None:
        return began
    was_down = state.phase_since - state.outage_since >= settings.down_after_seconds
    return max(began, state.phase_since) if was_down else began


def _flapping_until(state: StreamState, settings: HealthSettings) -> float | None:
    """When the latest run of too many reconnects is over; None if there was none lately."""
    times, count = state.reconnected_at, settings.flapping_reconnects
    if len(times) < count:
        return None
    for last in range(len(times) - 1, count - 2, -1):
        first = times[last - count + 1]
        if times[last] - first <= settings.flapping_window_seconds:
            return first + settings.flapping_window_seconds
    return None


def _flapping_since(state: StreamState, now: float, settings: HealthSettings) -> float | None:
    """When the run of too many reconnects that holds at `now` began; None if none holds."""
    until = _flapping_until(state, settings)
    if until is None or until < now:
        return None
    times, count = state.reconnected_at, settings.flapping_reconnects
    window = settings.flapping_window_seconds
    since: float | None = None
    for last in range(len(times) - 1, count - 2, -1):
        first = times[last - count + 1]
        if times[last] - first > window or (since is not None and first + window < since):
            break
        since = times[last]
    return since


def _stalled_since(state: StreamState, now: float, settings: HealthSettings) -> float | None:
    after = stall_after(state, settings)
    moved = state.script.progress_at
    if after is None or moved is None or state.phase is Phase.OUTAGE or script_is_over(state):
        return None
    # After an outage the script gets its whole time again.
    start = max(moved, state.phase_since) if state.outage_since is not None else moved
    return start + after if now - start > after else None


def _outage_sentence(state: StreamState, now: float) -> str:
    told = rtmp_state(state)
    word = told.value if told is not None else "not connected"
    return f"The RTMP push is {word}, without connection for {_span(now - state.phase_since)}."


def _flapping_sentence(state: StreamState, now: float, settings: HealthSettings) -> str:
    window = settings.flapping_window_seconds
    recent = sum(time > now - window for time in state.reconnected_at)
    return f"The RTMP push reconnected {recent} times within {_span(window)}."


def _starting_sentence(state: StreamState) -> str:
    told = rtmp_state(state)
    if told is not None:
        return f"The RTMP push hasn't connected yet; it is {told.value}."
    return "The stream is known, but nothing says yet that it runs."


def _span(seconds: float) -> str:
    """A length of time in words: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {left} s" if left else f"{minutes} min"
    return f"{left} s"
