"""One stream: what state it was in when, and what it told."""

from dashboards.assembly import Row, dashboard
from dashboards.fleet import STREAM_LINK
from dashboards.panels import Colour, Column, Place, Query, Step, graph, stat, table, timeline
from dashboards.selectors import FLEET, STREAM, of_stream, or_zero
from dashboards.thresholds import (
    COVERAGE_RATIO,
    FLAPPING_RECONNECTS,
    FLAPPING_WINDOW,
    REMAINING_SECONDS,
    UNPUSHED_SECONDS,
    UNPUSHED_WINDOW,
)
from dashboards.variables import STREAM as STREAM_VARIABLES
from dashboards.words import STATES, STATUSES, as_number, numbered

_STATE_FIRST = 11
"""Statuses and states of the push share a panel, so their numbers must differ."""


def build() -> str:
    """Return the dashboard as JSON."""
    return dashboard(
        "livestream-stream",
        "Livestreams: one stream",
        "What one stream was doing when: its status, its RTMP push, its script, and what was heard of it.",
        [
            Row("Status", _status()),
            Row("Push", _push()),
            Row("Script", _script()),
            Row("Events", _events()),
        ],
        STREAM_VARIABLES,
        span="3h",
    )


def _held(name: str, label: str, names: dict[str, Colour], first: int = 1) -> str:
    return as_number(f"max by ({label}) ({name}{{{STREAM}, %s}})", label, names, first)


def _status() -> list[Place]:
    described = "vendor, source, job_id, room_id, rtc_room_id, play_mode, random_play_mode, view_mode"
    runs = f'max(livestream_status{{{STREAM}, status!="ended"}} == 1) * 0'
    # Its series are gone some time after the end; how it ended stays right.
    ended = (
        f"max by (outcome) (last_over_time(livestream_end_timestamp_seconds{{{STREAM}}}[$__range])) * 1000"
    )
    return [
        Place(
            stat(
                "Status",
                "The one answer to whether the stream is fine.",
                [Query(_held("livestream_status", "status", STATUSES), now=True)],
                unit="none",
                words=numbered(STATUSES),
                runbooks=["LivestreamDown", "LivestreamSilent", "LivestreamStuckConnecting"],
            ),
            4,
            4,
        ),
        Place(
            stat(
                "For",
                "How long the status has held.",
                [Query(f"time() - {of_stream('livestream_status_since_timestamp_seconds')}", now=True)],
                unit="s",
            ),
            4,
            4,
        ),
        Place(
            stat(
                "Started",
                "When the stream was registered or first heard of.",
                [Query(f"{of_stream('livestream_start_timestamp_seconds')} * 1000")],
                unit="dateTimeFromNow",
            ),
            4,
            4,
        ),
        Place(
            table(
                "Jobs of its room",
                "This stream and others of the same room, with how they were started; a click opens one.",
                [
                    Query(
                        f"max by ({described}) (livestream_info{{{STREAM}}}"
                        f' or livestream_info{{{FLEET}, room_id!="", room_id="$room"}})',
                        now=True,
                    )
                ],
                [
                    Column("job_id", "Job", link=STREAM_LINK),
                    Column("room_id", "Room"),
                    Column("rtc_room_id", "RTC room"),
                    Column("play_mode", "Play mode"),
                    Column("random_play_mode", "Random play"),
                    Column("view_mode", "View mode"),
                    Column("vendor", "Vendor"),
                    Column("source", "Source"),
                ],
            ),
            12,
            8,
        ),
        Place(
            timeline(
                "States",
                "The status of the stream, and the state of its RTMP push: the worst of its open outputs.",
                [
                    Query(_held("livestream_status", "status", STATUSES), "Status"),
                    Query(_held("livestream_rtmp_state", "state", STATES, _STATE_FIRST), "RTMP push"),
                ],
                numbered(STATUSES) | numbered(STATES, _STATE_FIRST),
                runbooks=["LivestreamDown", "LivestreamFlapping"],
            ),
            12,
            6,
        ),
        Place(
            stat(
                "Ended",
                "How the stream ended, if it has: the outcome, and when. Anything but completed is a page.",
                [
                    Query(
                        f'label_replace({runs}, "outcome", "still running", "", "") or on () {ended}',
                        "{{outcome}}",
                        now=True,
                    )
                ],
                unit="dateTimeFromNow",
                words={0: ("-", Colour.GREY)},
                runbooks=["LivestreamEndedAbnormally"],
            ),
            12,
            2,
        ),
    ]


def _risen(name: str, window: str = "$__rate_interval") -> str:
    return or_zero(f"sum(increase({name}{{{STREAM}}}[{window}]))")


def _push() -> list[Place]:
    seconds = "rate(livestream_{}_seconds_total{{{}}}[$__rate_interval])"
    unpushed = (
        f"{of_stream('livestream_vendor_duration_seconds')} - {of_stream('livestream_vendor_push_seconds')}"
    )
    return [
        Place(
            stat(
                "Reconnects",
                f"Within the last {FLAPPING_WINDOW}: {FLAPPING_RECONNECTS} are flapping.",
                [Query(_risen("livestream_reconnects_total", FLAPPING_WINDOW), now=True)],
                unit="short",
                decimals=0,
                steps=[Step(None, Colour.GOOD), Step(FLAPPING_RECONNECTS, Colour.WARNING)],
                runbooks=["LivestreamFlapping"],
            ),
            4,
            7,
        ),
        Place(
            graph(
                "Outages and reconnects",
                "When the push was lost, and when it came back.",
                [
                    Query(_risen("livestream_outages_total"), "outages"),
                    Query(_risen("livestream_reconnects_total"), "reconnects"),
                ],
                unit="short",
                bars=True,
                runbooks=["LivestreamFlapping"],
            ),
            8,
            7,
        ),
        Place(
            graph(
                "Share of time connected",
                "Where the stream's seconds went. Both are 0 before it connects and after its end.",
                [
                    Query(or_zero(f"sum({seconds.format('connected', STREAM)})"), "connected"),
                    Query(or_zero(f"sum({seconds.format('outage', STREAM)})"), "in an outage"),
                ],
                unit="percentunit",
                largest=1,
                runbooks=["LivestreamDown"],
            ),
            6,
            7,
        ),
        Place(
            graph(
                "Running without push",
                f"Seconds of the last {UNPUSHED_WINDOW} that the vendor counts as running and not as pushed. "
                "Needs the vendor's API.",
                [Query(f"{unpushed} - min_over_time(({unpushed})[{UNPUSHED_WINDOW}:1m])", "not pushed")],
                unit="s",
                steps=[Step(UNPUSHED_SECONDS, Colour.BAD)],
                runbooks=["LivestreamRunningWithoutPush"],
            ),
            6,
            7,
        ),
    ]


def _script() -> list[Place]:
    planned = f"max by (origin) (livestream_script_paragraphs_planned{{{STREAM}}})"
    known = f"{of_stream('livestream_status_since_timestamp_seconds')} * 0"
    return [
        Place(
            graph(
                "Coverage",
                "Share of the planned paragraphs played, in the present round and in the last finished one, "
                "of which the alert is.",
                [
                    Query(of_stream("livestream_script_coverage_ratio"), "present round"),
                    Query(of_stream("livestream_script_round_coverage_ratio"), "last round"),
                ],
                unit="percentunit",
                largest=1,
                steps=[Step(COVERAGE_RATIO, Colour.WARNING)],
                runbooks=["LivestreamScriptCoverageLow"],
            ),
            8,
            8,
        ),
        Place(
            graph(
                "Time without progress",
                "How long ago the script last moved, and how long would be a stall for this stream.",
                [
                    Query(
                        f"time() - {of_stream('livestream_script_progress_timestamp_seconds')}",
                        "without progress",
                    ),
                    Query(of_stream("livestream_script_stall_after_seconds"), "a stall"),
                ],
                unit="s",
                runbooks=["LivestreamScriptStalled", "LivestreamSilent"],
                colours={"a stall": Colour.WARNING},
            ),
            8,
            8,
        ),
        Place(
            graph(
                "Rounds and paragraphs left out",
                "Rounds of the script that were finished, and the paragraphs that they left out.",
                [
                    Query(_risen("livestream_script_rounds_total"), "rounds"),
                    Query(_risen("livestream_script_paragraphs_skipped_total"), "left out"),
                ],
                unit="short",
                bars=True,
                runbooks=["LivestreamScriptCoverageLow"],
            ),
            8,
            8,
        ),
        Place(
            stat(
                "Paragraphs planned",
                "How many paragraphs a round should play, and who said so.",
                [Query(planned, "{{origin}}")],
                unit="short",
            ),
            6,
            4,
        ),
        Place(
            stat(
                "Script remaining",
                "Estimate of how long the script still lasts, where it repeats a finite number of times.",
                [Query(of_stream("livestream_script_remaining_seconds"), now=True)],
                unit="s",
                steps=[Step(None, Colour.WARNING), Step(REMAINING_SECONDS, Colour.GOOD)],
                runbooks=["LivestreamScriptRunningOut"],
            ),
            6,
            4,
        ),
        Place(
            stat(
                "Expected end",
                "When the longest duration that the stream was started with is over.",
                [Query(f"{of_stream('livestream_expected_end_timestamp_seconds')} * 1000")],
                unit="dateTimeFromNow",
            ),
            6,
            4,
        ),
        Place(
            stat(
                "Live warnings",
                "What the vendor warns of: at the start, or since, where its API is asked.",
                [
                    Query(
                        f"max by (warning_type) (livestream_live_warning{{{STREAM}}}) == 1"
                        f' or on () label_replace({known}, "warning_type", "none", "", "")',
                        "{{warning_type}}",
                        now=True,
                    )
                ],
                unit="none",
                words={0: ("-", Colour.GREY), 1: ("given", Colour.WARNING)},
                runbooks=["LivestreamLiveWarning"],
            ),
            6,
            4,
        ),
    ]


def _events() -> list[Place]:
    heard = f"time() - max by (channel) (livestream_last_event_timestamp_seconds{{{STREAM}}})"
    return [
        Place(
            graph(
                "Time since the last event",
                "How long each channel has told nothing of the stream.",
                [Query(heard, "{{channel}}")],
                unit="s",
                runbooks=["LivestreamSilent", "MonitorNoCallbacks"],
            ),
            8,
            7,
        ),
        Place(
            graph(
                "Replies",
                "Distinct replies to the audience that were played.",
                [Query(_risen("livestream_replies_finished_total"), "replies")],
                unit="short",
                bars=True,
            ),
            8,
            7,
        ),
        Place(
            graph(
                "Missed callbacks",
                "Facts of the stream that another channel proved and whose callback never came.",
                [Query(_risen("livestream_callbacks_missed_total"), "missed")],
                unit="short",
                bars=True,
                runbooks=["MonitorCallbacksMissed"],
            ),
            8,
            7,
        ),
    ]
