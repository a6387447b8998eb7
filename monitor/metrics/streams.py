"""What is exported of each stream: one renderer for each family, from a reading to values."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from monitor.config import HealthSettings
from monitor.event import Channel, LinkState, Vendor
from monitor.health import reading
from monitor.health.script_state import PlanOrigin, Script
from monitor.health.status import Status, Verdict
from monitor.health.stream import Outcome, StreamState
from monitor.metrics.catalogue import Family, family
from monitor.metrics.text import Block, block, label, write_blocks, write_numbers
from monitor.vendors import registry

_KNOWN_WARNINGS = {vendor: registry.live_warnings(vendor) for vendor in Vendor}


class Reading(NamedTuple):
    """One stream at one moment.

    info: the lines of `livestream_info` (see `info_block`). connected_seconds, outage_seconds: as they
    are shown, never less than the time before.
    """

    state: StreamState
    verdict: Verdict
    info: Block
    connected_seconds: float
    outage_seconds: float
    now: float
    settings: HealthSettings


class Numbers:
    """A family whose samples have labels that are known beforehand, or none of its own.

    Args:
        family: its line of the catalogue.
        parts: for each sample the label text that it adds (or nothing), and what reads its value; a
            stream of which that is None has no such sample.
    """

    def __init__(self, family: Family, *parts: tuple[str, Callable[[Reading], float | None]]) -> None:
        self.family = family
        self.reads: tuple[Callable[[Reading], Any], ...] = tuple(read for _, read in parts)
        self._labels = tuple(more for more, _ in parts)

    def write(self, streams: Sequence[str], columns: Sequence[Sequence[Any]]) -> Iterator[bytes]:
        """Yield the lines, from the labels of the streams and what each of `reads` returned for each."""
        for more, column in zip(self._labels, columns, strict=True):
            yield from write_numbers(self.family, more, streams, column)


class Blocks:
    """A family whose lines are made as a whole, most of them once for all streams.

    Args:
        family: its line of the catalogue.
        read: what returns a stream's lines; an empty block for a stream without any.
    """

    def __init__(self, family: Family, read: Callable[[Reading], Block]) -> None:
        self.family = family
        self.reads: tuple[Callable[[Reading], Any], ...] = (read,)

    def write(self, streams: Sequence[str], columns: Sequence[Sequence[Any]]) -> Iterator[bytes]:
        """Yield the lines, from the labels of the streams and what `reads` returned for each."""
        return write_blocks(streams, columns[0])


def is_exported(state: StreamState, now: float, settings: HealthSettings) -> bool:
    """Return whether the stream still has series: it lives, or ended not long ago."""
    if state.retired:
        return False
    if state.end is None:
        return True
    quiet = state.end.outcome is Outcome.COMPLETED
    keep = settings.keep_ended_seconds if quiet else settings.keep_abnormal_seconds
    return state.end.at + keep >= now


_INFO = family("livestream_info")
_STATUS = family("livestream_status")
_RTMP_STATE = family("livestream_rtmp_state")
_END = family("livestream_end_timestamp_seconds")
_LIVE_WARNING = family("livestream_live_warning")


def info_block(described: Iterable[str | None]) -> Block:
    """Return the lines of `livestream_info`, from the values of its labels; None where unknown."""
    labels = [label(name, value or "") for name, value in zip(_INFO.labels, described, strict=True)]
    return block(_INFO, [(",".join(labels), 1)])


def _one_of(family: Family, values: Iterable[str]) -> dict[str, Block]:
    """Return, for each value of the family's label, a block with 1 for itself and 0 for the others."""
    members, (name,) = tuple(values), family.labels
    return {
        chosen: block(family, [(label(name, value), 1 if value == chosen else 0) for value in members])
        for chosen in members
    }


@lru_cache(maxsize=128)
def _warnings_block(known: tuple[str, ...], given: tuple[str, ...]) -> Block:
    """Return a block with 1 for each warning given, and 0 for the other known ones."""
    types = dict.fromkeys(known, 0) | dict.fromkeys(sorted(given), 1)
    return block(_LIVE_WARNING, [(label("warning_type", name), value) for name, value in types.items()])


_STATUS_BLOCKS = _one_of(_STATUS, Status)
_RTMP_STATE_BLOCKS = _one_of(_RTMP_STATE, LinkState)


def _info(one: Reading) -> Block:
    return one.info


def _status(one: Reading) -> Block:
    return _STATUS_BLOCKS[one.verdict.status]


def _status_since(one: Reading) -> float:
    return one.verdict.since


def _rtmp_state(one: Reading) -> Block:
    state = reading.rtmp_state(one.state)
    return () if state is None else _RTMP_STATE_BLOCKS[state]


def _start(one: Reading) -> float:
    registered_at, heard_at = one.state.job.registered_at, one.state.first_received
    return heard_at if registered_at is None else min(registered_at, heard_at)


def _well_until(one: Reading) -> float | None:
    end = one.state.end
    return None if end is None or end.outcome is Outcome.COMPLETED else one.state.well_until


def _expected_end(one: Reading) -> float | None:
    return one.state.job.expected_end


def _end(one: Reading) -> Block:
    end = one.state.end
    return () if end is None else block(_END, [(label("outcome", end.outcome), end.at)])


def _reconnects(one: Reading) -> int:
    return one.state.link.reconnects


def _outages(one: Reading) -> int:
    return one.state.link.outages


def _connected_seconds(one: Reading) -> float:
    return one.connected_seconds


def _outage_seconds(one: Reading) -> float:
    return one.outage_seconds


def _has_script(script: Script) -> bool:
    current = script.current
    return current.origin is not None or current.round is not None or script.progress_at is not None


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


def _planned_by(origin: PlanOrigin) -> Callable[[Reading], int | None]:
    def planned(one: Reading) -> int | None:
        current = one.state.script.current
        return len(current.plan) if current.origin is origin else None

    return planned


def _progress(one: Reading) -> float | None:
    return one.state.script.progress_at


def _stall_after(one: Reading) -> float | None:
    return reading.stall_after(one.state, one.settings)


def _remaining(one: Reading) -> float | None:
    return reading.remaining_seconds(one.state, one.now)


def _replies(one: Reading) -> int:
    return one.state.replies.finished


def _live_warning(one: Reading) -> Block:
    known = _KNOWN_WARNINGS[one.state.vendor]
    if not known:
        # Of a vendor that gives none, 0 would say that it was asked.
        return ()
    told = one.state.observed
    if not one.state.job.registered and (told is None or told.warnings_at is None):
        return ()
    return _warnings_block(known, one.state.warnings)


_LAST_EVENT: dict[Channel, Callable[[Reading], float | None]] = {
    Channel.CALLBACK: attrgetter("state.callback_at"),
    Channel.RTC: attrgetter("state.rtc_at"),
    Channel.API: attrgetter("state.api_at"),
}


def _vendor_duration(one: Reading) -> float | None:
    return one.state.observed.duration if one.state.observed is not None else None


def _vendor_push(one: Reading) -> float | None:
    return one.state.observed.push if one.state.observed is not None else None


def _missed(one: Reading) -> int:
    return one.state.missed


RENDERERS: tuple[Numbers | Blocks, ...] = (
    Blocks(_INFO, _info),
    Blocks(_STATUS, _status),
    Numbers(family("livestream_status_since_timestamp_seconds"), ("", _status_since)),
    Blocks(_RTMP_STATE, _rtmp_state),
    Numbers(family("livestream_start_timestamp_seconds"), ("", _start)),
    Numbers(family("livestream_expected_end_timestamp_seconds"), ("", _expected_end)),
    Blocks(_END, _end),
    Numbers(family("livestream_well_until_timestamp_seconds"), ("", _well_until)),
    Numbers(family("livestream_reconnects_total"), ("", _reconnects)),
    Numbers(family("livestream_outages_total"), ("", _outages)),
    Numbers(family("livestream_connected_seconds_total"), ("", _connected_seconds)),
    Numbers(family("livestream_outage_seconds_total"), ("", _outage_seconds)),
    Numbers(family("livestream_script_coverage_ratio"), ("", _coverage)),
    Numbers(family("livestream_script_round_coverage_ratio"), ("", _round_coverage)),
    Numbers(family("livestream_script_rounds_total"), ("", _rounds)),
    Numbers(family("livestream_script_paragraphs_skipped_total"), ("", _skipped)),
    Numbers(
        family("livestream_script_paragraphs_planned"),
        *((label("origin", origin), _planned_by(origin)) for origin in PlanOrigin),
    ),
    Numbers(family("livestream_script_progress_timestamp_seconds"), ("", _progress)),
    Numbers(family("livestream_script_stall_after_seconds"), ("", _stall_after)),
    Numbers(family("livestream_script_remaining_seconds"), ("", _remaining)),
    Numbers(family("livestream_replies_finished_total"), ("", _replies)),
    Blocks(_LIVE_WARNING, _live_warning),
    Numbers(
        family("livestream_last_event_timestamp_seconds"),
        *((label("channel", channel), _LAST_EVENT[channel]) for channel in Channel),
    ),
    Numbers(family("livestream_vendor_duration_seconds"), ("", _vendor_duration)),
    Numbers(family("livestream_vendor_push_seconds"), ("", _vendor_push)),
    Numbers(family("livestream_callbacks_missed_total"), ("", _missed)),
)
"""In the order of the page; each family of the streams has one."""
