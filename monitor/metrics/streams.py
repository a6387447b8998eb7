"""What is exported of each stream: one renderer for each family, from a reading to sample values."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from monitor.config import HealthSettings
from monitor.event import Channel, LinkState
from monitor.health import reading
from monitor.health.status import Status, Verdict
from monitor.health.stream import Outcome, Script, StreamState
from monitor.metrics.catalogue import Family, family
from monitor.metrics.text import label

KNOWN_WARNINGS = (
    "TOO_LESSS_SCRIPT_ITEMS",
    "TOO_SHORT_SCRIPT_TIME",
    "TOO_LESS_DANMAKU_RULES",
    "RANDOM_PLAY_CLOSED",
    "ROTATION_MODEL_CLOSED",
)
"""MetaStudio's live warnings, in its own spelling (three S)."""


class Reading(NamedTuple):
    """One stream at one moment.

    connected_seconds, outage_seconds: as they are shown, never less than the time before.
    """

    state: StreamState
    verdict: Verdict
    connected_seconds: float
    outage_seconds: float
    now: float
    settings: HealthSettings


Sample = tuple[str, float]
"""The labels that a family adds (`,name="value"`, or nothing), and a finite value."""


class Single(NamedTuple):
    """A family with at most one sample a stream and no labels of its own; None: absent."""

    family: Family
    read: Callable[[Reading], float | None]

    def samples(self, streams: Sequence[str], column: Sequence[float | None]) -> Iterator[Sample]:
        """Yield whole samples from the streams' labels and what `read` returned for each."""
        return ((labels, value) for labels, value in zip(streams, column, strict=True) if value is not None)


class Labelled(NamedTuple):
    """A family with labels of its own, and any number of samples a stream."""

    family: Family
    read: Callable[[Reading], Sequence[Sample]]

    def samples(self, streams: Sequence[str], column: Sequence[Sequence[Sample]]) -> Iterator[Sample]:
        """Yield whole samples from the streams' labels and what `read` returned for each."""
        return (
            (labels + more, value)
            for labels, samples in zip(streams, column, strict=True)
            for more, value in samples
        )


def is_exported(state: StreamState, now: float, settings: HealthSettings) -> bool:
    """Return whether the stream still has series: it lives, or ended not long ago."""
    if state.retired:
        return False
    if state.end is None:
        return True
    quiet = state.end.outcome is Outcome.COMPLETED
    keep = settings.keep_ended_seconds if quiet else settings.keep_abnormal_seconds
    return state.end.at + keep >= now


def _more(name: str, value: str) -> str:
    return "," + label(name, value)


def _one_of(name: str, values: Iterable[str]) -> dict[str, tuple[Sample, ...]]:
    """Return, for each value, samples of 1 for itself and 0 for the others."""
    members = tuple(values)
    return {
        chosen: tuple((_more(name, str(value)), 1 if value == chosen else 0) for value in members)
        for chosen in members
    }


_STATUS = _one_of("status", Status)
_RTMP_STATE = _one_of("state", LinkState)
_CHANNELS = tuple((channel, _more("channel", channel)) for channel in Channel)
_WARNINGS = {warning: _more("warning_type", warning) for warning in KNOWN_WARNINGS}
_NO_WARNING = tuple((more, 0) for more in _WARNINGS.values())


def _info(one: Reading) -> Sequence[Sample]:
    job = one.state.job
    labels = (
        _more("room_id", job.room_id or ""),
        _more("rtc_room_id", job.rtc_room_id or ""),
        _more("play_mode", job.play_mode or ""),
        _more("random_play_mode", job.random_play_mode or ""),
        _more("view_mode", job.view_mode or ""),
    )
    return (("".join(labels), 1),)


def _status(one: Reading) -> Sequence[Sample]:
    return _STATUS[one.verdict.status]


def _status_since(one: Reading) -> float:
    return one.verdict.since


def _rtmp_state(one: Reading) -> Sequence[Sample]:
    state = reading.rtmp_state(one.state)
    return () if state is None else _RTMP_STATE[state]


def _start(one: Reading) -> float:
    registered_at, heard_at = one.state.job.registered_at, one.state.first_received
    return heard_at if registered_at is None else min(registered_at, heard_at)


def _expected_end(one: Reading) -> float | None:
    return one.state.job.expected_end


def _end(one: Reading) -> Sequence[Sample]:
    end = one.state.end
    return () if end is None else ((_more("outcome", end.outcome), end.at),)


def _reconnects(one: Reading) -> int:
    return one.state.link.reconnects


def _outages(one: Reading) -> int:
    return one.state.link.outages


def _connected_seconds(one: Reading) -> float:
    return one.connected_seconds


def _outage_seconds(one: Reading) -> float:
    return one.outage_seconds


def _has_script(script: Script) -> bool:
    return script.origin is not None or script.round is not None or script.progress_at is not None


def _coverage(one: Reading) -> float | None:
    return reading.coverage(one.state.script)


def _round_coverage(one: Reading) -> float | None:
    return reading.finished_coverage(one.state.script)


def _rounds(one: Reading) -> int | None:
    script = one.state.script
    return script.rounds if _has_script(script) else None


def _skipped(one: Reading) -> int | None:
    script = one.state.script
    return script.skipped if _has_script(script) else None


def _planned(one: Reading) -> Sequence[Sample]:
    script = one.state.script
    return () if script.origin is None else ((_more("origin", script.origin), len(script.plan)),)


def _progress(one: Reading) -> float | None:
    return one.state.script.progress_at


def _stall_after(one: Reading) -> float | None:
    return reading.stall_after(one.state, one.settings)


def _remaining(one: Reading) -> float | None:
    return reading.remaining_seconds(one.state, one.now)


def _replies(one: Reading) -> int:
    return one.state.replies.finished


def _live_warning(one: Reading) -> Sequence[Sample]:
    state = one.state
    if not state.job.registered:
        return ()
    given = state.warnings
    if not given:
        return _NO_WARNING
    known = [(more, 1 if warning in given else 0) for warning, more in _WARNINGS.items()]
    # The vendor may learn new ones.
    return known + [(_more("warning_type", new), 1) for new in sorted(given - _WARNINGS.keys())]


def _last_event(one: Reading) -> Sequence[Sample]:
    heard = one.state.heard
    return [(more, heard[channel]) for channel, more in _CHANNELS if channel in heard]


def _missed(one: Reading) -> int:
    return one.state.missed


RENDERERS: tuple[Single | Labelled, ...] = (
    Labelled(family("livestream_info"), _info),
    Labelled(family("livestream_status"), _status),
    Single(family("livestream_status_since_timestamp_seconds"), _status_since),
    Labelled(family("livestream_rtmp_state"), _rtmp_state),
    Single(family("livestream_start_timestamp_seconds"), _start),
    Single(family("livestream_expected_end_timestamp_seconds"), _expected_end),
    Labelled(family("livestream_end_timestamp_seconds"), _end),
    Single(family("livestream_reconnects_total"), _reconnects),
    Single(family("livestream_outages_total"), _outages),
    Single(family("livestream_connected_seconds_total"), _connected_seconds),
    Single(family("livestream_outage_seconds_total"), _outage_seconds),
    Single(family("livestream_script_coverage_ratio"), _coverage),
    Single(family("livestream_script_round_coverage_ratio"), _round_coverage),
    Single(family("livestream_script_rounds_total"), _rounds),
    Single(family("livestream_script_paragraphs_skipped_total"), _skipped),
    Labelled(family("livestream_script_paragraphs_planned"), _planned),
    Single(family("livestream_script_progress_timestamp_seconds"), _progress),
    Single(family("livestream_script_stall_after_seconds"), _stall_after),
    Single(family("livestream_script_remaining_seconds"), _remaining),
    Single(family("livestream_replies_finished_total"), _replies),
    Labelled(family("livestream_live_warning"), _live_warning),
    Labelled(family("livestream_last_event_timestamp_seconds"), _last_event),
    Single(family("livestream_callbacks_missed_total"), _missed),
)
"""In the order of the page; each family of the streams has one."""
