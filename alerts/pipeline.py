"""What wakes somebody because of the service itself."""

from alerts.expressions import INSTANCE, of
from alerts.rule import Alert, Dashboard, Group, Severity, span
from alerts.thresholds import Pipeline, Thresholds, View

ALL = "all"
"""`scope` of an alert that speaks of the whole service: nobody sees any stream."""


def group(thresholds: Thresholds) -> Group:
    """Return the rules of the service itself."""
    view, limits = thresholds.view, thresholds.pipeline
    return Group(
        "monitor-pipeline",
        (
            *_down(view, limits),
            *_lagging(view, limits),
            _spool(view, limits),
            _checkpoint(view, limits),
            *_recovering(view, limits),
            Alert(
                "Watchdog",
                Severity.INFO,
                Dashboard.PIPELINE,
                "vector(1)",
                "Alerts reach you",
                "Always firing. A dead man's switch outside expects it; when it stops, no other alert "
                "would arrive either.",
            ),
        ),
    )


def _down(view: View, limits: Pipeline) -> tuple[Alert, ...]:
    up = f'up{{job="{view.job}"}}'
    saved = f'monitor_checkpoint_timestamp_seconds{{job="{view.job}"}}'

    def answering(role: str) -> str:
        return f'max(monitor_build_info{{job="{view.job}",{role}}})'

    return (
        Alert(
            "MonitorDown",
            Severity.CRITICAL,
            Dashboard.PIPELINE,
            # Receivers may answer while every worker is gone: only a worker saves checkpoints.
            f"max(absent({up} == 1) or absent({saved}))",
            "Nobody watches the streams",
            "No process of the service that folds callbacks answers, or none could open its log since it "
            "started. No stream would page now, so their pages are held back. Callbacks that no receiver "
            "takes are lost for good.",
            seconds=limits.down_for_seconds,
            labels={"scope": ALL},
        ),
        Alert(
            "MonitorDown",
            Severity.CRITICAL,
            Dashboard.PIPELINE,
            # Where one process does all, or no worker is there either, the alert above speaks. A process of
            # a version that doesn't tell its role may be a receiver.
            answering('role="worker"') + " unless on () " + answering('role!~"worker|web"'),
            "Nobody takes callbacks",
            "Workers answer, and no receiver does. Callbacks are lost for good, and streams are judged "
            "without them: an outage would page nobody. Start a receiver, and look at the rooms themselves "
            "meanwhile.",
            seconds=limits.down_for_seconds,
            labels={"scope": "receivers"},
        ),
        Alert(
            "MonitorDown",
            Severity.WARNING,
            Dashboard.PIPELINE,
            f"{up} == 0 and on () max({up}) == 1",
            f"{INSTANCE} doesn't answer",
            f"The process at {INSTANCE} can't be scraped; others answer, and have its streams if it had any.",
            seconds=limits.down_for_seconds,
            labels={"scope": "instance"},
        ),
    )


def _lagging(view: View, limits: Pipeline) -> tuple[Alert, Alert]:
    job = f'{{job="{view.job}"}}'
    stalled, saved = f"monitor_consumer_stalled{job} == 1", f"monitor_checkpoint_timestamp_seconds{job}"
    recovering = f"max_over_time(monitor_recovering{job}[{span(view.settle_seconds)}]) == 1"

    def alert(severity: Severity, behind: str, summary: str, description: str) -> Alert:
        # While it recovers it lags by its nature; MonitorRecoveringTooLong watches that.
        return Alert(
            "MonitorLagging",
            severity,
            Dashboard.PIPELINE,
            f"(\n  {behind}\n)\n  unless on (job, instance) {recovering}",
            summary,
            description,
            seconds=limits.lag_for_seconds,
            # What is busy misses scrapes, and is restarted: neither closes the page and opens another.
            keep_firing=limits.down_for_seconds,
        )

    # Only a worker saves checkpoints. A process that only shows streams is behind with nobody's pages.
    return (
        alert(
            Severity.CRITICAL,
            f"time() - monitor_log_oldest_unfolded_timestamp_seconds{job} > {limits.lag_seconds}\n"
            f"  or ({stalled} and on (job, instance) {saved})",
            f"{INSTANCE} is behind its log",
            f"{INSTANCE} folds events later than they come, or not at all, so pages come late. Streams that "
            "seem silent or stalled meanwhile may be fine; those pages are held back.",
        ),
        alert(
            Severity.WARNING,
            f"{stalled} unless on (job, instance) {saved}",
            f"{INSTANCE} shows streams as they were",
            f"The page and the API of {INSTANCE} are old: it can't read what workers keep. The streams are "
            "folded and page as ever; look at them at another process meanwhile.",
        ),
    )


def _spool(view: View, limits: Pipeline) -> Alert:
    job = f'{{job="{view.job}"}}'
    return Alert(
        "MonitorSpoolFilling",
        Severity.CRITICAL,
        Dashboard.PIPELINE,
        f"""
        monitor_spool_bytes{job} / monitor_spool_capacity_bytes{job} > {limits.spool_ratio}
          or (time() - monitor_spool_oldest_timestamp_seconds{job} > {limits.spool_age_seconds})
        """,
        f"{INSTANCE} can't reach Kafka, and its spool fills",
        f"Callbacks that {INSTANCE} took wait in its spool for Kafka. Nothing is lost until it is full; "
        "meanwhile their streams are judged without them. Bring Kafka back.",
        # Over a restart, and a missed scrape.
        keep_firing=limits.down_for_seconds,
    )


def _checkpoint(view: View, limits: Pipeline) -> Alert:
    return Alert(
        "MonitorCheckpointStale",
        Severity.WARNING,
        Dashboard.PIPELINE,
        f'time() - monitor_checkpoint_timestamp_seconds{{job="{view.job}"}} > {limits.checkpoint_seconds}',
        f"{INSTANCE} doesn't save its state",
        f"{INSTANCE} last saved its state {{{{ $value | humanizeDuration }}}} ago. Nothing is lost; a "
        "restart would take as much longer. Look at its disk, or at Kafka.",
    )


def _recovering(view: View, limits: Pipeline) -> tuple[Alert, Alert]:
    recovering = f'last_over_time(monitor_recovering{{job="{view.job}"}}[1m]) == 1'
    # Each stream that anybody shows has one such series. Without any the alert must not wait longer than
    # view.hold_seconds; with some, a missed scrape must not begin its time anew.
    shown = of("livestream_status", view, 'status="healthy"')

    def alert(where: str, description: str, scope: str) -> Alert:
        return Alert(
            "MonitorRecoveringTooLong",
            Severity.CRITICAL,
            Dashboard.PIPELINE,
            f"{recovering}\n  {where}",
            f"{INSTANCE} doesn't get through its log",
            description,
            seconds=limits.recovering_seconds,
            labels={"scope": scope},
        )

    return (
        alert(
            f"unless on () count({shown})",
            f"{INSTANCE} still folds its log after a restart or a move, and nobody shows any stream until "
            "it is through. Nobody watches them meanwhile; their pages are held back.",
            ALL,
        ),
        alert(
            f"and on () count(last_over_time({shown}[1m]))",
            f"{INSTANCE} still reads its log after a restart or a move. If it is a worker, nobody watches "
            "the streams of those partitions until it is through; all that are shown page as ever.",
            "instance",
        ),
    )
