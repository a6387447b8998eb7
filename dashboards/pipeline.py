"""The service itself: what it takes in, how far behind it is, and what it couldn't do."""

from dashboards import asked, intake
from dashboards.assembly import Row, dashboard
from dashboards.panels import Colour, Column, Place, Query, Step, graph, stat, table
from dashboards.selectors import FLEET, PROCESSES, quantile, rate
from dashboards.thresholds import CHECKPOINT_SECONDS, LAG_SECONDS
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
            Row("Receiver", intake.receiver()),
            Row("Worker", _worker()),
            Row("Spool and dead letters", intake.kept_apart()),
            Row("The vendors' own word", asked.reconcile()),
            Row("Processes", _processes()),
        ],
        SOURCE,
        span="3h",
    )


def _now() -> list[Place]:
    up = f"{{{PROCESSES}}}"
    return [
        Place(
            stat(
                "Processes up",
                "Processes of the service that Prometheus reaches, of all that it knows.",
                [Query(f"sum(up{up})", "up", now=True), Query(f"count(up{up})", "known", now=True)],
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
                [Query(f"max(monitor_recovering{up})", now=True)],
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
                "Whether events wait and a worker has stopped taking them, or pages show what is old.",
                [Query(f"max(monitor_consumer_stalled{up})", now=True)],
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
                [Query(f"sum(monitor_log_lag_events{up})", now=True)],
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
                [Query(f"time() - min(monitor_checkpoint_timestamp_seconds{up})", now=True)],
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


def _worker() -> list[Place]:
    oldest = f"time() - min(monitor_log_oldest_unfolded_timestamp_seconds{{{PROCESSES}}})"
    # Only who knows what waits can say that nothing does.
    none_waits = f"sum(monitor_log_lag_events{{{PROCESSES}}}) * 0"
    return [
        Place(
            graph(
                "Events by what they did",
                "Events that the worker took from the log each second.",
                [Query(rate("monitor_events_total", FLEET, "outcome"), "{{outcome}}")],
                unit="cps",
                stacked=True,
                runbooks=["MonitorStreamsUntracked"],
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
                        f"topk(10, {rate('monitor_events_total', FLEET, 'channel, event_type')})",
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
                    Query(quantile(share, "monitor_event_delay_seconds", PROCESSES), name)
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
                [Query(f"({oldest}) or {none_waits}", "oldest")],
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
