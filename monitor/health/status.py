"""Is it fine? One function of (state, now) that page, API and metrics share."""

from enum import StrEnum
from typing import Final, NamedTuple

from monitor.config import HealthSettings
from monitor.event import CallbackAim
from monitor.health.observation import is_pushless, uncalled_since
from monitor.health.reading import SHORTEST_STALL, last_heard, rtmp_state, script_is_over, stall_after
from monitor.health.stream import End, Outcome, Phase, StreamState


class Status(StrEnum):
    """The one answer for a stream; `status` says which it is."""

    STARTING = "starting"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"
    SILENT = "silent"
    ENDED = "ended"


class Trouble(StrEnum):
    """What a degraded stream suffers from."""

    OUTAGE = "outage"
    FLAPPING = "flapping"
    STALLED = "stalled"
    PUSHLESS = "pushless"
    UNCALLED = "uncalled"


class Verdict(NamedTuple):
    """A status, since when (Unix seconds), and why: a sentence for each reason, none for healthy.

    troubles: of a degraded stream, the kind of each reason; any other status says itself what it is.
    """

    status: Status
    since: float
    reasons: tuple[str, ...]
    troubles: tuple[Trouble, ...] = ()


class _Reason(NamedTuple):
    since: float
    trouble: Trouble
    sentence: str


# As names of the module, for the sake of scrapes: see `monitor.health.reading`.
_STARTING: Final = Phase.STARTING
_OUTAGE: Final = Phase.OUTAGE
_HEALTHY: Final = Status.HEALTHY

_END_SENTENCES = {
    Outcome.COMPLETED: "The stream ended as it should.",
    Outcome.CUT_OFF: "The stream ended during an outage: the vendor gave it up.",
    Outcome.ABNORMAL: "The vendor ended the session as abnormal.",
    Outcome.FAILED: "The vendor's API says that the job failed.",
    Outcome.BLOCKED: "The vendor's API says that the job was blocked.",
    Outcome.VANISHED: "The vendor's API no longer lists the stream.",
    Outcome.LOST: "Nothing was heard of the stream for so long that it was given up.",
}

_RESTED_SENTENCE = "The stream ended while its job ran without pushing: the vendor gave it up."

_NEVER_CALLED = "The vendor's API says that the job runs, but no callback ever came"
_UNCALLED_SENTENCES = {
    CallbackAim.NOWHERE: f"{_NEVER_CALLED}: it was started without callbacks.",
    CallbackAim.ELSEWHERE: f"{_NEVER_CALLED}: its callbacks go to another address than this source's.",
    CallbackAim.HERE: f"{_NEVER_CALLED}, though they are aimed here: the address may be out of reach.",
    None: f"{_NEVER_CALLED}: its callback configuration is probably wrong.",
}


def status(state: StreamState, now: float, settings: HealthSettings) -> Verdict:
    """Return the stream's status at `now`."""
    if state.end is not None:
        return Verdict(Status.ENDED, state.end.at, (_end_sentence(state, state.end),))
    outage = state.phase is _OUTAGE
    since = state.phase_since
    if outage and now - since >= settings.down_after_seconds:
        return Verdict(Status.DOWN, since + settings.down_after_seconds, (_outage_sentence(state, now),))
    moved_at = state.script.progress_at
    # Only a stream whose script has moved is known to say something regularly: silence means something. And
    # whose script has just moved was just heard.
    if moved_at is not None and now - moved_at >= settings.silent_after_seconds:
        heard = last_heard(state)
        if now - heard >= settings.silent_after_seconds:
            reason = f"Nothing was heard of the stream for {_span(now - heard)}."
            return Verdict(Status.SILENT, heard + settings.silent_after_seconds, (reason,))
    reasons: list[_Reason] = []
    if outage:
        reasons.append(_Reason(since, Trouble.OUTAGE, _outage_sentence(state, now)))
    flapped_until = _flapping_until(state, settings)
    flapping = None if flapped_until is None else _flapping_since(state, flapped_until, now, settings)
    if flapping is not None:
        reasons.append(_Reason(flapping, Trouble.FLAPPING, _flapping_sentence(state, now, settings)))
    stalled = _stalled_since(state, now, settings)
    if stalled is not None:
        sentence = f"The script hasn't moved for {_span(now - (moved_at or stalled))}."
        reasons.append(_Reason(stalled, Trouble.STALLED, sentence))
    if state.observed is not None:
        reasons += _reasons_of_api(state, now)
    if reasons:
        began = min(reason.since for reason in reasons)
        return Verdict(
            Status.DEGRADED,
            _not_before_recovery(state, began, settings),
            tuple(reason.sentence for reason in reasons),
            tuple(reason.trouble for reason in reasons),
        )
    if state.phase is _STARTING and (moved_at is None or moved_at < since):
        return Verdict(Status.STARTING, since, (_starting_sentence(state),))
    return Verdict(_HEALTHY, _healthy_since(state, now, flapped_until), ())


def _healthy_since(state: StreamState, now: float, flapped_until: float | None) -> float:
    since, script = state.phase_since, state.script
    if state.phase is _STARTING and script.first_progress_at is not None:
        since = max(since, script.first_progress_at)
    pushing_again_at = state.observed.pushing_again_at if state.observed is not None else None
    for later in (script.resumed_at, state.awake_since, pushing_again_at, flapped_until):
        if later is not None and since < later <= now:
            since = later
    return since


def _not_before_recovery(state: StreamState, began: float, settings: HealthSettings) -> float:
    """A stream that was down while it flapped is degraded only since it came back."""
    if state.outage_since is None:
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


def _flapping_since(state: StreamState, until: float, now: float, settings: HealthSettings) -> float | None:
    """When the latest run of too many reconnects began; None if it is over at `now`."""
    if until < now:
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
    moved = state.script.progress_at
    # Seen at a glance of most streams, before it is worked out how long a stall is here.
    if moved is None or now - moved <= SHORTEST_STALL:
        return None
    after = stall_after(state, settings)
    if after is None or now - moved <= after:
        return None
    if state.phase is _OUTAGE or script_is_over(state):
        return None
    # Once connected, be it again after an outage or an end, the script gets its whole time.
    start = max(moved, state.phase_since)
    return start + after if now - start > after else None


def _reasons_of_api(state: StreamState, now: float) -> list[_Reason]:
    """Return what the vendor's API says against the stream that no callback told."""
    told = state.observed
    reasons: list[_Reason] = []
    if told is None:
        return reasons
    if told.pushless_since is not None and is_pushless(told) and state.phase is not _OUTAGE:
        sentence = "The vendor's API says that the job runs and doesn't push."
        reasons.append(_Reason(told.pushless_since, Trouble.PUSHLESS, sentence))
    uncalled = None if state.callback_at is not None else uncalled_since(state, now)
    if uncalled is not None:
        reasons.append(_Reason(uncalled, Trouble.UNCALLED, _UNCALLED_SENTENCES[told.aim]))
    return reasons


def _end_sentence(state: StreamState, end: End) -> str:
    """Say how the stream ended, and who says so if its own callbacks don't."""
    sentence = (
        _RESTED_SENTENCE if end.rested and end.outcome is Outcome.CUT_OFF else _END_SENTENCES[end.outcome]
    )
    told = state.observed
    if told is not None and told.error is not None and end.by_api:
        sentence = f"{sentence.removesuffix('.')}: {told.error.rstrip('.')}."
    unsaid = end.outcome in (Outcome.COMPLETED, Outcome.CUT_OFF, Outcome.ABNORMAL)
    if end.by_api and unsaid and state.link.current.phase is not Phase.ENDED:
        sentence += " The vendor's API says so; no callback did."
    return sentence


def _outage_sentence(state: StreamState, now: float) -> str:
    told = rtmp_state(state)
    word = told.value if told is not None else "not connected"
    return f"The RTMP push is {word}, without connection for {_span(now - state.phase_since)}."


def _flapping_sentence(state: StreamState, now: float, settings: HealthSettings) -> str:
    window = settings.flapping_window_seconds
    recent = sum(time + window >= now for time in state.reconnected_at)
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
