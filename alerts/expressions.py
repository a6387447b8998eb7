"""The pieces of PromQL that rules share.

A stream's series come from whichever worker has the stream, so its gauges are taken `max by` the labels
that are the stream's own. They are gone while a scrape fails, the service restarts or the stream moves;
an open page must neither resolve then nor be opened a second time.
"""

from alerts.rule import span
from alerts.thresholds import Streams, View

STREAM = "vendor, source, job_id"
"""The labels that make a stream."""

ON = f"on ({STREAM})"

VIEW_LOST = "monitor:view_lost:bool"
"""Recorded: 1 while a part of the service can't be seen, or couldn't lately, so that a missing series
means nothing."""

STATUS = "stream:livestream_status:bool"
"""Recorded of each stream and status: what is scraped now."""

SEEN = "stream:livestream_status:seen"
"""Recorded of each stream: 1 for the status in which it was last seen. A stream whose series end while all
of the service is in view is gone."""

DOWN_SINCE = "stream:livestream_down_since_timestamp_seconds:seen"
"""Recorded of each stream that was last seen down: since when."""

BAD_END = "stream:livestream_bad_end_timestamp_seconds:seen"
"""Recorded of each stream that ended other than completed: when, and by its label how."""

OUT = "stream:livestream_out:bool"
"""Recorded of each stream that tells of its push: 1 while it is disconnected or reconnecting."""

ROOM_START = "stream:livestream_room_start_timestamp_seconds:seen"
"""Recorded of each stream whose room is known, with the label `room_id`: when it began."""

REPLACED = "stream:livestream_replaced_end_timestamp_seconds:seen"
"""Recorded of each stream that ended badly: when, while a job is healthy that was started in its place."""

AVAILABLE = "stream:livestream_available:bool"
"""Recorded of each stream that runs: 1, or 0 while it is down or silent."""

UNPUSHED = "stream:livestream_unpushed_seconds"
"""Recorded of each stream whose vendor tells: seconds that it ran without being pushed."""

LIVE = f'{SEEN}{{status!="ended"}}'
"""The streams that haven't ended."""


def of(name: str, view: View, matchers: str = "") -> str:
    """Return a selector of the service's series: of its scrape job, or of none, as a replay writes them.

    The same Prometheus may scrape another installation, or this one once more, by a job of another name.
    """
    more = f",{matchers}" if matchers else ""
    return f'{name}{{job=~"|{view.job}"{more}}}'


def last(name: str, view: View, matchers: str = "", *, by: str = STREAM) -> str:
    """Return a gauge as it was last scraped of anybody. Whether the stream still counts, `SEEN` knows."""
    return f"max by ({by}) (last_over_time({of(name, view, matchers)}[{span(view.hold_seconds)}]))"


def unreplaced(streams: Streams) -> str:
    """Return `BAD_END` of those streams in whose place none was started.

    Replaced once is replaced for good, whatever becomes of the newer job; but an end that is taken back, and
    another one later, is another end.
    """
    replaced = f"max_over_time({REPLACED}[{span(streams.replaced_seconds)}])"
    return f"{BAD_END} unless ({BAD_END} <= {ON} group_left () {replaced})"


def out(view: View) -> str:
    """Return 1 or 0 of each stream: whether its push was out when it was last told of.

    Over the recording: of two workers that had the stream lately, the later one's word counts.
    """
    return f"last_over_time({OUT}[{span(view.hold_seconds)}])"


def risen(name: str, view: View, window: int) -> str:
    """Return by how much a stream's counter rose within a window (seconds), in whole numbers.

    Over instances: a stream that moves takes its counter along, and for Prometheus a new series begins.
    One that began within the window began at 0, whatever the first scrape saw of it.
    """
    length, counter = span(window), of(name, view)
    start = of("livestream_start_timestamp_seconds", view)
    return (
        f"max by ({STREAM}) (last_over_time({counter}[{length}]))\n"
        f"  - min by ({STREAM}) (min_over_time({counter}[{length}]))\n"
        f"    * (max by ({STREAM}) (last_over_time({start}[{length}]))"
        f" <= bool time() - {window})"
    )


SINCE = "{{ $value | humanizeTimestamp }}"
"""A template for an expression whose value is the time since when it holds."""

TIMES = '{{ $value | printf "%.0f" }}'
"""A template for an expression whose value is an increase, which Prometheus extrapolates: 13 may be 13.33."""

SOURCE = "{{ $labels.source }}"
"""A template that names the source."""

INSTANCE = "{{ $labels.instance }}"
"""A template that names the process."""

NAME = f"{SOURCE}/{{{{ $labels.job_id }}}}"
"""A template that names the stream."""

NAMED = NAME + (
    '{{ range query (printf "max by (room_id) (last_over_time(livestream_info{source=%q,job_id=%q}[5m]))" '
    "$labels.source $labels.job_id) }}{{ if .Labels.room_id }} (room {{ .Labels.room_id }})"
    "{{ end }}{{ end }}"
)
"""A template that names the stream, and its room where that is known: also while nobody shows it."""
