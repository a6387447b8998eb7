"""Every exported metric family, once: its name, type, labels and help.

A name that isn't here can't be exported: the service's own metrics are built from this table, and a
stream's renderer names its line of it.
"""

from enum import StrEnum
from typing import NamedTuple


class FamilyType(StrEnum):
    """What Prometheus may do with a family's values."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Family(NamedTuple):
    """One metric family.

    labels: for a family of the streams, those beside `STREAM_LABELS`. help: one sentence without a
    full stop, with the unit where the name doesn't end in it, and only of characters that need no
    escaping in any exposition format.
    """

    name: str
    type: FamilyType
    labels: tuple[str, ...]
    help: str


STREAM_LABELS = ("vendor", "source", "job_id")
"""The labels that every family of the streams has."""

_COUNTER = FamilyType.COUNTER
_GAUGE = FamilyType.GAUGE
_HISTOGRAM = FamilyType.HISTOGRAM

STREAM_FAMILIES: tuple[Family, ...] = (
    Family(
        "livestream_info",
        _GAUGE,
        ("room_id", "rtc_room_id", "play_mode", "random_play_mode", "view_mode"),
        "Always 1; its labels say what is known of the stream, empty where nothing is",
    ),
    Family(
        "livestream_status",
        _GAUGE,
        ("status",),
        "Whether this is the status of the stream: 1 for one of the statuses, 0 for the others",
    ),
    Family(
        "livestream_status_since_timestamp_seconds",
        _GAUGE,
        (),
        "When the present status of the stream began, in Unix seconds",
    ),
    Family(
        "livestream_rtmp_state",
        _GAUGE,
        ("state",),
        "Whether this is the state of the RTMP push, the worst of the open outputs: 1 or 0",
    ),
    Family(
        "livestream_start_timestamp_seconds",
        _GAUGE,
        (),
        "When the stream was registered or first heard of, whichever came first, in Unix seconds",
    ),
    Family(
        "livestream_expected_end_timestamp_seconds",
        _GAUGE,
        (),
        "When the longest duration that the stream was started with is over, in Unix seconds",
    ),
    Family(
        "livestream_end_timestamp_seconds",
        _GAUGE,
        ("outcome",),
        "When the stream ended, in Unix seconds, and how",
    ),
    Family(
        "livestream_well_until_timestamp_seconds",
        _GAUGE,
        (),
        "Until when a stream that ended badly was well, in Unix seconds",
    ),
    Family(
        "livestream_reconnects_total",
        _COUNTER,
        (),
        "Reconnects of the RTMP push, at most one for each outage",
    ),
    Family(
        "livestream_outages_total",
        _COUNTER,
        (),
        "Outages: times that the stream left the connected state other than by its end",
    ),
    Family(
        "livestream_connected_seconds_total",
        _COUNTER,
        (),
        "Seconds that the stream has been connected, those of a running phase until a second ago",
    ),
    Family(
        "livestream_outage_seconds_total",
        _COUNTER,
        (),
        "Seconds that the stream has spent in outages, those of a running one until a second ago",
    ),
    Family(
        "livestream_script_coverage_ratio",
        _GAUGE,
        (),
        "Distinct paragraphs played in the present round, as a share of those planned",
    ),
    Family(
        "livestream_script_round_coverage_ratio",
        _GAUGE,
        (),
        "Distinct paragraphs played in the last finished round, as a share of those planned",
    ),
    Family(
        "livestream_script_rounds_total",
        _COUNTER,
        (),
        "Rounds of the script that were finished",
    ),
    Family(
        "livestream_script_paragraphs_skipped_total",
        _COUNTER,
        (),
        "Planned paragraphs that finished rounds left out",
    ),
    Family(
        "livestream_script_paragraphs_planned",
        _GAUGE,
        ("origin",),
        "Paragraphs that a round should play, and who said so",
    ),
    Family(
        "livestream_script_progress_timestamp_seconds",
        _GAUGE,
        (),
        "When the script last showed that it moved, in Unix seconds",
    ),
    Family(
        "livestream_script_stall_after_seconds",
        _GAUGE,
        (),
        "How long without progress counts as a stall for this stream",
    ),
    Family(
        "livestream_script_remaining_seconds",
        _GAUGE,
        (),
        "Estimate of how long the script still lasts; only where it repeats a finite number of times",
    ),
    Family(
        "livestream_replies_finished_total",
        _COUNTER,
        (),
        "Distinct replies to the audience that were played, whichever channel told of them",
    ),
    Family(
        "livestream_live_warning",
        _GAUGE,
        ("warning_type",),
        "Whether the vendor warns of this about the stream: 1 or 0",
    ),
    Family(
        "livestream_last_event_timestamp_seconds",
        _GAUGE,
        ("channel",),
        "When the channel last told anything of the stream, in Unix seconds",
    ),
    Family(
        "livestream_vendor_duration_seconds",
        _GAUGE,
        (),
        "How long the stream has run, as the API of its vendor last said",
    ),
    Family(
        "livestream_vendor_push_seconds",
        _GAUGE,
        (),
        "How long the stream has pushed, as the API of its vendor last said",
    ),
    Family(
        "livestream_callbacks_missed_total",
        _COUNTER,
        (),
        "Facts of the stream that another channel proved and whose callback never came",
    ),
)

SERVICE_FAMILIES: tuple[Family, ...] = (
    Family(
        "monitor_callbacks_total",
        _COUNTER,
        ("source", "outcome"),
        "Requests of vendors, by what became of them",
    ),
    Family(
        "monitor_authentication_failures_total",
        _COUNTER,
        ("source", "reason"),
        "Requests that did not prove where they come from, by what was wrong",
    ),
    Family(
        "monitor_connections_refused_total",
        _COUNTER,
        ("listener", "reason"),
        "Requests and connections that the HTTP server refused before anybody knew whose they are, by why",
    ),
    Family(
        "monitor_callback_duration_seconds",
        _HISTOGRAM,
        ("source",),
        "Time from a callback's request to its answer, when it is durable",
    ),
    Family(
        "monitor_clock_skew_seconds",
        _GAUGE,
        ("source",),
        "Signed time of the last rightly signed request minus our time, refused requests included",
    ),
    Family(
        "monitor_signature_forms_total",
        _COUNTER,
        ("source", "form"),
        "Rightly signed callbacks, by the form of the signed text that matched",
    ),
    Family(
        "monitor_events_total",
        _COUNTER,
        ("vendor", "source", "channel", "event_type", "outcome"),
        "Events that the worker took from the log, by what they did to their stream",
    ),
    Family(
        "monitor_event_delay_seconds",
        _HISTOGRAM,
        (),
        "Time from an event's receipt until it was folded into its stream",
    ),
    Family(
        "monitor_dead_letters_total",
        _COUNTER,
        ("source", "channel", "reason"),
        "Authentic messages that could not be decoded and are kept apart",
    ),
    Family(
        "monitor_vendor_errors_total",
        _COUNTER,
        ("vendor", "source", "code", "category"),
        "Errors that vendors reported, by their code",
    ),
    Family(
        "monitor_reconcile_calls_total",
        _COUNTER,
        ("source",),
        "Calls to the API of a vendor that asked for the truth about its streams",
    ),
    Family(
        "monitor_reconcile_failures_total",
        _COUNTER,
        ("source", "reason"),
        "Questions to the API of a vendor that got no useful answer, by why",
    ),
    Family(
        "monitor_reconcile_differences_total",
        _COUNTER,
        ("source", "kind"),
        "Facts that the API of a vendor told and no callback had, by what they are about",
    ),
    Family(
        "monitor_reconcile_round_timestamp_seconds",
        _GAUGE,
        ("source",),
        "When a round of questions to the API of a vendor last ended without a failure, in Unix seconds",
    ),
    Family(
        "monitor_log_lag_events",
        _GAUGE,
        ("partition",),
        "Events that are durable in the log and not folded yet",
    ),
    Family(
        "monitor_log_oldest_unfolded_timestamp_seconds",
        _GAUGE,
        (),
        "When the oldest event that is not folded yet was received, in Unix seconds; absent if there is none",
    ),
    Family(
        "monitor_consumer_stalled",
        _GAUGE,
        (),
        "Whether events wait and the worker has stopped taking them, or pages show what is old: 1 or 0",
    ),
    Family(
        "monitor_spool_events",
        _GAUGE,
        (),
        "Events and dead letters that wait in the spool for Kafka; absent without a spool",
    ),
    Family(
        "monitor_spool_bytes",
        _GAUGE,
        (),
        "How much of the spool's capacity they take; absent without a spool",
    ),
    Family(
        "monitor_spool_capacity_bytes",
        _GAUGE,
        (),
        "What the spool takes before callbacks are refused; absent without a spool",
    ),
    Family(
        "monitor_spool_oldest_timestamp_seconds",
        _GAUGE,
        (),
        "When the oldest event in the spool was received, in Unix seconds; absent if there is none",
    ),
    Family(
        "monitor_streams",
        _GAUGE,
        ("vendor", "source", "status"),
        "Streams whose series are exported here, by status; absent while recovering",
    ),
    Family(
        "monitor_recovering",
        _GAUGE,
        (),
        "Whether streams are not exported: the worker replays the log, or its group confirms nothing: 1 or 0",
    ),
    Family(
        "monitor_checkpoint_timestamp_seconds",
        _GAUGE,
        (),
        "When the state was last known to be saved, in Unix seconds; absent until then",
    ),
    Family(
        "monitor_build_info",
        _GAUGE,
        ("version", "python_version", "role"),
        "Always 1; its labels say which build of the service this is, and which part of it",
    ),
)

_BY_NAME = {family.name: family for family in STREAM_FAMILIES + SERVICE_FAMILIES}


def family(name: str) -> Family:
    """Return the family of this full name (a counter's ends in `_total`).

    Raises:
        KeyError: the catalogue has no such family.
    """
    return _BY_NAME[name]
