"""The service itself: what it takes in, how far behind it is, and what it couldn't do."""

from dashboards.panels import Colour, Column, Place, Query, Row, Step, dashboard, graph, stat, table
from dashboards.selectors import FLEET, PROCESSES, SOURCES, or_zero
from dashboards.thresholds import (
    AUTHENTICATION_SHARE,
    CHECKPOINT_SECONDS,
    CLOCK_SKEW_SECONDS,
    LAG_SECONDS,
    SPOOL_AGE_SECONDS,
    SPOOL_RATIO,
)
from dashboards.variables import SOURCE

_YES_IS_BAD = {0.0: ("no", Colour.GOOD), 1.0: ("yes", Colour.BAD)}


def build() -> str:
    """Return the dashboard as JSON."""
    return dashboard(
        "livestream-pipeline",
        "Livestreams: pipeline",
        "Whether callbacks get in, are kept, and are folded in time; and how the processes do.",
        [
            Row("Now", _now()),
            Row("Receiver", _receiver()),
            Row("Worker", _worker()),
            Row("Spool and dead letters", _kept_apart()),
            Row("Processes", _processes()),
        ],
        SOURCE,
        span="3h",
    )


def _rate(name: str, matchers: str, by: str) -> str:
    return f"sum by ({by}) (rate({name}{{{matchers}}}[$__rate_interval]))"


def _quantile(share: float, name: str, matchers: str) -> str:
    """Return a quantile; 0 where nothing was observed, of which the quantile isn't a number."""
    asked = (
        f"histogram_quantile({share:g}, sum by (le) (rate({name}_bucket{{{matchers}}}[$__rate_interval])))"
    )
    return f"({asked} >= 0) or vector(0)"


def _now() -> list[Place]:
    up = f"{{{PROCESSES}}}"
    return [
        Place(
            stat(
                "Processes up",
                "Processes of the service that Prometheus reaches, of all that it knows.",
                [Query(f"sum(up{up})", "up"), Query(f"count(up{up})", "known")],
                unit="short",
                runbooks=["MonitorDown"],
            ),
            4,
            4,
        ),
        Place(
            stat(
                "Recovering",
                "Whether a worker still replays the log and exports no streams yet.",
                [Query(f"max(monitor_recovering{up})")],
                unit="none",
                words=_YES_IS_BAD,
                runbooks=["MonitorRecoveringTooLong"],
            ),
            4,
            4,
        ),
        Place(
            stat(
                "Stalled",
                "Whether events wait and a worker has stopped taking them.",
                [Query(f"max(monitor_consumer_stalled{up})")],
                unit="none",
                words=_YES_IS_BAD,
                runbooks=["MonitorLagging"],
            ),
            4,
            4,
        ),
        Place(
            stat(
                "Events waiting",
                "Events that are durable in the log and not folded yet.",
                [Query(or_zero(f"sum(monitor_log_lag_events{up})"))],
                unit="short",
                runbooks=["MonitorLagging"],
            ),
            4,
            4,
        ),
        Place(
            stat(
                "Last checkpoint",
                "How long ago the state was last known to be saved, of the process that is furthest behind.",
                [Query(f"time() - min(monitor_checkpoint_timestamp_seconds{up})")],
                unit="s",
                steps=[Step(None, Colour.GOOD), Step(CHECKPOINT_SECONDS, Colour.WARNING)],
                runbooks=["MonitorCheckpointStale"],
            ),
            4,
            4,
        ),
        Place(
            table(
                "Versions",
                "Which build of the service each process is.",
                [Query(f"max by (instance, version, python_version) (monitor_build_info{up})", now=True)],
                [
                    Column("instance", "Instance"),
                    Column("version", "Version"),
                    Column("python_version", "Python"),
                ],
            ),
            4,
            4,
        ),
    ]


def _receiver() -> list[Place]:
    refused = _rate("monitor_authentication_failures_total", SOURCES, "source")
    every = _rate("monitor_callbacks_total", SOURCES, "source")
    return [
        Place(
            graph(
                "Callbacks by outcome",
                "Requests of vendors each second, by what became of them.",
                [Query(_rate("monitor_callbacks_total", SOURCES, "outcome"), "{{outcome}}")],
                unit="reqps",
                stacked=True,
                runbooks=["MonitorNoCallbacks"],
            ),
            8,
            8,
        ),
        Place(
            graph(
                "Time to answer",
                "From a callback's request to its answer, when it is durable; 0 while none comes.",
                [
                    Query(_quantile(share, "monitor_callback_duration_seconds", SOURCES), name)
                    for share, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
                ],
                unit="s",
            ),
            8,
            8,
        ),
        Place(
            graph(
                "Refused for their signature",
                "Share of each source's requests that did not prove where they come from.",
                [Query(f"{refused} / ({every} > 0) or {refused}", "{{source}}")],
                unit="percentunit",
                largest=1,
                steps=[Step(AUTHENTICATION_SHARE, Colour.WARNING)],
                runbooks=["MonitorCallbackAuthenticationFailures"],
            ),
            8,
            8,
        ),
        Place(
            graph(
                "Authentication failures by reason",
                "Refused requests each second, by what was wrong.",
                [Query(_rate("monitor_authentication_failures_total", SOURCES, "reason"), "{{reason}}")],
                unit="reqps",
                runbooks=["MonitorCallbackAuthenticationFailures"],
            ),
            8,
            7,
        ),
        Place(
            graph(
                "Clock skew",
                "Signed time of the last rightly signed request minus our time. Only sources that sign have one.",
                [Query(f"max by (source) (monitor_clock_skew_seconds{{{SOURCES}}})", "{{source}}")],
                unit="s",
                steps=[Step(CLOCK_SKEW_SECONDS, Colour.WARNING)],
                runbooks=["MonitorClockSkew"],
            ),
            8,
            7,
        ),
        Place(
            graph(
                "Signature forms",
                "Rightly signed callbacks each second, by the form of the signed text that matched.",
                [
                    Query(
                        _rate("monitor_signature_forms_total", SOURCES, "source, form"), "{{source}} {{form}}"
                    )
                ],
                unit="reqps",
            ),
            8,
            7,
        ),
    ]


def _worker() -> list[Place]:
    oldest = f"time() - min(monitor_log_oldest_unfolded_timestamp_seconds{{{PROCESSES}}})"
    return [
        Place(
            graph(
                "Events by what they did",
                "Events that the worker took from the log each second.",
                [Query(_rate("monitor_events_total", FLEET, "outcome"), "{{outcome}}")],
                unit="cps",
                stacked=True,
            ),
            8,
            8,
        ),
        Place(
            graph(
                "Events by type",
                "The same events by channel and the vendor's type, the ten most frequent.",
                [
                    Query(
                        f"topk(10, {_rate('monitor_events_total', FLEET, 'channel, event_type')})",
                        "{{channel}} {{event_type}}",
                    )
                ],
                unit="cps",
            ),
            8,
            8,
        ),
        Place(
            graph(
                "Delay",
                "From an event's receipt until it was folded into its stream; 0 while none comes.",
                [
                    Query(_quantile(share, "monitor_event_delay_seconds", PROCESSES), name)
                    for share, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
                ],
                unit="s",
                steps=[Step(LAG_SECONDS, Colour.BAD)],
                runbooks=["MonitorLagging"],
            ),
            8,
            8,
        ),
        Place(
            graph(
                "Lag by partition",
                "Events that are durable in the log and not folded yet, the ten partitions with most.",
                [
                    Query(
                        f"topk(10, max by (partition) (monitor_log_lag_events{{{PROCESSES}}}))",
                        "{{partition}}",
                    )
                ],
                unit="short",
                runbooks=["MonitorLagging"],
            ),
            8,
            7,
        ),
        Place(
            graph(
                "Oldest event that waits",
                "How long ago the oldest event that is not folded yet was received; 0 if none waits.",
                [Query(or_zero(oldest), "oldest")],
                unit="s",
                steps=[Step(LAG_SECONDS, Colour.BAD)],
                runbooks=["MonitorLagging"],
            ),
            8,
            7,
        ),
        Place(
            graph(
                "Age of the last checkpoint",
                "How long ago each process's state was last known to be saved.",
                [
                    Query(
                        f"time() - max by (instance) (monitor_checkpoint_timestamp_seconds{{{PROCESSES}}})",
                        "{{instance}}",
                    )
                ],
                unit="s",
                steps=[Step(CHECKPOINT_SECONDS, Colour.WARNING)],
                runbooks=["MonitorCheckpointStale"],
            ),
            8,
            7,
        ),
    ]


def _kept_apart() -> list[Place]:
    filled = f"monitor_spool_bytes{{{PROCESSES}}} / monitor_spool_capacity_bytes{{{PROCESSES}}}"
    waited = f"time() - min by (instance) (monitor_spool_oldest_timestamp_seconds{{{PROCESSES}}})"
    return [
        Place(
            graph(
                "Spool",
                "Events that wait in a receiver's spool for Kafka; 0 on the embedded log, which has none.",
                [Query(or_zero(f"sum(monitor_spool_events{{{PROCESSES}}})"), "events")],
                unit="short",
                runbooks=["MonitorSpoolFilling"],
            ),
            6,
            7,
        ),
        Place(
            graph(
                "Spool filled",
                "How much of a receiver's spool is taken; once it is full, callbacks are refused.",
                [Query(or_zero(f"max({filled})"), "fullest")],
                unit="percentunit",
                largest=1,
                steps=[Step(SPOOL_RATIO, Colour.BAD)],
                runbooks=["MonitorSpoolFilling"],
            ),
            6,
            7,
        ),
        Place(
            graph(
                "Oldest event in the spool",
                "How long the oldest event has waited for Kafka; 0 if none does.",
                [Query(or_zero(f"max({waited})"), "oldest")],
                unit="s",
                steps=[Step(SPOOL_AGE_SECONDS, Colour.BAD)],
                runbooks=["MonitorSpoolFilling"],
            ),
            6,
            7,
        ),
        Place(
            graph(
                "Dead letters",
                "Authentic messages that could not be decoded, by source and reason.",
                [
                    Query(
                        f"sum by (source, reason) (increase(monitor_dead_letters_total{{{SOURCES}}}[$__rate_interval]))",
                        "{{source}} {{reason}}",
                    )
                ],
                unit="short",
                bars=True,
                steps=[Step(1, Colour.WARNING)],
                runbooks=["MonitorDeadLetters"],
            ),
            6,
            7,
        ),
        Place(
            graph(
                "Errors that vendors reported",
                "By their code; codes of quota and capacity stop new streams.",
                [
                    Query(
                        "topk(10, sum by (source, code, category) "
                        f"(increase(monitor_vendor_errors_total{{{FLEET}}}[$__rate_interval])) > 0)"
                        ' or label_replace(vector(0), "category", "none", "", "")',
                        "{{source}} {{code}} {{category}}",
                    )
                ],
                unit="short",
                bars=True,
                runbooks=["LivestreamQuotaExhausted"],
            ),
            24,
            6,
        ),
    ]


def _processes() -> list[Place]:
    up = f"{{{PROCESSES}}}"
    return [
        Place(
            graph(
                "Processor time",
                "Of one core, each process's share.",
                [
                    Query(
                        f"max by (instance) (rate(process_cpu_seconds_total{up}[$__rate_interval]))",
                        "{{instance}}",
                    )
                ],
                unit="percentunit",
            ),
            6,
            7,
        ),
        Place(
            graph(
                "Memory",
                "What each process holds; it grows with live streams, not with history.",
                [Query(f"max by (instance) (process_resident_memory_bytes{up})", "{{instance}}")],
                unit="bytes",
            ),
            6,
            7,
        ),
        Place(
            graph(
                "Open files",
                "Each process's open files and connections, as a share of its limit.",
                [Query(f"max by (instance) (process_open_fds{up} / process_max_fds{up})", "{{instance}}")],
                unit="percentunit",
                largest=1,
            ),
            6,
            7,
        ),
        Place(
            graph(
                "Time to scrape",
                "How long Prometheus waited for each process's metrics.",
                [Query(f"max by (instance) (scrape_duration_seconds{up})", "{{instance}}")],
                unit="s",
                runbooks=["MonitorDown"],
            ),
            6,
            7,
        ),
    ]
